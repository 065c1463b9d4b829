"""Scans that moved are found by their content, scans that changed are noticed."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tests.imaging.dicom.dicom_series import write_scan

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import Geometry, read_volume
from napari_cpclnet.imaging.dicom import list_series
from napari_cpclnet.project import (
    Project,
    ScanEntry,
    fingerprint,
    locate,
    open_project,
    read_project,
    write_project,
)


@pytest.fixture
def work(tmp_path, make):
    make(tmp_path / "work", tmp_path / "scans")
    return tmp_path / "work"


def states(folder, also=()):
    return {one.scan.name: one for one in locate(read_project(folder), folder, also)}


def write_series(folder, series, value=0):
    """Three slices, called after the series."""
    write_scan(folder / "new", Geometry((3, 4, 5)), series=series, RescaleIntercept=value)
    for file in sorted((folder / "new").iterdir()):
        file.rename(folder / f"{series}_{file.name}")
    (folder / "new").rmdir()


def entry_of(path, series, kept):
    volume = read_volume(path, series=series)
    known = fingerprint(path, volume.series)
    return ScanEntry(
        id="scan-1",
        name=volume.name,
        path=kept,
        series=volume.series,
        sha256=known.sha256,
        size=known.size,
        geometry=volume.geometry,
    )


def test_nothing_is_said_where_nothing_happened(work):
    assert {one.state for one in states(work).values()} == {"same"}
    assert not any(one.warning for one in states(work).values())


def test_a_project_moved_with_its_scans_is_as_it_was(work, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.move(work, tmp_path / "elsewhere" / "work")
    shutil.move(tmp_path / "scans", tmp_path / "elsewhere" / "scans")
    assert {one.state for one in states(tmp_path / "elsewhere" / "work").values()} == {"same"}


@pytest.mark.parametrize("place", ["work/deep/er/ct.nii.gz", "renamed.nii.gz", "scans/sub/ct.nii.gz"])
def test_a_moved_scan_is_found_by_its_content(work, tmp_path, place):
    target = tmp_path / place
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(tmp_path / "scans" / "ct.nii.gz", target)
    found = states(work)["ct"]
    assert (found.state, found.path.resolve()) == ("moved", target)
    assert str(target) in found.warning


def test_a_scan_that_another_took_the_name_of_is_found_too(work, tmp_path):
    shutil.move(tmp_path / "scans" / "ct.nii.gz", tmp_path / "scans" / "mine.nii.gz")
    shutil.copy(tmp_path / "scans" / "mr.nii.gz", tmp_path / "scans" / "ct.nii.gz")
    assert states(work)["ct"].path.name == "mine.nii.gz"


def test_a_changed_scan_warns(work, tmp_path):
    shutil.copy(tmp_path / "scans" / "mr.nii.gz", tmp_path / "scans" / "ct.nii.gz")
    found = states(work)
    assert found["ct"].state == "changed"
    assert "was changed" in found["ct"].warning
    assert found["mr"].state == "same"


def test_a_scan_that_is_nowhere_near_is_missing_unless_its_folder_is_named(work, tmp_path_factory, tmp_path):
    far = tmp_path_factory.mktemp("far")
    shutil.move(tmp_path / "scans" / "ct.nii.gz", far / "x.nii.gz")
    assert states(work)["ct"].state == "missing"
    assert states(work, [far])["ct"].path == far / "x.nii.gz"


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path, work):
    file = tmp_path / "scans" / "ct.nii.gz"
    known = fingerprint(file)
    assert known.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert known.size == file.stat().st_size


def test_a_header_is_known_with_its_voxels(tmp_path):
    (tmp_path / "a.mhd").write_text("ElementDataFile = a.raw")
    (tmp_path / "a.raw").write_bytes(b"123")
    before = fingerprint(tmp_path / "a.mhd")
    (tmp_path / "a.raw").write_bytes(b"124")
    assert fingerprint(tmp_path / "a.mhd") != before


def test_of_a_dicom_folder_only_the_series_counts(tmp_path):
    folder = tmp_path / "dicom"
    write_series(folder, "1.2.3")
    write_series(folder, "1.2.4", value=7)
    first, second = (fingerprint(folder, series) for series in ("1.2.3", "1.2.4"))
    assert first != second
    (folder / "project.json").write_text("{}")
    (folder / "1.2.3_000.dcm").rename(folder / "zzz.dcm")
    assert fingerprint(folder, "1.2.3") == first
    hashes = sorted(
        hashlib.sha256(p.read_bytes()).hexdigest() for p in [*folder.glob("1.2.3*"), folder / "zzz.dcm"]
    )
    assert first.sha256 == hashlib.sha256("".join(f"{one}\n" for one in hashes).encode()).hexdigest()
    (folder / "zzz.dcm").unlink()
    assert fingerprint(folder, "1.2.3") != first
    with pytest.raises(ImageError):
        fingerprint(folder, "9.9.9")


def test_a_moved_dicom_folder_is_found_with_its_series(tmp_path):
    folder = tmp_path / "dicom" / "thorax"
    write_series(folder, "1.2.3")
    write_series(folder, "1.2.4", value=7)
    assert [one.id for one in list_series(folder)] == ["1.2.3", "1.2.4"]
    scan = entry_of(folder, "1.2.4", "../dicom/thorax")
    assert scan.series == "1.2.4"
    work = tmp_path / "work"
    work.mkdir()
    write_project(work, Project(scans=(scan,)))
    assert states(work)[scan.name].state == "same"
    shutil.move(folder, work / "abdomen")
    found = states(work)[scan.name]
    assert (found.state, found.path) == ("moved", work / "abdomen")


def test_pictures_of_a_folder_are_one_scan(tmp_path):
    for number in range(3):
        (tmp_path / "stack").mkdir(exist_ok=True)
        Image.new("L", (4, 4), number * 50).save(tmp_path / "stack" / f"{number}.png")
    before = fingerprint(tmp_path / "stack")
    (tmp_path / "stack" / "notes.txt").write_text("mine")
    assert fingerprint(tmp_path / "stack") == before
    Image.new("L", (4, 4), 9).save(tmp_path / "stack" / "1.png")
    assert fingerprint(tmp_path / "stack") != before


@pytest.mark.parametrize("size", [0, 12])
def test_a_file_without_an_end_is_not_read(work, size):
    """A project may name any file; those of the system wait for ever or never end."""
    project = read_project(work)
    endless = work.parent / "endless.nii"
    os.mkfifo(endless)
    kernel = "/proc/kmsg" if Path("/proc/kmsg").exists() else "../endless.nii"
    for path in ("../endless.nii", kernel):
        scan = project.scans[0].model_copy(update={"path": path, "size": size})
        (found, *_) = locate(project.model_copy(update={"scans": (scan,)}), work)
        assert found.state in ("changed", "missing")
        opened = open_project(project.model_copy(update={"scans": (scan,), "queries": ()}), work, [found])
        assert opened.scans == () and len(opened.problems) == 1
