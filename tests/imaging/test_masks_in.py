"""Masks of any kind are placed on a scan by where they lie in the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.imaging.dicom.dicom_series import write_structures

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    read_segmentation,
    read_volume,
    write_segmentation,
)
from napari_cpclnet.imaging.dicom import referenced_series
from napari_cpclnet.imaging.label_resampling import merge, place

from .test_round_trip import grids

SCAN = Geometry((8, 10, 12), (4.0, 2.0, 2.0), (100.0, -20.0, 30.0))
TURNED = ((1.0, 0.0, 0.0), (0.0, np.cos(0.4), -np.sin(0.4)), (0.0, np.sin(0.4), np.cos(0.4)))


@settings(deadline=None, max_examples=40)
@given(grids(), grids(), st.integers(0, 10_000))
def test_every_voxel_gets_the_label_nearest_to_its_centre(mask: Geometry, scan: Geometry, seed: int) -> None:
    # The scan lies within a few voxels of the mask, so that they overlap in part.
    scan = Geometry(scan.shape, scan.spacing, mask.origin, scan.direction)
    labels = np.random.default_rng(seed).integers(0, 4, mask.shape).astype(np.uint8)
    found = place(Segmentation(labels, {}, mask, "m"), scan, "the scan").labels
    points = np.indices(scan.shape).reshape(3, -1).T
    index = mask.world_to_index(scan.index_to_world(points))
    # Halfway between two voxels either is right.
    clear = np.all(np.abs(index - np.floor(index) - 0.5) > 1e-6, axis=1)
    nearest = np.rint(index).astype(int)
    inside = np.all((nearest >= 0) & (nearest < np.array(mask.shape)), axis=1)
    expected = np.zeros(len(points), np.uint8)
    expected[inside] = labels[tuple(nearest[inside].T)]
    np.testing.assert_array_equal(found.ravel()[clear], expected[clear])


def test_a_mask_on_other_voxels_is_brought_over_and_the_notes_say_so(tmp_path: Path) -> None:
    fine = Geometry((16, 20, 24), (2.0, 1.0, 1.0), (99.0, -20.5, 29.5))
    labels = np.zeros(fine.shape, np.uint8)
    labels[4:10, 6:12, 6:12] = 2
    path = tmp_path / "mask.nii.gz"
    write_segmentation(Segmentation(labels, {2: "liver"}, fine, "mask"), path)
    scan = Volume(np.zeros(SCAN.shape, np.float32), SCAN, name="ct")
    found = read_segmentation(path, like=scan)
    assert found.geometry == SCAN
    assert found.volume_ml()[2] == pytest.approx(6 * 6 * 6 * 2 / 1000)
    (note,) = found.notes
    assert "resampled to the grid of ct (nearest neighbour)" in note
    with pytest.raises(GeometryError, match="another grid than ct: size"):
        read_segmentation(path, like=scan, resample=False)


@pytest.mark.parametrize(
    ("shift", "sentence"),
    [
        ((500.0, 0.0, 0.0), "outside the scan altogether"),
        ((16.0, 0.0, 0.0), "50 % of its labelled voxels lie outside the scan"),
    ],
)
def test_what_lies_outside_the_scan_is_said(tmp_path: Path, shift, sentence: str) -> None:
    moved = Geometry(SCAN.shape, SCAN.spacing, tuple(np.add(SCAN.origin, shift)), SCAN.direction)
    path = tmp_path / "mask.nrrd"
    write_segmentation(Segmentation(np.ones(SCAN.shape, np.uint8), {1: "a"}, moved, "m"), path)
    assert any(sentence in note for note in read_segmentation(path, like=SCAN).notes)


def test_a_class_too_small_for_the_scan_is_named() -> None:
    fine = Geometry((8, 8, 8))
    labels = np.zeros(fine.shape, np.uint8)
    labels[4, 4, 4], labels[:4] = 2, 1
    coarse = Geometry((2, 2, 2), (4.0, 4.0, 4.0), (1.0, 1.0, 1.0))
    found = place(Segmentation(labels, {1: "liver", 2: "cyst"}, fine, "m"), coarse, "the scan")
    assert any("cyst" in note and "liver" not in note for note in found.notes)


def test_a_picture_of_another_size_cannot_be_placed(tmp_path: Path) -> None:
    write_segmentation(
        Segmentation(np.ones((1, 4, 5), np.uint8), {}, Geometry((1, 4, 5)), "m"), tmp_path / "m.png"
    )
    with pytest.raises(GeometryError, match=r"size \(1, 4, 5\) against \(1, 4, 6\)"):
        read_segmentation(tmp_path / "m.png", like=Geometry((1, 4, 6), (1.0, 2.0, 2.0)))


def test_the_smallest_of_overlapping_segments_is_seen() -> None:
    big, small = np.ones((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    small[1, 1, 1] = True
    labels, notes = merge([(5, small), (3, big)], (3, 3, 3), {5: "tumour", 3: "body"})
    assert labels[1, 1, 1] == 5
    assert np.count_nonzero(labels == 3) == 26
    assert len(notes) == 1
    assert "body" in notes[0]


def circle(centre, radius, axes, n=90) -> np.ndarray:
    """Outline (n, 3) in world millimetres."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)[:, None]
    first, second = np.array(axes, float)
    return np.array(centre) + radius * (np.cos(t) * first + np.sin(t) * second)


