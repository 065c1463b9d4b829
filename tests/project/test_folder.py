"""``project.json``: what is written is read again, what is wrong is said in one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from napari_cpclnet.errors import CpclnetError, OutputError, ProjectError
from napari_cpclnet.project import (
    Project,
    QueryEntry,
    SupportEntry,
    is_project,
    locate,
    read_project,
    write_project,
)
from napari_cpclnet.project.folder import absolute_path, relative_path
from napari_cpclnet.project.headless import run_settings, support_set
from napari_cpclnet.segmentation.settings import PostprocessingSettings


def test_a_project_comes_back_as_it_was(tmp_path, make):
    project = make(tmp_path / "work", tmp_path / "scans")
    assert is_project(tmp_path / "work")
    assert read_project(tmp_path / "work") == project
    assert project.scans[0].path == "../scans/ct.nii.gz"


def test_no_folder_of_this_machine_stands_in_the_file(tmp_path, make):
    make(tmp_path / "work", tmp_path / "scans")
    assert str(tmp_path) not in (tmp_path / "work" / "project.json").read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "holds no project.json"),
        ("{", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"schema_version": 1, "scans": ' + "[" * 900 + "]" * 900 + "}", "nested too deeply"),
        ('{"schema_version": 1, "settings": {"output": "a\\u0000b"}}', "holds a zero byte"),
        ('{"schema_version": 1, "weights": {"path": "' + "x" * 300 + '"}}', "too long"),
        ("[]", "no project"),
        ("{}", "names no version"),
        ('{"schema_version": 99}', "update it"),
        ('{"schema_version": true}', "names no version"),
        ('{"schema_version": 1, "scans": [{"id": "a"}]}', "scans.0.name"),
        ('{"schema_version": 1, "colour": 1}', "colour"),
        ('{"schema_version": 1, "queries": [{"scan": "nobody"}]}', "no scan 'nobody'"),
        ('{"schema_version": 1, "queries": [{}]}', "either a scan or a path"),
        ('{"version": 0}', "'support' is missing"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, content, words):
    if content is not None:
        (tmp_path / "project.json").write_text(content)
    with pytest.raises(ProjectError, match="project") as caught:
        read_project(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize("file", ["../other.nrrd", "/etc/passwd", "C:/x.nrrd", "a\\..\\b.nrrd", ""])
def test_label_maps_outside_the_folder_are_refused(file):
    with pytest.raises(ValidationError):
        SupportEntry(scan="a", mask=file)
    with pytest.raises(ValidationError):
        QueryEntry(scan="a", result=file)


def test_two_masks_never_share_a_file(tmp_path, make):
    project = make(tmp_path / "work", tmp_path / "scans")
    twice = {**project.model_dump(), "supports": [project.supports[0].model_dump()] * 2}
    with pytest.raises(ValidationError, match="same file"):
        Project.model_validate(twice)


def test_a_failed_write_leaves_the_old_project_and_nothing_else(tmp_path, make, monkeypatch):
    folder = tmp_path / "work"
    project = make(folder, tmp_path / "scans")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space"):
        write_project(folder, Project())
    assert read_project(folder) == project
    assert sorted(p.name for p in folder.iterdir()) == ["masks", "project.json"]


def test_paths_lead_back_whence_they_came(tmp_path):
    for path in (
        tmp_path / "a" / "scan.nii",
        tmp_path / "p" / "scans" / "x.nrrd",
        Path("relative.nii").absolute(),
    ):
        assert absolute_path(relative_path(path, tmp_path / "p"), tmp_path / "p") == path


def test_version_0_becomes_the_newest(tmp_path, make):
    scans = tmp_path / "scans"
    new = make(tmp_path / "new", scans)
    old = tmp_path / "old"
    old.mkdir()
    (scans / "more").mkdir()
    content = {
        "version": 0,
        "classes": {"6": "liver", "1": "spleen"},
        "support": {
            "scan": "../scans/ct.nii.gz",
            "mask": "support.seg.nrrd",
            "slices": [2],
            "plane": "axial",
        },
        "queries": ["../scans/mr.nii.gz", "../scans/ct.nii.gz", "../scans/more"],
        "options": {"plane": "axial", "adapt": 20, "weights": "../my.safetensors"},
    }
    (old / "project.json").write_text(json.dumps(content))
    project = read_project(old)
    assert project.schema_version == 1
    assert [(s.path, s.sha256) for s in project.scans] == [(s.path, s.sha256) for s in new.scans]
    assert project.names == {6: "liver", 1: "spleen"}
    assert project.supports == (SupportEntry(scan="scan-1", mask="support.seg.nrrd", slices=(2,)),)
    assert [(q.scan, q.path) for q in project.queries] == [
        ("scan-2", None),
        ("scan-1", None),
        (None, "../scans/more"),
    ]
    assert (project.settings.adapt, project.weights.path) == (20, "../my.safetensors")
    write_project(old, project)
    assert read_project(old) == project


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "pipe", "/proc/kmsg"])
def test_what_an_old_project_names_is_not_read_if_it_is_no_ordinary_file(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    old = {"version": 0, "support": {"scan": name, "mask": "m"}}
    (tmp_path / "project.json").write_text(json.dumps(old))
    with pytest.raises(CpclnetError):
        read_project(tmp_path)


@pytest.mark.parametrize("name", ["masks", "results", "scans"])
def test_a_project_whose_folder_is_a_link_that_leaves_it_is_not_opened(tmp_path, make, name):
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    make(work, tmp_path / "outside")
    if (work / name).exists():
        (work / name).rename(elsewhere)
    else:
        elsewhere.mkdir()
    (work / name).symlink_to(elsewhere)
    with pytest.raises(ProjectError, match="is a link that leaves the project's folder"):
        read_project(work)
    (work / name).unlink()
    (work / "kept").mkdir()
    elsewhere.rename(work / "kept" / name)
    (work / name).symlink_to(work / "kept" / name)  # a link that stays inside is nobody's harm
    read_project(work)


def test_a_link_further_down_is_seen_too(tmp_path, make):
    project = make(tmp_path / "work", tmp_path / "scans")
    (tmp_path / "work" / "masks" / "deep").symlink_to(tmp_path)
    (support,) = project.supports
    support = support.model_copy(update={"mask": "masks/deep/ct.seg.nrrd"})
    write_project(tmp_path / "work", project.model_copy(update={"supports": (support,)}))
    with pytest.raises(ProjectError, match="is a link that leaves"):
        read_project(tmp_path / "work")


def test_the_command_line_reads_a_project_of_an_older_version() -> None:
    folder = Path(__file__).parent / "older_version" / "work"
    project = read_project(folder)
    settings = run_settings(project, folder)
    assert settings.postprocessing == PostprocessingSettings(largest_component=False, closing_mm=2.0)
    found = list(locate(project, folder))
    assert [one.warning for one in found] == ["", ""]
    support = support_set(project, folder, found)
    assert sorted((one.index, one.plane) for one in support.slices) == [
        (0, "axial"),
        (2, "axial"),
        (3, "axial"),
    ]
    assert support.classes == {1: "liver", 2: "my organ"}
