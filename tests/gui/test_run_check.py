"""What a run will use is shown before it starts, and what looks odd is asked about."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.gui.layers.scan_layers import copied_transform, note
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.session.run_check import plan, questions
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.imaging import ScanRef, write_volume

from .doubles import add_volume, factory, make_volume


@pytest.fixture
def panel(make_panel, viewer):
    """A CT and an MR; the MR is on top."""
    panel = make_panel(factory())
    add_volume(viewer, make_volume("ct", shape=(10, 40, 40)))
    add_volume(viewer, make_volume("mr", shape=(6, 30, 30)))
    panel.segment.refresh()
    return panel


def stroke(layer, index, size=8):
    layer.brush_size = size
    layer.paint((index, 12, 12), 1)


def paint_ct(panel, viewer, *slices, size=8):
    panel.session.support_scan = viewer.layers["ct"]
    panel.segment.support.new.click()
    for index in slices:
        stroke(panel.session.support_labels, index, size)
    panel.segment.refresh()


def answers(panel, *given):
    """Answer the questions of the next runs in order; what was asked is in the list that is returned."""
    asked, left = [], list(given)

    def ask(text, choices):
        asked.append((text, choices))
        return left.pop(0)

    panel.segment.control.ask = ask
    return asked


def test_paint_on_the_picture_of_another_scan_is_said_at_once_and_asked_about(qtbot, panel, viewer):
    session = panel.session
    paint_ct(panel, viewer, 2, 4)
    layer = viewer.add_labels(
        np.zeros((6, 30, 30), np.uint8), name="Labels", **copied_transform(viewer.layers["mr"])
    )
    panel.segment.refresh()
    show_scan(viewer, viewer.layers["ct"])
    layer.visible = True
    stroke(layer, 3)
    assert "'Labels' belongs to 'mr', which is hidden" in panel.segment.bar.message.text()
    assert session.support_scan is viewer.layers["ct"], "the support was changed in silence"
    asked = answers(panel, "Cancel", "Leave it out")
    panel.segment.bar.press()
    assert panel.segment.bar.state is RunState.READY
    assert "while 'ct' was shown" in asked[0][0]
    panel.segment.bar.press()
    assert [part.scan.name for part in panel.segment.control.job.supports] == ["ct"]
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)
    panel.segment.bar.press()
    assert len(asked) == 2, "asked once more"
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)


def test_such_paint_is_used_if_the_user_says_so(qtbot, panel, viewer):
    layer = viewer.add_labels(
        np.zeros((6, 30, 30), np.uint8), name="Labels", **copied_transform(viewer.layers["mr"])
    )
    panel.session.support_scan = viewer.layers["ct"]
    panel.segment.refresh()
    show_scan(viewer, viewer.layers["ct"])
    layer.visible = True
    stroke(layer, 3)
    answers(panel, "Use it on mr")
    panel.segment.bar.press()
    assert [part.scan.name for part in panel.segment.control.job.supports] == ["mr"]
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)


def test_a_stray_dab_is_partial_and_nothing_to_ask_about(panel, viewer):
    paint_ct(panel, viewer, 2, 3, 4, size=18)
    stroke(panel.session.support_labels, 7, size=1)
    panel.segment.refresh()
    assert [entry.index for entry in panel.session.slices.entries() if entry.partial] == [7]
    assert questions(panel.session) == []


def test_a_stray_dab_on_a_complete_slice_may_be_left_out(qtbot, panel, viewer):
    paint_ct(panel, viewer, 2, 3, 4, size=18)
    stroke(panel.session.support_labels, 7, size=1)
    panel.segment.refresh()
    panel.session.slices.mark_partial(panel.session.slices.entries(), False)
    asked = answers(panel, "Leave out")
    panel.segment.bar.press()
    assert "slice 7 of ct (1 voxels)" in asked[0][0]
    assert panel.segment.control.job.supports[0].slices == (2, 3, 4)
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)


def test_an_ordinary_run_is_not_asked_about(panel, viewer):
    paint_ct(panel, viewer, 2, 4)
    show_scan(viewer, viewer.layers["mr"])  # to look at it, after painting
    assert questions(panel.session) == []


def test_the_plan_names_supports_slices_classes_and_queries(qtbot, panel, viewer):
    paint_ct(panel, viewer, 2, 4)
    panel.session.class_actions.rename(1, "liver")
    lines = panel.segment.plan
    qtbot.waitUntil(lambda: lines.learns.text() == "Learns from ct (MR), 2 slices: liver", timeout=3000)
    assert lines.labels.text() == "Labels mr (MR)"
    assert "    ct (MR): axial 2, 4" in lines.toolTip()
    panel.session.slices.tick(panel.session.slices.entries()[0], False)
    qtbot.waitUntil(lambda: lines.learns.text() == "Learns from ct (MR), 1 slice: liver", timeout=3000)
    panel.session.tick_query(viewer.layers["mr"], False)
    qtbot.waitUntil(lambda: lines.labels.text() == "Labels no scan is ticked", timeout=3000)


def test_modality_and_unit_can_be_set(panel, viewer):
    scan = viewer.layers["mr"]
    panel.segment.queries.list.said.emit(scan, ("CT", "HU"))
    assert (note(scan)["modality"], note(scan)["unit"]) == ("CT", "HU")
    assert tuple(scan.contrast_limits) == (-160, 240)
    paint_ct(panel, viewer, 2)
    assert plan(panel.session).labels == "Labels mr (CT, HU)"
    (query,) = panel.session.job().queries
    assert query.scan.volume().unit == "HU"


def test_modality_of_a_file_is_taken_by_the_run(panel, tmp_path):
    write_volume(make_volume("big"), tmp_path / "big.nii.gz")
    listed = panel.session.queries
    (file,) = listed.add_files([ScanRef(tmp_path / "big.nii.gz", None, "big")])
    panel.segment.queries.list.said.emit(file, ("PT", "SUVbw"))
    (same,) = listed.files
    assert same == file
    assert (same.volume().modality, same.volume().unit) == ("PT", "SUVbw")


@pytest.mark.parametrize("kind", ["bool", "nan", "empty"])
def test_odd_arrays_of_other_plugins_have_some_meaning(panel, viewer, kind):
    arrays = {
        "bool": np.ones((3, 4, 5), bool),
        "nan": np.full((3, 4, 5), np.nan, np.float32),
        "empty": np.zeros((0, 4, 5), np.float32),
    }
    viewer.add_image(arrays[kind], name="odd", contrast_limits=(0, 1))
    panel.segment.refresh()
    assert "odd" in [row.source.name for row in panel.segment.queries.list._rows]
