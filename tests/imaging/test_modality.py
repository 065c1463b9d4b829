from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_cpclnet.imaging import Geometry, Volume, detect_modality, read_volume, write_volume
from napari_cpclnet.imaging.modality import name_hint

RNG = np.random.default_rng(0)


def body_in_hu() -> np.ndarray:
    """Air, fat, soft tissue and some bone, with noise."""
    array = np.full((20, 40, 40), -1000.0)
    array[:, 8:32, 8:32] = -100
    array[:, 10:30, 10:30] = 50
    array[:, 25:28, 18:22] = 600
    return np.rint(array + RNG.normal(0, 12, array.shape))


def windowed(array: np.ndarray, low: float = -125, high: float = 275) -> np.ndarray:
    return np.clip(np.rint((array - low) * 255 / (high - low)), 0, 255).astype(np.uint8)


def test_hounsfield_units_are_ct() -> None:
    assert detect_modality(body_in_hu()) == ("CT", "HU")


@pytest.mark.parametrize("window", [(-125, 275), (-160, 240), (-200, 300)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_ct_windowed_to_eight_bits_is_known_whatever_its_type(window, dtype) -> None:
    assert detect_modality(windowed(body_in_hu(), *window).astype(dtype)) == ("CT", "HU8")


def test_positive_values_beyond_eight_bits_are_mr() -> None:
    assert detect_modality(RNG.integers(0, 900, (9, 9, 9))) == ("MR", "")


def test_what_cannot_be_told_is_other() -> None:
    for array in (
        RNG.integers(0, 256, (9, 9, 9)),
        RNG.normal(0, 1, (9, 9, 9)),
        np.zeros((3, 3, 3)),
        np.eye(3),
    ):
        assert detect_modality(array) == ("other", "")


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("CT_001", "CT"),
        ("liver_mr_3", "MR"),
        ("MR-T1", "MR"),
        ("PET_image", "PT"),
        ("ct2mr", "other"),
        ("ct_to_mr", "other"),
        ("actor", "other"),
        ("petra", "other"),
    ],
)
def test_hints_in_names(name: str, modality: str) -> None:
    assert name_hint(name) == modality


def test_a_name_only_breaks_ties_and_a_note_says_so(tmp_path: Path) -> None:
    def read(name: str, array: np.ndarray) -> Volume:
        write_volume(Volume(array, Geometry(array.shape)), tmp_path / name)
        return read_volume(tmp_path / name)

    ct = read("mr_1.nii.gz", body_in_hu().astype(np.int16))
    assert (ct.modality, ct.notes[-1]) == ("CT", "Taken as CT in HU because of its values.")
    flat = RNG.integers(0, 256, (9, 9, 9)).astype(np.uint8)
    assert read("scan.nii.gz", flat).modality == "other"
    mr = read("mr_2.nii.gz", flat)
    assert (mr.modality, mr.notes[-1]) == ("MR", "Taken as MR because of the file name.")


