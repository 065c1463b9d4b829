from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.segmentation import FixedLabels, PostprocessingSettings, postprocess
from napari_cpclnet.segmentation.postprocessing import close_gaps, fill_holes, keep_pieces
from napari_cpclnet.segmentation.random_walker import refine_slice

NOTHING = PostprocessingSettings(largest_component=False, fill_holes=False)
SPACING = (5.0, 1.0, 2.0)


def tidy(labels, settings, painted=None, array=None, spacing=SPACING, plane="axial"):
    array = np.zeros(labels.shape, np.float32) if array is None else array
    volume = Volume(array, Geometry(labels.shape, spacing), "CT", "HU")
    grid = ModelGrid.for_volume(volume, plane, PreprocessingSettings())
    return postprocess(labels, volume, grid, settings, painted)


def only(**kwargs):
    return NOTHING.model_copy(update=kwargs)


@pytest.fixture
def labels():
    """Class 1: a large and a small piece. Class 2: one piece, smaller than the small one of class 1."""
    labels = np.zeros((8, 40, 40), np.uint8)
    labels[1:7, 5:20, 5:20] = 1
    labels[2:5, 28:34, 5:12] = 1
    labels[3:5, 28:32, 25:30] = 2
    return labels


def test_no_setting_changes_nothing_and_the_input_is_never_changed(labels):
    before = labels.copy()
    np.testing.assert_array_equal(tidy(labels, NOTHING), before)
    tidy(labels, PostprocessingSettings(minimum_ml=1, closing_mm=5, refine=True))
    np.testing.assert_array_equal(labels, before)


def test_the_largest_piece_is_chosen_per_class_and_in_three_dimensions(labels):
    expected = labels.copy()
    expected[2:5, 28:34, 5:12] = 0
    np.testing.assert_array_equal(tidy(labels, only(largest_component=True)), expected)


def test_pieces_that_touch_at_a_corner_are_one():
    labels = np.zeros((4, 10, 10), np.uint8)
    labels[1, 2:5, 2:5] = 1
    labels[2, 5:7, 5:7] = 1
    np.testing.assert_array_equal(tidy(labels, only(largest_component=True)), labels)


def test_a_painted_piece_stays_even_if_it_is_small(labels):
    piece = labels[3].copy()
    painted = FixedLabels(((0, 3, piece.astype(np.uint32)),))
    np.testing.assert_array_equal(tidy(labels, only(largest_component=True, minimum_ml=100), painted), labels)


def test_painting_a_slice_as_empty_splits_and_stays(labels):
    painted = FixedLabels(((0, 3, np.zeros((40, 40), np.uint32)),))
    out = tidy(labels, PostprocessingSettings(closing_mm=20, refine=True), painted)
    assert not out[3].any()
    assert (out[4:7] == 1).any()  # the larger part of what was cut in two


def test_small_pieces_go_by_their_volume_in_ml(labels):
    voxel = 0.01  # 5 x 1 x 2 mm
    sizes = {"large": 6 * 15 * 15 * voxel, "small": 3 * 6 * 7 * voxel, "other": 2 * 4 * 5 * voxel}
    between = (sizes["small"] + sizes["other"]) / 2
    out = tidy(labels, only(minimum_ml=between))
    assert not (out == 2).any()
    np.testing.assert_array_equal(out == 1, labels == 1)
    assert np.count_nonzero(tidy(labels, only(minimum_ml=sizes["small"] * 1.01))) == 6 * 15 * 15
    assert not tidy(labels, only(minimum_ml=1000)).any()


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_holes_are_filled_within_slices_of_the_plane(plane):
    axis = {"axial": 0, "coronal": 1, "sagittal": 2}[plane]
    labels = np.ones((9, 9, 9), np.uint8)
    open_ended = tuple(slice(None) if a == axis else slice(4, 5) for a in range(3))
    labels[open_ended] = 0  # a tunnel along the slice axis: a hole in every slice, none in 3-D
    assert (tidy(labels, only(fill_holes=True), plane=plane) == 1).all()


def test_a_hole_keeps_another_class_in_it():
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[1, 2:18, 2:18] = 1
    labels[1, 6:12, 6:12] = 0
    labels[1, 8:10, 8:10] = 2
    out = tidy(labels, only(fill_holes=True))
    assert (out[1, 8:10, 8:10] == 2).all()
    assert (out[1, 2:18, 2:18] > 0).all()
    assert np.count_nonzero(out) == 16 * 16


def test_a_bay_is_no_hole():
    labels = np.zeros((1, 12, 12), np.uint8)
    labels[0, 2:10, 2:10] = 1
    labels[0, 4:8, 2:6] = 0
    np.testing.assert_array_equal(tidy(labels, only(fill_holes=True)), labels)


