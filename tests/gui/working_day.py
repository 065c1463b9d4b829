"""A working day with the panel, step by step, as a user goes through it.

The test of the day looks at what comes of each step, ``docs/make_screenshots.py`` takes its picture.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.shortcuts import RUN, SAVE_PROJECT, SUGGEST, USE_SLICE
from napari_cpclnet.gui.widgets.warming import MODULES

PAINT_KEY, FILL_KEY, PAN_KEY = "2", "4", "6"
BRUSH = 3
SMALLEST = 12


def organs_of_the_sample() -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels (z, y, x) of the CT of `sample_data.ct_and_mr`, and their names from label 1 on."""
    from napari_cpclnet.gui.contributions.sample_data import SEED
    from napari_cpclnet.phantoms.demo import DEMO_CLASSES
    from napari_cpclnet.phantoms.phantom import make_phantom

    phantom = make_phantom(np.random.default_rng([SEED, 0]))
    masks = [phantom.mask(name) for name in DEMO_CLASSES]
    return np.sum([n * mask for n, mask in enumerate(masks, start=1)], axis=0), DEMO_CLASSES


class WorkingDay:
    """The steps, in order; each returns when the window shows what came of it."""

    def __init__(self, hands: Any, script: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.hands = hands
        self.script = script  # what is computed inside is no user's
        self.tolerance = 0.3  # pixels by which an outline may be off
        self.viewer = hands.viewer
        self.panel: Any = None

    @property
    def tab(self) -> Any:
        """The tab Segment."""
        return self.panel.segment

    @property
    def painted(self) -> Any:
        """The layer one paints on."""
        return self.panel.session.support_labels

    @property
    def result(self) -> Any:
        """The result of the MR."""
        return next(layer for layer in self.viewer.layers if is_result(layer))

    def open_panel(self) -> None:
        self.panel = self.hands.open_panel()
        self.hands.until(
            lambda: all(one in sys.modules for one in MODULES), "all is ready when a person is", 120
        )

    def open_scans(self) -> None:
        self.hands.menu("File", "Open Sample", "CPCLNet", "CT and MR to paint on").trigger()
        self.hands.until(lambda: len(self.viewer.layers) == 2, "both scans are open")
        self.hands.until(lambda: self.panel.session.support_scan is not None, "the CT is the support")
        self.viewer.reset_view()

    def new_labels(self) -> None:
        self.hands.click(self.tab.support.new)
        self.hands.until(lambda: self.painted is not None, "there is a layer to paint on")

    def add_class(self, name: str) -> int:
        """Choose a class from the menu of common organs; returns its label value."""
        self.hands.choose(self.tab.support.classes.add, name)
        return int(self.painted.selected_label)

    def paint(self, index: int, organ: np.ndarray) -> None:
        """Draw the outline of an organ (y, x) with the brush and fill it, on a slice of the painted layer."""
        with self.script():
            from skimage.measure import label

            pieces = label(organ)
        self.hands.go_to(self.painted, index)
        for number in range(1, pieces.max() + 1):
            if (pieces == number).sum() >= SMALLEST:
                self.outline(index, pieces == number)
                self.fill(index, pieces == number)
        self.hands.press(PAN_KEY)

    def outline(self, index: int, piece: np.ndarray) -> None:
        """Draw along the border of one piece of an organ (y, x), on the slice in view."""
        with self.script():
            from skimage.measure import approximate_polygon, find_contours

            border = max(find_contours(np.pad(piece, 1).astype(float), 0.6), key=len)
            points = approximate_polygon(border, self.tolerance) - 1
        self.painted.brush_size = 1
        self.hands.press(PAINT_KEY)
        self.hands.drag(self.painted, [(index, *point) for point in points])

    def fill(self, index: int, piece: np.ndarray) -> None:
        """Fill the inside of an outline with the bucket."""
        inside = piece & (self.painted.data[index] == 0)
        if inside.any():
            with self.script():
                place = _deepest(inside)
            self.hands.press(FILL_KEY)
            self.hands.drag(self.painted, [(index, *place)])

    def stroke(self, layer: Any, index: int, value: int, points: list[tuple[float, float]]) -> None:
        """One stroke of the brush along (y, x) points on a layer in sight; 0 erases."""
        before = layer.data[index].copy()
        self.viewer.layers.selection.active = layer
        self.hands.go_to(layer, index)
        layer.selected_label, layer.brush_size = value, BRUSH
        self.hands.press(PAINT_KEY)
        self.hands.drag(layer, [(index, *point) for point in points])
        self.hands.press(PAN_KEY)
        self.hands.until(lambda: (layer.data[index] != before).any(), "the stroke changes the layer")

    def mend(
        self, layer: Any, index: int, tool: str, points: list[tuple[float, float]], *, remove: bool = False
    ) -> None:
        """One stroke of a tool that mends along (y, x) points on a layer in sight."""
        box = self.tab.mend
        self.viewer.layers.selection.active = layer
        self.hands.go_to(layer, index)
        if box.remove.isChecked() != remove:
            box.remove.click()
        self.hands.click(box.buttons[tool])
        self.hands.drag(layer, [(index, *point) for point in points])
        self.hands.until(lambda: not box.control.is_mending, "the stroke is answered")
        self.hands.click(box.buttons[tool])

    def paint_on(self, scan: str) -> None:
        """Click a scan in the support table, to paint on it."""
        self.hands.click_row(self.tab.support.slices.tree, scan)
        self.hands.until(lambda: self.viewer.layers[scan].visible, f"{scan} is shown")

    def look_at_result(self, scan: str) -> None:
        """Click a scan in the table of results."""
        self.hands.click_row(self.tab.results.tree, scan)
        self.hands.until(lambda: self.viewer.layers.selection.active is self.result, "the result is selected")

    def listed(self) -> list[int]:
        """Slices of the active scan in the support table."""
        return [entry.index for entry in self.tab.support.slices.tree.entries(self.panel.session.active)]

    def pictures(self) -> list[Any]:
        """Small pictures of the slices that can be seen in the support table; None where there is none yet."""
        slices = self.tab.support.slices
        return [slices.pictures.picture(entry) for entry in slices.tree.open_entries()]

    def wait_for_pictures(self) -> None:
        """Wait until every listed slice shows what the network sees."""
        self.hands.until(
            lambda: self.pictures() and all(one is not None for one in self.pictures()),
            "pictures of all painted slices",
            60,
        )

    def run(self) -> None:
        """Press Run; what is missing would be said in red."""
        self.hands.click(self.tab.bar.button)
        assert self.tab.bar.state is RunState.RUNNING, self.tab.bar.message.text()

    def run_until(self, slices: int, seconds: float = 600) -> None:
        """Wait until so many slices are labelled."""
        bar = self.tab.bar
        self.hands.until(
            lambda: (
                bar.state is RunState.READY or (bar.progress.maximum() and bar.progress.value() >= slices)
            ),
            f"{slices} slices are labelled",
            seconds,
        )

    def run_to_the_end(self, seconds: float = 600) -> None:
        bar = self.tab.bar
        self.hands.until(lambda: bar.state is RunState.READY, "the run ends", seconds)
        assert bar.message.property("kind") != "error", bar.message.text()

    def cancel(self) -> None:
        """Press the shortcut of Run while it runs."""
        self.hands.press(RUN)
        assert self.tab.bar.state is RunState.CANCELLING

    def use_slice(self, index: int) -> None:
        self.look_at_result("phantom_mr")
        self.hands.go_to(self.result, index)
        self.hands.press(USE_SLICE)

    def suggest(self) -> str:
        """Ask for a slice; returns what the panel says."""
        self.hands.press(SUGGEST)
        assert self.tab.bar.state is RunState.RUNNING, self.tab.bar.message.text()
        self.run_to_the_end()
        return str(self.tab.bar.message.text())

    def save(self, folder: Path) -> None:
        """Save the project into a folder that the dialog asks for."""
        self.hands.answer_file_dialog(folder, lambda: self.hands.press(SAVE_PROJECT))
        self.wait_until_saved()

    def wait_until_saved(self) -> None:
        control = self.tab.project.control
        self.hands.until(lambda: control.is_saved, "all of it is saved")

    def open_recent(self, title: str) -> None:
        """Open a project from the menu *Recent*."""
        self.hands.choose(self.tab.project.recent_button, title)
        self.hands.until(lambda: self.tab.project.name.text() == title, f"{title} is open", 60)

    def export(self, layer: Any, path: Path) -> None:
        """Save a layer through napari's menu."""
        self.viewer.layers.selection.active = layer
        action = self.hands.menu("File", "Save Selected Layers")
        # which one napari proposes depends on the order in which it found the plugins
        self.hands.answer_file_dialog(path, action.trigger, file_type="CPCLNet Labels")


def _deepest(mask: np.ndarray) -> tuple[int, int]:
    """Place farthest from the border of a mask."""
    from scipy.ndimage import distance_transform_edt

    return np.unravel_index(distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1].argmax(), mask.shape)
