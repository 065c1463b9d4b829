"""Scores against hand-computed values, SimpleITK, MONAI and brute force."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_hausdorff_distance, compute_surface_dice

from napari_cpclnet.evaluation import score
from napari_cpclnet.evaluation.metrics import hausdorff_95, normalised_surface_dice
from napari_cpclnet.imaging import Geometry


def block(shape: tuple[int, int, int], *bounds: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*b) for b in bounds)] = True
    return mask


def blobs(seed: int, shape: tuple[int, int, int] = (14, 20, 18)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = sitk.GetArrayFromImage(sitk.DiscreteGaussian(sitk.GetImageFromArray(noise), 3.0))
    return smooth > np.quantile(smooth, 0.8)


def test_scores_of_a_shifted_block_are_those_computed_by_hand() -> None:
    # 4 slices of 6 x 6 voxels of 5 x 2 x 2 mm = 0.02 ml; the prediction lies two columns to the right
    geometry = Geometry((10, 12, 14), (5.0, 2.0, 2.0))
    truth = block(geometry.shape, (3, 7), (3, 9), (3, 9))
    predicted = block(geometry.shape, (3, 7), (3, 9), (5, 11))
    found = score(predicted, truth, geometry, axis=0)
    assert found.dice == pytest.approx(4 / 6)
    assert found.truth_ml == pytest.approx(4 * 36 * 0.02)
    assert found.predicted_ml == pytest.approx(found.truth_ml)
    assert found.relative_volume_error == 0
    assert found.false_ml == 0
    assert found.hd95_mm == pytest.approx(4.0)
    assert not found.absent


def test_false_positive_ml_counts_only_slices_without_the_organ() -> None:
    geometry = Geometry((10, 12, 14), (5.0, 2.0, 2.0))
    truth = block(geometry.shape, (3, 7), (3, 9), (3, 9))
    predicted = (
        truth | block(geometry.shape, (0, 2), (0, 5), (0, 10)) | block(geometry.shape, (5, 6), (0, 1), (0, 9))
    )
    found = score(predicted, truth, geometry, axis=0)
    assert found.false_ml == pytest.approx(2 * 50 * 0.02)
    assert found.relative_volume_error == pytest.approx((100 + 9) / 144)
    # along another axis other slices are free of the organ
    assert score(predicted, truth, geometry, axis=1).false_ml == pytest.approx((2 * 30 + 9) * 0.02)


@pytest.mark.parametrize("seed", range(4))
def test_dice_and_volumes_agree_with_simpleitk(seed: int) -> None:
    geometry = Geometry((14, 20, 18), (4.0, 1.5, 0.7))
    predicted, truth = blobs(seed), blobs(seed + 10)
    measures = sitk.LabelOverlapMeasuresImageFilter()
    measures.Execute(geometry.to_sitk(truth), geometry.to_sitk(predicted))
    found = score(predicted, truth, geometry, axis=0)
    assert found.dice == pytest.approx(measures.GetDiceCoefficient(1))
    similarity = 2 * (found.predicted_ml - found.truth_ml) / (found.predicted_ml + found.truth_ml)
    # SimpleITK's sign has changed between its versions
    assert abs(similarity) == pytest.approx(abs(measures.GetVolumeSimilarity(1)))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.25, 0.8), (0.7, 3.0, 2.0)])
@pytest.mark.parametrize("seed", range(3))
def test_surface_measures_are_monais(seed: int, spacing: tuple[float, float, float]) -> None:
    a, b = blobs(seed), blobs(seed + 20)
    tensors = [torch.from_numpy(m)[None, None] for m in (a, b)]
    dice = compute_surface_dice(*tensors, [2.0], include_background=True, spacing=spacing, use_subvoxels=True)
    assert normalised_surface_dice(a, b, spacing, 2.0) == pytest.approx(float(dice), abs=1e-5)
    hd95 = compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=spacing)
    assert hausdorff_95(a, b, spacing) == pytest.approx(float(hd95), rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_hd95_lies_below_simpleitks_hausdorff_distance_and_all_of_it_equals_that(seed: int) -> None:
    spacing = (4.0, 1.5, 0.7)
    geometry = Geometry((14, 20, 18), spacing)
    a, b = blobs(seed), blobs(seed + 30)
    oracle = sitk.HausdorffDistanceImageFilter()
    oracle.Execute(geometry.to_sitk(a), geometry.to_sitk(b))
    assert 0 < hausdorff_95(a, b, spacing) <= oracle.GetHausdorffDistance() + 1e-6
    # a shifted copy has one distance everywhere on the shifted faces, so all percentiles agree
    one = block(geometry.shape, (2, 9), (5, 6), (5, 6))
    other = block(geometry.shape, (2, 9), (12, 13), (5, 6))
    oracle.Execute(geometry.to_sitk(one), geometry.to_sitk(other))
    assert hausdorff_95(one, other, spacing) == pytest.approx(oracle.GetHausdorffDistance(), rel=1e-5)


def test_spacing_decides_what_is_within_the_tolerance() -> None:
    shape = (12, 12, 12)
    truth = block(shape, (3, 8), (3, 8), (3, 8))
    along_z, along_x = np.roll(truth, 1, 0), np.roll(truth, 1, 2)
    spacing = (5.0, 1.0, 1.0)
    assert normalised_surface_dice(along_x, truth, spacing, 2.0) == 1.0
    shifted = normalised_surface_dice(along_z, truth, spacing, 2.0)
    # of the two blocks of 25 x 5 x 5 mm the faces at both ends are 5 mm off, and a slice of the sides; all else agrees
    assert 0.7 < shifted < 0.95
    assert hausdorff_95(along_z, truth, spacing) == pytest.approx(5.0)


def test_a_distance_equal_to_the_tolerance_counts_as_agreement() -> None:
    shape = (8, 8, 12)
    truth = block(shape, (2, 6), (2, 6), (2, 6))
    moved = block(shape, (2, 6), (2, 6), (4, 8))
    assert normalised_surface_dice(moved, truth, (1.0, 1.0, 1.0), 2.0) == 1.0
    assert normalised_surface_dice(moved, truth, (1.0, 1.0, 1.0), 1.99) < 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.tuples(*[st.floats(0.3, 6)] * 3))
def test_surface_measures_do_not_know_which_mask_is_the_truth(
    seed: int, spacing: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.random((5, 6, 7)) < 0.15 for _ in range(2))
    a[2, 2, 2] = b[3, 3, 3] = True
    assert normalised_surface_dice(a, b, spacing, 2.0) == pytest.approx(
        normalised_surface_dice(b, a, spacing, 2.0)
    )
    assert hausdorff_95(a, b, spacing) == pytest.approx(hausdorff_95(b, a, spacing))
    assert normalised_surface_dice(a, a, spacing, 0.01) == 1.0
    assert hausdorff_95(a, a, spacing) == 0.0


def test_hd95_agrees_with_brute_force_over_all_pairs_of_border_voxels() -> None:
    spacing = np.array((3.0, 1.0, 2.0))
    a, b = blobs(5), blobs(6)

    def border(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, 1)
        inside = np.ones(mask.shape, bool)
        for axis in range(3):
            for step in (-1, 1):
                inside &= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
        return np.argwhere(mask & ~inside) * spacing

    far = np.linalg.norm(border(a)[:, None] - border(b)[None], axis=2)
    expected = max(np.percentile(far.min(1), 95), np.percentile(far.min(0), 95))
    assert hausdorff_95(a, b, spacing) == pytest.approx(expected)


def test_an_absent_organ_gets_no_invented_score() -> None:
    geometry = Geometry((6, 8, 8), (5.0, 2.0, 2.0))
    truth = np.zeros(geometry.shape, bool)
    for predicted in (truth, block(geometry.shape, (1, 3), (1, 4), (1, 4))):
        found = score(predicted, truth, geometry, axis=0)
        assert found.absent
        assert all(
            math.isnan(v)
            for v in (found.dice, found.surface_dice, found.hd95_mm, found.relative_volume_error)
        )
        assert found.false_ml == found.predicted_ml == pytest.approx(predicted.sum() * 0.02)


def test_a_missed_organ_has_dice_zero_and_no_distance() -> None:
    geometry = Geometry((6, 8, 8), (5.0, 2.0, 2.0))
    found = score(
        np.zeros(geometry.shape, bool), block(geometry.shape, (1, 3), (1, 4), (1, 4)), geometry, axis=0
    )
    assert (found.dice, found.surface_dice, found.relative_volume_error) == (0, 0, -1)
    assert math.isnan(found.hd95_mm)
    assert not found.absent


def test_slices_that_were_given_count_neither_for_nor_against_the_prediction() -> None:
    geometry = Geometry((6, 8, 8), (5.0, 2.0, 2.0))
    truth = block(geometry.shape, (1, 5), (2, 6), (2, 6))
    predicted = block(geometry.shape, (1, 3), (2, 6), (2, 6))
    whole = score(predicted, truth, geometry, axis=0)
    assert whole.dice == pytest.approx(2 * 2 / 6)
    rest = score(predicted, truth, geometry, axis=0, left_out=(1,))
    assert rest.dice == pytest.approx(2 * 1 / 4)
    assert rest.truth_ml == pytest.approx(3 * 16 * 0.02)
    nothing = np.zeros(geometry.shape, bool)
    assert score(nothing, truth, geometry, axis=0, left_out=(1,)).dice == 0


def test_masks_on_different_grids_are_refused() -> None:
    mask = np.zeros((4, 4, 4), bool)
    with pytest.raises(ValueError, match="shapes differ"):
        score(mask, mask, Geometry((4, 4, 5)), axis=0)


def test_an_abdominal_ct_is_scored_in_little_time_even_where_the_prediction_is_scattered() -> None:
    z, y, x = np.ogrid[:144, :257, :257]
    geometry = Geometry((144, 257, 257), (3.0, 1.4, 1.4))
    truth = ((z - 80) / 25) ** 2 + ((y - 120) / 60) ** 2 + ((x - 90) / 55) ** 2 < 1
    predicted = ((z - 83) / 25) ** 2 + ((y - 124) / 60) ** 2 + ((x - 90) / 52) ** 2 < 1
    predicted[2, 2, 2] = predicted[140, 250, 250] = True
    started = time.process_time()
    score(predicted, truth, geometry, axis=0)
    assert time.process_time() - started < 1.5
