"""Folders that hold more, or less, than whole slices: links, files that cannot be read, identifiers that are none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.errors import ImageError, OutputError
from napari_cpclnet.imaging import ScanRef, Segmentation, find_scans, read_volume, walk, write_segmentation
from napari_cpclnet.imaging.dicom import list_series, survey

from .dicom_world import error_of, write_place

OF_NO_ONE = "do not have a SOPInstanceUID of their own"


def write_stack(folder: Path, n: int = 6, **tags) -> None:
    for number in range(n):
        place = (0, 0, 3.0 * number)
        write_place(folder / f"{number:04d}.dcm", place, InstanceNumber=number + 1, **tags)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:400])


def lead_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


HARMS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no DICOM file": lambda path: path.write_bytes(b"rubbish" * 500),
    "damaged header": cut_off,
    "it leads nowhere": lead_nowhere,
}


@pytest.mark.parametrize("why", HARMS)
def test_a_gap_is_not_filled_where_a_file_cannot_be_read(tmp_path: Path, why: str) -> None:
    write_stack(tmp_path)
    HARMS[why](tmp_path / "0002.dcm")
    with pytest.raises(ImageError, match=rf"slices are missing, .*0002\.dcm \({why}\)") as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)
    (info,) = list_series(tmp_path)
    assert "slices are missing" in info.problem
    (tmp_path / "0002.dcm").unlink()
    assert "interpolated" in read_volume(tmp_path).notes[0]


@pytest.mark.parametrize("why", HARMS)
def test_a_slice_that_cannot_be_read_is_said_at_an_end_too(tmp_path: Path, why: str) -> None:
    write_stack(tmp_path)
    HARMS[why](tmp_path / "0005.dcm")
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 5
    (note,) = volume.notes
    assert f"0005.dcm ({why})" in note
    assert survey(tmp_path).left_out


def test_files_that_are_no_slices_by_their_name_are_nobodys_business(tmp_path: Path) -> None:
    write_stack(tmp_path)
    for path in sorted(tmp_path.iterdir())[2:3]:
        path.unlink()
    (tmp_path / "LICENSE").write_text("free")
    (tmp_path / "0.txt").write_text("0")
    assert "interpolated" in read_volume(tmp_path).notes[0]


def test_one_sop_instance_uid_in_all_slices_is_said_and_loses_none(tmp_path: Path) -> None:
    write_stack(tmp_path / "a", 20, SOPInstanceUID="1.2.3.4")
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 20
    np.testing.assert_allclose(error_of(volume), 0, atol=0.05)
    (note,) = volume.notes
    assert note.startswith(f"20 slices {OF_NO_ONE}")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 20
    assert volume.notes[0].startswith("20 files are copies of other slices")


def test_phases_of_one_sop_instance_uid_are_phases(tmp_path: Path) -> None:
    for echo in (1, 2):
        write_stack(
            tmp_path / f"{echo}", 4, EchoTime=echo, SOPInstanceUID="1.2.3.4", RescaleIntercept=100 * echo
        )
    assert [one.n_slices for one in list_series(tmp_path)] == [4, 4]


def test_slices_of_one_place_and_uid_with_other_pixels_are_no_copies(tmp_path: Path) -> None:
    for number in range(8):
        pixels = np.full((12, 14), number, np.int16).tobytes()
        place = (0, 0, 3.0 * (number % 4))
        write_place(tmp_path / f"{number}", place, SOPInstanceUID="1.2.3.4", PixelData=pixels)
    with pytest.raises(ImageError, match="holds 2 phases"):
        read_volume(tmp_path)


def test_many_slices_that_nothing_tells_apart_are_compared_in_no_time(tmp_path: Path) -> None:
    import time

    for number in range(150):
        pixels = np.full((12, 14), number, np.int16).tobytes()
        write_place(tmp_path / f"{number}", (0, 0, 0), SOPInstanceUID="1.2.3.4", PixelData=pixels)
    shutil.copy(tmp_path / "0", tmp_path / "copy")
    before = time.process_time()
    listing = survey(tmp_path)
    assert time.process_time() - before < 5  # each with each would take minutes
    assert listing.series[0].n_slices == 150
    assert listing.skipped[0].startswith("1 file is a copy")


def test_no_segmentation_refers_to_slices_of_one_uid(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    write_stack(tmp_path / "ct", SOPInstanceUID="1.2.3.4", FrameOfReferenceUID="1.2.5")
    volume = read_volume(tmp_path / "ct")
    labels = Segmentation(np.ones(volume.array.shape, np.uint8), {1: "a"}, volume.geometry, "s")
    with pytest.raises(OutputError, match=r"without a SOPInstanceUID of their own .* choose \.seg\.nrrd"):
        write_segmentation(labels, tmp_path / "s.dcm", source=ScanRef(tmp_path / "ct"))


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["1.2#3", "1.2@3#4#", "#", "1.2\x1b[31m", "1.2%23"])
@pytest.mark.parametrize("folders", [("a",), ("a#1@x", "b")])
def test_ids_that_are_none_can_be_chosen(tmp_path: Path, uid: str, folders: tuple[str, ...]) -> None:
    for folder in folders:
        for echo in (1, 2):
            write_stack(tmp_path / folder / f"{echo}", 3, series=uid, EchoTime=echo)
    found = list_series(tmp_path)
    assert len({one.id for one in found}) == len(found)
    for one in found:
        assert one.id.isprintable()
        assert read_volume(tmp_path, series=one.id).array.shape[0] == 3
    for scan in find_scans(tmp_path):
        assert read_volume(scan.path, series=scan.series).array.shape[0] == 3


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no such folder here")
def test_links_into_the_system_are_not_followed(tmp_path: Path) -> None:
    write_stack(tmp_path / "a")
    (tmp_path / "p").symlink_to("/proc", target_is_directory=True)
    for name in ("x.dcm", "y.nii", "z.png"):
        (tmp_path / name).symlink_to("/proc/kmsg")
    assert len(list(walk(tmp_path))) == 6
    assert len(find_scans(tmp_path)) == 1
    assert read_volume(tmp_path).array.shape[0] == 6
    for read in (read_volume, find_scans):
        with pytest.raises(ImageError, match="belongs to the operating system"):
            read(tmp_path / "p")


def test_a_folder_that_cannot_be_opened_is_said(tmp_path: Path, monkeypatch) -> None:
    write_stack(tmp_path / "a")
    (tmp_path / "shut").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    where = f"{tmp_path / 'shut'} (Permission denied)"
    said = f"1 folder or link cannot be opened, and what lies there is left out: {where}."
    assert survey(tmp_path).left_out == (said,)
    assert read_volume(tmp_path).notes == (said,)
    assert len(find_scans(tmp_path)) == 1
    for read in (read_volume, find_scans):
        with pytest.raises(ImageError, match=r"shut: cannot be opened \(Permission denied\)"):
            read(tmp_path / "shut")


def test_folders_within_folders_have_no_end(tmp_path: Path, monkeypatch) -> None:
    write_stack(tmp_path / "b", 3)
    monkeypatch.chdir(tmp_path)
    depth = 1200  # more than Python calls may be nested
    for _ in range(depth):
        os.mkdir("a")
        os.chdir("a")
    assert len(find_scans(tmp_path)) == 1
    for _ in range(depth):  # pytest could not clear them away
        os.chdir("..")
        os.rmdir("a")