FINE = Geometry((30, 60, 60), (2.0, 1.0, 1.0), (-30.0, -30.0, -30.0))


def ball(
    radius: float, step: float, axes=((0, 1, 0), (0, 0, 1)), normal=(1, 0, 0), phase=0.0
) -> list[np.ndarray]:
    heights = np.arange(-radius + phase, radius + 1e-6, step)
    return [
        circle(h * np.array(normal, float), np.sqrt(radius**2 - h**2), axes)
        for h in heights
        if radius**2 - h**2 > 0.1
    ]


@pytest.mark.parametrize(
    ("name", "axes", "normal", "step"),
    [
        ("axial, on every slice", ((0, 1, 0), (0, 0, 1)), (1, 0, 0), 2.0),
        ("axial, planes wider than slices", ((0, 1, 0), (0, 0, 1)), (1, 0, 0), 4.0),
        ("sagittal", ((1, 0, 0), (0, 1, 0)), (0, 0, 1), 1.0),
        ("oblique", ((0.8, 0.6, 0), (0, 0, 1)), (-0.6, 0.8, 0), 1.0),
    ],
)
def test_outlines_of_a_ball_fill_a_ball(tmp_path: Path, name, axes, normal, step) -> None:
    radius = 15.3
    write_structures(tmp_path / "rs.dcm", {"GTV": ball(radius, step, axes, normal, 0.3)})
    found = read_segmentation(tmp_path / "rs.dcm", like=FINE)
    world = FINE.index_to_world(np.indices(FINE.shape).reshape(3, -1).T)
    truth = (np.linalg.norm(world, axis=1) < radius).reshape(FINE.shape)
    overlap = 2 * np.count_nonzero(truth & (found.labels == 1)) / (truth.sum() + found.labels.sum())
    assert overlap > 0.93
    assert found.classes == {1: "GTV"}
    assert found.colors == {1: (255, 10, 0)}


def test_an_outline_within_an_outline_is_a_hole(tmp_path: Path) -> None:
    axes = ((0, 1, 0), (0, 0, 1))
    write_structures(
        tmp_path / "rs.dcm", {"wall": [circle((0, 0, 0), 12.2, axes), circle((0, 0, 0), 6.2, axes)]}
    )
    found = read_segmentation(tmp_path / "rs.dcm", like=FINE).labels
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == [15]  # one plane, one slice
    world = FINE.index_to_world(np.indices(FINE.shape).reshape(3, -1).T)
    distance = np.linalg.norm(world[:, 1:], axis=1).reshape(FINE.shape)[15]
    edge = (np.abs(distance - 12.2) < 0.1) | (np.abs(distance - 6.2) < 0.1)
    expected = (distance < 12.2) & (distance > 6.2)
    np.testing.assert_array_equal(found[15][~edge], expected[~edge])