def test_filling_equals_scipy_slice_by_slice():
    mask = np.random.default_rng(0).random((5, 30, 30)) > 0.4
    expected = np.stack([ndimage.binary_fill_holes(m) for m in mask])
    np.testing.assert_array_equal(fill_holes(mask, 0), expected)
    np.testing.assert_array_equal(fill_holes(mask.transpose(1, 0, 2), 1), expected.transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("axis", "gap", "closed"),
    [(0, 2, True), (0, 3, False), (1, 10, True), (1, 11, False), (2, 4, True), (2, 5, False)],
)
def test_closing_bridges_gaps_in_millimetres_along_any_axis(axis, gap, closed):
    # a radius of 5.2 mm reaches 1 voxel of 5 mm, 5 of 1 mm, 2 of 2 mm from either side
    mask = np.ones((20, 30, 30), bool)
    mask[tuple(slice(8, 8 + gap) if a == axis else slice(None) for a in range(3))] = False
    out = close_gaps(mask, 5.2, SPACING)
    middle = tuple(8 + gap // 2 if a == axis else n // 2 for a, n in enumerate(mask.shape))
    assert out[middle] == closed
    assert (out | ~mask).all()


def test_closing_equals_a_closing_with_an_explicit_ball():
    rng = np.random.default_rng(1)
    mask = ndimage.gaussian_filter(rng.normal(size=(14, 30, 30)), 2) > 0.05
    radius, reach = 6.0, [int(6.0 // s) for s in SPACING]
    grid = np.meshgrid(
        *(np.arange(-r, r + 1) * s for r, s in zip(reach, SPACING, strict=True)), indexing="ij"
    )
    ball = sum(g**2 for g in grid) <= radius**2
    padded = np.pad(mask, 8)
    expected = ndimage.binary_closing(padded, ball)[8:-8, 8:-8, 8:-8]
    np.testing.assert_array_equal(close_gaps(mask, radius, SPACING), expected)


def test_closing_takes_nothing_from_other_classes():
    labels = np.zeros((1, 12, 30), np.uint8)
    labels[0, 4:8, 2:10] = 1
    labels[0, 4:8, 13:20] = 1
    labels[0, 4:6, 10:13] = 2
    out = tidy(labels, only(closing_mm=8.0), spacing=(5, 1, 1))
    np.testing.assert_array_equal(out == 2, labels == 2)
    assert (out[0, 6, 10:13] == 1).all()


def test_keep_pieces_of_nothing_is_nothing():
    empty = np.zeros((2, 3, 4), bool)
    assert not keep_pieces(empty, 1, only_largest=True).any()
    assert not tidy(np.zeros((2, 30, 40), np.uint8), PostprocessingSettings(refine=True, closing_mm=3)).any()


def edge_picture(noise=0.0):
    """A bright disk of radius 20 on dark ground, and a label that is too small by 3 pixels and shifted by 2."""
    y, x = np.meshgrid(np.arange(90), np.arange(90), indexing="ij")
    truth = (y - 45) ** 2 + (x - 45) ** 2 < 20**2
    start = (y - 45) ** 2 + (x - 47) ** 2 < 17**2
    picture = np.where(truth, 120.0, 40.0) + np.random.default_rng(2).normal(0, noise, truth.shape)
    return picture.astype(np.float32), truth, start.astype(np.uint8)


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


@pytest.mark.parametrize("noise", [0.0, 10.0])
def test_refinement_moves_a_boundary_to_the_edge(noise):
    picture, truth, start = edge_picture(noise)
    refined = refine_slice(start, picture, (-125, 275), (1.0, 1.0), 6.0)
    assert dice(start == 1, truth) < 0.88
    assert dice(refined == 1, truth) > 0.97


def test_refinement_moves_no_boundary_further_than_the_band():
    picture, _truth, start = edge_picture()
    picture = np.roll(picture, 25, axis=1)  # the edge is far from the label
    refined = refine_slice(start, picture, (-125, 275), (1.0, 1.0), 4.0)
    inside = ndimage.distance_transform_edt(start) > 4.0
    outside = ndimage.distance_transform_edt(start == 0) > 4.0
    assert (refined[inside] == 1).all()
    assert not refined[outside].any()


def test_refinement_in_a_flat_picture_changes_nothing():
    _, _, start = edge_picture()
    np.testing.assert_array_equal(refine_slice(start, np.zeros((90, 90)), (0, 1), (1.0, 1.0), 4.0), start)


def test_refinement_keeps_thin_pieces_and_two_neighbours_apart():
    picture = np.full((60, 60), 20.0, np.float32)
    picture[20:40, 10:30], picture[20:40, 30:50], picture[50:52, 10:50] = 100, 180, 250
    labels = np.zeros((60, 60), np.uint16)
    labels[20:40, 10:28], labels[20:40, 28:50], labels[50:52, 10:50] = 5, 300, 9
    refined = refine_slice(labels, picture, (0, 275), (1.0, 1.0), 4.0)
    assert refined.dtype == np.uint16
    assert set(np.unique(refined)) == {0, 5, 9, 300}
    assert (refined[22:38, 28] == 5).all()  # the boundary between the two moved to the edge between them
    assert (refined[22:38, 31] == 300).all()
    assert (refined[50:52, 12:48] == 9).mean() > 0.9


def test_refinement_in_three_dimensions_never_touches_painted_slices():
    picture, truth, start = edge_picture()
    array, labels = np.stack([picture] * 3), np.stack([start] * 3)
    painted = FixedLabels(((0, 1, start.astype(np.uint32)),))
    out = tidy(labels, only(refine=True, refine_band_mm=6.0), painted, array, spacing=(5, 1, 1))
    np.testing.assert_array_equal(out[1], start)
    assert dice(out[0] == 1, truth) > 0.97


@pytest.mark.slow
def test_refinement_of_a_large_slice_takes_bounded_time():
    import time

    y, x = np.meshgrid(np.arange(512), np.arange(512), indexing="ij")
    labels = ((y - 256) ** 2 + (x - 256) ** 2 < 150**2).astype(np.uint8)
    picture = np.random.default_rng(3).normal(0, 60, labels.shape)
    start = time.process_time()  # of our own: the machine may be busy
    refine_slice(labels, picture, (-125, 275), (0.7, 0.7), 4.0)
    assert time.process_time() - start < 15  # several times what it takes, for a busy machine
