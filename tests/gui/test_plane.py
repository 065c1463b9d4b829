"""In the panel the plane follows the paint, scan by scan."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_cpclnet.gui.jobs.segment_job import Query, ScanDone, run_job, support_set
from napari_cpclnet.gui.layers.scan_layers import FileScan
from napari_cpclnet.gui.session.reuse import use_slice
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging import ScanRef, write_volume
from napari_cpclnet.project import Project, locate, read_project
from napari_cpclnet.project.headless import support_set as headless

from .doubles import DIRECTIONS, add_volume, factory, make_volume
from .test_project import add_result, reopened, save


@pytest.fixture
def session(viewer):
    session = Session(viewer)
    session.support_scan = add_volume(viewer, make_volume("spine", DIRECTIONS["straight"], (24, 22, 20)))
    session.new_support_labels()
    return session


def square(layer, axis, *slices, value=1):
    for index in slices:
        np.moveaxis(np.asarray(layer.data), axis, 0)[index, 4:12, 4:12] = value


@pytest.mark.parametrize(("axis", "plane"), [(0, "axial"), (1, "coronal"), (2, "sagittal")])
def test_slices_are_listed_in_the_plane_they_were_painted_in(session, axis, plane):
    square(session.support_labels, axis, 3, 9, 15)
    assert [(e.plane, e.index, e.ticked) for e in session.slices.entries()] == [
        (plane, i, True) for i in (3, 9, 15)
    ]
    assert session.slices.slice_axis() == axis
    part = session_job(session).supports[0]
    assert (part.plane, part.slices) == (plane, (3, 9, 15))


def session_job(session):
    session.tick_query(session.support_scan, True)
    return session.job()


def test_a_stroke_in_another_view_is_listed_but_not_learned_from(session):
    labels = session.support_labels
    square(labels, 0, 5, 15)
    labels.data[2:20, 8, 5:9] = 1
    ticked = {entry.index: entry.ticked for entry in session.slices.entries()}
    assert ticked == {index: index in (5, 15) for index in range(2, 20)}
    assert session_job(session).supports[0].slices == (5, 15)
    session.slices.tick([entry for entry in session.slices.entries() if entry.index == 7], True)
    assert session_job(session).supports[0].slices == (5, 7, 15)


def test_scans_are_labelled_in_the_plane_of_the_paint(session, viewer):
    other = add_volume(viewer, make_volume("other", DIRECTIONS["swapped"], (20, 24, 18)))
    square(session.support_labels, 2, 4, 10)
    job = session_job(session)
    query = next(one for one in job.queries if one.source is other)
    support = support_set(job.supports, job.classes, [part.scan.volume() for part in job.supports])
    assert support.plane_of(other_volume := query.scan.volume()) == "sagittal"
    assert query.axis == other_volume.geometry.anatomical_axes[2][0]


def test_slices_of_a_scan_in_a_file_are_counted_in_that_plane_too(session, tmp_path):
    square(session.support_labels, 2, 4, 10)
    volume = make_volume("other", DIRECTIONS["swapped"], (20, 24, 18))
    path = write_volume(volume, tmp_path / "other.nii.gz")
    job = replace(session_job(session), queries=(Query(FileScan(ScanRef(path, None, "other"))),))
    done = [report for report in run_job(job, factory()) if isinstance(report, ScanDone)]
    assert [one.axis for one in done] == [volume.geometry.anatomical_axes[2][0]]


def test_erasing_everything_keeps_the_plane_until_other_paint_says_another(session):
    labels = session.support_labels
    square(labels, 2, 4, 10)
    assert session.slices.slice_axis() == 0  # nobody looked yet
    session.slices.entries()
    assert session.slices.slice_axis() == 2
    labels.data[...] = 0
    session.slices.entries()
    assert session.slices.slice_axis() == 2
    square(labels, 1, 4, 10)
    session.slices.entries()
    assert session.slices.slice_axis() == 1


@pytest.mark.parametrize("axis", [1, 2])
def test_the_plane_and_the_ticks_come_back_with_the_project(session, tmp_path, axis):
    labels = session.support_labels
    square(labels, axis, 4, 10)
    crossing = [slice(6, 9)] * 3
    crossing[axis], crossing[0] = slice(2, 16), 8
    labels.data[tuple(crossing)] = 1
    session.slices.tick([entry for entry in session.slices.entries() if entry.index in (3, 10)], True)
    session.slices.tick([entry for entry in session.slices.entries() if entry.index == 10], False)
    rows = [(e.plane, e.index, e.ticked, e.crossed) for e in session.slices.entries()]
    assert [index for _, index, ticked, _ in rows if ticked] == [3, 4]
    save(session, tmp_path / "work")
    after, _ = reopened(tmp_path / "work")
    assert after.options.plane == "auto"
    assert [(e.plane, e.index, e.ticked, e.crossed) for e in after.slices.entries()] == rows
    project = read_project(tmp_path / "work")
    support = headless(project, tmp_path / "work", locate(project, tmp_path / "work"))
    assert sorted((s.plane, s.index) for s in support.slices) == [(rows[0][0], 3), (rows[0][0], 4)]


def test_a_slice_of_a_result_is_used_in_the_plane_of_the_paint(session, viewer):
    other = add_volume(viewer, make_volume("other", DIRECTIONS["straight"], (20, 24, 18)))
    square(session.support_labels, 2, 4, 10)
    session.slices.entries()
    result = add_result(viewer, other, "other – CPCLNet")
    viewer.layers.selection.active = result
    viewer.dims.set_point(2, float(other.data_to_world((0, 0, 7))[2]))
    use_slice(session)
    used = [entry for entry in session.slices.entries() if entry.pair.scan is other]
    assert [(entry.plane, entry.index, entry.ticked) for entry in used] == [("sagittal", 7, True)]


def test_a_project_that_says_axial_stays_axial():
    old = json.loads(Project().model_dump_json())
    del old["settings"]["plane"]
    assert Project.model_validate(old).settings.plane == "axial"
    assert Project.model_validate({**old, "settings": {"plane": "auto"}}).settings.plane == "auto"
