"""Slices of several passes in one DICOM series, whose slices lie between each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import read_volume
from napari_cpclnet.imaging.dicom import list_series

from .dicom_world import error_of, write_place


def write_passes(folder: Path, passes, **values) -> None:
    """Slices at the heights of each pass, each pass 100 brighter; ``values``: of a tag, one per pass."""
    number = 0
    for index, heights in enumerate(passes):
        for height in heights:
            number += 1
            tags = {
                keyword: of_pass[index] for keyword, of_pass in values.items() if of_pass[index] is not None
            }
            tags = {"SliceThickness": 4, "RescaleIntercept": 100 * index, "InstanceNumber": number} | tags
            write_place(folder / f"{number:03d}", (0, 0, float(height)), **tags)


BETWEEN = (range(0, 40, 4), range(2, 42, 4))
OVERLAPPING = (range(0, 40, 4), range(30, 70, 4))
ONE_AFTER_THE_OTHER = (range(0, 40, 4), range(40, 80, 4))


@pytest.mark.parametrize("places", [BETWEEN, OVERLAPPING])
@pytest.mark.parametrize(
    ("keyword", "values", "label"),
    [
        ("AcquisitionNumber", (1, 2), "acquisition 2"),
        ("ConvolutionKernel", ("B30f", "B70f"), "kernel B70f"),
        ("SeriesNumber", (3, 4), "series number 4"),
        ("AcquisitionTime", ("120000", "120030.5"), "acquired at 120030.5"),
        ("ContrastBolusAgent", (None, "IV"), "contrast agent IV"),
        ("KVP", (80, 140), "140 kV"),
        ("ImageType", (["ORIGINAL", "A"], ["ORIGINAL", "B"]), "image type ORIGINAL/B"),
        ("SliceThickness", (4, 5), "slices of 5 mm"),
    ],
)
def test_passes_are_told_apart_and_chosen(tmp_path: Path, places, keyword: str, values, label: str) -> None:
    write_passes(tmp_path, places, **{keyword: values})
    with pytest.raises(
        ImageError, match=r"holds 2 passes whose slices lie between each other, choose one of: "
    ):
        read_volume(tmp_path)
    found = list_series(tmp_path)
    assert found[1].part == f"pass 2 of 2: {label}"
    for index, info in enumerate(found):
        volume = read_volume(tmp_path, series=info.id)
        assert volume.geometry.spacing[0] == pytest.approx(4.0)
        np.testing.assert_allclose(error_of(volume) - 100 * index, 0, atol=0.05)


@pytest.mark.parametrize("places", [BETWEEN, OVERLAPPING, ONE_AFTER_THE_OTHER])
def test_places_in_different_frames_of_reference_are_never_one_volume(tmp_path: Path, places) -> None:
    write_passes(tmp_path, places, FrameOfReferenceUID=("1.2.7", "1.2.8"))
    with pytest.raises(ImageError, match="holds 2 stacks of slices in different frames of reference"):
        read_volume(tmp_path)
    for index, info in enumerate(list_series(tmp_path)):
        assert info.part.endswith(f"frame of reference {index + 1}")
        np.testing.assert_allclose(
            error_of(read_volume(tmp_path, series=info.id)) - 100 * index, 0, atol=0.05
        )


def test_a_frame_of_reference_that_is_missing_in_some_slices_says_nothing(tmp_path: Path) -> None:
    write_passes(tmp_path, ONE_AFTER_THE_OTHER, FrameOfReferenceUID=("1.2.7", None))
    assert read_volume(tmp_path).array.shape[0] == 20


def test_a_frame_of_reference_for_each_slice_is_an_anonymisers_and_said(tmp_path: Path) -> None:
    for number in range(5):
        write_place(tmp_path / f"{number}", (0, 0, 3.0 * number), FrameOfReferenceUID=f"1.2.{number + 1}")
    volume = read_volume(tmp_path)
    assert volume.array.shape[0] == 5
    assert volume.notes[0].startswith("Each slice has a FrameOfReferenceUID of its own")


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "SeriesNumber"])
def test_one_volume_stays_one(tmp_path: Path, keyword: str) -> None:
    values = {keyword: (1, 2)}
    # Blocks of slices, one after the other.
    write_passes(tmp_path / "blocks", ONE_AFTER_THE_OTHER, **values)
    # A few slices made again, which fill the holes of the rest.
    again = {8, 20, 28}
    write_passes(tmp_path / "again", (sorted(set(range(0, 48, 4)) - again), sorted(again)), **values)
    # One number for each slice, in the order in which they were made.
    for number, height in enumerate((0, 8, 16, 4, 12, 20)):
        write_place(tmp_path / "each" / f"{number}", (0, 0, float(height)), **{keyword: number})
    # An MR whose even slices were made before the odd ones.
    write_passes(tmp_path / "turns", (range(0, 40, 10), range(5, 45, 10)), Modality=("MR", "MR"), **values)
    for name, n_slices in (("blocks", 20), ("again", 12), ("each", 6), ("turns", 8)):
        volume = read_volume(tmp_path / name)
        assert (volume.array.shape[0], volume.notes) == (n_slices, ())


def test_an_mr_of_two_passes_without_gaps_is_two(tmp_path: Path) -> None:
    write_passes(tmp_path, BETWEEN, Modality=("MR", "MR"), AcquisitionNumber=(1, 2))
    assert [one.part for one in list_series(tmp_path)] == [
        "pass 1 of 2: acquisition 1",
        "pass 2 of 2: acquisition 2",
    ]
