"""An afternoon with many scans, step by step: three slices of a CT are painted, MRs are labelled, reviewed and mended.

Shared by a test and by ``benchmarks/speed/responsiveness.py``; each step returns when the window shows what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy import ndimage

from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.segment.project_row import OPEN
from napari_cpclnet.gui.session.reuse import result_in_view
from napari_cpclnet.gui.widgets.shortcuts import USE_SLICE
from napari_cpclnet.imaging import write_volume
from napari_cpclnet.phantoms.demo import demo_scan

SLICES = (56, 64, 74)
PATIENCE = 3600.0
LEFT = Qt.MouseButton.LeftButton
Step = tuple[str, Callable[[], object]]


def write_scans(folder: Path, count: int) -> list[Path]:
    """Write phantom MRs of so many patients."""
    files = []
    for number in range(1, count + 1):
        volume = demo_scan("MR", [0, number], every=2).volume
        files.append(folder / f"mr_{number}.nii.gz")
        write_volume(replace(volume, name=f"mr_{number}"), files[-1])
    return files


class ManyScans:
    """The steps.

    Parameters
    ----------
    day
        A `WorkingDay`.
    folder
        For the project and what is exported.
    files
        Those of `write_scans`.
    organs
        Labels of the CT of the samples, and their names.
    align
        Whether scans are registered with the CT, which takes longer and labels better.
    """

    def __init__(
        self,
        day: Any,
        folder: Path,
        files: list[Path],
        organs: tuple[np.ndarray, tuple[str, ...]],
        *,
        align: bool,
    ) -> None:
        self.day, self.hands, self.viewer = day, day.hands, day.viewer
        self.folder, self.files, self.align = folder, files, align
        self.organs, self.names = organs

    def steps(self) -> Iterator[Step]:
        """What is done, and the words for it."""
        day, hands = self.day, self.hands
        yield "open the panel", day.open_panel
        tab = day.tab
        bar, results = tab.viewing, tab.results
        yield "open the CT and an MR of the samples", day.open_scans
        yield "close the MR of the samples", lambda: self.viewer.layers.remove("phantom_mr")
        yield f"open {len(self.files)} MRs", self.open_files
        yield "show the CT", lambda: show_scan(self.viewer, self.viewer.layers["phantom_ct"])
        yield "new annotation layer", day.new_labels
        yield "paint four organs on three slices", self.paint
        yield "fill between the slices", self.fill
        yield "take the preview away", tab.support.fill.tick.click
        yield "label all MRs", self.run
        yield "look at a result", lambda: hands.click_row(results.tree, "mr_1")
        yield "open the three planes", lambda: hands.click(bar.planes)
        yield "another scan beside it", self.beside
        yield "look through slices in three planes", self.look_through
        yield "mend in another plane", self.mend_in_plane
        yield "close the three planes", lambda: hands.click(bar.planes)
        yield "surfaces in 3-D", self.in_3d
        yield "back to the slices", self.in_2d
        yield "statistics", self.statistics
        yield "statistics of all scans", self.all_statistics
        yield "close the statistics", lambda: hands.click(bar.statistics)
        yield "review: next slice, accept", self.review
        yield "review: next scan", results.review.next_scan
        yield "mend by a scribble", self.mend
        yield "undo", lambda: hands.press("Control-Z")
        yield "erase with the brush", self.erase
        yield "add the slice to the support", lambda: hands.press(USE_SLICE)
        yield "suggest a slice", day.suggest
        yield "show uncertainty and outlines", self.switch
        yield "hide them", self.switch
        yield "label all MRs again", self.run
        yield "save the project", lambda: day.save(self.folder / "day")
        yield "export a result", lambda: day.export(self.result, self.folder / "exported.seg.nrrd")
        yield "Train, Evaluate, Help", self.tabs
        yield "close all and open the project", self.reopen

    @property
    def result(self) -> Any:
        """The result in view."""
        return result_in_view(self.day.panel.session)[1]

    def open_files(self) -> None:
        count = len(self.viewer.layers) + len(self.files)
        self.viewer.open([str(file) for file in self.files], plugin="napari-cpclnet", stack=False)
        self.hands.until(lambda: len(self.viewer.layers) == count, "the MRs are open", 120)

    def paint(self) -> None:
        day = self.day
        day.tolerance = 1.0
        for value, name in enumerate(self.names, start=1):
            day.add_class(name)
            for index in SLICES:
                day.paint(index, (self.organs[index] == value) & (day.painted.data[index] == 0))
        self.hands.until(lambda: day.listed() == list(SLICES), "the painted slices are listed")
        day.wait_for_pictures()

    def fill(self) -> None:
        box = self.day.tab.support.fill
        box.tick.click()
        self.hands.until(lambda: box.control.can_accept, "it is filled", 120)

    def run(self) -> None:
        options = self.day.panel.session.options
        self.day.tab.options.set_options(options.model_copy(update={"align": self.align}))
        self.day.run()
        self.day.run_to_the_end(PATIENCE)

    def beside(self) -> None:
        box = self.day.tab.viewing.planes_dock.box
        box.other.setCurrentText("phantom_ct")
        self.hands.until(
            lambda: not box.link.runner.is_running and box.by.isEnabled(), "levels are found", 120
        )

    def look_through(self) -> None:
        for index in range(12, 24):
            self.hands.go_to(self.result, index)
            self.hands.wait(0.1)

    def mend_in_plane(self) -> None:
        """A scribble in the first of the two other planes, through the middle of the largest organ."""
        box, mend = self.day.tab.viewing.planes_dock.box, self.day.tab.mend
        result, view = self.result, box.views[0]
        self.viewer.layers.selection.active = result
        with self.day.script():
            depth = ndimage.distance_transform_edt(
                result.data == np.bincount(result.data.ravel())[1:].argmax() + 1
            )
            place = np.unravel_index(depth.argmax(), depth.shape)
        self.viewer.dims.set_point((0, 1, 2), [float(v) for v in result.data_to_world(place)])
        self.hands.wait(0.2)
        self.hands.click(mend.buttons["scribble"])
        at = [view._on_widget((row, view._plane.on_screen(place)[1])).toPoint() for row in (14, 18)]
        QTest.mousePress(view, LEFT, pos=at[0])
        QTest.mouseMove(view, at[1])
        QTest.mouseRelease(view, LEFT, pos=at[1])
        self.hands.until(lambda: not mend.control.is_mending, "the stroke is answered", 60)
        self.hands.click(mend.buttons["scribble"])

    def in_3d(self) -> None:
        bar = self.day.tab.viewing
        self.hands.click(bar.in_3d)
        self.hands.until(lambda: bar.surfaces.on, "the surfaces are made", 120)

    def in_2d(self) -> None:
        layers = self.viewer.layers
        self.hands.click(self.day.tab.viewing.in_3d)
        self.hands.until(lambda: not any(one._type_string == "surface" for one in layers), "they are gone")

    def statistics(self) -> None:
        bar = self.day.tab.viewing
        self.hands.click(bar.statistics)
        self._measured(1)

    def all_statistics(self) -> None:
        self.day.tab.viewing.statistics_dock.box.all_scans.click()
        self._measured(len(self.files) + 1)

    def _measured(self, rows: int) -> None:
        box = self.day.tab.viewing.statistics_dock.box
        self.hands.until(
            lambda: box.table.rowCount() >= rows and not box.runner.is_running, "all is measured", 300
        )

    def review(self) -> None:
        review = self.day.tab.results.review
        for _ in range(4):
            review.go_on()
            self.hands.wait(0.2)
            review.accept_slice()
            self.hands.wait(0.2)

    def _middle(self) -> tuple[int, int, int]:
        """Slice, row and column deep in the first class of the result in view."""
        with self.day.script():
            depth = ndimage.distance_transform_edt(self.result.data == 1)
            z, y, x = (int(v) for v in np.unravel_index(depth.argmax(), depth.shape))
        return z, y, x

    def mend(self) -> None:
        z, y, x = self._middle()
        self.day.mend(self.result, z, "scribble", [(y - 3, x - 3), (y + 3, x + 3)], remove=True)

    def erase(self) -> None:
        z, y, x = self._middle()
        self.day.stroke(self.result, z, 0, [(y, x), (y, x + 4)])

    def switch(self) -> None:
        for name in ("uncertainty", "contour"):
            self.day.tab.results.boxes[name].click()
            self.hands.wait(0.3)

    def tabs(self) -> None:
        for number in (1, 2, 3, 0):
            self.day.panel.tabs.setCurrentIndex(number)
            self.hands.wait(0.3)

    def reopen(self) -> None:
        """Open the saved project in place of what is open."""
        project, opened = self.day.tab.project, []
        self.day.wait_until_saved()
        project.ask = lambda *_, **__: (OPEN, True)
        project.opened.connect(lambda: opened.append(True))
        project.control.open(self.folder / "day")
        self.hands.until(lambda: opened, "the project is open", 300)
        self.day.wait_for_pictures()
