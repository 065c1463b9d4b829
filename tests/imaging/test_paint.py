from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cpclnet.imaging import (
    Geometry,
    painted_axis,
    painted_plane,
    painted_slices,
    read_segmentation,
    read_volume,
)

SHAPE = (40, 50, 60)


def disc(shape: tuple[int, int, int], axis: int, index: int, radius: float = 9.0) -> NDArray[np.bool_]:
    """One slice of a disc in the middle of an array."""
    grids = np.meshgrid(*(np.arange(n) - n / 2 for n in shape), indexing="ij")
    inside = sum(g**2 for a, g in enumerate(grids) if a != axis) < radius**2
    inside &= np.moveaxis(np.indices(shape)[axis] == index, 0, 0)
    return np.asarray(inside)


def painted_on(axis: int, slices: tuple[int, ...], shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    labels = np.zeros(shape, np.uint8)
    for index in slices:
        labels[disc(shape, axis, index)] = 1
    return labels


def ball(shape: tuple[int, int, int], radii: tuple[float, float, float]) -> NDArray[np.uint8]:
    grids = np.meshgrid(
        *((np.arange(n) - n / 2) / r for n, r in zip(shape, radii, strict=True)), indexing="ij"
    )
    return np.asarray(sum(g**2 for g in grids) < 1, np.uint8)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [(20,), (12, 19, 30), (5, 6, 7), (10, 11, 25)])
def test_paint_on_single_slices_says_their_axis(axis: int, slices: tuple[int, ...]) -> None:
    labels = painted_on(axis, slices)
    assert painted_axis(labels) == axis
    assert painted_slices(labels, axis) == slices


@pytest.mark.parametrize("radii", [(15, 20, 22), (6, 20, 20), (12, 12, 12), (18, 8, 25)])
def test_a_complete_organ_says_no_axis(radii: tuple[float, float, float]) -> None:
    assert painted_axis(ball(SHAPE, radii)) is None


def test_nothing_painted_says_no_axis() -> None:
    assert painted_axis(np.zeros(SHAPE, np.uint8)) is None
    assert painted_slices(np.zeros(SHAPE, np.uint8), 1) == ()


def test_a_mask_without_gaps_is_sliced_along_the_thickest_axis_else_axially() -> None:
    labels = ball(SHAPE, (15, 20, 22))
    assert painted_plane(labels, Geometry(SHAPE, (1.0, 1.0, 1.0))) == "axial"
    assert painted_plane(labels, Geometry(SHAPE, (1.0, 1.0, 1.2))) == "axial"
    assert painted_plane(labels, Geometry(SHAPE, (1.0, 4.0, 1.0))) == "coronal"
    assert painted_plane(labels, Geometry(SHAPE, (3.3, 5.5, 5.5))) == "axial"  # as whole-body PET is stored
    assert painted_plane(labels, Geometry(SHAPE, (1.0, 4.0, 1.0)), "sagittal") == "sagittal"


@pytest.mark.parametrize(("axis", "across"), [(0, 1), (0, 2), (1, 0), (2, 0), (2, 1)])
def test_a_stroke_in_another_view_completes_no_slice(axis: int, across: int) -> None:
    labels = painted_on(axis, (12, 19, 30))
    third = 3 - axis - across
    stroke: list[slice | int] = [0, 0, 0]
    stroke[axis], stroke[across], stroke[third] = slice(4, 36), SHAPE[across] // 2 + 3, slice(22, 28)
    labels[tuple(stroke)] = 1
    held = np.flatnonzero(labels.any(axis=(across, third)))
    assert len(held) == 32  # the stroke crosses as many
    assert painted_axis(labels) == axis
    assert painted_slices(labels, axis) == (12, 19, 30)


def test_paint_on_a_crossed_slice_makes_it_count() -> None:
    labels = painted_on(0, (12, 30))
    labels[4:36, 28, 22:28] = 1
    labels[20, 20:30, 20:30] = 1
    assert painted_slices(labels, 0) == (12, 20, 30)


