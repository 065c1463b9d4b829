"""Scans to label: open ones and files, one after another, saved as they finish; a failed one stops nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cpclnet.errors import OutputError
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.scan_layers import FileScan, volume_to_layer
from napari_cpclnet.gui.segment.uncertain_slices import told_apart
from napari_cpclnet.gui.session.queries import Queries, QueryState, SaveTo
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.imaging import (
    OUTPUTS,
    ScanRef,
    Segmentation,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)

from .doubles import DIRECTIONS, add_volume, factory, make_volume


def ref(name, folder="here"):
    return ScanRef(Path(folder) / f"{name}.nii.gz", None, name)


@pytest.fixture
def folder(tmp_path):
    """Two scans in files, on grids of their own, and one that is damaged."""
    scans = tmp_path / "scans"
    scans.mkdir()
    write_volume(make_volume("one", DIRECTIONS["flipped"], (6, 20, 22)), scans / "one.nii.gz")
    (scans / "spoilt.nii.gz").write_bytes(b"no scan")
    write_volume(make_volume("two", shape=(5, 18, 20)), scans / "two.nrrd")
    return scans


@pytest.fixture
def panel(make_panel, viewer):
    """A painted CT."""
    panel = make_panel(factory())
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.session.new_support_labels().data[2, 4:9, 4:9] = 3
    panel.segment.refresh()
    return panel


def load(qtbot, panel, *paths):
    panel.segment.control.ask = lambda _text, choices: choices[0]
    panel.segment.queries.load(list(paths))
    qtbot.waitUntil(lambda: "added" in panel.segment.bar.message.text(), timeout=300_000)


def run(qtbot, panel):
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)


def test_each_file_is_listed_once():
    listed = Queries()
    assert len(listed.add_files([ref("a"), ref("b"), ref("a")])) == 2
    assert listed.add_files([ref("b"), ref("c")]) == [FileScan(ref("c"))]
    assert [scan.name for scan in listed.files] == ["a", "b", "c"]


def test_results_of_one_name_do_not_overwrite_each_other():
    listed = Queries(save_to=SaveTo(Path("out"), ".mha"))
    names = [path.name for path in listed.paths(["ct", "mr", "CT", "ct", "a/b"])]
    assert names == ["ct_labels.mha", "mr_labels.mha", "CT_2_labels.mha", "ct_3_labels.mha", "a_b_labels.mha"]
    assert Queries().paths(["ct"]) == [None]


def test_every_format_of_the_list_can_be_written(panel):
    formats = panel.segment.queries.format
    assert {formats.itemData(row) for row in range(formats.count())} <= set(OUTPUTS)


def test_a_folder_is_labelled_file_by_file_and_saved(qtbot, panel, folder, viewer):
    load(qtbot, panel, folder)
    layers = list(viewer.layers)
    run(qtbot, panel)
    assert list(viewer.layers) == layers
    for name, suffix in (("one", ".nii.gz"), ("two", ".nrrd")):
        saved = read_segmentation(folder / "labels" / f"{name}_labels.nii.gz")

        scan = read_volume(folder / f"{name}{suffix}")
        assert saved.geometry.isclose(scan.geometry)
        np.testing.assert_array_equal(saved.labels, np.where(scan.array > 0.5, 3, 0))


def test_a_file_that_cannot_be_read_is_reported_and_the_rest_go_on(qtbot, panel, folder):
    load(qtbot, panel, folder)
    run(qtbot, panel)
    states = {scan.name: panel.session.queries.status(scan) for scan in panel.session.queries.files}
    assert [states[name].state for name in ("one", "spoilt", "two")] == [
        QueryState.DONE,
        QueryState.FAILED,
        QueryState.DONE,
    ]
    assert states["spoilt"].text
    assert "spoilt" in panel.segment.bar.message.text()
    row = next(i for i in range(4) if panel.segment.queries.list.item(i).text() == "spoilt")
    assert states["spoilt"].text in panel.segment.queries.list.item(row).toolTip()


def test_results_of_an_earlier_run_are_no_scans(qtbot, panel, folder):
    load(qtbot, panel, folder)
    run(qtbot, panel)
    (folder / "two_labels.nrrd").write_bytes((folder / "two.nrrd").read_bytes())
    panel.segment.queries.load([folder])
    qtbot.waitUntil(lambda: "already" in panel.segment.bar.message.text(), timeout=300_000)
    assert len(panel.session.queries.files) == 3


def test_open_scans_are_saved_too_where_there_is_a_folder(qtbot, panel, viewer, tmp_path):
    add_volume(viewer, make_volume("mr"))
    panel.session.class_actions.rename(3, "liver")
    panel.segment.queries.folder.set_path(tmp_path / "new" / "results")
    panel.segment.queries.format.setCurrentIndex(1)
    panel.segment.refresh()
    run(qtbot, panel)
    saved = read_segmentation(tmp_path / "new" / "results" / "mr_labels.seg.nrrd")
    np.testing.assert_array_equal(saved.labels, viewer.layers["mr – CPCLNet"].data)
    assert saved.classes == {3: "liver"}
    assert saved.colors[3] == panel.session.classes.color(3)


def test_a_result_that_cannot_be_saved_is_shown_all_the_same(qtbot, panel, viewer, tmp_path):
    add_volume(viewer, make_volume("mr"))
    (tmp_path / "file").write_text("in the way")
    panel.segment.queries.folder.set_path(tmp_path / "file" / "results")
    panel.segment.refresh()
    run(qtbot, panel)
    assert viewer.layers["mr – CPCLNet"].data.any()
    assert panel.session.queries.status(viewer.layers["mr"]).state is QueryState.FAILED
    assert panel.segment.bar.message.property("kind") == "error"


def test_files_need_a_folder_for_their_results(panel):
    panel.session.queries.add_files([ref("a")])
    with pytest.raises(OutputError, match="folder"):
        panel.session.job()


def test_double_click_opens_the_scan_with_its_result(qtbot, panel, folder, viewer):
    load(qtbot, panel, folder)
    run(qtbot, panel)
    scan = panel.session.queries.files[0]
    panel.segment.queries.list.opened.emit(scan)
    qtbot.waitUntil(lambda: "one – CPCLNet" in viewer.layers, timeout=300_000)
    result = viewer.layers["one – CPCLNet"]
    np.testing.assert_array_equal(result.data, np.where(viewer.layers["one"].data > 0.5, 3, 0))
    assert is_result(result)
    assert viewer.layers["one"].visible
    assert not viewer.layers["ct"].visible
    assert not panel.session.is_ticked(viewer.layers["one"])
    np.testing.assert_allclose(result.colormap.map(3), panel.session.support_labels.colormap.map(3))


def test_a_cancelled_run_leaves_nobody_waiting(qtbot, make_panel, viewer, folder):
    panel = make_panel(factory(seconds=0.05))
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.session.new_support_labels().data[2, 4:9, 4:9] = 3
    load(qtbot, panel, folder)
    panel.segment.bar.press()
    first, _, last = panel.session.queries.files
    qtbot.waitUntil(lambda: panel.session.queries.status(first).state is QueryState.RUNNING, timeout=300_000)
    assert panel.session.queries.status(last).state is QueryState.WAITING
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)
    assert {panel.session.queries.status(scan).state for scan in (first, last)} == {QueryState.CANCELLED}


def test_files_are_taken_off_the_list(qtbot, panel, folder):
    load(qtbot, panel, folder)
    rows = panel.segment.queries.list
    assert not panel.segment.queries.removing.isEnabled()
    rows.item(rows.count() - 1).setSelected(True)
    panel.segment.queries.removing.click()
    assert [scan.name for scan in panel.session.queries.files] == ["one", "spoilt"]
    assert (folder / "two.nrrd").exists()


def test_painted_scans_are_not_labelled_unless_ticked(panel, viewer):
    other = add_volume(viewer, make_volume("mr", shape=(6, 18, 22)))
    panel.session.support_scan = other
    panel.session.new_support_labels()
    panel.segment.refresh()
    assert not panel.session.is_ticked(viewer.layers["ct"])
    assert not panel.session.is_ticked(other)
    rows = panel.segment.queries.list
    rows.item(0).setCheckState(Qt.CheckState.Checked)
    assert panel.session.is_ticked(other)


def test_adding_a_folder_asks_where_results_go_and_leaves_out_open_scans_and_label_maps(
    qtbot, panel, folder, viewer
):
    data, kwargs, _ = volume_to_layer(read_volume(folder / "one.nii.gz"))
    viewer.add_image(data, **kwargs)
    labels = np.zeros((6, 20, 22), np.uint8)
    labels[2:4, 5:9, 5:9] = 1
    found = Segmentation(labels, {1: "organ"}, make_volume("one", shape=labels.shape).geometry, "organ")
    write_segmentation(found, folder / "organ.nii.gz")
    load(qtbot, panel, folder)
    assert [file.name for file in panel.session.queries.files] == ["spoilt", "two"]
    assert panel.session.queries.save_to.folder is None
    assert not (folder / "labels").exists()
    asked = []
    panel.segment.control.ask = lambda text, choices: asked.append(text) or "Cancel"
    panel.segment.bar.press()
    assert panel.segment.bar.state is RunState.READY
    assert str(folder / "labels") in asked[0]


def test_names_with_a_long_common_beginning_are_told_apart():
    assert told_apart({"patient_0001_mr", "patient_0001_ct"}) == {
        "patient_0001_mr": "…1_mr",
        "patient_0001_ct": "…1_ct",
    }
    assert told_apart({"ct", "mr"}) == {"ct": "ct", "mr": "mr"}
    assert told_apart({"patient_0001_mr"}) == {"patient_0001_mr": "patient_0001_mr"}


def test_an_old_error_goes_when_the_user_goes_on(panel, monkeypatch):
    bar = panel.segment.bar
    bar.show_message("wrong", error=True)
    panel.session.changed.emit()
    assert bar.message.text() == "wrong"
    monkeypatch.setattr(bar, "_said", bar._said - 60)
    panel.session.changed.emit()
    assert bar.message.text() == ""
