"""The working day until the machine goes down: run as a process of its own, which is killed when it says ``ready``.

    python first_half.py FOLDER

The project is saved in FOLDER/liver day; what was in the window at the end goes to FOLDER/seen.npz and seen.json.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import napari
import numpy as np
from event_loop import EventLoopWatch
from hands import Hands, register_plugin
from qtpy.QtCore import QThreadPool
from scipy import ndimage
from working_day import WorkingDay, organs_of_the_sample

from napari_cpclnet.gui.layers.corrections import corrected_text

SLICES = (56, 64, 74)
LIVER = 1
ERASED = 8
LONGEST_BLOCK_S = 0.2
"""Of the event loop, without what only napari and Python could shorten."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def count_slices() -> list[int]:
    """Slices that the network has labelled, as they come."""
    from napari_cpclnet.segmentation import Segmenter

    predict, labelled = Segmenter.predict, []

    def counted(self: Segmenter, *args: Any, **kwargs: Any) -> Any:
        for result in predict(self, *args, **kwargs):
            labelled.append(result.index)
            yield result

    Segmenter.predict = counted
    return labelled


class FirstHalf:
    """Each step, and what must have come of it."""

    def __init__(self, folder: Path) -> None:
        register_plugin()
        viewer = napari.Viewer(show=False)
        viewer.window._qt_window.resize(1280, 720)
        viewer.window._qt_window.show()
        self.folder = folder
        self.hands = Hands(viewer)
        self.watch = EventLoopWatch()
        self.day = WorkingDay(self.hands, self.watch.script)

    def open(self) -> None:
        self.day.open_panel()
        self.day.open_scans()
        assert [layer.name for layer in self.day.viewer.layers] == ["phantom_mr", "phantom_ct"]
        assert self.day.panel.session.support_scan.name == "phantom_ct"

    def paint(self) -> None:
        day = self.day
        with self.watch.script():
            organs, names = organs_of_the_sample()
        day.new_labels()
        assert day.add_class(names[0]) == LIVER
        assert day.panel.session.classes.names() == {LIVER: "liver"}
        for index in SLICES:
            day.paint(index, organs[index] == LIVER)
            assert dice(day.painted.data[index] == LIVER, organs[index] == LIVER) > 0.9
        self.hands.until(lambda: day.listed() == list(SLICES), "the painted slices are listed")
        day.wait_for_pictures()
        pictures = day.pictures()
        assert all(len(np.unique(picture)) > 20 for picture in pictures), "a picture shows nothing"
        assert len({picture.tobytes() for picture in pictures}) == len(SLICES)

    def run_and_cancel(self) -> None:
        day, labelled = self.day, count_slices()
        day.run()
        day.run_until(3)
        day.cancel()
        before = len(labelled)
        day.run_to_the_end()
        assert 3 <= len(labelled) <= before + 1, "more than the slice in work was labelled"
        filled = np.flatnonzero(day.result.data.any((1, 2)))
        assert filled.size, "finished slices are gone"
        assert set(filled) <= set(labelled)
        assert "Finished slices are kept" in day.tab.bar.message.text()
        assert self.hands.window.isVisible()

    def run(self) -> None:
        day = self.day
        day.run()
        day.run_to_the_end()
        (_scan, (name, volume, sure), *_more) = day.tab.results.tree.texts()
        voxels = int((day.result.data == LIVER).sum())
        assert name == "liver" and sure.endswith("%")
        assert abs(float(volume) - voxels * 8 * 3 * 3 / 1000) < 0.06
        assert 500 < float(volume) < 4000, "no liver has that size"

    def correct(self) -> None:
        """Erase a piece of the liver on its largest slice, and teach that slice."""
        day = self.day
        result = day.result
        index = int((result.data == LIVER).sum((1, 2)).argmax())
        y, x = (int(places.mean()) for places in np.nonzero(result.data[index]))
        day.look_at_result("phantom_mr")
        day.stroke(result, index, 0, [(y, x), (y, x + ERASED)])
        self.hands.until(lambda: not result.data[index, y, x : x + ERASED].any(), "the piece is erased")
        self.hands.until(
            lambda: any("corrected on 1 slice" in row[0] for row in day.tab.results.tree.texts()),
            "the correction is counted",
        )
        self.erased = (index, y, slice(x, x + ERASED))
        day.use_slice(index)
        self.hands.until(lambda: "phantom_mr – painted slices" in day.viewer.layers, "the slice is support")
        used = day.viewer.layers["phantom_mr – painted slices"].data
        np.testing.assert_array_equal(used[index], result.data[index])
        assert np.flatnonzero(used.any((1, 2))).tolist() == [index]
        said = day.suggest()
        assert said.startswith("Paint slice ") and " of phantom_mr next" in said, said
        assert f"slice {index} " not in said, "that one is painted"

    def mend(self) -> None:
        """Take a box off the result, with what hangs together with it on the slices around; back, and again."""
        day, result = self.day, self.day.result
        index = int((result.data == LIVER).sum((1, 2)).argmax()) + 6
        depth = ndimage.distance_transform_edt(result.data[index] == LIVER)
        y, x = (int(place) for place in np.unravel_index(depth.argmax(), depth.shape))
        before = result.data.copy()
        day.look_at_result("phantom_mr")
        day.mend(result, index, "box", [(y - 3, x - 3), (y + 3, x + 3)], remove=True)
        assert not result.data[index, y - 2 : y + 3, x - 2 : x + 3].any()
        mended = result.data.copy()
        self.hands.press("Control-Z")
        self.hands.until(lambda: np.array_equal(result.data, before), "all of it is taken back")
        self.hands.press("Control-Shift-Z")
        self.hands.until(lambda: np.array_equal(result.data, mended), "all of it is made again")

    def run_again(self) -> None:
        day, result = self.day, self.day.result
        corrected = result.data[self.erased[0]].copy()
        day.run()
        day.run_to_the_end()
        assert day.result is result
        assert not result.data[self.erased].any(), "the correction is gone"
        np.testing.assert_array_equal(result.data[self.erased[0]], corrected)

    def save_and_paint_on(self) -> None:
        day = self.day
        day.save(self.folder / "liver day")
        assert day.tab.project.name.text() == "liver day"
        day.paint_on("phantom_ct")
        day.stroke(day.painted, 60, LIVER, [(60, 50), (64, 54)])
        assert day.tab.project.name.text() == "liver day *"
        day.wait_until_saved()
        assert day.tab.project.name.text() == "liver day"
        assert QThreadPool.globalInstance().waitForDone(60_000), "a worker outlived its work"

    def tell(self) -> None:
        """Write down what is in the window."""
        layers = self.day.viewer.layers
        np.savez(self.folder / "seen.npz", **{layer.name: layer.data for layer in layers})
        facts = {
            "listed": self.day.listed(),
            "classes": self.day.panel.session.classes.names(),
            "colors": self.day.panel.session.classes.colors(),
            "corrected": corrected_text(self.day.result),
        }
        (self.folder / "seen.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    warnings.filterwarnings("error", module="napari_cpclnet")
    half = FirstHalf(Path(sys.argv[1]))
    for step in (
        half.open,
        half.paint,
        half.run_and_cancel,
        half.run,
        half.correct,
        half.mend,
        half.run_again,
        half.save_and_paint_on,
        half.tell,
    ):
        began = time.monotonic()
        half.watch.begin()
        step()
        worst = half.watch.worst
        print(f"{step.__name__}: {time.monotonic() - began:.1f} s, longest block {worst}", flush=True)
        assert worst.ours < LONGEST_BLOCK_S, "the window stood still"
    half.watch.end()
    print("ready", flush=True)
    half.hands.wait(600)
