"""What lies on the canvas of a real window: letters, the number of the slice, and the cross-hair."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from .doubles import add_volume, make_volume
from .hands import Hands, register_plugin

pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_letters_and_cross_hair_are_drawn_and_let_the_mouse_through(qtbot, make_napari_viewer):
    register_plugin()
    viewer = make_napari_viewer(show=True, strict_qt=True)
    viewer.window._qt_window.resize(1280, 720)
    hands = Hands(viewer)
    panel = hands.open_panel()
    scan = add_volume(viewer, make_volume("ct"))
    hands.wait(0.5)
    bar = panel.segment.viewing
    overlay = bar.overlay
    assert overlay.isVisible() and overlay.size() == hands.canvas.native.size()
    hands.click(bar.planes)
    hands.until(lambda: bar.planes_dock.on, "the planes open")
    assert overlay.cross
    place = (3, 9, 14)
    viewer.dims.set_point((0, 1, 2), [float(v) for v in scan.data_to_world(place)])
    hands.wait(0.3)
    shot = overlay.grab().toImage()
    expected = hands.on_canvas(scan, place)
    cross = [shot.pixelColor(expected.x() + dx, 20) for dx in (-1, 0, 1)]
    assert any(color.red() > color.blue() + 50 for color in cross), "a line runs through the place"
    rows = [shot.pixelColor(40, expected.y() + dy) for dy in (-1, 0, 1)]
    assert any(color.red() > color.blue() + 50 for color in rows)
    layer = panel.session.new_support_labels()
    hands.wait(0.3)
    hands.press("2")
    hands.drag(layer, [(3, 9, 5), (3, 9, 8)])
    assert np.count_nonzero(layer.data[3]) > 0, "the overlay is no wall for the brush"
    hands.click(bar.planes)
    hands.until(lambda: not bar.planes_dock.on, "the planes are gone")
    assert not overlay.cross and not bar.planes.isChecked()
    QApplication.processEvents()
    assert viewer.window._qt_window.height() == 720, "nothing needs more than a small screen"
