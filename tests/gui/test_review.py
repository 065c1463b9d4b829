"""Batch review: next slice, accept, next scan; progress that a project keeps; keys of the classes."""

from __future__ import annotations

import json

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cpclnet.gui.layers.view import show_scan, slice_in_view
from napari_cpclnet.gui.segment.uncertain_slices import SLICE
from napari_cpclnet.gui.session.reviewing import place_in_view
from napari_cpclnet.project import SummaryEntry

from .doubles import factory
from .test_run import start, wait_ready


@pytest.fixture
def panel(qtbot, viewer, make_panel):
    """A CT that was painted, an MR and a PET that were labelled: slices 2 and 3 of each are to be reviewed."""
    panel = make_panel(factory())
    start(panel, viewer, "ct", "mr", "pet")
    wait_ready(qtbot, panel)
    assert [one.to_review for one in panel.session.results] == [(2, 3), (2, 3)]
    return panel


def press(viewer, key):
    """What napari does at a key on the canvas."""
    viewer.keymap[next(one for one in viewer.keymap if str(one) == key)](viewer)


def here(panel):
    source, index = place_in_view(panel.session)
    return source.name, index


def look_at(viewer, name, index):
    show_scan(viewer, viewer.layers[name])
    viewer.layers.selection.active = viewer.layers[f"{name} – CPCLNet"]
    viewer.dims.set_point(0, float(viewer.layers[name].data_to_world((index, 0, 0))[0]))


def test_the_next_slice_is_that_behind_the_one_in_view_then_the_next_scan(viewer, panel):
    look_at(viewer, "mr", 0)
    seen = []
    for _ in range(5):
        press(viewer, "N")
        seen.append(here(panel))
    assert seen == [("mr", 2), ("mr", 3), ("pet", 2), ("pet", 3), ("mr", 2)]
    press(viewer, "Shift+N")
    assert here(panel) == ("pet", 3)
    press(viewer, "Shift+N")
    assert here(panel) == ("pet", 2)
    assert viewer.layers["pet"].visible and not viewer.layers["mr"].visible
    assert viewer.layers.selection.active is viewer.layers["pet – CPCLNet"]


def test_accept_counts_marks_and_goes_on_until_all_are_done(viewer, panel):
    box = panel.segment.results
    look_at(viewer, "mr", 0)
    press(viewer, "K")
    assert "none of the slices to review" in panel.segment.bar.message.text()
    assert box.review.progress.text() == "0 of 4 reviewed"
    press(viewer, "N")
    press(viewer, "K")
    assert box.review.progress.text() == "1 of 4 reviewed"
    assert here(panel) == ("mr", 3)
    rows = [(box.doubts.row_of(row), box.doubts.item(row, SLICE).text()) for row in range(4)]
    texts = {(row.scan, row.index): text for row, text in rows}
    assert texts == {("mr", 2): "✓ 2", ("mr", 3): "3", ("pet", 2): "2", ("pet", 3): "3"}
    for _ in range(3):
        press(viewer, "K")
    assert box.review.progress.text() == "4 of 4 reviewed"
    assert panel.segment.bar.message.text() == "All 4 slices are reviewed."


def test_the_next_scan_is_one_that_is_not_done(viewer, panel):
    look_at(viewer, "mr", 2)
    press(viewer, "J")
    assert here(panel) == ("pet", 2)
    press(viewer, "K")
    press(viewer, "K")
    press(viewer, "K")
    assert here(panel) == ("mr", 3)
    press(viewer, "J")
    assert "no other open scan" in panel.segment.bar.message.text()
    assert here(panel) == ("mr", 3)


def test_a_new_run_asks_for_a_new_review(qtbot, viewer, panel):
    look_at(viewer, "mr", 2)
    press(viewer, "K")
    panel.segment.bar.press()
    wait_ready(qtbot, panel)
    assert panel.session.results.progress == (0, 4)


def test_a_correction_does_not_undo_the_review(qtbot, viewer, panel):
    look_at(viewer, "mr", 2)
    press(viewer, "K")
    layer = viewer.layers["mr – CPCLNet"]
    layer.data[5, 1, 1] = 4
    layer.events.paint(value=[])
    panel.segment.results._look_again()
    panel.session.results.begin_second_pass(layer)
    assert panel.session.results.progress == (1, 4)


@pytest.mark.parametrize("key", ["N", "K", "J"])
def test_letters_typed_on_the_table_are_left_to_the_window(qtbot, panel, key):
    doubts = panel.segment.results.doubts
    before = doubts.currentRow()
    QTest.keyClick(doubts, getattr(Qt.Key, f"Key_{key}"))
    assert doubts.currentRow() == before


def test_classes_are_chosen_by_their_place_on_the_list(viewer, panel):
    session = panel.session
    session.class_actions.add("liver")
    first, second = [value for value, _ in session.classes.items()]
    labels, result = session.support_labels, viewer.layers["mr – CPCLNet"]
    viewer.layers.selection.active = viewer.layers["ct"]
    press(viewer, "Alt+2")
    assert viewer.layers.selection.active is labels and labels.selected_label == second
    viewer.layers.selection.active = result
    press(viewer, "Alt+1")
    assert viewer.layers.selection.active is result and result.selected_label == first
    press(viewer, "Alt+9")
    assert result.selected_label == first


def test_an_entry_of_a_project_holds_what_was_reviewed_and_an_older_one_nothing(viewer, panel):
    look_at(viewer, "mr", 2)
    press(viewer, "K")
    entries = [one.entry() for one in panel.session.results]
    assert [entry.reviewed for entry in entries] == [(2,), ()]
    kept = SummaryEntry.model_validate(json.loads(entries[0].model_dump_json()))
    assert kept.reviewed == (2,)
    old = entries[0].model_dump(mode="json")
    del old["reviewed"]
    assert SummaryEntry.model_validate(old).reviewed == ()


def test_after_add_to_support_the_result_stays_and_nothing_is_seen_twice(viewer, panel):
    look_at(viewer, "mr", 3)
    panel.segment.results.use_slice()
    painted = next(pair.labels for pair in panel.session.slices.pairs if pair.scan is viewer.layers["mr"])
    result = viewer.layers["mr – CPCLNet"]
    assert result.visible and not painted.visible
    assert viewer.layers.selection.active is result
    assert painted.data[3].any()
    assert slice_in_view(viewer, result, 0) == 3
