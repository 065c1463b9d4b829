"""Whatever a user opens, the answer is a scan or one clear sentence, and nothing on the error stream."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging import Geometry, find_scans, looks_like_labels, read_segmentation, read_volume
from napari_cpclnet.imaging.formats import size_checks as limits

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def expect(path: Path, sentence: str, capfd, read=read_volume) -> None:
    with pytest.raises(ImageError, match=sentence) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert "0x" not in message
    assert capfd.readouterr().err == ""


@pytest.fixture
def picture() -> sitk.Image:
    rng = np.random.default_rng(0)
    return sitk.GetImageFromArray(rng.integers(0, 999, (20, 30, 40)).astype(np.int16))


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".dcm", ".png", ".tif", ".xyz"])
def test_missing_and_empty_files(tmp_path: Path, capfd, suffix: str) -> None:
    expect(tmp_path / f"none{suffix}", "does not exist", capfd)
    (tmp_path / f"empty{suffix}").touch()
    expect(tmp_path / f"empty{suffix}", "is empty", capfd)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("part", [0.5, 0.98])
def test_truncated_files(tmp_path: Path, capfd, picture, suffix: str, compressed: bool, part: float) -> None:
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(picture, str(path), compressed)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    expect(path, "is truncated", capfd)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_formats_under_a_wrong_suffix(tmp_path: Path, capfd, suffix: str) -> None:
    path = tmp_path / f"scan{suffix}"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(path, format="JPEG")
    expect(path, "is a JPEG picture", capfd)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(path, format="PNG")
    expect(path, "is a PNG picture", capfd)
    path.write_text("hello world, this is a letter\n" * 40)
    expect(path, "is no .*, whatever its name says", capfd)
    path.write_bytes(b"\x1f\x8b\x08\x00rubbish")
    expect(path, "is truncated or damaged|is no", capfd)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".dcm", ".txt"])
def test_text_under_a_picture_suffix(tmp_path: Path, capfd, suffix: str) -> None:
    path = tmp_path / f"letter{suffix}"
    path.write_text("hello world\n" * 40)
    expect(path, "is no|unsupported file format", capfd)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_four_dimensions_are_refused_with_the_number_of_phases(tmp_path: Path, capfd, suffix: str) -> None:
    path = tmp_path / f"series{suffix}"
    sitk.WriteImage(sitk.JoinSeries([sitk.Image(5, 6, 7, sitk.sitkInt16)] * 3), str(path))
    capfd.readouterr()
    expect(path, "holds 3 phases; choose one of the series 0 to 2", capfd)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_single_phase_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"series{suffix}"
    sitk.WriteImage(sitk.JoinSeries([sitk.Image(5, 6, 7, sitk.sitkInt16)]), str(path))
    assert read_volume(path).array.shape == (7, 6, 5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colours_and_vectors_are_refused(tmp_path: Path, capfd, suffix: str) -> None:
    path = tmp_path / f"colour{suffix}"
    sitk.WriteImage(sitk.Compose([sitk.Image(5, 6, 7, sitk.sitkUInt8)] * 3), str(path))
    capfd.readouterr()
    expect(path, "3 values per voxel", capfd)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, capfd, value: float, word: str) -> None:
    array = np.ones((3, 4, 5), np.float32)
    array[1, 2, 3] = value
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    expect(path, word, capfd)
    expect(path, word, capfd, read_segmentation)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.array([[[0, 1, -1]]], np.int16), "negative"),
        (np.array([[[0, 1, 0.5]]], np.float64), "non-integer"),
        (np.array([[[0, 1, 0.5]]], np.float32), "non-integer"),
        (np.array([[[0, 1, 1e12]]], np.float64), "labels go up to"),
        (np.arange(3000, dtype=np.uint16).reshape(10, 15, 20), "looks like a scan"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path: Path, capfd, array, sentence: str) -> None:
    path = tmp_path / "mask.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    expect(path, sentence, capfd, read_segmentation)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_labels(tmp_path: Path, dtype) -> None:
    path = tmp_path / "mask.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.array([[[0, 1, 2]]], dtype)), str(path))
    found = read_segmentation(path)
    assert found.labels.dtype == np.uint8
    assert found.classes == {1: "label 1", 2: "label 2"}


def test_a_mask_on_another_grid_is_refused_and_told_apart_if_it_must_not_be_moved(tmp_path: Path) -> None:
    path = tmp_path / "mask.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 4, 5), np.uint8)), str(path))
    with pytest.raises(GeometryError, match=r"spacing .* against .* mm; resample"):
        read_segmentation(path, like=Geometry((3, 4, 5), (2.0, 1.0, 1.0)), resample=False)
    with pytest.raises(GeometryError, match=r"size \(3, 4, 5\) against \(3, 4, 6\)"):
        read_segmentation(path, like=Geometry((3, 4, 6)), resample=False)


def nifti(array: np.ndarray, sform: np.ndarray | None, qform_code: int = 0) -> bytes:
    """A NIfTI-1 file byte by byte, to say what no library would write."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, 2, 2, 2, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2
    struct.pack_into("<2h", header, 252, qform_code, 0 if sform is None else 1)
    if sform is not None:
        struct.pack_into("<12f", header, 280, *sform[:3].ravel())
    header[344:348] = b"n+1\0"
    return bytes(header) + array.astype("<i2").tobytes()


