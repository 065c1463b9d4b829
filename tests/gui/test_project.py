"""A session goes into a project and comes back: layers, classes, ticks, results, options. No window, no Qt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cpclnet.errors import ProjectError
from napari_cpclnet.gui.layers.class_names import class_color, class_names
from napari_cpclnet.gui.layers.corrections import changes, is_edited, is_result, result_note
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot
from napari_cpclnet.gui.layers.scan_layers import KEY, copied_transform, geometry_of, note, same_grid
from napari_cpclnet.gui.project.autosave_clock import AutosaveClock
from napari_cpclnet.gui.project.recent import (
    drop_unsaved,
    is_unsaved,
    new_unsaved,
    recent_projects,
    remember_project,
    title,
    unsaved_work,
)
from napari_cpclnet.gui.project.restore import restore
from napari_cpclnet.gui.project.snapshot import free_file, write_snapshot
from napari_cpclnet.gui.project.tracker import ProjectTracker
from napari_cpclnet.gui.session.result_layers import earlier_result
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging import BACKGROUND, ScanRef, read_volume, write_volume
from napari_cpclnet.project import locate, open_project, read_project, write_project
from napari_cpclnet.project.headless import support_set
from napari_cpclnet.segmentation.settings import PostprocessingSettings, RunSettings

from .doubles import DIRECTIONS, add_volume, make_volume

OLDER_VERSION = Path(__file__).parents[1] / "project" / "older_version"


def open_file(viewer, folder, name, direction=DIRECTIONS["straight"]):
    folder.mkdir(exist_ok=True)
    path = write_volume(make_volume(name, direction), folder / f"{name}.nii.gz")
    return add_volume(viewer, read_volume(path))


def work(viewer, tmp_path, direction=DIRECTIONS["straight"]):
    """A session with two scans, two classes, three painted slices, one of them unticked, and an absent one."""
    session = Session(viewer)
    open_file(viewer, tmp_path / "scans", "mr", direction)
    ct = open_file(viewer, tmp_path / "scans", "ct", direction)
    session.support_scan = ct
    labels = session.new_support_labels()
    session.class_actions.rename(1, "liver")
    session.class_actions.add("my organ")
    session.class_actions.set_color(2, (10, 200, 30))
    for index, value in ((2, 1), (3, 2), (5, 1)):
        labels.data[index, 4:9, 4:9] = value
    session.slices.tick([one for one in session.slices.entries() if one.index == 5], False)
    session.slices.mark_absent(session.active, 0, True)
    return session


def save(session, folder, keeper=None):
    keeper = keeper or ProjectTracker(session)
    keeper.keep_in(folder, own=True)
    keeper.done(write_snapshot(keeper.snapshot()))
    return keeper


def reopened(folder):
    session = Session(ViewerModel())
    keeper = ProjectTracker(session)
    project = read_project(folder)
    restore(session, keeper, open_project(project, folder, locate(project, folder)), own=True)
    return session, keeper


def rows(session):
    return [
        (one.pair.scan.name, one.index, one.values, one.ticked, one.absent)
        for one in session.slices.entries()
    ]


def add_result(viewer, scan, name="mr – CPCLNet"):
    data = np.zeros(scan.data.shape, np.uint8)
    data[3:5, 6:12, 6:12] = 1
    metadata = {
        KEY: {"geometry": geometry_of(scan), "classes": {1: "liver"}, **result_note(LabelSnapshot.of(data))}
    }
    return viewer.add_labels(data, name=name, metadata=metadata, **copied_transform(scan))


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_painted_slices_come_back_where_they_were(viewer, tmp_path, direction):
    before = work(viewer, tmp_path, direction)
    save(before, tmp_path / "work")
    after, _ = reopened(tmp_path / "work")
    assert rows(after) == rows(before)
    np.testing.assert_array_equal(after.support_labels.data, before.support_labels.data)
    assert same_grid(after.support_labels, after.support_scan)
    assert geometry_of(after.support_scan).isclose(geometry_of(before.support_scan))
    assert after.support_labels.name == before.support_labels.name


def test_classes_come_back_with_names_colours_and_codes(viewer, tmp_path):
    before = work(viewer, tmp_path)
    save(before, tmp_path / "work")
    after, _ = reopened(tmp_path / "work")
    assert after.classes.items() == before.classes.items()
    assert class_names(after.support_labels) == {1: "liver", 2: "my organ"}
    assert class_color(after.support_labels, 2) == (10, 200, 30)


def test_absent_marks_of_every_plane_come_back(viewer, tmp_path):
    before = work(viewer, tmp_path)
    pair = before.active
    for plane, index in (("coronal", 3), ("coronal", 20), ("sagittal", 1)):
        before.options = before.options.model_copy(update={"plane": plane})
        before.slices.mark_absent(pair, index, True)
    before.slices.tick([one for one in before.slices.entries(pair) if one.index == 1], False)
    before.options = before.options.model_copy(update={"plane": "axial"})
    expected = {"axial": [0], "coronal": [3, 20], "sagittal": []}
    save(before, tmp_path / "work")
    after, keeper = reopened(tmp_path / "work")
    keeper.done(write_snapshot(keeper.snapshot()))
    after, _ = reopened(tmp_path / "work")
    for plane, slices in expected.items():
        after.options = after.options.model_copy(update={"plane": plane})
        assert [one.index for one in after.slices.entries() if one.absent and one.ticked] == slices
    after.support_labels.data[:, 20] = 1
    after.options = after.options.model_copy(update={"plane": "coronal"})
    assert [one.index for one in after.slices.entries() if one.absent] == [3], "paint goes before a mark"


def test_partial_slices_come_back_and_the_others_are_complete(viewer, tmp_path):
    session = work(viewer, tmp_path)
    labels = session.support_labels
    labels.data[2, 15, 4:9] = labels.data[6, 15, 4:9] = BACKGROUND
    session.slices.mark_partial([one for one in session.slices.entries() if one.index in (3, 6)], True)
    session.slices.mark_partial([one for one in session.slices.entries() if one.index == 2], False)
    partial = {one.index: one.partial for one in session.slices.entries()}
    assert partial == {0: False, 2: False, 3: True, 5: False, 6: True}
    save(session, tmp_path / "project")
    other, _ = reopened(tmp_path / "project")
    assert {one.index: one.partial for one in other.slices.entries()} == partial
    assert BACKGROUND not in other.classes
    folder = tmp_path / "project"
    project = read_project(folder)
    support = support_set(project, folder, locate(project, folder))
    assert {one.index: one.partial for one in support.slices if one.labels2d.any()} == {2: False, 3: True}
    assert {one.index: one.partial for one in support.slices if not one.labels2d.any()} == {0: False, 6: True}
    assert support.classes == {1: "liver", 2: "my organ"}


def test_projects_from_before_partial_slices_open_with_complete_ones(viewer, tmp_path):
    save(work(viewer, tmp_path), tmp_path / "project")
    file = tmp_path / "project" / "project.json"
    content = json.loads(file.read_text())
    for one in content["supports"]:
        del one["partial"]
    file.write_text(json.dumps(content))
    other, _ = reopened(tmp_path / "project")
    assert not any(one.partial for one in other.slices.entries())


def test_absent_marks_beyond_the_scan_are_not_shown(viewer, tmp_path):
    save(work(viewer, tmp_path), tmp_path / "work")
    path = tmp_path / "work" / "project.json"
    project = json.loads(path.read_text(encoding="utf-8"))
    project["supports"][0] |= {"absent": [0, 99], "absent_elsewhere": {"coronal": [-1, 500]}}
    path.write_text(json.dumps(project), encoding="utf-8")
    after, _ = reopened(tmp_path / "work")
    assert [one.index for one in after.slices.entries() if one.absent] == [0]
    after.options = after.options.model_copy(update={"plane": "coronal"})
    assert not any(one.absent for one in after.slices.entries())


def test_ticks_options_and_files_to_label_come_back(viewer, tmp_path):
    before = work(viewer, tmp_path)
    (weights := tmp_path / "my.safetensors").write_bytes(b"weights")
    before.options = RunSettings(
        plane="axial",
        device="cpu",
        postprocessing=PostprocessingSettings(closing_mm=2.0),
        weights=weights,
        adapt=20,
    )
    before.tick_query(viewer.layers["mr"], False)
    (file,) = before.queries.add_files([ScanRef(tmp_path / "scans" / "ct.nii.gz", None, "from a file")])
    before.tick_query(file, False)
    save(before, tmp_path / "work")
    after, _ = reopened(tmp_path / "work")
    assert after.options == before.options.model_copy(update={"device": after.options.device})
    assert not after.is_ticked(after.viewer.layers["mr"])
    (file,) = after.queries.files
    assert (file.ref.path, file.name, after.is_ticked(file)) == (
        tmp_path / "scans" / "ct.nii.gz",
        "from a file",
        False,
    )


def test_what_a_project_leaves_out_of_post_processing_is_as_on_the_command_line(viewer, tmp_path):
    folder = tmp_path / "work"
    save(work(viewer, tmp_path), folder)
    project = read_project(folder)
    wanted = PostprocessingSettings(closing_mm=2.0, refine=True, refine_band_mm=5.0)
    settings = project.settings.model_copy(update={"postprocessing": wanted})
    write_project(folder, project.model_copy(update={"settings": settings}))
    after, _ = reopened(folder)
    assert after.options.postprocessing == wanted
    save(after, folder)
    assert read_project(folder).settings.postprocessing == wanted


def test_results_come_back_and_corrections_stay_corrections(viewer, tmp_path):
    before = work(viewer, tmp_path)
    add_result(viewer, viewer.layers["mr"])
    corrected = add_result(viewer, viewer.layers["ct"], "ct – CPCLNet")
    corrected.data[4, 0, 0] = 1
    save(before, tmp_path / "work")
    after, _ = reopened(tmp_path / "work")
    plain, edited = (after.viewer.layers[f"{name} – CPCLNet"] for name in ("mr", "ct"))
    assert is_result(plain) and not is_edited(plain)
    assert is_result(edited) and is_edited(edited)
    np.testing.assert_array_equal(edited.data, corrected.data)
    np.testing.assert_array_equal(np.argwhere(changes(edited).mask(edited.data.shape)), [[4, 0, 0]])
    assert earlier_result(after.viewer, after.viewer.layers["ct"]) is edited
    assert note(plain)["classes"][1] == "liver"


def test_corrections_stay_corrections_however_often_a_project_is_opened(viewer, tmp_path):
    before = work(viewer, tmp_path)
    add_result(viewer, viewer.layers["ct"], "ct – CPCLNet").data[4, 0, 0] = 1
    save(before, tmp_path / "work")
    for number in range(1, 3):
        after, keeper = reopened(tmp_path / "work")
        layer = after.viewer.layers["ct – CPCLNet"]
        assert changes(layer).voxels == number
        layer.data_setitem((np.array([5]), np.array([number]), np.array([0])), 1)
        keeper.touch(layer)
        keeper.done(write_snapshot(keeper.snapshot()))


def test_a_result_whose_corrections_are_not_known_is_left_alone(viewer, tmp_path):
    before = work(viewer, tmp_path)
    add_result(viewer, viewer.layers["ct"], "ct – CPCLNet").data[4, 0, 0] = 1
    save(before, tmp_path / "work")
    path = tmp_path / "work" / "project.json"
    for odd in ({"4": "no base64"}, {"4": "AAAA"}, {"99": "eJwDAAAAAAE="}, None):
        project = json.loads(path.read_text(encoding="utf-8"))
        for query in project["queries"]:
            query["corrected"] = odd
        path.write_text(json.dumps(project), encoding="utf-8")
        after, _ = reopened(tmp_path / "work")
        assert is_edited(after.viewer.layers["ct – CPCLNet"])
        assert earlier_result(after.viewer, after.viewer.layers["ct"]) is None


def test_labels_nobody_took_keep_their_own_names_and_teach_nothing(viewer, tmp_path):
    before = work(viewer, tmp_path)
    scan = viewer.layers["mr"]
    truth = np.zeros(scan.data.shape, np.uint8)
    truth[4, 4:8, 4:8] = 1
    metadata = {KEY: {"geometry": geometry_of(scan), "classes": {1: "something else"}}}
    viewer.add_labels(truth, name="mr truth", metadata=metadata, **copied_transform(scan))
    save(before, tmp_path / "work")
    after, _ = reopened(tmp_path / "work")
    assert class_names(after.viewer.layers["mr truth"]) == {1: "something else"}
    assert [row for row in rows(after) if row[0] == "mr"] == [("mr", 4, (1,), False, False)]
    project = read_project(tmp_path / "work")
    support = support_set(project, tmp_path / "work", list(locate(project, tmp_path / "work")))
    assert support.classes == {1: "liver", 2: "my organ"}


def test_the_command_line_learns_from_what_is_ticked(viewer, tmp_path):
    folder = tmp_path / "work"
    save(work(viewer, tmp_path), folder)
    project = read_project(folder)
    support = support_set(project, folder, list(locate(project, folder)))
    assert sorted(one.index for one in support.slices) == [0, 2, 3]


def test_a_scan_without_a_file_is_kept_in_the_project(viewer, tmp_path):
    session = Session(viewer)
    add_volume(viewer, make_volume("sample"))
    session.forget_removed()
    session.new_support_labels().data[2, 4:8, 4:8] = 1
    save(session, tmp_path / "work")
    (scan,) = read_project(tmp_path / "work").scans
    assert scan.path == "scans/sample.nrrd"
    shutil.move(tmp_path / "work", tmp_path / "elsewhere")
    after, _ = reopened(tmp_path / "elsewhere")
    np.testing.assert_array_equal(after.support_scan.data, viewer.layers["sample"].data)
    assert note(after.support_scan)["modality"] == "MR"


def test_only_masks_that_changed_are_written(viewer, tmp_path):
    session = work(viewer, tmp_path)
    add_result(viewer, viewer.layers["mr"])
    keeper = save(session, tmp_path / "work")
    files = sorted((tmp_path / "work").rglob("*.seg.nrrd"))
    assert len(files) == 2
    before = [file.stat().st_mtime_ns for file in files]
    keeper.done(write_snapshot(keeper.snapshot()))
    assert [file.stat().st_mtime_ns for file in files] == before
    session.support_labels.data[4, 4:6, 4:6] = 1
    for layer in viewer.layers:
        keeper.touch(layer)
    keeper.done(write_snapshot(keeper.snapshot()))
    changed = [
        file.parent.name for file, at in zip(files, before, strict=True) if file.stat().st_mtime_ns != at
    ]
    assert changed == ["masks"]


def test_later_painting_does_not_reach_a_snapshot(viewer, tmp_path):
    session = work(viewer, tmp_path)
    keeper = ProjectTracker(session)
    keeper.keep_in(tmp_path / "work", own=True)
    snapshot = keeper.snapshot()
    session.support_labels.data[...] = 0
    write_snapshot(snapshot)
    assert [row[1] for row in rows(reopened(tmp_path / "work")[0])] == [0, 2, 3, 5]


def test_a_result_that_is_being_filled_is_left_alone(viewer, tmp_path):
    session = work(viewer, tmp_path)
    result = add_result(viewer, viewer.layers["mr"])
    keeper = save(session, tmp_path / "work")
    kept = result.data.copy()
    result.editable = False
    result.data[...] = 0
    keeper.touch(result)
    keeper.done(write_snapshot(keeper.snapshot()))
    np.testing.assert_array_equal(reopened(tmp_path / "work")[0].viewer.layers["mr – CPCLNet"].data, kept)


def test_what_could_not_be_opened_is_still_there_after_the_next_save(viewer, tmp_path):
    session = work(viewer, tmp_path)
    session.support_scan = viewer.layers["mr"]
    session.new_support_labels().data[4, 4:8, 4:8] = 1
    save(session, tmp_path / "work")
    before = read_project(tmp_path / "work")
    (tmp_path / "scans" / "ct.nii.gz").rename(tmp_path / "gone")
    after, keeper = reopened(tmp_path / "work")
    assert [layer.name for layer in after.scans()] == ["mr"]
    keeper.done(write_snapshot(keeper.snapshot()))
    (tmp_path / "gone").rename(tmp_path / "scans" / "ct.nii.gz")
    now = read_project(tmp_path / "work")
    assert {one.id for one in now.scans} == {one.id for one in before.scans}
    again, _ = reopened(tmp_path / "work")
    assert sorted(rows(again)) == sorted(rows(session))


def test_a_project_another_program_changed_is_not_overwritten(viewer, tmp_path):
    keeper = save(work(viewer, tmp_path), tmp_path / "work")
    file = tmp_path / "work" / "project.json"
    file.write_text(file.read_text() + "\n\n")
    with pytest.raises(ProjectError, match="changed by another program"):
        write_snapshot(keeper.snapshot())


def test_only_work_of_ones_own_is_worth_keeping(viewer, tmp_path):
    session = Session(viewer)
    keeper = ProjectTracker(session)
    add_volume(viewer, make_volume("ct"))
    session.forget_removed()
    result = add_result(viewer, viewer.layers["ct"], "ct – CPCLNet")
    assert not keeper.worth_keeping()
    labels = session.new_support_labels()
    assert not keeper.worth_keeping()
    labels.data[2, 4:8, 4:8] = 1
    assert keeper.worth_keeping()
    labels.data[...] = 0
    result.data[0, 0, 0] = 1
    assert keeper.worth_keeping()


def test_a_file_is_never_given_twice(tmp_path):
    first = free_file("masks", "Leber / groß", ".seg.nrrd", [], tmp_path)
    assert first == "masks/Leber_groß.seg.nrrd"
    assert free_file("masks", "Leber / groß", ".seg.nrrd", [first.upper()], tmp_path) != first
    (tmp_path / "masks").mkdir()
    (tmp_path / first).touch()
    assert free_file("masks", "Leber / groß", ".seg.nrrd", [], tmp_path) == "masks/Leber_groß_2.seg.nrrd"
    assert free_file("masks", "../..", ".seg.nrrd", [], tmp_path) == "masks/labels.seg.nrrd"


def test_recent_projects_are_those_that_are_still_there(tmp_path):
    for name in ("one", "two", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "project.json").touch()
        remember_project(tmp_path / name)
    shutil.rmtree(tmp_path / "gone")
    remember_project(tmp_path / "one")
    assert recent_projects() == [tmp_path / "one", tmp_path / "two"]


def test_a_damaged_list_of_recent_projects_is_no_list(state_folder):
    state_folder.mkdir()
    for text in ("{", "[1]", "7", '["\\u0000"]'):
        (state_folder / "recent.json").write_text(text)
        assert recent_projects() == []


def test_unsaved_work_is_kept_apart_and_only_for_a_while(tmp_path):
    made = []
    for _ in range(13):
        made.append(new_unsaved())
        made[-1].mkdir(parents=True)
        (made[-1] / "project.json").touch()
    assert len(unsaved_work()) == 10
    assert all(is_unsaved(one) for one in made)
    assert title(made[-1]).startswith("Unsaved work, 20")
    drop_unsaved(tmp_path)  # not one of them
    assert tmp_path.is_dir()


def test_the_clock_waits_for_a_pause_but_not_for_ever():
    now = [0.0]
    clock = AutosaveClock(2.0, 7.0, lambda: now[0])
    assert clock.due_in() is None
    clock.changed()
    assert clock.due_in() == 2.0
    for now[0] in (1.0, 2.5, 4.0, 5.5, 6.5):
        clock.changed()
    assert clock.due_in() == 0.5
    clock.begun()
    assert clock.due_in() is None
    clock.changed()
    assert clock.due_in() == 2.0


def test_a_project_of_an_older_version_opens_as_it_was_left(tmp_path):
    shutil.copytree(OLDER_VERSION, tmp_path, dirs_exist_ok=True)
    after, _ = reopened(tmp_path / "work")
    assert rows(after) == [
        ("ct", 0, (), True, True),
        ("ct", 2, (1,), True, False),
        ("ct", 3, (2,), True, False),
        ("ct", 5, (1,), False, False),
    ]
    assert after.classes.names() == {1: "liver", 2: "my organ"}
    assert after.classes.color(2) == (10, 200, 30)
    assert after.options.postprocessing == PostprocessingSettings(largest_component=False, closing_mm=2.0)
    assert (after.options.plane, after.options.adapt, after.options.align) == ("axial", 20, True)
    results = {layer.name: layer for layer in after.viewer.layers if is_result(layer)}
    assert {name: is_edited(layer) for name, layer in results.items()} == {
        "mr – CPCLNet": False,
        "ct – CPCLNet": True,
    }