def test_thin_parts_of_a_complete_mask_stay_painted() -> None:
    labels = ball(SHAPE, (8, 14, 14))
    labels[5:35, 25, 28:32] = 1  # a flat vessel that leaves the organ on both sides
    assert painted_slices(labels, 0) == tuple(range(5, 35))


def test_an_axis_in_use_stays_until_the_paint_is_mostly_on_another() -> None:
    labels = painted_on(0, (12,))
    assert painted_axis(labels) == 0
    labels[disc(SHAPE, 1, 25, 14.0)] = 1
    assert painted_axis(labels, before=0) == 0
    for index in (5, 15, 35, 45):
        labels[disc(SHAPE, 1, index, 16.0)] = 1
    assert painted_axis(labels, before=0) == 1


@given(
    order=st.permutations((0, 1, 2)),
    signs=st.tuples(*[st.booleans()] * 3),
    axis=st.integers(0, 2),
    slices=st.sets(st.integers(8, 30), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_the_plane_is_that_of_the_body_however_the_array_is_turned(
    order: list[int], signs: tuple[bool, ...], axis: int, slices: set[int]
) -> None:
    apart = tuple(sorted(slices))
    straight = painted_on(axis, apart)
    flips = tuple(slice(None, None, -1 if sign else 1) for sign in signs)
    turned = straight.transpose(order)[flips]
    direction = np.zeros((3, 3))
    for array_axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        direction[world, array_axis] = -1 if sign else 1
    geometry = Geometry(turned.shape, direction=tuple(map(tuple, direction.tolist())))
    if painted_axis(straight) is not None:
        assert painted_plane(turned, geometry) == ("axial", "coronal", "sagittal")[axis]
    found = order.index(axis)
    n = turned.shape[found]
    assert painted_slices(turned, found) == tuple(
        sorted(n - 1 - i if signs[found] else i for i in painted_slices(straight, axis))
    )


@pytest.mark.parametrize(
    ("case", "axis", "slices"),
    [
        ("wide/acdc/acdc_p001f01", 0, (2, 5, 8)),
        ("wide/acdc/acdc_p021f01", 0, (4,)),
        ("wide/vb2/vb2_05", 0, (20, 38, 50)),
        ("wide/vb2/vb2_06", 0, (30, 31)),
        ("wide/cord/cord_t2", 0, (24, 26, 30)),
        ("wide/hippocampus/hippocampus_001", 1, (12, 20, 30)),
        ("abdomen_mr/mr_1", 0, (15, 20, 25)),
        ("abdomen_ct/ct_10", 1, (90, 120, 150)),
    ],
)
def test_painted_slices_of_real_scans_are_found(
    shared_data: Path, case: str, axis: int, slices: tuple[int, ...]
) -> None:
    volume = read_volume(shared_data / f"{case}_image.nii.gz")
    truth = read_segmentation(shared_data / f"{case}_label.nii.gz", like=volume).labels
    painted = np.zeros_like(truth)
    for index in slices:
        np.moveaxis(painted, axis, 0)[index] = np.moveaxis(truth, axis, 0)[index]
    assert painted_axis(painted) == axis
    assert painted_slices(painted, axis) == slices


@pytest.mark.parametrize(
    ("case", "plane"),
    [
        ("wide/acdc/acdc_p001f12", "axial"),
        ("abdomen_mr/mr_1", "axial"),
        ("abdomen_mr/mr_3", "axial"),
        ("abdomen_ct/ct_10", "axial"),
        ("abdomen_ct/ct_28", "axial"),
        ("wide/hippocampus/hippocampus_003", "axial"),
    ],
)
def test_complete_masks_of_axial_scans_are_sliced_axially(shared_data: Path, case: str, plane: str) -> None:
    volume = read_volume(shared_data / f"{case}_image.nii.gz")
    segmentation = read_segmentation(shared_data / f"{case}_label.nii.gz", like=volume)
    for value in (None, *np.unique(segmentation.labels)[1:]):
        labels = segmentation.labels if value is None else segmentation.labels == value
        assert painted_plane(labels, volume.geometry) == plane, value
        held = tuple(np.flatnonzero(labels.any(axis=(1, 2))))
        assert painted_slices(labels, 0) == held, value
