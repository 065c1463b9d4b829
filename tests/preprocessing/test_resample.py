from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cpclnet.preprocessing.resample import area_matrix, linear_matrix

STEPS = st.floats(0.1, 8.0)
OFFSETS = st.floats(-0.5, 0.5)


@given(step=STEPS, offset=OFFSETS)
def test_a_ramp_stays_that_ramp_at_any_step_and_offset(step, offset):
    centres = offset + np.arange(12.0, 60.0, step)
    matrix = linear_matrix(centres, step, 80)
    np.testing.assert_allclose(matrix @ np.arange(80.0), centres, atol=2e-4)


@given(step=STEPS, offset=OFFSETS)
def test_a_constant_stays_that_constant_inside_and_is_zero_outside(step, offset):
    centres = offset + np.arange(-30.0, 60.0, step)
    for matrix in (linear_matrix(centres, step, 20), area_matrix(centres, step, 20)):
        total = matrix.sum(1)
        np.testing.assert_allclose(total[np.abs(centres - 9.5) < 10 - step / 2 - 1e-6], 1, atol=1e-5)
        np.testing.assert_allclose(total[np.abs(centres - 9.5) > 10 + step / 2 + 1e-6], 0, atol=1e-6)


@given(step=STEPS, offset=OFFSETS, seed=st.integers(0, 99))
def test_area_is_conserved(step, offset, seed):
    mask = np.random.default_rng(seed).random(25) > 0.5
    centres = offset + np.arange(-10.0, 40.0, step)
    matrix = area_matrix(centres, step, 25)
    assert (matrix @ mask).sum() * step == pytest.approx(mask.sum(), abs=1e-3)


def test_linear_interpolation_equals_numpy_where_nothing_is_averaged():
    values = np.random.default_rng(3).normal(size=30)
    centres = np.arange(1.3, 28.0, 1.0)
    np.testing.assert_allclose(
        linear_matrix(centres, 1.0, 30) @ values, np.interp(centres, np.arange(30), values), atol=1e-6
    )


def test_averaging_equals_the_integral_of_the_interpolant():
    values = np.random.default_rng(4).normal(size=40)
    step = 3.7
    centres = np.array([8.21, 20.0, 31.4])
    width = np.sqrt(step**2 - 1)
    fine = (np.arange(200_000) + 0.5) / 200_000 - 0.5
    expected = [np.interp(c + fine * width, np.arange(40), values).mean() for c in centres]
    np.testing.assert_allclose(linear_matrix(centres, step, 40) @ values, expected, atol=1e-5)


def test_a_fine_pattern_is_averaged_away_when_pixels_are_coarse():
    stripes = np.arange(200) % 2.0
    centres = np.arange(10.0, 190.0, 4.0)
    np.testing.assert_allclose(linear_matrix(centres, 4.0, 200) @ stripes, 0.5, atol=0.03)


def test_one_source_pixel_is_held_over_its_own_width():
    matrix = linear_matrix(np.linspace(-0.4, 0.4, 5), 0.2, 1)
    np.testing.assert_allclose(matrix, 1, atol=1e-6)
