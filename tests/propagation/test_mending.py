"""A class mended by strokes: what changes, what stays, and how long it takes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_cpclnet.propagation import mending

SPACING = (4.0, 1.5, 1.5)


def dice(a, b):
    return 2 * np.sum(a & b) / max(a.sum() + b.sum(), 1)


@pytest.fixture
def ball():
    """A bright ball in noise, beside another one, and the mask of the first."""
    rng = np.random.default_rng(0)
    z, y, x = np.meshgrid(np.arange(13), np.arange(80), np.arange(90), indexing="ij")
    first = ((z - 6) * 2.67) ** 2 + (y - 40) ** 2 + (x - 30) ** 2 < 16**2
    other = ((z - 6) * 2.67) ** 2 + (y - 40) ** 2 + (x - 68) ** 2 < 14**2
    array = 90.0 * (first | other) + rng.normal(0, 9, first.shape)
    return array.astype(np.float32), first


def point(shape, *place):
    stroke = np.zeros(shape, bool)
    stroke[tuple(slice(p - 1, p + 2) for p in place)] = True
    return stroke


def test_a_point_adds_what_is_missing_as_far_as_the_edge(ball):
    array, truth = ball
    present = truth[6] & (np.arange(90) < 30)
    after = mending.mended_slice(array[6], SPACING[1:], present, point(present.shape, 40, 38), add=True)
    assert dice(after, truth[6]) > 0.97
    assert after[present].all()


def test_a_point_takes_away_what_is_too_much_as_far_as_the_edge(ball):
    array, truth = ball
    present = truth[6] | ((np.arange(80) < 52) & (np.arange(80) > 34))[:, None] & (np.arange(90) < 50) & (
        np.arange(90) > 40
    )
    after = mending.mended_slice(array[6], SPACING[1:], present, point(present.shape, 44, 49), add=False)
    assert dice(after, truth[6]) > dice(present, truth[6])
    assert dice(after, truth[6]) > 0.95


def test_what_lies_far_from_the_stroke_stays(ball):
    array, truth = ball
    present = truth[6].copy()
    present[:6, 80:] = True  # wrong, but far away
    present[40:, 30:] = False
    after = mending.mended_slice(array[6], SPACING[1:], present, point(present.shape, 46, 34), add=True)
    np.testing.assert_array_equal(after[:6, 80:], True)


def test_slices_around_follow_and_the_mended_one_stays_as_it_is(ball):
    array, truth = ball
    present = truth & (np.arange(90) < 30)
    mended = mending.mended_slice(array[6], SPACING[1:], present[6], point(truth[6].shape, 40, 38), add=True)
    after = mending.mended_around(array, SPACING, present, 6, mended)
    np.testing.assert_array_equal(after[6], mended)
    for index in (5, 7):
        assert dice(after[index], truth[index]) > dice(present[index], truth[index]) + 0.1
    np.testing.assert_array_equal(after[[0, 12]], present[[0, 12]])


def test_where_nothing_changes_on_the_slice_nothing_changes_around(ball):
    array, truth = ball
    np.testing.assert_array_equal(mending.mended_around(array, SPACING, truth, 6, truth[6]), truth)


def test_a_structure_grows_to_its_edge_and_not_into_the_next_one(ball):
    array, truth = ball
    core = point(truth[6].shape, 40, 30)
    after = mending.grown_slice(array[6], SPACING[1:], core, np.ones(core.shape, bool), enclosed=False)
    assert dice(after, truth[6]) > 0.95


def test_a_structure_larger_than_the_reach_is_filled_as_far_as_that(ball):
    array, truth = ball
    core, region = point(truth[6].shape, 40, 30), np.zeros(truth[6].shape, bool)
    region[30:50, 20:40] = True
    after = mending.grown_slice(array[6], SPACING[1:], core, region, enclosed=False)
    assert (after & region).sum() > 0.95 * region.sum()
    assert not (after & ~region).any()


def test_an_area_encloses_what_is_meant(ball):
    array, truth = ball
    region = np.zeros(truth[6].shape, bool)
    region[20:60, 10:50] = True
    core = mending.enclosed_core(region, SPACING[1:])
    after = mending.grown_slice(array[6], SPACING[1:], core, region)
    assert dice(after, truth[6]) > 0.95
    assert not (after & ~region).any()


def test_an_answer_is_there_before_one_waits_for_it():
    """A crop as large as it gets: 60 mm around a stroke at 0.8 mm, and 20 mm to both sides in slices of 2 mm."""
    rng = np.random.default_rng(0)
    array = rng.normal(0, 1, (21, 120, 120)).astype(np.float32)
    present = np.zeros(array.shape, bool)
    present[:, 40:80, 40:60] = True
    began = time.process_time()
    after = mending.mended_slice(array[10], (0.8, 0.8), present[10], point((120, 120), 60, 70), add=True)
    on_slice = time.process_time() - began
    mending.mended_around(array, (2.0, 0.8, 0.8), present, 10, after)
    assert on_slice < 0.5
    assert time.process_time() - began < 2.0
