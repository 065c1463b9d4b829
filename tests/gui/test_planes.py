"""Three planes with one cross-hair, letters at their edges, and paint in each of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_cpclnet.gui.layers.head_up import HeadUp
from napari_cpclnet.gui.layers.view import show_scan, slice_in_view
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.gui.viewing.canvas_overlay import canvas_letters
from napari_cpclnet.gui.viewing.plane_picture import PlaneOfScan, direction_letter, disc, draw
from napari_cpclnet.imaging import Geometry
from napari_cpclnet.imaging.planes import NAMES
from napari_cpclnet.model.body_level import SliceLevels

from .doubles import DIRECTIONS, BrightSegmenter, add_volume, factory, make_volume

LETTERS = {"axial": ("A", "L", "P", "R"), "coronal": ("S", "L", "I", "R"), "sagittal": ("S", "P", "I", "A")}


@pytest.fixture(params=DIRECTIONS.values(), ids=DIRECTIONS)
def planes(request, qtbot, viewer, make_panel):
    """The two other planes of a scan with a layer to paint on."""
    panel = make_panel(factory())
    add_volume(viewer, make_volume("ct", request.param, (14, 24, 20)))
    panel.segment.refresh()
    panel.session.new_support_labels().mode = "pan_zoom"
    panel.segment.viewing.planes.click()
    box = panel.segment.viewing.planes_dock.box
    box.resize(700, 320)
    qtbot.waitUntil(lambda: box.views[0]._picture is not None, timeout=300_000)
    box.session = panel.session
    return box


def at(view, index):
    """Where a voxel (z, y, x) is on a plane."""
    row, column = view._plane.on_screen(index)
    (rows, columns), place = view._plane.shape, view._place()
    x = place.left() + (column + 0.5) / columns * place.width()
    y = place.top() + (row + 0.5) / rows * place.height()
    return QPoint(round(x), round(y))


@pytest.mark.parametrize("plane", NAMES)
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_every_plane_is_upright_whichever_way_a_scan_is_stored(plane, direction):
    geometry = Geometry((5, 6, 7), (4.0, 1.0, 2.0), (1.0, 2.0, 3.0), direction)
    found = PlaneOfScan.of(geometry, plane)
    assert found.letters == LETTERS[plane]
    array = np.arange(5 * 6 * 7).reshape(geometry.shape)
    for index in ((0, 0, 0), (4, 2, 6), (3, 5, 1)):
        picture = found.take(array, index[found.view.axes[0]])
        row, column = (round(v) for v in found.on_screen(index))
        assert picture.shape == found.shape and picture[row, column] == array[index]
        assert found.in_array(row, column, index) == index


def test_the_letters_of_the_canvas_follow_the_view(viewer):
    scan = add_volume(viewer, make_volume("ct"))
    session, _turned = Session(viewer), HeadUp(viewer)
    for order, plane in (((0, 1, 2), "axial"), ((1, 0, 2), "coronal"), ((2, 0, 1), "sagittal")):
        viewer.dims.order = order
        assert canvas_letters(session, scan) == LETTERS[plane]


def test_letters_are_those_of_the_patient():
    assert [
        direction_letter(np.array(d)) for d in ((1, 0, 0.2), (-1, 0, 0), (0.1, 0.9, 0), (0, 0, -2))
    ] == list("SIPR")


def test_the_planes_are_those_that_the_canvas_does_not_show(planes, viewer):
    for axis in range(3):
        viewer.dims.order = (axis, *(a for a in range(3) if a != axis))
        planes.redraw()
        axes = {view._plane.view.axes[0] for view in planes.views}
        assert axes == {0, 1, 2} - {axis}


def test_a_click_moves_the_cross_hair_of_all_planes(planes, viewer):
    scan = viewer.layers["ct"]
    first, second = planes.views
    place = [3, 10, 12]
    place[first._plane.view.axes[0]] = first.slice
    QTest.mouseClick(first, Qt.MouseButton.LeftButton, pos=at(first, place))
    assert np.rint(scan.world_to_data(viewer.dims.point)).tolist() == place
    assert second.slice == place[second._plane.view.axes[0]]


def test_the_wheel_turns_slices(planes, viewer):
    view = planes.views[0]
    before, axis = view.slice, view._plane.view.axes[0]
    middle = QPointF(view.rect().center())
    for delta in (120, 120, -120):
        event = QWheelEvent(
            middle, middle, QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(view, event)
    assert view.slice == before + 1
    assert np.rint(viewer.layers["ct"].world_to_data(viewer.dims.point))[axis] == before + 1


def test_a_stroke_paints_on_the_plane_in_one_step_of_undo(planes, viewer):
    layer = planes.session.support_labels
    viewer.layers.selection.active = layer
    layer.mode, layer.brush_size, layer.selected_label = "paint", 1, 3
    view = planes.views[1]
    axis = view._plane.view.axes[0]
    start, end = [6, 8, 6], [6, 8, 6]
    start[axis] = end[axis] = view.slice
    along = view._plane.view.axes[2]
    end[along] += 6
    point = viewer.dims.point
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=at(view, start))
    QTest.mouseMove(view, at(view, end))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=at(view, end))
    painted = np.argwhere(layer.data)
    assert len(painted) >= 7 and set(painted[:, axis]) == {view.slice}
    assert layer.data[tuple(start)] == layer.data[tuple(end)] == 3
    assert viewer.dims.point == point, "the cross-hair stays where it is"
    layer.undo()
    assert not layer.data.any()
    layer.redo()
    layer.mode = "erase"
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=at(view, end))
    assert layer.data[tuple(end)] == 0 and layer.data[tuple(start)] == 3
    layer.mode = "pan_zoom"
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, pos=at(view, start))
    assert viewer.dims.point != point


def test_what_is_painted_elsewhere_is_seen(planes, qtbot):
    layer, view = planes.session.support_labels, planes.views[0]
    before = view._picture
    index = [6, 8, 6]
    index[view._plane.view.axes[0]] = view.slice
    layer.data_setitem(tuple(np.array([i]) for i in index), np.array([1]))
    qtbot.waitUntil(lambda: view._picture is not before, timeout=300_000)
    row, column = (round(v) for v in view._plane.on_screen(index))
    color = view._picture.pixelColor(column, row)
    assert len({color.red(), color.green(), color.blue()}) > 1, "a class has a colour, grey has none"


def test_a_picture_has_the_grey_values_and_colours_of_the_layers(viewer):
    scan = add_volume(viewer, make_volume("ct"))
    scan.contrast_limits = (0.0, 2.0)
    labels = viewer.add_labels(np.zeros(scan.data.shape, np.uint8), opacity=1.0)
    labels.data[4, 1, 2] = 1
    plane = PlaneOfScan.of(make_volume("ct").geometry, "axial")
    picture = draw(scan, [labels], plane, 4)
    assert picture[12, 10].tolist() == [127, 127, 127]
    np.testing.assert_allclose(picture[1, 2], 255 * np.asarray(labels.colormap.map(1)).ravel()[:3], atol=1)
    labels.contour = 1
    labels.data[4, 10:14, 10:14] = 1
    outlined = draw(scan, [labels], plane, 4)
    assert outlined[12, 12].tolist() == [127, 127, 127] and outlined[10, 10].tolist() != [127, 127, 127]


def test_the_brush_is_round_in_the_patient():
    plane = PlaneOfScan.of(Geometry((9, 60, 60), (5.0, 1.0, 2.0)), "axial")
    places = disc(plane, (30.0, 30.0), (30.0, 30.0), 20)
    rows, columns = np.ptp(places, axis=0) + 1
    assert rows == 21 and columns == 11
    assert len(disc(plane, (3.2, 4.1), (3.2, 4.1), 1)) >= 1
    assert (disc(plane, (0.0, 0.0), (0.0, 0.0), 30) >= 0).all()


def test_another_scan_is_shown_beside_at_the_same_place_and_shifted_by_the_wheel(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    thick = make_volume("thick", shape=(7, 24, 20))
    thick = thick.replaced(geometry=Geometry((7, 24, 20), (8.0, 1.5, 1.25), (-30.0, 12.0, 7.5)))
    for volume in (thick, make_volume("ct", shape=(14, 24, 20))):
        add_volume(viewer, volume)
    panel.segment.refresh()
    show_scan(viewer, viewer.layers["ct"])
    viewer.layers.selection.active = viewer.layers["ct"]
    panel.segment.viewing.planes.click()
    box = panel.segment.viewing.planes_dock.box
    box.redraw()
    assert not box.beside.isVisibleTo(box)
    box.other.setCurrentText("thick")
    assert box.beside.isVisibleTo(box)
    viewer.dims.set_point(0, float(viewer.layers["ct"].data_to_world((8, 0, 0))[0]))
    box.redraw()
    assert box.beside.slice == 4 and box.beside._name == "axial"
    middle = QPointF(box.beside.rect().center())
    event = QWheelEvent(
        middle, middle, QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    point = viewer.dims.point
    QApplication.sendEvent(box.beside, event)
    assert box.beside.slice == 5 and viewer.dims.point == point
    viewer.dims.set_point(0, float(viewer.layers["ct"].data_to_world((4, 0, 0))[0]))
    box.redraw()
    assert box.beside.slice == 3, "both move together"
    viewer.layers.remove(viewer.layers["thick"])
    box.redraw()
    assert not box.beside.isVisibleTo(box) and box.other.currentText() == "(no other scan)"


@pytest.fixture
def beside(qtbot, viewer, make_panel, monkeypatch):
    """The three planes of a CT with an MR of another patient beside it, and the levels that are found of both."""
    found = {"ct": SliceLevels(0, 0.0, 0.05), "mr": SliceLevels(0, 0.6, -0.1)}
    monkeypatch.setattr(
        BrightSegmenter,
        "scan",
        lambda _self, volume, _plane: SimpleNamespace(slice_levels=found[volume.name]),
        raising=False,
    )
    panel = make_panel(factory())
    for volume in (make_volume("mr", shape=(12, 24, 20)), make_volume("ct", shape=(20, 24, 20))):
        add_volume(viewer, volume)
    panel.segment.refresh()
    show_scan(viewer, viewer.layers["ct"])
    viewer.layers.selection.active = viewer.layers["ct"]
    panel.segment.viewing.planes.click()
    box = panel.segment.viewing.planes_dock.box
    box.redraw()

    def choose():
        box.other.setCurrentText("mr")
        qtbot.waitUntil(lambda: not box.link.runner.is_running, timeout=300_000)
        viewer.dims.set_point(0, float(viewer.layers["ct"].data_to_world((8, 0, 0))[0]))
        box.redraw()
        return box

    return choose, found


def test_scans_of_two_patients_are_linked_by_level_in_the_body(beside, viewer):
    choose, _ = beside
    box = choose()
    # level 0.4 of the CT is slice 2 of the MR, which is stored the other way round
    assert box.beside.slice == 2 and box.by.currentText() == "by level in the body"
    viewer.dims.set_point(0, float(viewer.layers["ct"].data_to_world((4, 0, 0))[0]))
    box.redraw()
    assert box.beside.slice == 4
    box.by.setCurrentText("by place")
    box.by.activated.emit(0)
    assert box.beside.slice == slice_in_view(viewer, viewer.layers["mr"], 0)


def test_scans_of_one_patient_are_linked_by_place(beside, viewer):
    choose, found = beside
    found["mr"] = SliceLevels(0, 0.02, 0.05)
    box = choose()
    assert box.beside.slice == 8 and box.by.currentText() == "by place"
    assert box.by.isEnabled()


def test_where_no_level_is_found_the_place_decides(beside, viewer):
    choose, found = beside
    found["mr"] = None
    box = choose()
    assert box.beside.slice == 8 and box.by.currentText() == "by place"
    assert not box.by.isEnabled() and "trunk" in box.by.toolTip()


def test_levels_tell_nothing_of_other_planes(beside, viewer):
    choose, _ = beside
    box = choose()
    viewer.dims.order = (1, 0, 2)
    box.redraw()
    assert box.beside.slice == slice_in_view(viewer, viewer.layers["mr"], 1)
    assert not box.by.isEnabled()


@pytest.fixture
def half_organ(qtbot, viewer, make_panel):
    """The planes of a scan that shows a bright organ, of which a result has a half, and the tools that mend it."""
    panel = make_panel(factory())
    z, y, x = np.mgrid[:16, :28, :26]
    organ = ((z - 8) / 5) ** 2 + ((y - 14) / 9) ** 2 + ((x - 13) / 9) ** 2 < 1
    noise = np.random.default_rng(0).normal(0, 0.02, organ.shape)
    array = (organ + noise).astype(np.float32)
    add_volume(viewer, make_volume("ct", shape=organ.shape).replaced(array=array))
    panel.segment.refresh()
    layer = panel.session.new_support_labels()
    layer.data = np.where(organ & (x < 10), 1, 0).astype(layer.data.dtype)
    layer.selected_label = 1
    panel.segment.viewing.planes.click()
    box = panel.segment.viewing.planes_dock.box
    box.resize(700, 320)
    viewer.layers.selection.active = layer
    viewer.dims.set_point((0, 1, 2), [float(v) for v in layer.data_to_world((8, 14, 13))])
    box.redraw()
    return panel, box, layer, organ


@pytest.mark.parametrize("tool", ["scribble", "lasso", "box", "brush", "grow"])
@pytest.mark.parametrize("number", [0, 1])
def test_strokes_that_mend_are_drawn_in_every_plane(qtbot, half_organ, tool, number):
    panel, box, layer, organ = half_organ
    mend, view = panel.segment.mend.control, box.views[number]
    axis = view._plane.view.axes[0]
    panel.segment.mend.buttons[tool].click()
    assert mend.tool == tool
    before = layer.data.copy()
    other = 1 if axis == 2 else 2  # rows are heights in both planes
    index = view.slice
    if axis == 2:  # the half that is missing begins at this sagittal slice
        assert not layer.data[:, :, index].any()
    corners = {"lasso": [(4, -4), (-4, -4), (-4, 4), (4, 4)], "box": [(-4, -8), (4, 8)]}
    path = corners.get(tool, [(0, -3), (0, 0), (0, 4)])
    path = [(5 * a // 4, 2 * b) if tool == "lasso" else (a, b) for a, b in path]
    places = []
    for height, along in path:
        place = [8 + height, 14, 13]
        place[axis] = index
        place[other] += along
        places.append(at(view, place))
    point = panel.session.viewer.dims.point
    steps = len(layer._undo_history)
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        QTest.mouseMove(view, place)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=places[-1])
    qtbot.waitUntil(lambda: not mend.is_mending, timeout=300_000)
    changed = np.argwhere(layer.data != before)
    assert len(changed) and set(changed[:, axis]) == {index}
    gained = np.take(layer.data == 1, index, axis) & ~np.take(before == 1, index, axis)
    assert (gained & np.take(organ, index, axis)).sum() > 0.8 * gained.sum(), (
        "it ends at the edge of the organ"
    )
    assert panel.session.viewer.dims.point == point, "the cross-hair stays where it is"
    assert len(layer._undo_history) == steps + 1
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_shift_takes_away_in_a_plane_what_is_under_a_point(qtbot, half_organ):
    panel, box, layer, _organ = half_organ
    mend, view = panel.segment.mend.control, box.views[0]
    axis = view._plane.view.axes[0]
    panel.segment.mend.buttons["point"].click()
    inside = np.argwhere(layer.data)
    place = inside[np.abs(inside - inside.mean(0)).sum(1).argmin()].tolist()
    panel.session.viewer.dims.set_point(axis, float(layer.data_to_world(place)[axis]))
    box.redraw()
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, pos=at(view, place))
    qtbot.waitUntil(lambda: not mend.is_mending, timeout=300_000)
    assert layer.data[tuple(place)] == 0