def test_a_gap_between_planes_stays_empty(tmp_path: Path) -> None:
    axes = ((0, 1, 0), (0, 0, 1))
    outlines = [circle((height, 0, 0), 5.2, axes) for height in (-20, -18, -16, 10, 12)]
    write_structures(tmp_path / "rs.dcm", {"nodes": outlines})
    found = read_segmentation(tmp_path / "rs.dcm", like=FINE).labels
    assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == [5, 6, 7, 20, 21]


def test_regions_outside_points_and_lines_are_said(tmp_path: Path) -> None:
    axes = ((0, 1, 0), (0, 0, 1))
    far = Geometry(FINE.shape, FINE.spacing, (500.0, 0.0, 0.0))
    write_structures(tmp_path / "rs.dcm", {"GTV": ball(10, 2)})
    assert any("altogether" in note for note in read_segmentation(tmp_path / "rs.dcm", like=far).notes)
    write_structures(tmp_path / "p.dcm", {"GTV": [circle((0, 0, 0), 5, axes)]}, kind="OPEN_PLANAR")
    with pytest.raises(ImageError, match="without closed outlines"):
        read_segmentation(tmp_path / "p.dcm", like=FINE)


def test_a_structure_set_needs_a_scan(tmp_path: Path) -> None:
    write_structures(tmp_path / "rs.dcm", {"GTV": ball(10, 2)})
    with pytest.raises(ImageError, match="give the scan they were drawn on"):
        read_segmentation(tmp_path / "rs.dcm")
    data = pydicom.dcmread(tmp_path / "rs.dcm")
    data.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2"]
    data.save_as(tmp_path / "bad.dcm")
    with pytest.raises(ImageError, match="damaged structure set"):
        read_segmentation(tmp_path / "bad.dcm", like=FINE)


@pytest.mark.parametrize("modality", ["CT", "MR_T1", "PET"])
def test_structure_sets_of_the_sarcoma_patient_fill_the_published_masks(
    shared_data: Path, modality: str
) -> None:
    patient = shared_data / "sarcoma_ct_mr_pet"
    folder = patient / "dicom" / "STS_019" / modality
    volume = read_volume(folder / "image")
    found = read_segmentation(folder / "mask" / "RS.dcm", like=volume)
    truth = read_segmentation(patient / "nifti" / "STS_019" / f"{modality}_mask.nii.gz", like=volume)
    np.testing.assert_array_equal(found.labels, truth.labels)
    assert found.classes == {1: f"GTV_Mass_{modality}"}
    assert found.notes == ()
    header = pydicom.dcmread(next((folder / "image").iterdir()), stop_before_pixels=True)
    assert referenced_series(folder / "mask" / "RS.dcm") == header.SeriesInstanceUID


@pytest.mark.slow
def test_the_structure_set_of_the_whole_body_pet_fills_the_published_labels(shared_data: Path) -> None:
    folder = shared_data / "pet_wholebody"
    volume = read_volume(folder / "sts001_dicom_bqml" / "image")
    found = read_segmentation(folder / "sts001_dicom_bqml" / "rtstruct" / "1-1.dcm", like=volume)
    truth = read_segmentation(folder / "sts001_lesion_label.nii.gz", like=volume)
    np.testing.assert_array_equal(found.labels, truth.labels)
    assert any("overlap" in note for note in found.notes)