def test_the_sform_goes_before_a_conflicting_qform_and_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "two.nii"
    sform = np.array([[-3.0, 0, 0, 10], [0, -3, 0, 20], [0, 0, 5, 30], [0, 0, 0, 1]])
    path.write_bytes(nifti(np.zeros((3, 4, 5)), sform, qform_code=1))
    volume = read_volume(path)
    assert volume.geometry == Geometry((3, 4, 5), (5.0, 3.0, 3.0), (30.0, -20.0, -10.0))
    assert any("sform" in note for note in volume.notes)


def test_a_file_without_a_placement_says_so(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.nii.gz"
    path.write_bytes(gzip.compress(nifti(np.zeros((3, 4, 5)), None)))
    assert any("does not say how the scan lies" in note for note in read_volume(path).notes)


@pytest.mark.parametrize(
    "sform",
    [
        np.zeros((4, 4)),
        np.full((4, 4), np.nan),
        np.array([[2.0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]),
    ],
)
def test_a_damaged_sform_gives_way_to_a_good_qform(tmp_path: Path, sform: np.ndarray) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(np.zeros((3, 4, 5)), sform, qform_code=1))
    volume = read_volume(path)
    assert volume.geometry.spacing == (2.0, 2.0, 2.0)
    assert "Placed by the qform of the file, because its sform is damaged." in volume.notes
    path.write_bytes(nifti(np.zeros((3, 4, 5)), sform, qform_code=0))
    with pytest.raises(ImageError, match="its sform"):
        read_volume(path)


def save_as_int16(path: Path, labels: np.ndarray, dtype: type = np.int16) -> np.ndarray:
    """Save labels (z, y, x) as nibabel does under the header of a scan of whole numbers; returns what it reads."""
    affine = np.diag([-1.5, 1.5, 4, 1.0])
    scan = nib.Nifti1Image(np.zeros(labels.T.shape, dtype), affine)
    nib.save(nib.Nifti1Image(labels.T.astype(np.float64), affine, header=scan.header), path)
    return nib.load(path).get_fdata().T


@pytest.mark.parametrize(("values", "dtype"), [((1, 2, 13), np.int16), ((1, 2, 104), np.uint8)])
def test_labels_scaled_into_whole_numbers_are_rounded_with_a_note(tmp_path: Path, values, dtype) -> None:
    labels = np.zeros((8, 20, 20), np.uint8)
    for place, value in enumerate(values):
        labels[2:6, 4:10, 3 + 5 * place : 6 + 5 * place] = value
    path = tmp_path / "labels.nii.gz"
    assert not np.array_equal(save_as_int16(path, labels, dtype), labels), (
        "the library stores them exactly now"
    )
    found = read_segmentation(path)
    np.testing.assert_array_equal(found.labels, labels)
    assert any("beside whole numbers: rounded" in note for note in found.notes)
    assert looks_like_labels(read_volume(path))
    other = path.rename(tmp_path / "organs.nii.gz")
    assert looks_like_labels(read_volume(other))


def test_a_probability_map_in_scaled_whole_numbers_is_no_label_map(tmp_path: Path) -> None:
    smooth = np.linspace(0, 1, 8 * 20 * 20).reshape(8, 20, 20)
    path = tmp_path / "labels.nii.gz"
    save_as_int16(path, smooth)
    with pytest.raises(ImageError, match="contains non-integer values"):
        read_segmentation(path)
    assert not looks_like_labels(read_volume(path))


@pytest.mark.parametrize("wrong", [0.9999997, 1.0004])
def test_labels_off_by_the_arithmetic_of_floats_are_rounded(tmp_path: Path, wrong: float) -> None:
    path = tmp_path / "mask.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.array([[[0, wrong, 3]]], np.float32)), str(path))
    found = read_segmentation(path)
    np.testing.assert_array_equal(found.labels, [[[0, 1, 3]]])
    assert "rounded" in found.notes[-1]


def test_the_memory_of_a_container_is_a_bound_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("max", "max\n"), ("small", "1000000\n")):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(limits, "CONTAINER_LIMITS", (tmp_path / "max", tmp_path / "none"))
    assert limits.machine_memory() > 10**8
    monkeypatch.setattr(limits, "CONTAINER_LIMITS", (tmp_path / "max", tmp_path / "small"))
    assert limits.machine_memory() == 1_000_000
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.Image(200, 100, 100, sitk.sitkUInt8), str(path))
    with pytest.raises(ImageError, match="more than this machine's memory"):
        read_volume(path)


@pytest.mark.parametrize(
    "name", ["pipe.nii", "zero.nii.gz", "kernel.dcm", "empty.png", "x" * 300 + ".nii", "a\0.nii"]
)
@pytest.mark.parametrize("read", [read_volume, read_segmentation, find_scans])
def test_what_has_no_end_or_no_content_is_not_read(tmp_path: Path, name: str, read) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "zero.nii.gz").symlink_to("/dev/zero")
    (tmp_path / "kernel.dcm").symlink_to(
        "/proc/kmsg" if Path("/proc/kmsg").exists() else tmp_path / "pipe.nii"
    )
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"no ordinary file|is empty|cannot be opened") as caught:
        read(tmp_path / name)
    assert len(str(caught.value)) < 400
