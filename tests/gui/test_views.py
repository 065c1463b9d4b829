"""What is seen: an opened or clicked scan alone and fitted, with the head on top."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cpclnet.gui.panel import CPCLNetPanel
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging import Geometry, Volume

from .doubles import add_volume, factory, make_volume


@pytest.fixture
def panel(make_panel):
    return make_panel(factory())


def far(name, origin, shape=(8, 24, 20)):
    volume = make_volume(name, shape=shape)
    geometry = volume.geometry
    return volume.replaced(geometry=Geometry(shape, geometry.spacing, origin, geometry.direction))


def in_sight(viewer, layer):
    """Whether the middle of a layer is near the centre of the camera and in the slice in view."""
    middle = layer.data_to_world((np.array(layer.data.shape) - 1) / 2)
    extent = layer.extent.world[1] - layer.extent.world[0]
    across = viewer.dims.order[0]
    shown = list(viewer.dims.displayed)
    near = np.allclose(np.array(viewer.scene.camera.center)[-2:], np.array(middle)[shown], atol=5.0)
    return near and abs(viewer.dims.point[across] - middle[across]) <= extent[across] / 2


def test_an_opened_scan_is_shown_alone_and_fitted(qtbot, panel, viewer):
    first = add_volume(viewer, far("first", (-30.0, 12.0, 7.5)))
    qtbot.waitUntil(lambda: panel.session.support_scan is first)
    assert in_sight(viewer, first)
    second = add_volume(viewer, far("second", (900.0, -400.0, 300.0)))
    qtbot.waitUntil(lambda: not first.visible, timeout=2000)
    assert second.visible
    assert in_sight(viewer, second)


def test_a_clicked_scan_is_shown_and_fitted(qtbot, panel, viewer):
    first = add_volume(viewer, far("first", (-30.0, 12.0, 7.5)))
    add_volume(viewer, far("second", (900.0, -400.0, 300.0)))
    panel.segment.refresh()
    rows = panel.segment.queries.list
    (item,) = rows.findItems("first", Qt.MatchFlag.MatchStartsWith)
    rows.itemClicked.emit(item)
    assert first.visible
    assert in_sight(viewer, first)
    zoom = viewer.scene.camera.zoom
    viewer.scene.camera.zoom, viewer.scene.camera.center = 20 * zoom, (0, 0, 0)
    rows.itemClicked.emit(item)
    assert in_sight(viewer, first)
    assert viewer.scene.camera.zoom == pytest.approx(zoom)


def test_painting_keeps_the_zoom(panel, viewer):
    add_volume(viewer, far("first", (-30.0, 12.0, 7.5)))
    panel.segment._show_opened()
    panel.segment.refresh()
    viewer.scene.camera.zoom = 33.0
    panel.segment.support.new.click()
    assert viewer.scene.camera.zoom == 33.0


def test_rows_go_up_to_the_head_and_down_to_the_back(panel, viewer):
    add_volume(viewer, make_volume())
    for order, expected in (((0, 1, 2), "down"), ((1, 0, 2), "up"), ((2, 0, 1), "up"), ((0, 1, 2), "down")):
        viewer.dims.order = order
        assert viewer.scene.camera.orientation2d[0] == expected


def test_views_without_a_scan_stay_as_napari_has_them(panel, viewer):
    viewer.add_image(np.zeros((4, 5, 6)), name="cells")
    before = viewer.scene.camera.orientation
    viewer.dims.order = (1, 0, 2)
    assert viewer.scene.camera.orientation == before


@pytest.mark.gui
def test_head_on_top_and_left_on_the_right_in_every_view(qtbot, make_napari_viewer):
    """Three bright blocks, at the head, in front and on the patient's left."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(900, 700)
    viewer.window.add_dock_widget(CPCLNetPanel(viewer, Session(viewer, factory())))
    marks = {"head": (55, 25, 20), "front": (30, 7, 20), "left": (30, 25, 33)}
    seen: dict[tuple[str, str], tuple[float, float]] = {}
    for name, place in marks.items():
        array = np.zeros((60, 50, 40), np.float32)
        array[tuple(slice(p - 4, p + 4) for p in place)] = 1.0
        geometry = Geometry(array.shape, (2.0, 2.0, 2.0))
        layer = add_volume(viewer, Volume(array, geometry, modality="MR", name=name))
        layer.contrast_limits, layer.rendering = (0, 1), "mip"
    qtbot.wait(50)  # the last one is shown alone
    for name, view in itertools.product(marks, ("axial", "coronal", "sagittal", "3d")):
        for layer in viewer.layers:
            layer.visible = layer.name == name
        viewer.dims.ndisplay = 3 if view == "3d" else 2
        if view != "3d":
            across = ("axial", "coronal", "sagittal").index(view)
            viewer.dims.order = (across, *(a for a in range(3) if a != across))
            viewer.dims.set_point(range(3), tuple(2.0 * p for p in marks[name]))
        viewer.fit_to_view(layers=[viewer.layers[name]])
        qtbot.wait(50)
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].max(-1) > 100
        rows, columns = np.nonzero(picture)
        assert rows.size, (name, view)
        seen[name, view] = (rows.mean() / picture.shape[0], columns.mean() / picture.shape[1])
    for view in ("coronal", "sagittal", "3d"):
        assert seen["head", view][0] < 0.4, view
    for view in ("axial", "coronal", "3d"):
        assert seen["left", view][1] > 0.6, view
    assert seen["front", "axial"][0] < 0.4
    assert seen["front", "sagittal"][1] < 0.4


@pytest.mark.gui
def test_layers_may_be_removed_in_any_order():
    """In a process of its own, as what it must not do is to crash."""
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).parent / "removals.py"),
            os.environ.get("CPCLNET_REMOVALS", "15"),
        ],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, f"ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert "all removed" in done.stdout
