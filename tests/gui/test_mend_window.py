"""Scribbles and mending with the mouse in a real window, on a CT of 512 x 512 x 120: quick, and the window lives."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_cpclnet.gui.layers.corrections import result_note
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot
from napari_cpclnet.gui.layers.scan_layers import KEY, copied_transform, geometry_of
from napari_cpclnet.imaging import BACKGROUND, Geometry, Volume

from .doubles import add_volume
from .hands import Hands, register_plugin
from .test_fill_window import Heart
from .working_day import WorkingDay

pytestmark = [pytest.mark.gui, pytest.mark.slow]

SHAPE = (120, 512, 512)
MIDDLE, RADII = (60, 250, 230), (40, 90, 100)


def organ() -> np.ndarray:
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return sum(((a - m) / r) ** 2 for a, m, r in zip((z, y, x), MIDDLE, RADII, strict=True)) < 1


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.sum(a & b) / (a.sum() + b.sum()))


def test_strokes_are_answered_at_once_and_the_window_lives(qtbot, make_napari_viewer):
    truth = organ()
    noise = np.random.default_rng(0).integers(-15, 15, (8, *SHAPE[1:]), np.int16)
    array = np.concatenate([noise] * 15) + truth.astype(np.int16) * 60
    register_plugin()
    viewer = make_napari_viewer(show=True, strict_qt=True)
    viewer.window._qt_window.resize(1280, 720)
    day = WorkingDay(Hands(viewer))
    day.open_panel()
    scan = add_volume(
        viewer, Volume(array, Geometry(SHAPE, (2.5, 0.8, 0.8)), modality="CT", unit="HU", name="ct")
    )
    day.tab.project.control.set_autosave(False, 7.0)
    qtbot.waitUntil(lambda: day.panel.session.support_scan is not None, timeout=300_000)
    day.hands.wait(1)
    heart = Heart()

    # a scribble inside and one in the background make a partial slice
    day.new_labels()
    heart.begin()
    day.stroke(day.painted, 60, 1, [(250, 180), (250, 280)])
    day.hands.click(day.tab.support.slices.scribble)
    day.painted.brush_size = 10
    day.hands.drag(day.painted, [(60, 100, 120), (60, 100, 340)])
    day.hands.until(lambda: day.listed() == [60], "the slice is listed")
    (entry,) = day.panel.session.slices.entries()
    assert entry.partial
    assert entry.values == (1,)
    assert (day.painted.data[60] == BACKGROUND).any()
    print(f"longest block while scribbling {heart.longest:.3f} s")
    assert heart.longest < 0.2

    # a result that lacks a part is mended by a scribble, on its slice and around
    data = np.where(truth & (np.arange(SHAPE[2]) < 260), 1, 0).astype(np.uint8)
    note = {"geometry": geometry_of(scan), "classes": {1: "organ"}, **result_note(LabelSnapshot.of(data))}
    result = viewer.add_labels(data.copy(), name="result", metadata={KEY: note}, **copied_transform(scan))
    result.selected_label = 1
    day.hands.wait(1)
    heart.begin()
    spent, changed = time.process_time(), []
    day.tab.mend.control.mended.connect(lambda: changed.append(time.process_time() - spent))
    before = dice(result.data[66] == 1, truth[66])
    day.mend(result, 66, "scribble", [(235, 290), (265, 290)])
    print(
        f"slice after {changed[0]:.2f} s, around after {changed[1]:.2f} s of computing with all drawing, ",
        end="",
    )
    print(f"longest block while mending {heart.longest:.3f} s")
    assert dice(result.data[66] == 1, truth[66]) > before + 0.02
    assert (result.data[65] != data[65]).any()
    assert heart.longest < 0.2
    assert len(result._undo_history) == 1
    day.hands.press("Control-Z")
    day.hands.until(lambda: np.array_equal(result.data, data), "all of it is taken back")
    assert result.mouse_pan

    # a box takes away what it encloses; taken back and made again by the keys
    day.mend(result, 60, "box", [(240, 200), (262, 222)], remove=True)
    mended = result.data.copy()
    assert not mended[60, 242:260, 202:220].any()
    assert mended[60, 250, 240] == 1
    day.hands.press("Control-Z")
    day.hands.until(lambda: np.array_equal(result.data, data), "the box is taken back")
    day.hands.press("Control-Shift-Z")
    day.hands.until(lambda: np.array_equal(result.data, mended), "the box is taken away again")
