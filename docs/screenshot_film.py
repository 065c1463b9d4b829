"""The animated picture of the README, frame by frame; ``make_screenshots.py --film`` is the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from screenshot_steps import PATIENCE, SLICES, Photographer, fullest
from working_day import organs_of_the_sample

NAME = "film.gif"
WIDTH = 860
BAND = 34
COLORS = 255
BLUE = (46, 82, 178)


class Film:
    """Frames of a window, each with a caption above it and a time for which it is shown."""

    def __init__(self, photographer: Photographer) -> None:
        self.photographer = photographer
        self.caption = ""
        self.frames: list[tuple[Image.Image, int]] = []

    def take(self, seconds: float, *, settle: float = 0.3) -> None:
        """Add the window as it is now."""
        window = self.photographer.picture(settle)
        small = window.resize((WIDTH, round(window.height * WIDTH / window.width)), Image.Resampling.LANCZOS)
        frame = Image.new("RGB", (WIDTH, small.height + BAND), BLUE)
        frame.paste(small, (0, BAND))
        font = ImageFont.load_default(19)
        ImageDraw.Draw(frame).text((WIDTH // 2, BAND // 2), self.caption, "white", font, anchor="mm")
        self.frames.append((frame, round(1000 * seconds)))

    def write(self, path: Path) -> None:
        """Write all frames with one palette, so that only what moves is stored anew."""
        pictures = [frame for frame, _ in self.frames]
        strip = Image.new("RGB", (WIDTH, sum(frame.height for frame in pictures[::3])))
        top = 0
        for frame in pictures[::3]:
            strip.paste(frame, (0, top))
            top += frame.height
        # classes are few pixels in colours of their own, which counting pixels would lose
        palette = strip.quantize(COLORS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in pictures]
        times = [time for _, time in self.frames]
        first.save(path, save_all=True, append_images=rest, duration=times, loop=0, optimize=True)


def make_film(folder: Path, theme: str) -> None:
    """Paint five slices of a CT, label the MR of another patient, and look at it."""
    photographer = Photographer(folder, theme)
    day, hands, film = photographer.day, photographer.hands, Film(photographer)
    organs, names = organs_of_the_sample()
    hands.click(day.tab.first_steps.close_button)
    day.open_scans()
    day.new_labels()
    photographer.viewer.reset_view()
    first, *_ = SLICES
    film.caption = "1   Paint a few slices of one scan, here a CT"
    hands.go_to(day.painted, first)
    film.take(1.0)
    for value, name in enumerate(names, start=1):
        assert day.add_class(name) == value
        piece = (organs[first] == value) & (day.painted.data[first] == 0)
        if name == "liver":
            day.outline(first, piece)
            film.take(0.7)
            day.fill(first, piece)
        else:
            day.paint(first, piece)
        film.take(0.5)
    for index in SLICES[1:]:
        for value in range(1, len(names) + 1):
            day.painted.selected_label = value
            day.paint(index, (organs[index] == value) & (day.painted.data[index] == 0))
        hands.go_to(day.painted, index)
        film.take(0.5)
    hands.until(lambda: day.listed() == sorted(SLICES), "the painted slices are listed")
    day.wait_for_pictures()
    photographer.show(day.tab.support.slices.buttons, above=True)
    film.take(1.2)
    film.caption = "2   Run: the MR of another patient is labelled"
    day.run()
    for slices in (1, 50, 100, 150, 200):
        day.run_until(slices, PATIENCE)
        film.take(0.45, settle=0.0)
    day.run_to_the_end(PATIENCE)
    film.caption = "3   Look at the result, correct it, run again"
    day.look_at_result("phantom_mr")
    middle = fullest(day.result)
    shown = np.flatnonzero(day.result.data.any(axis=(1, 2)))
    for index in np.linspace(shown[0] + 2, shown[-1] - 2, 9).round().astype(int):
        hands.go_to(day.result, int(index))
        film.take(0.4)
    hands.go_to(day.result, middle)
    photographer.show(day.tab.results)
    film.take(2.5)
    film.write(folder / NAME)
    photographer.viewer.close()
