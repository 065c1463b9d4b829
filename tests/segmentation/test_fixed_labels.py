from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_cpclnet.segmentation import FixedLabels

SHAPE = (4, 5, 6)


@pytest.mark.parametrize(("axis", "other"), itertools.product(range(3), range(3)))
def test_a_slice_gets_what_the_volume_gets(axis, other):
    rng = np.random.default_rng(axis * 3 + other)
    flat = tuple(n for a, n in enumerate(SHAPE) if a != other)
    painted = FixedLabels(((other, 2, rng.integers(1, 9, flat).astype(np.uint32)),))
    labels = np.zeros(SHAPE, np.uint8)
    painted.apply(labels)
    for index in range(SHAPE[axis]):
        one = np.zeros(tuple(n for a, n in enumerate(SHAPE) if a != axis), np.uint8)
        painted.apply_to_slice(one, axis, index)
        np.testing.assert_array_equal(one, np.take(labels, index, axis))
    np.testing.assert_array_equal(painted.mask(SHAPE), labels > 0)


def test_a_slice_is_found_by_axis_and_index():
    values = np.ones((5, 6), np.uint32)
    painted = FixedLabels(((0, 3, values),))
    assert painted.slice(0, 3) is values
    assert painted.slice(0, 2) is None
    assert painted.slice(1, 3) is None
