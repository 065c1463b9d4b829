"""``napari-cpclnet segment --project``, on volumes of a few voxels and a network with random weights."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from tests.project.conftest import GRID, make_project, make_scan, painted

from napari_cpclnet import cli
from napari_cpclnet.imaging import read_segmentation
from napari_cpclnet.project import QueryEntry, WeightsEntry, read_project, relative_path, write_project


@pytest.fixture
def work(tmp_path, weights):
    """A project that is to be labelled with random weights."""
    folder = tmp_path / "work"
    project = make_project(folder, tmp_path / "scans")
    kept = WeightsEntry(path=relative_path(weights, folder), hash="0123456789ab")
    write_project(folder, project.model_copy(update={"weights": kept}))
    return folder


@pytest.fixture
def run(capsys):
    def _run(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(["segment", "--device", "cpu", "--quick", *map(str, arguments)])
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return _run


def test_a_project_is_labelled_without_a_window(work, run):
    code, out, err = run("--project", work)
    assert code == 0, err
    assert [line.partition(":")[0] for line in out.splitlines()] == ["mr"]
    assert read_segmentation(work / "results" / "mr_labels.nii.gz").geometry.isclose(GRID)
    assert "saved with the weights 0123456789ab" in err


def test_the_project_remembers_its_results_and_keeps_those_it_has(work, run):
    before = read_project(work)
    assert run("--project", work)[0] == 0
    after = read_project(work)
    assert [query.result for query in after.queries] == ["results/mr_labels.nii.gz", None]
    unchanged = {"queries": before.queries}
    assert after.model_copy(update=unchanged) == before
    # an existing result is somebody's work until --overwrite says otherwise
    code, _, err = run("--project", work)
    assert (code, "exists already" in err) == (2, True)


def test_results_go_where_the_window_puts_them(work, run):
    project = read_project(work)
    more = make_scan(work.parent / "more" / "third.nii.gz", 3)
    file = QueryEntry(path=relative_path(more, work), name="third")
    settings = project.settings.model_copy(update={"output": "../out", "output_format": "seg.nrrd"})
    write_project(
        work, project.model_copy(update={"settings": settings, "queries": (*project.queries, file)})
    )
    # but not outside the project's folder because the project says so
    code, _, err = run("--project", work)
    assert code == 2
    assert f"say --out '{work.parent / 'out'}' if that is meant" in err
    assert not (work.parent / "out").exists()
    code, _, err = run("--project", work, "--out", work.parent / "out")
    assert code == 0, err
    names = ["mr_labels.seg.nrrd", "third_labels.seg.nrrd"]
    assert sorted(path.name for path in (work.parent / "out").iterdir()) == names
    assert not (work / "results").exists()
    queries = read_project(work).queries
    assert [one.saved for one in queries] == [f"../out/{names[0]}", None, f"../out/{names[1]}"]
    assert [one.result for one in queries] == [None] * 3
    # said on the command line goes before
    assert run("--project", work, "--out", work.parent / "else", "--format", "mha")[0] == 0
    assert (work.parent / "else" / "mr_labels.mha").exists()
    assert read_project(work).queries == queries


def test_the_project_remembers_what_was_found(work, run):
    assert run("--project", work)[0] == 0
    found = read_project(work).queries[0].summary
    labels = read_segmentation(work / "results" / "mr_labels.nii.gz").labels
    assert {one.value for one in found.classes} == {1, 6}
    for one in found.classes:
        assert one.ml == pytest.approx(np.count_nonzero(labels == one.value) * GRID.voxel_ml)
        assert 0 <= one.confidence <= 1
    assert found.voxel_ml == pytest.approx(GRID.voxel_ml)


def test_painted_slices_of_a_query_come_out_as_painted(work, run):
    project = read_project(work)
    queries = tuple(query.model_copy(update={"ticked": True}) for query in project.queries)
    write_project(work, project.model_copy(update={"queries": queries}))
    out = work.parent / "out"
    assert run("--project", work, "--out", out, "--format", "seg.nrrd")[0] == 0
    result = read_segmentation(out / "ct_labels.seg.nrrd")
    np.testing.assert_array_equal(result.labels[[2, 4]], painted()[[2, 4]])
    assert result.classes == {1: "spleen", 6: "liver"}
    assert read_project(work).queries == queries  # results elsewhere are not the project's


def test_other_scans_can_be_labelled_with_a_project(work, run):
    other = make_scan(work.parent / "more" / "third.nii.gz", 3)
    out = work.parent / "out"
    assert run("--project", work, "--query", other.parent, "--out", out)[0] == 0
    assert [path.name for path in out.iterdir()] == ["third_labels.nii.gz"]


def test_moved_scans_are_found_and_missing_ones_do_not_stop_the_others(work, run):
    scans = work.parent / "scans"
    shutil.move(scans / "ct.nii.gz", work / "painted.nii.gz")
    make_scan(work.parent / "more" / "third.nii.gz", 3)
    project = read_project(work)
    (query, _) = project.queries
    more = query.model_copy(update={"scan": None, "path": "../more"})
    write_project(work, project.model_copy(update={"queries": (query, more)}))
    (scans / "mr.nii.gz").unlink()
    code, out, err = run("--project", work)
    assert code == 2
    assert [line.partition(":")[0] for line in out.splitlines()] == ["third"]
    assert "'ct' was moved to" in err
    assert "Error: 'mr' is not at" in err
    assert "1 of 2 queries could not be labelled" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--project", "{work}", "--support", "a.nii", "b.nii"], "--support says what the project says"),
        (["--project", "{work}", "--slices", "2"], "--slices says what the project says"),
        (["--project", "{work}/masks"], "is no project"),
        (["--query", "x.nii"], "--support, --out must be given, or --project"),
    ],
)
def test_contradictions_are_refused_in_one_sentence(work, run, arguments, words):
    code, _, err = run(*(text.format(work=work) for text in arguments))
    assert code == 2
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize("output", ["/tmp/elsewhere", "results/../../elsewhere", "link"])
def test_a_project_does_not_write_outside_its_folder_on_its_own(work, run, output):
    (work / "link").symlink_to(work.parent)
    project = read_project(work)
    settings = project.settings.model_copy(update={"output": output})
    write_project(work, project.model_copy(update={"settings": settings}))
    code, _, err = run("--project", work)
    assert code == 2
    assert "outside its folder; say --out" in err
    assert not list(work.parent.glob("*_labels*"))
