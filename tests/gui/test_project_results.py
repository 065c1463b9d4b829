"""What the Segment tab showed before *Save* it shows after *Open*: results, corrections, scans in files, folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_cpclnet.gui.layers.corrections import changes
from napari_cpclnet.gui.session.queries import QueryState, SaveTo
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.imaging import ScanRef, Segmentation, read_volume, write_segmentation, write_volume
from napari_cpclnet.project import read_project

from .doubles import add_volume, factory, make_volume
from .test_project_panel import control_of, save_to


@pytest.fixture
def panel(qtbot, viewer, make_panel, tmp_path):
    """A painted CT, an MR labelled from it as a layer and a PET from its file, saved as a project."""
    made = make_panel(factory())
    (tmp_path / "scans").mkdir()
    for name in ("mr", "pet", "ct"):
        path = write_volume(make_volume(name), tmp_path / "scans" / f"{name}.nii.gz")
        if name != "pet":
            add_volume(viewer, read_volume(path))
    made.segment.refresh()
    session = made.session
    session.support_scan = viewer.layers["ct"]
    made.segment.support.new_labels()
    for index in (2, 5):
        session.support_labels.paint((index, 8, 8), 1)
    session.queries.save_to = SaveTo(tmp_path / "work" / "out", ".nrrd")
    made.segment.queries.show_results_folder()
    session.queries.add_files([ScanRef(tmp_path / "scans" / "pet.nii.gz", None, "pet")])
    made.segment.refresh()
    run(qtbot, made)
    return made


def run(qtbot, panel):
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)


def correct(qtbot, panel):
    layer = panel.session.viewer.layers["mr – CPCLNet"]
    places = np.array([2, 2, 3]), np.array([1, 2, 12]), np.array([1, 1, 10])
    layer.visible = True  # napari cannot change a hidden layer that was never drawn
    layer.data_setitem(places, np.array([1, 1, 0]))
    qtbot.waitUntil(lambda: "3 voxels corrected on 2 slices" in names(panel), timeout=300_000)
    return places


def names(panel):
    return [name for name, _, _ in panel.segment.results.tree.texts()]


def doubts(panel):
    table = panel.segment.results.doubts
    rows = [table.row_of(number) for number in range(table.rowCount())]
    return sorted((row.scan, row.index, row.name, row.score) for row in rows)


def reopen(qtbot, panel, folder):
    """Save, close everything, open."""
    save_to(qtbot, panel, folder)
    panel.session.viewer.layers.clear()
    for file in list(panel.session.queries.files):
        panel.session.queries.remove(file)
    panel.session.queries.save_to = SaveTo()
    panel.segment.queries.show_results_folder()
    panel.segment.refresh()
    control = control_of(panel)
    qtbot.waitUntil(lambda: not control._saving, timeout=300_000)
    with qtbot.waitSignal(panel.segment.project.opened, timeout=300_000):
        control.open(folder)


def test_the_table_says_the_same_after_opening(qtbot, panel, tmp_path):
    correct(qtbot, panel)
    before = panel.segment.results.tree.texts(), doubts(panel)
    assert [name for name in before[0] if name[0] in ("mr", "pet")]
    reopen(qtbot, panel, tmp_path / "work")
    assert (panel.segment.results.tree.texts(), doubts(panel)) == before
    box = panel.segment.results
    box.tree.picked.emit(panel.session.viewer.layers["mr"])
    assert box.use.isEnabled()
    box.give_back(whole_scan=True)
    assert "Released 3 voxels on mr" in panel.segment.bar.message.text()


def test_volumes_are_those_of_the_labels_in_the_file(qtbot, panel, tmp_path):
    save_to(qtbot, panel, tmp_path / "work")
    path = tmp_path / "work" / "project.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    (query,) = [one for one in content["queries"] if one.get("result")]
    before = query["summary"]["classes"][0]["ml"]
    query["summary"]["classes"][0]["ml"] = 7.0
    path.write_text(json.dumps(content), encoding="utf-8")
    panel.session.viewer.layers.clear()
    with qtbot.waitSignal(panel.segment.project.opened, timeout=300_000):
        control_of(panel).open(tmp_path / "work")
    rows = panel.segment.results.tree.texts()
    assert rows[[name for name, _, _ in rows].index("mr") + 1][1] == f"{before:.1f}"


def test_corrected_voxels_stay_when_a_project_is_labelled_again(qtbot, panel, tmp_path):
    places = correct(qtbot, panel)
    reopen(qtbot, panel, tmp_path / "work")
    viewer = panel.session.viewer
    layer = viewer.layers["mr – CPCLNet"]
    for number in range(2):
        run(qtbot, panel)
        assert viewer.layers["mr – CPCLNet"] is layer, number
        assert list(layer.data[places]) == [1, 1, 0]
        assert changes(layer).voxels == 3
    assert sum("CPCLNet" in one.name for one in viewer.layers) == 1
    assert "3 voxels corrected on 2 slices" in names(panel)


def test_what_was_given_back_is_given_back_after_opening(qtbot, panel, tmp_path):
    correct(qtbot, panel)
    run(qtbot, panel)
    save_to(qtbot, panel, tmp_path / "work")
    panel.session.viewer.layers.selection.active = panel.session.viewer.layers["mr – CPCLNet"]
    panel.segment.results.give_back(whole_scan=True)
    assert not control_of(panel).is_saved
    qtbot.waitUntil(lambda: control_of(panel).is_saved, timeout=300_000)
    assert [one.corrected for one in read_project(tmp_path / "work").queries if one.result] == [{}]


def test_folder_format_and_scans_in_files_come_back(qtbot, panel, tmp_path):
    session = panel.session
    (file,) = session.queries.files
    session.tick_query(file, False)
    reopen(qtbot, panel, tmp_path / "work")
    assert session.queries.save_to == SaveTo(tmp_path / "work" / "out", ".nrrd")
    assert panel.segment.queries.folder.path() == tmp_path / "work" / "out"
    assert panel.segment.queries.format.currentData() == ".nrrd"
    (file,) = session.queries.files
    assert (file.ref.path, session.is_ticked(file)) == (tmp_path / "scans" / "pet.nii.gz", False)
    status = session.queries.status(file)
    assert (status.state, status.saved) == (QueryState.DONE, tmp_path / "work" / "out" / "pet_labels.nrrd")
    panel.segment.queries.open(file)
    qtbot.waitUntil(lambda: "pet – CPCLNet" in session.viewer.layers, timeout=300_000)
    assert session.viewer.layers["pet – CPCLNet"].data.any()


def test_a_project_without_a_folder_has_none_after_opening(qtbot, panel, tmp_path):
    panel.segment.queries.folder.set_path(None)
    save_to(qtbot, panel, tmp_path / "work")
    panel.session.viewer.layers.clear()
    panel.segment.queries.folder.set_path(tmp_path / "of something else")
    with qtbot.waitSignal(panel.segment.project.opened, timeout=300_000):
        control_of(panel).open(tmp_path / "work")
    assert panel.session.queries.save_to.folder is None
    assert panel.segment.queries.folder.text() == ""


def test_opening_another_project_forgets_the_results_in_files(qtbot, panel, tmp_path, monkeypatch):
    save_to(qtbot, panel, tmp_path / "work")
    path = tmp_path / "work" / "project.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["queries"] = []
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "project.json").write_text(json.dumps({**content, "scans": [], "supports": []}))
    monkeypatch.setattr(panel.segment.project, "ask", lambda *_args, **_more: ("Open", True))
    with qtbot.waitSignal(panel.segment.project.opened, timeout=300_000):
        control_of(panel).open(tmp_path / "empty")
    assert len(panel.session.results) == 0
    assert panel.session.queries.files == []


def test_what_was_labelled_without_a_window_is_opened_with_its_scan(qtbot, panel, tmp_path):
    """Labels that the command line put into the chosen folder become the result of the open scan."""
    save_to(qtbot, panel, tmp_path / "work")
    scan = read_volume(tmp_path / "scans" / "mr.nii.gz")
    labels = np.zeros(scan.geometry.shape, np.uint8)
    labels[3, 4:8, 4:8] = 1
    written = write_segmentation(
        Segmentation(labels, {1: "x"}, scan.geometry), tmp_path / "work" / "out" / "m.nrrd"
    )
    path = tmp_path / "work" / "project.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for query in content["queries"]:
        if query.pop("result", None):
            query |= {"saved": "out/m.nrrd", "name": "", "checksum": None, "corrected": None}
    path.write_text(json.dumps(content), encoding="utf-8")
    panel.session.viewer.layers.clear()
    with qtbot.waitSignal(panel.segment.project.opened, timeout=300_000):
        control_of(panel).open(tmp_path / "work")
    layer = panel.session.viewer.layers["mr – CPCLNet"]
    np.testing.assert_array_equal(layer.data, labels)
    assert "mr" in names(panel)
    layer.data_setitem((np.array([3]), np.array([4]), np.array([4])), 0)
    save_to(qtbot, panel, tmp_path / "work")
    (query,) = [one for one in read_project(tmp_path / "work").queries if one.result]
    assert query.result.startswith("results/"), "what others may read is not written over"
    assert written.exists()


def test_what_was_reviewed_is_reviewed_after_opening(qtbot, panel, tmp_path):
    review = panel.segment.results.review
    review.go_on()
    review.accept_slice()
    assert review.progress.text() == "1 of 4 reviewed"
    reopen(qtbot, panel, tmp_path / "work")
    assert review.progress.text() == "1 of 4 reviewed"
    summaries = [query.summary for query in read_project(tmp_path / "work").queries if query.summary]
    assert sorted(len(one.reviewed) for one in summaries) == [0, 1]
