"""Mending labels in the viewer by strokes: what changes, for which layer, and that undo takes exactly it back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.gui.layers.corrections import is_edited, result_note
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot
from napari_cpclnet.gui.layers.scan_layers import KEY, copied_transform, geometry_of
from napari_cpclnet.imaging import Geometry, Volume

from .doubles import add_volume

SHAPE = (9, 70, 80)


@pytest.fixture
def truth():
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return ((z - 4) * 3) ** 2 + (y - 34) ** 2 + (x - 38) ** 2 < 15**2


@pytest.fixture
def control(make_panel, viewer, truth):
    """The tools, over a result that lacks the right half of a bright ball."""
    array = (100 * truth + np.random.default_rng(0).normal(0, 8, SHAPE)).astype(np.float32)
    scan = add_volume(viewer, Volume(array, Geometry(SHAPE, (4.0, 1.5, 1.5)), "MR", "", name="mr"))
    panel = make_panel()
    data = np.where(truth & (np.arange(SHAPE[2]) < 38), 1, 0).astype(np.uint8)
    note = {"geometry": geometry_of(scan), "classes": {1: "ball"}, **result_note(LabelSnapshot.of(data))}
    layer = viewer.add_labels(data.copy(), name="result", metadata={KEY: note}, **copied_transform(scan))
    layer.selected_label = 1
    viewer.layers.selection.active = layer
    return panel.segment.mend.control


def stroke(qtbot, control, path, *, tool="point", index=4, axis=0, **options):
    control.set_tool(tool)
    control.draw(np.array(path, float), axis, index, **options)
    qtbot.waitUntil(lambda: not control.is_mending, timeout=10_000)


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


def layer_of(viewer):
    return viewer.layers["result"]


def test_a_point_mends_the_slice_and_those_around_in_one_step_of_undo(qtbot, control, viewer, truth):
    layer = layer_of(viewer)
    before = layer.data.copy()
    stroke(qtbot, control, [(34, 46)])
    assert dice(layer.data[4] == 1, truth[4]) > 0.95
    assert (layer.data[3] != before[3]).any()
    assert (layer.data[5] != before[5]).any()
    assert is_edited(layer)
    assert len(layer._undo_history) == 1
    after = layer.data.copy()
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    np.testing.assert_array_equal(layer.data, after)


def test_each_stroke_is_taken_back_by_itself(qtbot, control, viewer):
    layer = layer_of(viewer)
    stroke(qtbot, control, [(34, 46)])
    between = layer.data.copy()
    stroke(qtbot, control, [(34, 38)], add=False)
    assert (layer.data != between).any()
    layer.undo()
    np.testing.assert_array_equal(layer.data, between)


def test_strokes_in_quick_succession_all_count(qtbot, control, viewer, truth):
    layer = layer_of(viewer)
    control.set_tool("scribble")
    for row in (28, 34, 40):
        control.draw(np.array([(row, 42.0), (row, 48.0)]), 0, 4)
    qtbot.waitUntil(lambda: not control.is_mending, timeout=10_000)
    assert dice(layer.data[4] == 1, truth[4]) > 0.95


def test_what_comes_after_an_undo_is_dropped(qtbot, control, viewer):
    layer = layer_of(viewer)
    before = layer.data.copy()
    control.set_tool("point")
    with qtbot.waitSignal(control.mended, timeout=10_000):
        control.draw(np.array([(34.0, 46.0)]), 0, 4)
    layer.undo()
    qtbot.waitUntil(lambda: not control.is_mending, timeout=10_000)
    np.testing.assert_array_equal(layer.data, before)


def test_without_the_slices_around_only_one_changes(qtbot, control, viewer):
    layer = layer_of(viewer)
    before = layer.data.copy()
    control.around = False
    stroke(qtbot, control, [(34, 46)])
    assert np.flatnonzero((layer.data != before).any((1, 2))).tolist() == [4]


def test_painted_slices_are_mended_one_by_one(qtbot, control, viewer, truth):
    control.session.forget_removed()
    layer = control.session.new_support_labels()
    stroke(qtbot, control, [(34, 38)], tool="grow")
    assert np.flatnonzero(layer.data.any((1, 2))).tolist() == [4]
    assert dice(layer.data[4] == layer.selected_label, truth[4]) > 0.85


@pytest.mark.parametrize(
    ("tool", "path"),
    [
        ("lasso", [(14, 18), (14, 58), (54, 58), (54, 18)]),
        ("box", [(14, 18), (54, 58)]),
        ("brush", [(34, 38), (34, 50)]),
    ],
)
def test_areas_and_the_smart_brush_stop_at_edges(qtbot, control, viewer, truth, tool, path):
    layer = layer_of(viewer)
    layer.brush_size = 20
    before = dice(layer.data[4] == 1, truth[4])
    stroke(qtbot, control, path, tool=tool)
    assert dice(layer.data[4] == 1, truth[4]) > before + 0.1
    assert ((layer.data[4] == 1) & ~truth[4]).sum() < 0.05 * truth[4].sum()


def test_a_lasso_removes_all_that_it_encloses(qtbot, control, viewer):
    layer = layer_of(viewer)
    stroke(qtbot, control, [(10, 10), (10, 70), (60, 70), (60, 10)], tool="lasso", add=False)
    assert not layer.data[4].any()


def test_another_class_is_only_painted_over_by_a_point_or_scribble(qtbot, control, viewer, truth):
    layer = layer_of(viewer)
    layer.data[4][truth[4] & (layer.data[4] == 0)] = 2
    stroke(qtbot, control, [(34, 30)], tool="grow")
    assert (layer.data[4] == 2).any()
    stroke(qtbot, control, [(34, 46)])
    assert not (layer.data[4] == 2).any()


def test_what_is_removed_is_the_class_under_the_stroke(qtbot, control, viewer):
    layer = layer_of(viewer)
    layer.selected_label = 5
    stroke(qtbot, control, [(34, 30)], add=False)
    assert (layer.data[4] == 1).sum() < 100


def test_coronal_slices_are_mended_as_well(qtbot, control, viewer, truth):
    layer = layer_of(viewer)
    stroke(qtbot, control, [(4, 46)], axis=1, index=34)
    assert dice(layer.data[:, 34] == 1, truth[:, 34]) > 0.9


def test_what_cannot_be_mended_is_said(qtbot, control, viewer):
    said = []
    control.message.connect(lambda text, error: said.append(text))
    layer = layer_of(viewer)
    layer.selected_label = 0
    stroke(qtbot, control, [(34, 46)])
    layer.selected_label, layer.editable = 1, False
    stroke(qtbot, control, [(34, 46)])
    viewer.layers.selection.active = viewer.layers["mr"]
    stroke(qtbot, control, [(34, 46)])
    assert [text.split()[0] for text in said] == ["Choose", "These", "Select"]


def test_a_tool_holds_the_mouse_until_napari_gets_it_back(control, viewer):
    layer = layer_of(viewer)
    layer.mode = "paint"
    napari_s_own = list(viewer.mouse_drag_callbacks)
    control.set_tool("lasso")
    assert layer.mode == "pan_zoom"
    assert not layer.mouse_pan
    assert len(viewer.mouse_drag_callbacks) == len(napari_s_own) + 1
    layer.mode = "paint"
    assert control.tool is None
    assert viewer.mouse_drag_callbacks == napari_s_own
    control.set_tool("box")
    control.set_tool(None)
    assert layer.mouse_pan
