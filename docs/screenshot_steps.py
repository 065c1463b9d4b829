"""The pictures of the guide, step by step; ``make_screenshots.py`` is the command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
from hands import Hands, register_plugin
from PIL import Image, ImageQt
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QMenu, QPushButton, QWidget
from working_day import WorkingDay, organs_of_the_sample

from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.shortcuts import NEXT_PAINTED

SIZE = (1280, 720)
# Of the CT, through all organs; the first is painted before one's eyes.
SLICES = (66, 54, 60, 72, 78)
COLORS = 256
MARGIN = 8
# Seconds that a run may take on a busy machine.
PATIENCE = 1800
PROJECT = "liver and kidneys"


class Photographer:
    """A napari window with the panel, and a folder for its pictures."""

    def __init__(self, folder: Path, theme: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        register_plugin()
        self.viewer = napari.Viewer(show=False)
        self.viewer.theme = theme
        self.window = self.viewer.window._qt_window
        self.window.resize(*SIZE)
        self.window.show()
        self.hands = Hands(self.viewer)
        self.day = WorkingDay(self.hands)
        self.day.open_panel()
        self.hands.wait(1)  # until everything has its place

    def shoot(self, name: str, menus: Sequence[tuple[QMenu, QPoint]] = ()) -> None:
        """Write one picture, with open menus at places of the window, after the window has settled."""
        window = self.picture()
        ratio = window.width / self.window.width()
        for menu, place in menus:
            window.paste(
                ImageQt.fromqpixmap(menu.grab()), (round(ratio * place.x()), round(ratio * place.y()))
            )
        # Of few colours a picture is a third as large and looks the same.
        few = window.quantize(COLORS, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
        few.save(self.folder / f"{name}.png", optimize=True)

    def picture(self, settle: float = 0.6) -> Image.Image:
        """The window as it is now, after it has settled."""
        self.hands.wait(settle)  # napari fades its messages in, and a busy machine comes late to the layout
        return Image.fromarray(self.viewer.window.screenshot(canvas_only=False, flash=False)).convert("RGB")

    def shoot_menu(self, name: str, button: QPushButton) -> None:
        """Write a picture with the menu of a button open."""
        menu = button.menu()
        self.hands.click(button)
        self.hands.until(menu.isVisible, "the menu opens")
        place = button.mapTo(self.window, button.rect().bottomLeft())
        place.setX(min(place.x(), self.window.width() - menu.width()))
        self.shoot(name, [(menu, place)])
        menu.close()

    def shoot_napari_menu(self, name: str, *path: str) -> None:
        """Write a picture with menus of napari open, down to the entry at the end of a path."""
        *parents, last = self.hands.menus(*path)
        bar, menus = self.window.menuBar(), []
        place = bar.actionGeometry(parents[0]).bottomLeft()
        for parent, action in zip(parents, [*parents[1:], last], strict=True):
            menu = parent.menu()
            menu.popup(self.window.mapToGlobal(place))
            self.hands.until(menu.isVisible, "the menu opens")
            menu.setActiveAction(action)
            menus.append((menu, place))
            place = place + menu.actionGeometry(action).topRight()
        self.shoot(name, menus)
        for menu, _ in reversed(menus):
            menu.close()

    def show(self, widget: QWidget, *, above: bool = False) -> None:
        """Scroll the tab until a widget is at its top, or (``above``) at its bottom."""
        scroll = self.day.tab.scroll
        bar = scroll.verticalScrollBar()
        self.hands.wait(1.2)  # the tab goes to the results by itself, and its rows come later
        top = widget.mapTo(scroll.widget(), QPoint(0, 0)).y() - MARGIN
        bar.setValue(top + widget.height() + 2 * MARGIN - scroll.viewport().height() if above else top)


def make_afternoon(folder: Path, work: Path, theme: str) -> None:
    """Make a picture of each step of a working day; ``work`` is for the project and what is exported."""
    photographer = Photographer(folder, theme)
    day, shoot, show = photographer.day, photographer.shoot, photographer.show
    hands, tab = photographer.hands, day.tab
    slices, results = tab.support.slices, tab.results
    shoot("empty")
    hands.click(tab.first_steps.close_button)
    photographer.shoot_napari_menu("open", "File", "Open Sample", "CPCLNet", "CT and MR to paint on")
    day.open_scans()
    shoot("scans")
    day.new_labels()
    photographer.shoot_menu("classes", tab.support.classes.add)
    _paint(photographer)
    show(slices.buttons, above=True)
    shoot("painted")
    _fill(photographer)
    results.boxes["uncertainty"].click()
    day.run()
    day.run_until(26, PATIENCE)
    shoot("running")
    day.run_to_the_end(PATIENCE)
    results.boxes["uncertainty"].click()
    index = fullest(day.result)
    day.look_at_result("phantom_mr")
    hands.go_to(day.result, index)
    show(results)
    shoot("done")
    hands.click_cell(results.doubts, 0, 1)
    for name in ("uncertainty", "contour"):
        results.boxes[name].click()
    shoot("doubtful")
    for name in ("uncertainty", "contour"):
        results.boxes[name].click()
    _correct(photographer, index)
    show(results)
    shoot("corrected")
    day.use_slice(index)
    day.wait_for_pictures()
    show(slices.buttons, above=True)
    shoot("used")
    day.suggest()
    show(results)
    shoot("suggested")
    day.run()
    day.run_to_the_end(PATIENCE)
    day.save(work / PROJECT)
    show(tab.project)
    shoot("saved")
    photographer.viewer.close()


def make_next_day(folder: Path, theme: str) -> None:
    """Make the pictures of opening the project of the day before, and of exporting a result."""
    photographer = Photographer(folder, theme)
    day = photographer.day
    photographer.shoot_menu("recent", day.tab.project.recent_button)
    day.open_recent(PROJECT)
    day.hands.until(lambda: day.listed() == sorted(SLICES), "the painted slices are listed")
    day.wait_for_pictures()
    day.hands.press(NEXT_PAINTED)
    day.wait_until_saved()
    photographer.shoot("opened")
    day.viewer.layers.selection.active = day.result
    photographer.shoot_napari_menu("export", "File", "Save Selected Layers")
    photographer.viewer.close()


def make_train(folder: Path, run: Path, steps: int, every: int, theme: str) -> None:
    """Make the picture of the tab Train, of a run that begins in an empty folder; takes minutes."""
    photographer = Photographer(folder, theme)
    panel, hands = photographer.day.panel, photographer.hands
    tab = panel.train
    panel.tabs.setCurrentWidget(tab)
    box, held_out = tab.settings, tab.progress.dice.curves["held out"]
    box.out.set_path(run)
    box.steps.setValue(steps)
    box.every.setValue(every)
    tab.bar.press()
    hands.until(
        lambda: tab.bar.state is not RunState.RUNNING or len(held_out.points) >= 4, "four validations", 3600
    )
    photographer.shoot("train-running")
    tab.control.cancel()
    hands.until(lambda: tab.bar.state is RunState.READY, "the training stops", 600)
    photographer.viewer.close()


def _paint(photographer: Photographer) -> None:
    """Paint all organs on all slices, and take a picture while an outline is drawn."""
    day, hands = photographer.day, photographer.hands
    organs, names = organs_of_the_sample()
    first, *_ = SLICES
    liver = day.add_class(names[0])
    photographer.viewer.reset_view()
    hands.go_to(day.painted, first)
    day.outline(first, organs[first] == liver)
    hands.until(lambda: day.listed() == [first], "the slice is listed")
    day.wait_for_pictures()
    photographer.shoot("painting")
    day.fill(first, organs[first] == liver)
    for value, name in enumerate(names, start=1):
        if value != liver:
            assert day.add_class(name) == value
        for index in SLICES:
            day.paint(index, (organs[index] == value) & (day.painted.data[index] == 0))
    hands.until(lambda: day.listed() == sorted(SLICES), "the painted slices are listed")
    day.wait_for_pictures()
    hands.go_to(day.painted, first)


def _fill(photographer: Photographer) -> None:
    """Show what lies between the painted slices, and take it away again."""
    day, hands = photographer.day, photographer.hands
    box = day.tab.support.fill
    box.tick.click()
    hands.until(lambda: box.control.can_accept, "it is filled", PATIENCE)
    hands.go_to(day.painted, (SLICES[0] + SLICES[-2]) // 2)
    photographer.show(box, above=True)
    photographer.shoot("fill")
    box.tick.click()
    hands.go_to(day.painted, SLICES[0])


def _correct(photographer: Photographer, index: int) -> None:
    """Take a piece off an organ on a slice of the result."""
    day, result = photographer.day, photographer.day.result
    day.look_at_result("phantom_mr")
    y, x = (int(np.median(places)) for places in np.nonzero(result.data[index] == 1))
    day.stroke(result, index, 0, [(y, x), (y + 3, x + 4), (y + 2, x + 9)])
    hands: Any = photographer.hands
    hands.until(lambda: any("corrected" in row[0] for row in day.tab.results.tree.texts()), "it is counted")


def fullest(result: Any) -> int:
    """Slice of a result on which most classes, and most voxels, can be seen."""
    classes = [len(np.unique(one)) for one in result.data]
    return int(np.lexsort(((result.data > 0).sum((1, 2)), classes))[-1])
