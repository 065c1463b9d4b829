"""Series that are no even, upright stack: what is repaired lies where the patient lies, and is said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import read_volume
from napari_cpclnet.imaging.dicom import list_series, read_series

from .dicom_world import UPRIGHT, assert_in_place, error_of, write_place

ROUNDING = 0.05


def tilted(degrees: float) -> tuple[float, ...]:
    angle = np.radians(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle)))


def write_at(folder: Path, heights, orientation=UPRIGHT, **tags) -> None:
    for number, height in enumerate(heights):
        write_place(folder / f"{number:03d}.dcm", (-20.0, 30.0, height), orientation, **tags)


@pytest.mark.parametrize(
    ("heights", "made", "sentence"),
    [
        (
            [0, 5, 10, 20],
            5,
            r"^1 slice is missing \(a gap of 10 mm after slice 3 of 4, else 5 mm\): interpolated ",
        ),
        ([0, 5, 20, 25, 30], 7, r"^2 slices are missing .* as slices 2, 3, counted from 0"),
        (
            [0, 5, 10, 16.3, 21],
            5,
            r"^Its slices are unevenly spaced \(4.7 to 6.3 mm\): resampled to 5 slices every",
        ),
        ([0, 2, 4, 6, 12, 18, 24], 13, "6 mm"),
    ],
)
def test_gaps_are_interpolated_and_said(tmp_path: Path, heights, made: int, sentence: str) -> None:
    write_at(tmp_path, heights)
    if made > 1.5 * len(heights):
        with pytest.raises(ImageError, match=r"are missing .*too far apart to interpolate"):
            read_volume(tmp_path)
        return
    volume = read_volume(tmp_path)
    assert volume.array.shape == (made, 12, 14)
    np.testing.assert_allclose(error_of(volume), 0, atol=ROUNDING)
    assert volume.geometry.spacing[0] == pytest.approx((heights[-1] - heights[0]) / (made - 1))
    assert len(volume.notes) == 1
    assert re.search(sentence, volume.notes[0])
    assert list_series(tmp_path)[0].notes == volume.notes


def test_slices_beside_a_gap_stay_as_they_are(tmp_path: Path) -> None:
    """Of real scans only the missing slice is made up."""
    write_at(tmp_path, [0, 5, 10, 20])
    rng = np.random.default_rng(0)
    pictures = rng.integers(-500, 500, (4, 12, 14)).astype(np.int16)
    for number, picture in enumerate(pictures):
        write_place(
            tmp_path / f"{number:03d}.dcm", (0, 0, (0, 5, 10, 20)[number]), PixelData=picture.tobytes()
        )
    array = read_volume(tmp_path).array * 32
    np.testing.assert_array_equal(array[[0, 1, 2, 4]], pictures)
    np.testing.assert_array_equal(array[3], (pictures[2].astype(float) + pictures[3]) / 2)


@pytest.mark.parametrize("heights", [[0, 5, 30, 35], [0, 1, 100, 101], [0, 1, 2, 4.4, 30]])
def test_gaps_too_wide_to_fill_are_refused(tmp_path: Path, heights) -> None:
    write_at(tmp_path, heights)
    with pytest.raises(ImageError, match="too far apart to interpolate; export the whole series again"):
        read_volume(tmp_path)
    (info,) = list_series(tmp_path)
    assert "too far apart" in info.problem
    assert info.shape is None


@pytest.mark.parametrize("degrees", [15.0, -22.5])
@pytest.mark.parametrize("heights", [[0, 4, 8, 12, 16], [0, 4, 8, 16, 20]])
def test_a_gantry_tilt_is_put_straight_and_said(tmp_path: Path, degrees: float, heights) -> None:
    write_at(tmp_path, heights, tilted(degrees))
    volume = read_volume(tmp_path)
    error = error_of(volume)
    # Every slice lies whole in the volume.
    assert np.isfinite(error).sum() >= len(heights) * 12 * 14
    assert_in_place(volume)
    assert volume.array.min() == -1024.0
    assert any(f"a gantry tilt of {abs(degrees):.1f} degrees" in note for note in volume.notes)
    direction = np.array(volume.geometry.direction)
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-9)  # no shear is left
    assert volume.geometry.spacing == pytest.approx((4 * np.cos(np.radians(degrees)), 2.0, 1.5))


def test_slices_that_wander_sideways_are_put_where_they_belong(tmp_path: Path) -> None:
    for number, (x, y) in enumerate([(0, 0), (0.9, 0), (-2, 3.3), (0, 0)]):
        write_place(tmp_path / f"{number}.dcm", (x, y, 3 * number))
    volume = read_volume(tmp_path)
    assert_in_place(volume)
    assert "lie up to 3.859 mm beside one another" in volume.notes[0]


def test_slices_far_beside_one_another_are_refused(tmp_path: Path) -> None:
    for number, y in enumerate([0, 0, 500]):
        write_place(tmp_path / f"{number}.dcm", (0, y, 3 * number))
    with pytest.raises(ImageError, match="up to 500 mm beside one another, too much to be put straight"):
        read_volume(tmp_path)


def test_an_mr_is_empty_where_nothing_was_scanned(tmp_path: Path) -> None:
    write_at(tmp_path, [0, 4, 8], tilted(20), Modality="MR")
    assert read_volume(tmp_path).array[0, 0].tolist() == [0.0] * 14


def test_a_localiser_slice_in_a_series_is_left_out_and_said(tmp_path: Path) -> None:
    write_at(tmp_path, [0, 5, 10])
    write_place(
        tmp_path / "a.dcm", (0, 0, 0), (1, 0, 0, 0, 0, -1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 3
    assert volume.notes == ("1 localiser slice was left out.",)
    write_place(tmp_path / "a.dcm", (0, 0, 0), (1, 0, 0, 0, 0, -1))
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 3
    assert volume.notes[0].startswith("1 slice was left out: of another orientation, size or frame")


def test_of_two_orientations_one_must_be_chosen(tmp_path: Path) -> None:
    write_at(tmp_path, [0, 5, 10])
    for number in range(4):
        write_place(tmp_path / f"c{number}.dcm", (0, 3 * number, 0), (1, 0, 0, 0, 0, -1))
    with pytest.raises(
        ImageError, match=r"2 stacks of slices of different orientations or sizes, choose one"
    ):
        read_volume(tmp_path)
    first, second = list_series(tmp_path)
    assert (first.id, first.part) == ("1.2.3#1", "stack 1 of 2: axial, 12 x 14")
    assert (second.id, second.part) == ("1.2.3#2", "stack 2 of 2: coronal, 12 x 14")
    for info in (first, second):
        for volume in (read_series(info), read_volume(tmp_path, series=info.id)):
            np.testing.assert_allclose(error_of(volume), 0, atol=ROUNDING)
            assert volume.geometry.shape == info.shape
    with pytest.raises(ImageError, match="2 stacks"):
        read_volume(tmp_path, series="1.2.3")


def test_pictures_each_in_its_own_direction_are_no_volume(tmp_path: Path) -> None:
    for number in range(4):
        turned = (float(np.cos(number)), float(np.sin(number)), 0, 0, 0, -1)
        write_place(tmp_path / f"{number}.dcm", (0, 0, 0), turned)
    with pytest.raises(ImageError, match="mixes slices of 4 orientations"):
        read_volume(tmp_path)
    assert len(list_series(tmp_path)) == 1
