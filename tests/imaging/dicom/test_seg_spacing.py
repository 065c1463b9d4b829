"""DICOM segmentations whose header does not say how far apart their slices are, or says it wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from napari_cpclnet.imaging import Geometry, ScanRef, Segmentation, read_segmentation, write_segmentation

from .dicom_series import write_scan

pytest.importorskip("highdicom")

GRID = Geometry((12, 5, 6), (3.0, 1.0, 2.0), (-30.0, 12.0, 7.0))


def segmentation(folder: Path, slices, *, stated: float | None, thickness: float | None) -> Path:
    """A segmentation with one block in these slices of the scan, and these numbers in its header."""
    write_scan(folder / "ct", GRID)
    labels = np.zeros(GRID.shape, np.uint8)
    labels[list(slices), 1:3, 2:5] = 1
    path = folder / "s.dcm"
    write_segmentation(Segmentation(labels, {1: "liver"}, GRID), path, source=ScanRef(folder / "ct"))
    data = pydicom.dcmread(path)
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    for keyword, value in (("SpacingBetweenSlices", stated), ("SliceThickness", thickness)):
        if keyword in measures:
            delattr(measures, keyword)
        if value is not None:
            setattr(measures, keyword, value)
    data.save_as(path)
    return path


def ml(n_slices: int) -> float:
    return n_slices * 6 * GRID.voxel_ml


@pytest.mark.parametrize("stated", [None, 1.5])
@pytest.mark.parametrize("thickness", [None, 1.5, 1.0, 3.0, 5.0])
@pytest.mark.parametrize("slices", [(1, 2, 3, 4, 5), (1, 2, 5), (1, 3, 4, 8), (2, 3)])
def test_on_its_scan_every_voxel_is_right(tmp_path: Path, slices, thickness, stated) -> None:
    path = segmentation(tmp_path, slices, stated=stated, thickness=thickness)
    found = read_segmentation(path, like=GRID)
    assert np.flatnonzero(found.labels.any(axis=(1, 2))).tolist() == list(slices)
    assert found.volume_ml()[1] == pytest.approx(ml(len(slices)))


@pytest.mark.parametrize("thickness", [None, 1.5, 1.0, 3.0, 5.0])
@pytest.mark.parametrize("slices", [(1, 2, 3, 4, 5), (1, 2, 5), (1, 3, 4, 8), (2, 3), (1, 3, 6)])
def test_alone_the_positions_tell_how_far_apart_slices_are(tmp_path: Path, slices, thickness) -> None:
    found = read_segmentation(segmentation(tmp_path, slices, stated=None, thickness=thickness))
    assert found.geometry.spacing[0] == pytest.approx(3.0)
    assert found.volume_ml()[1] == pytest.approx(ml(len(slices)))
    assert found.notes == ()


def test_single_slices_far_apart_are_as_thick_as_they_say_and_that_is_said(tmp_path: Path) -> None:
    found = read_segmentation(segmentation(tmp_path, (1, 9), stated=None, thickness=3.0))
    assert found.volume_ml()[1] == pytest.approx(ml(2))
    assert found.notes == ("The distance of its slices is missing; their thickness, 3 mm, is taken for it.",)


def test_painting_every_third_slice_leaves_the_others_empty(tmp_path: Path) -> None:
    found = read_segmentation(segmentation(tmp_path, (1, 4, 7, 10), stated=3.0, thickness=3.0))
    assert np.flatnonzero(found.labels.any(axis=(1, 2))).tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("stated", [None, 3.0])
def test_on_a_finer_scan_of_the_patient_no_slice_stays_empty(tmp_path: Path, stated) -> None:
    path = segmentation(tmp_path, (1, 2, 3), stated=stated, thickness=3.0)
    fine = Geometry((36, 5, 6), (1.0, 1.0, 2.0), (-31.0, 12.0, 7.0))
    found = read_segmentation(path, like=fine)
    assert np.flatnonzero(found.labels.any(axis=(1, 2))).tolist() == list(range(3, 12))


def test_one_slice_without_any_thickness_says_what_is_assumed(tmp_path: Path) -> None:
    path = segmentation(tmp_path, (4,), stated=None, thickness=None)
    assert read_segmentation(path).notes == ("The slice thickness is missing; 1 mm is assumed.",)
    assert read_segmentation(path, like=GRID).volume_ml()[1] == pytest.approx(ml(1))