def test_a_flipped_label_file_lies_right_on_its_dicom_series(shared_data: Path) -> None:
    folder = shared_data / "ct_hounsfield"
    volume = read_volume(folder / "ct_dicom")
    path = folder / "example_seg_dicom.nii.gz"
    found = read_segmentation(path, like=volume)
    image = sitk.ReadImage(str(path))
    rng = np.random.default_rng(0)
    for voxel in rng.choice(np.argwhere(found.labels), 200):
        place_ = volume.geometry.index_to_world([voxel])[0][::-1]
        there = image[image.TransformPhysicalPointToIndex([float(v) for v in place_])]
        assert there == found.labels[tuple(voxel)]


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (Geometry(SCAN.shape), "its header holds no place in the patient"),
        (Geometry(SCAN.shape, direction=((1, 0, 0), (0, -1, 0), (0, 0, -1))), "its header holds no place"),
        (Geometry(SCAN.shape, SCAN.spacing), "its header holds no place in the patient"),
        (Geometry(SCAN.shape, SCAN.spacing, (100.0, 20.0, -30.0)), "its header mirrors them"),
        (
            Geometry(SCAN.shape, SCAN.spacing, (120.0, -20.0, 30.0)),
            "62 % of its labelled voxels lie outside ct",
        ),
        (
            Geometry((9, 10, 12), SCAN.spacing, (900.0, -20.0, 30.0)),
            "All of its labelled voxels lie outside ct",
        ),
    ],
)
def test_a_place_that_can_hardly_be_right_is_doubted(tmp_path: Path, header: Geometry, sentence: str) -> None:
    path = tmp_path / "mask.nii.gz"
    write_segmentation(Segmentation(np.ones(header.shape, np.uint8), {1: "a"}, header, "m"), path)
    assert sentence in read_segmentation(path, like=Volume(np.zeros(SCAN.shape), SCAN, name="ct")).doubt


@pytest.mark.parametrize(
    "header",
    [
        SCAN,
        Geometry(SCAN.shape, SCAN.spacing, (104.0, -20.0, 30.0)),
        # an array that was flipped on purpose: the axis runs the other way from its other end
        Geometry(SCAN.shape, SCAN.spacing, (128.0, -20.0, 30.0), ((-1, 0, 0), (0, 1, 0), (0, 0, 1))),
        Geometry((16, 20, 24), (2.0, 1.0, 1.0), (99.0, -20.5, 29.5)),
        Geometry((8, 10, 12), (2.0, 2.0, 2.0)),
    ],
)
def test_a_place_that_may_be_right_is_not_doubted(tmp_path: Path, header: Geometry) -> None:
    scan = (
        SCAN if header.origin != (0.0, 0.0, 0.0) else Geometry((6, 10, 12), (4.0, 2.0, 2.0), (-1.0, 0.0, 0.0))
    )
    path = tmp_path / "mask.nii.gz"
    write_segmentation(Segmentation(np.ones(header.shape, np.uint8), {1: "a"}, header, "m"), path)
    assert not read_segmentation(path, like=scan).doubt


def test_labels_that_lost_their_place_are_taken_voxel_for_voxel_when_asked(tmp_path: Path) -> None:
    labels = np.arange(np.prod(SCAN.shape)).reshape(SCAN.shape).astype(np.uint16) % 7
    path = tmp_path / "mask.nii.gz"
    write_segmentation(Segmentation(labels, {}, Geometry(SCAN.shape), "m"), path)
    found = read_segmentation(path, like=SCAN, by_voxel=True)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.geometry == SCAN and not found.doubt
    assert any("voxel for voxel" in note for note in found.notes)
    other = Geometry((8, 10, 13), SCAN.spacing, SCAN.origin)
    with pytest.raises(GeometryError, match="another size"):
        read_segmentation(path, like=other, by_voxel=True)


def test_outlines_beyond_the_scan_are_doubted(tmp_path: Path) -> None:
    square = np.array([[40.0, 100, 100], [40, 100, 110], [40, 110, 110], [40, 110, 100]])
    path = tmp_path / "rt.dcm"
    write_structures(path, {"a": [square]})
    assert "lie outside" in read_segmentation(path, like=Geometry((8, 10, 12), (4.0, 2.0, 2.0))).doubt