def test_the_caller_overrides_the_values(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    write_volume(Volume(windowed(body_in_hu()), Geometry((20, 40, 40))), path)
    assert (read_volume(path).modality, read_volume(path).unit) == ("CT", "HU8")
    forced = read_volume(path, modality="MR")
    assert (forced.modality, forced.unit) == ("MR", "")


def with_undershoot(array: np.ndarray, *, share: float, down_to: float) -> np.ndarray:
    """As resampling makes a few voxels beside sharp edges too low."""
    array = array.copy()
    chosen = RNG.random(array.shape) < share
    array[chosen] = RNG.uniform(down_to, max(0, down_to), int(chosen.sum()))
    return array


def with_padding(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[:, :2], array[:, :, :2] = value, value
    return array


OFFSETS = {
    "clipped": lambda hu, offset: np.maximum(hu + offset, 0),
    "a little below 0": lambda hu, offset: with_undershoot(hu + offset, share=5e-4, down_to=-100),
    "far below 0": lambda hu, offset: with_undershoot(hu + offset, share=5e-4, down_to=-400),
    "padded": lambda hu, offset: with_padding(hu + offset, -2000 + offset),
    "padded and a little below 0": lambda hu, offset: with_padding(
        with_undershoot(hu + offset, share=5e-4, down_to=-100), -3024 + offset
    ),
}


@pytest.mark.parametrize("name", ["ct_1.nii.gz", "scan.nii.gz"])
@pytest.mark.parametrize("offset", [1000, 1024])
@pytest.mark.parametrize("how", OFFSETS)
def test_a_ct_stored_with_an_offset_is_not_in_hu(tmp_path: Path, how: str, offset: int, name: str) -> None:
    array = OFFSETS[how](body_in_hu(), offset).astype(np.int16)
    write_volume(Volume(array, Geometry(array.shape)), tmp_path / name)
    volume = read_volume(tmp_path / name)
    assert volume.unit == ""
    if name.startswith("ct"):
        assert volume.modality == "CT"
        assert (
            volume.notes[-1]
            == "The values are not known to be Hounsfield units; they are scaled by percentiles."
        )
    forced = read_volume(tmp_path / name, modality="CT")
    assert forced.unit == "" and "not known to be Hounsfield units" in forced.notes[-1]


@pytest.mark.parametrize("scale", [lambda hu: hu / 1000, lambda hu: (hu - hu.mean()) / hu.std()])
def test_a_ct_scaled_to_small_numbers_is_not_in_hu(tmp_path: Path, scale) -> None:
    array = scale(body_in_hu()).astype(np.float32)
    write_volume(Volume(array, Geometry(array.shape)), tmp_path / "ct.nii.gz")
    assert read_volume(tmp_path / "ct.nii.gz").unit == ""


@pytest.mark.parametrize("window", [(-125, 275), (-160, 240), (-1024, 1024), (-200, 3000)])
def test_a_ct_clipped_to_a_window_stays_in_hu(tmp_path: Path, window) -> None:
    array = np.clip(body_in_hu(), *window).astype(np.int16)
    write_volume(Volume(array, Geometry(array.shape)), tmp_path / "ct.nii.gz")
    volume = read_volume(tmp_path / "ct.nii.gz")
    assert volume.unit == "HU"


def test_padding_below_air_leaves_hu_what_they_are(tmp_path: Path) -> None:
    for value in (-2000, -3024):
        array = with_padding(body_in_hu(), value)
        assert detect_modality(array) == ("CT", "HU")


def files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    assert found
    return found


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("abdomen_ct/*_image.nii.gz", ("CT", "HU8")),
        ("abdomen_mr/*_image.nii.gz", ("MR", "")),
        ("ct_hounsfield/example_ct.nii.gz", ("CT", "HU")),
        ("sarcoma_ct_mr_pet/nifti/*/CT_image.nii.gz", ("CT", "HU")),
        ("sarcoma_ct_mr_pet/nifti/*/MR_T1_image.nii.gz", ("MR", "")),
        ("sarcoma_ct_mr_pet/nifti/*/PET_image.nii.gz", ("PT", "SUVbw")),
        ("pet_wholebody/sts001_pet_suv.nii.gz", ("PT", "SUVbw")),
    ],
)
def test_real_scans_are_known_by_their_values(shared_data: Path, pattern: str, expected) -> None:
    for path in files(shared_data, pattern):
        assert detect_modality(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))) == expected, path.name


def test_a_real_mr_in_eight_bits_is_never_ct(shared_data: Path) -> None:
    paths = files(shared_data, "abdomen_mr/*_image.nii.gz") + files(
        shared_data, "sarcoma*/nifti/*/MR_T1_image.nii.gz"
    )
    for path in paths:
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        for cut in (0.0, 0.5, 1.0):
            assert detect_modality(windowed(array, *np.percentile(array, (cut, 100 - cut)))) == ("other", "")
