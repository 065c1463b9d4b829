"""A project's scans and masks come back on their voxels, and its support set is what was painted and ticked."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pydantic import ValidationError

from napari_cpclnet.errors import ProjectError, SupportError
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    read_volume,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.project import (
    ProjectSettings,
    QueryEntry,
    locate,
    open_project,
    read_project,
    write_project,
)
from napari_cpclnet.project.headless import queries, run_settings, support_set

from .conftest import GRID, painted


@pytest.fixture
def work(tmp_path, make):
    make(tmp_path / "work", tmp_path / "scans")
    return tmp_path / "work"


def change(folder, **changes):
    project = read_project(folder).model_copy(update=changes)
    write_project(folder, project)
    return project


def supports(folder, **changes):
    (entry,) = read_project(folder).supports
    project = change(folder, supports=(entry.model_copy(update=changes),))
    return support_set(project, folder, list(locate(project, folder)))


def opened(folder):
    project = read_project(folder)
    return open_project(project, folder, locate(project, folder))


def test_scans_and_masks_come_back(work):
    result = opened(work)
    assert [one.volume.name for one in result.scans] == ["ct", "mr"]
    assert {one.volume.modality for one in result.scans} == {"CT"}
    (mask,) = result.masks_of("scan-1")
    np.testing.assert_array_equal(mask.labels.labels, painted())
    assert mask.labels.classes == {1: "spleen", 6: "liver"}
    assert mask.labels.colors[6] == (200, 30, 30)
    assert result.problems == ()


def test_results_come_back_with_their_scan(work):
    (work / "results").mkdir()
    write_segmentation(Segmentation(painted(), {6: "liver"}, GRID), work / "results" / "mr.nii.gz")
    change(work, queries=(QueryEntry(scan="scan-2", result="results/mr.nii.gz", name="mr – CPCLNet"),))
    (result,) = opened(work).masks_of("scan-2")
    np.testing.assert_array_equal(result.labels.labels, painted())
    assert result.labels.name == "mr – CPCLNet"


def test_what_is_lost_is_said_and_the_rest_comes(work, tmp_path):
    (work / "masks" / "ct.seg.nrrd").unlink()
    (tmp_path / "scans" / "mr.nii.gz").unlink()
    result = opened(work)
    assert [one.volume.name for one in result.scans] == ["ct"]
    assert len(result.problems) == 2
    assert "ct.seg.nrrd" in result.problems[0]
    assert "'mr' is not at" in result.problems[1]


def test_a_scan_of_another_size_is_not_opened(work, tmp_path):
    small = Geometry((3, 20, 24), GRID.spacing)
    write_volume(Volume(np.zeros(small.shape, np.int16), small), tmp_path / "scans" / "ct.nii.gz")
    result = opened(work)
    assert [one.volume.name for one in result.scans] == ["mr"]
    assert "another size" in result.problems[0]


def test_a_mask_is_never_resampled_onto_a_scan_that_was_changed(work, tmp_path):
    file = tmp_path / "scans" / "ct.nii.gz"
    there = read_volume(file)
    moved = Geometry(GRID.shape, (4.0, 2.0, 2.0), GRID.origin)
    write_volume(there.replaced(geometry=moved), file)
    result = opened(work)
    assert len(result.scans) == 2
    assert result.masks == ()
    assert "does not fit 'ct' any more" in result.problems[0]


def test_the_support_set_holds_what_was_painted(work):
    support = supports(work)
    assert support.classes == {1: "spleen", 6: "liver"}
    assert sorted(one.index for one in support.slices) == [2, 4]
    np.testing.assert_array_equal(next(s for s in support.slices if s.index == 2).labels2d, painted()[2])


def test_only_ticked_slices_teach(work):
    support = supports(work, slices=(2, 5))
    assert [one.index for one in support.slices] == [2]
    assert support.classes == {6: "liver"}


def test_absent_slices_teach_unless_they_were_painted_since(work):
    support = supports(work, absent=(0, 4))
    assert sorted(one.index for one in support.slices) == [0, 2, 4]
    assert support.classes == {1: "spleen", 6: "liver"}


def test_a_project_in_which_nothing_is_painted_says_so(work):
    with pytest.raises(SupportError, match="no slice is painted and ticked"):
        supports(work, slices=(), absent=(1,))


def test_a_missing_support_scan_stops_the_run(work, tmp_path):
    (tmp_path / "scans" / "ct.nii.gz").unlink()
    with pytest.raises(ProjectError, match="'ct' is not at"):
        supports(work)


def test_ticked_scans_and_unopened_folders_are_queries(work, tmp_path):
    (query, unticked) = read_project(work).queries
    project = change(work, queries=(query, unticked, QueryEntry(path="../more")))
    found = queries(project, work, list(locate(project, work)))
    assert [(one.path, one.name) for one in found] == [
        (tmp_path / "scans" / "mr.nii.gz", "mr"),
        (tmp_path / "more", ""),
    ]


def test_a_moved_query_is_labelled_where_it_is(work, tmp_path):
    shutil.move(tmp_path / "scans" / "mr.nii.gz", work / "mr.nii.gz")
    project = read_project(work)
    (query,) = queries(project, work, list(locate(project, work)))
    assert query.path == work / "mr.nii.gz"


def test_settings_are_those_of_the_window(work):
    chosen = ProjectSettings(plane="coronal", postprocessing={"largest_component": False, "closing_mm": 2.0})
    settings = run_settings(change(work, settings=chosen), work)
    assert settings.plane == "coronal"
    assert (settings.postprocessing.largest_component, settings.postprocessing.closing_mm) == (False, 2.0)
    with pytest.raises(ValidationError, match="bleach"):
        ProjectSettings(postprocessing={"bleach": True})
