from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import measure

from napari_cpclnet.preprocessing.pseudo_labels.merge import merge_regions, neighbour_pairs, renumbered

LIMITS = {"distance": 0.1, "texture_weight": 1.0, "reference_area": 8.0, "minimum_area": 0.0}


def merge(regions, grey, detail=None, **changes):
    detail = np.zeros_like(grey) if detail is None else detail
    return merge_regions(regions, grey.astype(np.float32), detail.astype(np.float32), **{**LIMITS, **changes})


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 4, (6, 7)).repeat(2, axis=0).repeat(2, axis=1)
    regions = measure.label(blocks, background=0, connectivity=1)
    return regions, rng.uniform(size=regions.shape), rng.normal(0, 0.2, regions.shape)


def brute_force_pairs(regions: np.ndarray) -> set[tuple[int, int]]:
    found = set()
    for r, c in np.ndindex(regions.shape):
        for other in ((r + 1, c), (r, c + 1)):
            if other[0] < regions.shape[0] and other[1] < regions.shape[1]:
                low, high = sorted((int(regions[r, c]), int(regions[other])))
                if 0 < low < high:
                    found.add((low, high))
    return found


def brute_force_merge(regions, grey, detail, *, distance, texture_weight, reference_area):
    """Everything computed anew from the pixels after each merge."""
    regions = regions.copy()

    def cost(a, b):
        one, other = regions == a, regions == b
        texture = [np.sqrt(np.mean(detail[m] ** 2)) for m in (one, other)]
        apart = np.hypot(grey[one].mean() - grey[other].mean(), texture_weight * (texture[0] - texture[1]))
        area = one.sum() * other.sum() / (one.sum() + other.sum())
        return apart * np.sqrt(area / reference_area)

    while pairs := brute_force_pairs(regions):
        cheapest = min(pairs, key=lambda pair: cost(*pair))
        if cost(*cheapest) > distance:
            break
        regions[regions == cheapest[1]] = cheapest[0]
    return regions


@given(hnp.arrays(np.intp, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 4)))
def test_neighbours_are_those_that_share_a_side(regions):
    assert {tuple(pair) for pair in neighbour_pairs(regions).tolist()} == brute_force_pairs(regions)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.5))
def test_the_cheapest_pair_goes_first_as_in_a_search_over_all_pixels(seed, distance):
    regions, grey, detail = random_case(seed)
    limits = {"distance": distance, "texture_weight": 0.7, "reference_area": 8.0}
    found = merge(regions, grey, detail, **limits)
    expected = brute_force_merge(regions, grey.astype(np.float32), detail.astype(np.float32), **limits)
    np.testing.assert_array_equal(found, renumbered(expected))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5), st.integers(0, 40))
def test_merged_regions_are_connected_unions(seed, distance, minimum):
    regions, grey, detail = random_case(seed)
    found = merge(regions, grey, detail, distance=distance, minimum_area=minimum)
    np.testing.assert_array_equal(found == 0, regions == 0)
    for value in range(1, regions.max() + 1):
        assert len(np.unique(found[regions == value])) == 1
    assert measure.label(found, background=0, connectivity=1).max() == found.max()
    alone = {int(v) for v in np.unique(found)} - {0} - set(itertools.chain(*brute_force_pairs(found)))
    for value, area in enumerate(np.bincount(found.ravel())[1:], start=1):
        assert area >= minimum or value in alone


def test_texture_keeps_regions_of_one_grey_value_apart():
    regions = np.repeat([[1, 2]], 8, axis=0).repeat(8, axis=1)
    rng = np.random.default_rng(0)
    rough = np.where(regions == 2, rng.normal(0, 0.3, regions.shape), 0)
    flat = np.full(regions.shape, 0.5)
    assert merge(regions, flat, rough).max() == 2
    assert merge(regions, flat, rough, texture_weight=0.0).max() == 1


def test_a_crumb_goes_to_the_neighbour_it_resembles():
    regions = np.repeat([[1, 2, 3]], 6, axis=0).repeat([6, 1, 6], axis=1)
    grey = np.choose(regions, [0, 0.2, 0.5, 0.6])
    found = merge(regions, grey, distance=0.0, minimum_area=10)
    assert found[0, 6] == found[0, 12] != found[0, 0]


def test_only_background_stays_background():
    assert not merge(np.zeros((4, 5), np.intp), np.zeros((4, 5))).any()


@pytest.mark.parametrize("start", [0, 1])
def test_numbers_follow_reading_order(start):
    given_numbers = np.array([[7, 7, 3], [start * 9, 3, 5]])
    np.testing.assert_array_equal(renumbered(given_numbers), [[1, 1, 2], [start * 3, 2, 3 + start]])
