"""Pictures of scribbles and of mending; ``make_screenshots.py --mending`` is the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from screenshot_steps import PATIENCE, Photographer
from working_day import organs_of_the_sample

SLICE, MENDED = 64, 68


def make_mending(folder: Path, theme: str) -> None:
    """Scribble on a slice of the sample's CT and see what follows; then grow an organ to its edge by a stroke."""
    photographer = Photographer(folder, theme)
    day, hands, viewer = photographer.day, photographer.hands, photographer.viewer
    hands.click(day.tab.first_steps.close_button)
    day.open_scans()
    organs, names = organs_of_the_sample()
    day.new_labels()
    liver = day.add_class(names[0])
    slices, fill = day.tab.support.slices, day.tab.support.fill
    y, x = (int(np.median(places)) for places in np.nonzero(organs[SLICE] == liver))
    day.stroke(day.painted, SLICE, liver, [(y - 5, x - 8), (y, x), (y + 5, x + 8)])
    hands.click(slices.scribble)
    hands.drag(day.painted, [(SLICE, y + 36, x - 26), (SLICE, y + 36, x + 26)])
    for value in {*np.unique(organs[SLICE]).tolist()} - {0, liver}:
        row, column = (int(np.median(places)) for places in np.nonzero(organs[SLICE] == value))
        hands.drag(day.painted, [(SLICE, row - 2, column - 3), (SLICE, row + 2, column + 3)])
    hands.until(lambda: day.listed() == [SLICE], "the slice is listed")
    day.wait_for_pictures()
    fill.tick.click()
    hands.until(lambda: fill.control.can_accept, "it is filled", PATIENCE)
    photographer.show(slices.buttons, above=True)
    photographer.shoot("scribbles")
    fill.tick.click()

    box = day.tab.mend
    y, x = (int(np.median(places)) for places in np.nonzero(organs[MENDED] == liver))
    day.painted.selected_label = liver
    viewer.layers.selection.active = day.painted
    hands.go_to(day.painted, MENDED)
    photographer.show(box, above=True)
    hands.click(box.buttons["grow"])
    hands.drag(day.painted, [(MENDED, y - 6, x - 6), (MENDED, y + 6, x + 6)])
    hands.until(lambda: not box.control.is_mending, "the stroke is answered", PATIENCE)
    photographer.show(box, above=True)
    photographer.shoot("mending")
    viewer.close()
