"""The button *3-D*: surfaces of the result in view alone, and back to the slices as they were."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Surface

from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.segment.uncertain_slices import CLASS
from napari_cpclnet.gui.session.surfaces import camera_of

from .doubles import DIRECTIONS, add_volume, factory, make_volume
from .test_run import start, wait_ready


@pytest.fixture
def panel(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    start(panel, viewer, "ct", "mr", "pet")
    wait_ready(qtbot, panel)
    show_scan(viewer, viewer.layers["mr"])
    return panel


def in_3d(qtbot, viewer, panel):
    panel.segment.viewing.in_3d.click()
    qtbot.waitUntil(lambda: panel.segment.viewing.surfaces.on, timeout=300_000)
    return [layer for layer in viewer.layers if isinstance(layer, Surface)]


def test_only_surfaces_are_seen_in_their_place_and_colour(qtbot, viewer, panel):
    (surface,) = in_3d(qtbot, viewer, panel)
    assert viewer.dims.ndisplay == 3
    assert [layer for layer in viewer.layers if layer.visible] == [surface]
    assert surface.name == panel.session.classes.name(4)
    result = viewer.layers["mr – CPCLNet"]
    inside = np.argwhere(result.data == 4)
    shown = np.array([surface.data_to_world(vertex) for vertex in surface.vertices])
    corners = np.array([result.data_to_world(place) for place in (inside.min(0), inside.max(0))])
    np.testing.assert_allclose((shown.min(0), shown.max(0)), (corners.min(0), corners.max(0)), atol=4.1)
    hue = surface.vertex_colors[:, :3] / surface.vertex_colors[:, :3].max(1, keepdims=True)
    color = np.array(panel.session.classes.color(4)) / max(panel.session.classes.color(4))
    np.testing.assert_allclose(hue, np.broadcast_to(color, hue.shape), atol=0.01)
    assert {scan.name for scan in panel.session.scans()} == {"ct", "mr", "pet"}


def test_the_way_back_is_to_what_was_seen(qtbot, viewer, panel):
    viewer.dims.set_current_step(0, 2)
    camera = camera_of(viewer)
    camera.zoom = 7.0
    before = ([layer.visible for layer in viewer.layers], viewer.dims.point, tuple(camera.center))
    selected = viewer.layers.selection.active
    in_3d(qtbot, viewer, panel)
    panel.segment.viewing.in_3d.click()
    assert viewer.dims.ndisplay == 2 and not panel.segment.viewing.in_3d.isChecked()
    qtbot.waitUntil(lambda: not any(isinstance(layer, Surface) for layer in viewer.layers), timeout=300_000)
    assert ([layer.visible for layer in viewer.layers], viewer.dims.point, tuple(camera.center)) == before
    assert camera.zoom == 7.0
    assert viewer.layers.selection.active is selected


def test_naparis_own_button_leads_back_as_well(qtbot, viewer, panel):
    in_3d(qtbot, viewer, panel)
    viewer.dims.ndisplay = 2
    assert not panel.segment.viewing.surfaces.on
    assert viewer.layers["mr"].visible
    qtbot.waitUntil(lambda: not any(isinstance(layer, Surface) for layer in viewer.layers), timeout=300_000)


def test_a_slice_to_review_is_shown_from_3d_too(qtbot, viewer, panel):
    in_3d(qtbot, viewer, panel)
    doubts = panel.segment.results.doubts
    row = next(row for row in range(4) if doubts.row_of(row).scan == "pet")
    doubts.cellClicked.emit(row, CLASS)
    assert viewer.dims.ndisplay == 2
    assert viewer.layers["pet"].visible and not viewer.layers["mr"].visible
    qtbot.waitUntil(lambda: not any(isinstance(layer, Surface) for layer in viewer.layers), timeout=300_000)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_what_is_painted_is_shown_where_there_is_no_result(qtbot, viewer, make_panel, direction):
    panel = make_panel(factory())
    add_volume(viewer, make_volume("ct", direction))
    panel.segment.refresh()
    panel.segment.viewing.in_3d.click()
    assert "nothing to show in 3-D" in panel.segment.bar.message.text()
    assert not panel.segment.viewing.in_3d.isChecked()
    labels = panel.session.new_support_labels()
    labels.data[2:5, 5:15, 5:15] = 1
    assert in_3d(qtbot, viewer, panel)
