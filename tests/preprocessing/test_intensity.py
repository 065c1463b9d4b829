from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.preprocessing import PreprocessingSettings, intensity_range, normalise
from napari_cpclnet.preprocessing.intensity import background_threshold, sample_voxels

SETTINGS = PreprocessingSettings()


def volume(array, modality="other", unit=""):
    return Volume(array, Geometry(array.shape), modality, unit)


@pytest.mark.parametrize(
    ("modality", "unit", "expected"),
    [("CT", "HU", (-125, 275)), ("CT", "HU8", (0, 255)), ("PT", "SUVbw", (0, 10))],
)
def test_units_with_a_meaning_have_a_fixed_range(modality, unit, expected):
    noise = np.random.default_rng(0).normal(0, 500, (4, 20, 20)).astype(np.float32)
    assert intensity_range(volume(noise, modality, unit), SETTINGS) == expected


def body_in_air(side: int, tissue: float = 300.0) -> np.ndarray:
    rng = np.random.default_rng(1)
    array = np.abs(rng.normal(0, 4, (12, side, side)))
    middle = slice(side // 2 - 16, side // 2 + 16)
    array[:, middle, middle] = rng.normal(tissue, 60, (12, 32, 32))
    return array


@pytest.mark.parametrize(("modality", "unit"), [("MR", ""), ("PT", "Bq/ml"), ("other", ""), ("CT", "")])
def test_the_white_point_of_an_unknown_unit_does_not_depend_on_the_amount_of_air(modality, unit):
    tight = intensity_range(volume(body_in_air(36), modality, unit), SETTINGS)
    wide = intensity_range(volume(body_in_air(160), modality, unit), SETTINGS)
    assert wide[1] == pytest.approx(tight[1], rel=0.03)
    assert tight[1] == pytest.approx(300 + 2.576 * 60, rel=0.05)
    assert 0 <= wide[0] < 10


def test_white_scales_with_the_intensities():
    array = body_in_air(64)
    low, high = intensity_range(volume(array, "MR"), SETTINGS)
    low3, high3 = intensity_range(volume(array * 1000, "MR"), SETTINGS)
    assert (low3, high3) == pytest.approx((low * 1000, high * 1000), rel=1e-3)


@pytest.mark.parametrize("air_part", [0.3, 0.6, 0.9])
def test_the_background_threshold_separates_air_from_dark_and_bright_tissue(air_part):
    rng = np.random.default_rng(2)
    n = 100_000
    air = np.abs(rng.normal(0, 4, int(n * air_part)))
    tissue = rng.uniform(90, 500, int(n * (1 - air_part)))
    threshold = background_threshold(np.concatenate([air, tissue]))
    assert np.mean(air < threshold) > 0.99
    assert np.mean(tissue > threshold) > 0.8


def test_normalise_clips_to_the_unit_interval():
    out = normalise(np.array([-1000, -125, 75, 275, 3000], np.int16), (-125, 275))
    np.testing.assert_allclose(out, [0, 0, 0.5, 1, 1])
    assert out.dtype == np.float32


def test_normalise_keeps_steps_of_large_integers():
    out = normalise(np.array([2**30, 2**30 + 1, 2**30 + 2], np.int32), (2**30, 2**30 + 2))
    np.testing.assert_allclose(out, [0, 0.5, 1])


def test_a_constant_image_becomes_zero():
    array = np.full((3, 8, 8), 7, np.uint16)
    found = intensity_range(volume(array, "MR"), SETTINGS)
    out = normalise(array, found)
    assert not out.any()
    assert np.isfinite(out).all()


@pytest.mark.parametrize("shape", [(1, 3000, 3000), (400, 300, 200), (3, 2, 500_000), (2, 2, 2)])
def test_the_sample_is_bounded_and_spread(shape):
    ramp = np.broadcast_to(np.linspace(0, 1, shape[2], dtype=np.float32), shape)
    sample = sample_voxels(ramp)
    assert 0 < sample.size <= 800_000
    assert np.median(sample) == pytest.approx(0.5, abs=0.02)
