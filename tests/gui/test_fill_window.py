"""Fill between slices in a real window, on a CT of 512 x 512 x 300 with four classes: quick, and the window lives."""

from __future__ import annotations

import time

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_cpclnet.gui.panel import CPCLNetPanel
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging import Geometry, Volume

from .doubles import add_volume

pytestmark = [pytest.mark.gui, pytest.mark.slow]

SHAPE = (300, 512, 512)
ORGANS = (  # centre, radii
    ((150, 250, 170), (70, 100, 90)),
    ((160, 300, 380), (50, 60, 50)),
    ((120, 330, 180), (40, 45, 40)),
    ((150, 280, 260), (90, 20, 20)),
)


def organs() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for value, (centre, radii) in enumerate(ORGANS, start=1):
        box = tuple(slice(c - r, c + r + 1) for c, r in zip(centre, radii, strict=True))
        inside = sum(
            ((np.arange(-r, r + 1) / r) ** 2).reshape([-1 if a == k else 1 for k in range(3)])
            for a, r in enumerate(radii)
        )
        labels[box][inside < 1] = value
    return labels


class Heart:
    """Longest time for which the window's thread computed without a turn of the event loop.

    Its own time, not that of the clock: another program that wants the processor is not its fault.
    """

    def __init__(self) -> None:
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(5)
        self.begin()

    def begin(self) -> None:
        self.longest, self._last = 0.0, time.thread_time()

    def _beat(self) -> None:
        now = time.thread_time()
        self.longest, self._last = max(self.longest, now - self._last), now


def test_the_preview_of_a_large_ct_follows_a_stroke_while_the_window_lives(qtbot, make_napari_viewer):
    truth = organs()
    noise = np.random.default_rng(0).integers(-40, 40, (8, *SHAPE[1:]), np.int16)
    array = np.concatenate([noise] * 38)[: SHAPE[0]] + truth.astype(np.int16) * 30
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 720)
    add_volume(viewer, Volume(array, Geometry(SHAPE, (1.5, 0.8, 0.8)), modality="CT", unit="HU", name="big"))
    panel = CPCLNetPanel(viewer, Session(viewer))
    viewer.window.add_dock_widget(panel, area="right")
    panel.segment.project.control.set_autosave(False, 7.0)
    qtbot.waitUntil(lambda: panel.session.support_scan is not None, timeout=300_000)
    panel.segment.support.new.click()
    labels, fill = panel.session.support_labels, panel.segment.support.fill
    for index in (80, 110, 140, 155, 170, 200, 215):
        labels.data[index] = truth[index]
    labels.refresh()
    fill.tick.click()
    qtbot.waitUntil(lambda: fill.control.can_accept, timeout=300_000)
    qtbot.wait(500)
    heart, first = Heart(), fill.control.shown
    viewer.dims.set_current_step(0, 125)
    heart.begin()
    rows, columns = np.nonzero(truth[125])
    begun = time.perf_counter()
    labels.data_setitem((np.full_like(rows, 125), rows, columns), truth[125][rows, columns])
    qtbot.waitUntil(lambda: fill.control.shown is not first, timeout=300_000)
    seen = time.perf_counter() - begun
    assert not fill.control.can_accept  # the slice in view comes before the rest of the scan
    qtbot.waitUntil(lambda: fill.control.can_accept, timeout=300_000)
    print(f"first sight after {seen:.2f} s, longest block {heart.longest:.3f} s")
    assert heart.longest < 0.1
    found = viewer.layers["big fill"].data
    between = [i for i in range(110, 200) if i not in fill.control.shown.order.painted]
    for value in range(1, 5):
        one, other = found[between] == value, truth[between] == value
        assert 2 * np.sum(one & other) / (one.sum() + other.sum()) > 0.94
    heart.begin()
    with qtbot.waitSignal(fill.control.accepted, timeout=300_000):
        fill.accept.click()
    print(f"longest block while accepting {heart.longest:.3f} s")
    assert heart.longest < 0.2
    np.testing.assert_array_equal(labels.data[125], truth[125])
    np.testing.assert_array_equal(labels.data[between], found[between])
