"""Section 'Results' of the panel: numbers, uncertain slices, corrections."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_cpclnet.gui.layers.overlays import KINDS
from napari_cpclnet.gui.layers.view import slice_in_view
from napari_cpclnet.gui.segment.result_tree import ClassResult, ResultRow, ResultTree
from napari_cpclnet.gui.segment.uncertain_slices import CLASS, SLICE, UNCERTAINTY
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.shortcuts import SUGGEST, USE_SLICE

from .doubles import add_volume, factory, make_volume
from .test_run import start, wait_ready


@pytest.fixture
def panel(qtbot, viewer, make_panel):
    """A CT that was painted with class 4, an MR and a PET that were labelled from it."""
    panel = make_panel(factory())
    start(panel, viewer, "ct", "mr", "pet")
    wait_ready(qtbot, panel)
    return panel


def again(qtbot, panel):
    panel.segment.bar.press()
    wait_ready(qtbot, panel)


def correct(viewer, name="mr"):
    layer = viewer.layers[f"{name} – CPCLNet"]
    layer.data_setitem((np.array([2, 2, 3]), np.array([1, 2, 12]), np.array([1, 1, 10])), np.array([4, 4, 0]))
    return layer


def test_every_scan_has_its_classes(panel):
    texts = panel.segment.results.tree.texts()
    assert [name for name, _, _ in texts] == ["mr", "label 4", "pet", "label 4"]
    panel.session.class_actions.rename(4, "liver")
    panel.segment.refresh()
    assert panel.segment.results.tree.texts()[1][0] == "liver"


def test_uncertain_slices_are_sorted_and_a_click_goes_there(viewer, panel):
    doubts = panel.segment.results.doubts
    assert doubts.rowCount() == 4
    scores = [doubts.item(row, UNCERTAINTY).text() for row in range(4)]
    assert scores == ["75 %", "75 %", "25 %", "25 %"]
    assert not doubts.isColumnHidden(3), "of several scans one wants to know which"
    row = next(row for row in range(4) if doubts.row_of(row).scan == "pet")
    doubts.cellClicked.emit(row, CLASS)
    assert viewer.layers["pet"].visible
    assert viewer.dims.current_step[0] == doubts.row_of(row).index == 3
    assert viewer.layers.selection.active is viewer.layers["pet – CPCLNet"]
    doubts.sortItems(SLICE)
    assert [int(doubts.item(row, SLICE).text()) for row in range(4)] == [2, 2, 3, 3]


def test_slices_are_counted_in_their_scan_whatever_the_slider_says(viewer, panel):
    doubts = panel.segment.results.doubts
    row = next(row for row in range(4) if doubts.row_of(row).scan == "pet")
    index = doubts.row_of(row).index
    assert doubts.item(row, SLICE).toolTip().startswith(f"Slice {index} of pet.")
    fine = viewer.add_image(
        np.zeros((40, 24, 20)), scale=(0.5, 1.5, 1.25), translate=viewer.layers["pet"].translate
    )
    doubts.cellClicked.emit(row, CLASS)
    assert viewer.dims.current_step[0] != index, "the slider counts the steps of the finest scan"
    assert slice_in_view(viewer, viewer.layers["pet"], 0) == index
    viewer.layers.remove(fine)


def test_corrections_are_counted_and_the_volume_follows(qtbot, viewer, panel):
    tree = panel.segment.results.tree
    before = float(tree.texts()[1][1])
    layer = correct(viewer)
    qtbot.waitUntil(lambda: len(tree.texts()) == 5, timeout=300_000)
    assert tree.texts()[2][0] == "3 voxels corrected on 2 slices"
    assert float(tree.texts()[1][1]) == pytest.approx(before + 0.0075, abs=0.11)
    layer.undo()
    qtbot.waitUntil(lambda: len(tree.texts()) == 4, timeout=300_000)


def test_a_run_keeps_layer_and_corrections(qtbot, viewer, panel):
    layer = correct(viewer)
    again(qtbot, panel)
    assert sum("CPCLNet" in one.name for one in viewer.layers) == 2
    assert list(layer.data[[2, 2, 3], [1, 2, 12], [1, 1, 10]]) == [4, 4, 0]
    assert "3 voxels corrected on 2 slices" in [name for name, _, _ in panel.segment.results.tree.texts()]


def test_corrections_can_be_seen(qtbot, viewer, panel):
    box = panel.segment.results.boxes["corrections"]
    correct(viewer)
    qtbot.waitUntil(lambda: len(panel.segment.results.tree.texts()) == 5, timeout=300_000)
    box.setChecked(True)
    assert np.count_nonzero(viewer.layers["mr – corrections"].data) == 3
    assert "pet – corrections" not in viewer.layers
    again(qtbot, panel)
    assert np.count_nonzero(viewer.layers["mr – corrections"].data) == 3
    box.setChecked(False)
    assert "mr – corrections" not in viewer.layers


def test_corrections_are_given_back_by_a_button(qtbot, viewer, panel):
    box = panel.segment.results
    before = box.tree.texts()
    layer = correct(viewer)
    qtbot.waitUntil(lambda: len(box.tree.texts()) == 5, timeout=300_000)
    viewer.layers.selection.active = layer
    viewer.dims.set_current_step(0, 3)
    one, whole = box.unlock.menu().actions()
    one.trigger()
    assert box.tree.texts()[2][0] == "2 voxels corrected on 1 slice"
    whole.trigger()
    assert box.tree.texts() == before
    assert "free there" in panel.segment.bar.message.text()
    whole.trigger()
    assert "Nothing is corrected on mr" in panel.segment.bar.message.text()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_come_with_a_run_and_are_switched_by_their_boxes(qtbot, viewer, panel, kind):
    box = panel.segment.results.boxes[kind]
    assert f"mr – {kind}" not in viewer.layers
    box.setChecked(True)
    assert "Run again" in panel.segment.bar.message.text()
    again(qtbot, panel)
    layer = viewer.layers[f"mr – {kind}"]
    assert layer.data.dtype == np.uint8
    assert len(np.unique(layer.data)) == 2
    box.setChecked(False)
    assert not layer.visible
    again(qtbot, panel)
    assert f"mr – {kind}" not in viewer.layers


def test_several_classes_have_a_picture_each_as_far_as_memory_allows(qtbot, viewer, panel, monkeypatch):
    session = panel.session
    session.support_labels.data[5, 3:6, 3:6] = 7
    session.class_actions.rename(4, "liver")
    session.classes.ensure([7])
    session.class_actions.rename(7, "spleen")
    panel.segment.results.boxes["probability"].setChecked(True)
    again(qtbot, panel)
    names = {one.name for one in viewer.layers if "probability" in one.name}
    assert names == {f"{scan} – probability {one}" for scan in ("mr", "pet") for one in ("liver", "spleen")}
    liver = viewer.layers["mr – probability liver"]
    np.testing.assert_array_equal(liver.data, np.where(viewer.layers["mr – CPCLNet"].data == 4, 204, 5))
    assert liver.data.dtype == np.uint8
    panel.segment.results.boxes["probability"].setChecked(False)
    assert not any(viewer.layers[name].visible for name in names)
    panel.segment.results.boxes["probability"].setChecked(True)
    monkeypatch.setattr("napari_cpclnet.gui.jobs.result_maps.MOST_BYTES", 2 * liver.data.size - 1)
    again(qtbot, panel)
    names = {one.name for one in viewer.layers if "probability" in one.name}
    assert names == {"mr – probability", "pet – probability"}
    assert "likeliest class alone" in panel.segment.bar.message.text()


def test_outlines_hold_for_all_results_now_and_later(qtbot, viewer, panel):
    panel.segment.results.boxes["contour"].setChecked(True)
    assert viewer.layers["mr – CPCLNet"].contour > 0
    assert viewer.layers["ct – painted slices"].contour == 0
    add_volume(viewer, make_volume("late"))
    panel.segment.refresh()
    again(qtbot, panel)
    assert viewer.layers["late – CPCLNet"].contour > 0
    panel.segment.results.boxes["contour"].setChecked(False)
    assert not any(layer.contour for layer in viewer.layers if isinstance(layer, Labels))


def test_a_removed_result_leaves_the_table(viewer, qtbot, panel):
    viewer.layers.remove("mr – CPCLNet")
    qtbot.waitUntil(lambda: len(panel.segment.results.tree.texts()) == 2, timeout=300_000)
    assert {panel.segment.results.doubts.row_of(row).scan for row in range(2)} == {"pet"}
    assert panel.segment.results.doubts.isColumnHidden(3)


def test_where_a_class_seems_absent_it_is_said(qtbot):
    tree = ResultTree()
    qtbot.addWidget(tree)
    found = (
        ClassResult("spleen", (1, 2, 3), "0.0", None, True),
        ClassResult("liver", (1, 2, 3), "9.0", 0.9, False),
    )
    tree.show_results([ResultRow("ct", "ct", "", found)])
    assert tree.texts()[1:] == [("spleen", "0.0", "not found?"), ("liver", "9.0", "90 %")]
    assert "does not seem to show spleen" in tree.topLevelItem(0).child(0).toolTip(0)


def test_by_what_a_class_was_found_is_said(qtbot):
    tree = ResultTree()
    qtbot.addWidget(tree)
    row = ClassResult("half a liver", (1, 2, 3), "9.0", 0.9, False, "alignment", True)
    tree.show_results([ResultRow("ct", "ct", "", [row])])
    tip = tree.topLevelItem(0).child(0).toolTip(0)
    assert "Found by alignment with the support." in tip
    assert "paint it to its ends" in tip


def test_shortcuts_are_bound_and_the_slice_in_view_becomes_support(viewer, panel):
    keys = {str(key) for key in viewer.keymap}
    assert {USE_SLICE.replace("Control", "Ctrl").replace("-", "+")} <= keys
    assert {SUGGEST.replace("Control", "Ctrl").replace("-", "+")} <= keys
    viewer.layers.selection.active = viewer.layers["mr – CPCLNet"]
    panel.segment.results.use.click()
    assert viewer.layers["mr – painted slices"].data.any()
    assert panel.segment.bar.state is RunState.READY
    assert "was added to the support" in panel.segment.bar.message.text()
