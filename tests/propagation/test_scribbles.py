"""Slices of which only some pixels are painted: what follows from them, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import BACKGROUND, Geometry, Volume
from napari_cpclnet.propagation import Scribbled, complete, fill
from napari_cpclnet.propagation.walking import edge_weights, walk

SPACING = (4.0, 1.5, 1.5)


def dice(a, b):
    return 2 * np.sum(a & b) / max(a.sum() + b.sum(), 1)


def bodies(noise: float = 8.0) -> tuple[Volume, np.ndarray]:
    """Two bright balls of different grey in a grey body, with noise."""
    z, y, x = np.meshgrid(np.arange(15), np.arange(90), np.arange(90), indexing="ij")
    body = (y - 45) ** 2 + (x - 45) ** 2 < 40**2
    first = ((z - 7) * 2.67) ** 2 + (y - 40) ** 2 + (x - 32) ** 2 < 15**2
    second = ((z - 7) * 2.67) ** 2 + (y - 48) ** 2 + (x - 62) ** 2 < 11**2
    array = 60 * body + 60 * first + 110 * second
    array = array + np.random.default_rng(0).normal(0, noise, array.shape)
    labels = first.astype(np.uint8) + 2 * second.astype(np.uint8)
    return Volume(array.astype(np.float32), Geometry(array.shape, SPACING), "MR", "", name="balls"), labels


def scribble(paint: np.ndarray, index: int, *, around: bool = True) -> None:
    """A short line in each ball and, outside, a few strokes of background."""
    paint[index, 38:42, 26:38] = 1
    paint[index, 46:50, 58:66] = 2
    if around:
        paint[index, 12:15, 30:60] = BACKGROUND
        paint[index, 70:73, 25:70] = BACKGROUND
        paint[index, 30:60, 80:82] = BACKGROUND


def scribbled(paint: np.ndarray) -> Scribbled:
    return Scribbled(np.where(paint == BACKGROUND, 0, paint), paint > 0)


@pytest.mark.parametrize("around", [True, False])
def test_scribbles_spread_to_the_edges_of_what_they_lie_in(around):
    volume, truth = bodies()
    paint = np.zeros(truth.shape, np.uint8)
    scribble(paint, 7, around=around)
    ((index, found),) = complete(volume.array, SPACING, {7: scribbled(paint[7])}, [1, 2])
    assert index == 7
    for value in (1, 2):
        assert dice(found.labels == value, truth[7] == value) > 0.93
    assert (found.labels == truth[7])[found.sure].mean() > 0.98


def test_what_was_painted_stays_even_against_the_picture():
    volume, truth = bodies()
    paint = np.zeros(truth.shape, np.uint8)
    scribble(paint, 7)
    paint[7, 34:37, 26:38] = BACKGROUND  # inside the first ball
    ((_, found),) = complete(volume.array, SPACING, {7: scribbled(paint[7])}, [1, 2])
    known = paint[7] > 0
    np.testing.assert_array_equal(found.labels[known], np.where(paint[7] == BACKGROUND, 0, paint[7])[known])
    assert found.sure[known].all()


def test_far_from_every_scribble_nothing_is_believed():
    volume, truth = bodies()
    paint = np.zeros(truth.shape, np.uint8)
    paint[7, 46:50, 58:66] = 2
    ((_, found),) = complete(volume.array, SPACING, {7: scribbled(paint[7])}, [1, 2])
    assert not found.sure[:, :20].any()
    assert not (found.labels == 1).any()


def test_large_pictures_are_worked_on_with_larger_pixels():
    volume, truth = bodies()
    wide = [np.kron(a[7], np.ones((4, 4), a.dtype)) for a in (volume.array, truth)]
    paint = np.zeros(truth.shape, np.uint8)
    scribble(paint, 7)
    fine = scribbled(np.kron(paint[7], np.ones((4, 4), np.uint8)))
    ((_, found),) = complete(wide[0][None], (4.0, 0.4, 0.4), {0: fine}, [1, 2])
    for value in (1, 2):
        assert dice(found.labels == value, wide[1] == value) > 0.93


def test_a_fill_from_scribbles_is_nearly_as_good_as_one_from_complete_slices():
    volume, truth = bodies()
    slices, paint = [3, 7, 11], np.zeros(truth.shape, np.uint8)
    for index in (3, 7, 11):
        scribble(paint, index)
        paint[index][(paint[index] < BACKGROUND) & (paint[index] != truth[index])] = 0
    complete_fill = fill(volume, truth, slices=slices)
    found = fill(volume, paint, slices=[], partial=slices)
    assert found.classes == {1: "label 1", 2: "label 2"}
    for value in (1, 2):
        best = dice(complete_fill.labels == value, truth == value)
        assert dice(found.labels == value, truth == value) > best - 0.05
    known = paint > 0
    np.testing.assert_array_equal(found.labels[known], np.where(paint == BACKGROUND, 0, paint)[known])


def test_a_partial_slice_does_not_say_that_what_is_unpainted_is_absent():
    """The second ball is painted on two slices; a scribble of the first between them must not interrupt it."""
    volume, truth = bodies()
    paint = np.zeros(truth.shape, np.uint8)
    paint[[4, 10]] = truth[[4, 10]]
    before = fill(volume, paint, slices=[4, 10])
    paint[7, 38:42, 26:38] = 1
    after = fill(volume, paint, slices=[4, 10], partial=[7])
    as_complete = fill(volume, paint, slices=[4, 7, 10])
    assert not (as_complete.labels[7] == 2).any()
    np.testing.assert_array_equal(after.labels == 2, before.labels == 2)


def test_complete_slices_tell_partial_ones_what_grey_values_hardly_do():
    volume, truth = bodies(noise=120)
    paint = np.zeros(truth.shape, np.uint8)
    paint[[4, 10]] = truth[[4, 10]]
    paint[7, 38:42, 26:38] = 1
    alone, found = (
        fill(volume, paint, slices=slices, partial=[7]).labels[7] == 1 for slices in ([], [4, 10])
    )
    assert dice(found, truth[7] == 1) > dice(alone, truth[7] == 1) + 0.05


def test_a_partial_slice_of_background_alone_forbids_what_it_crosses():
    volume, truth = bodies()
    paint = np.zeros(truth.shape, np.uint8)
    paint[[4, 10]] = truth[[4, 10]]
    paint[7, 36:44, 20:45] = BACKGROUND
    found = fill(volume, paint, slices=[4, 10], partial=[7], classes={1: "first", 2: "second"})
    assert not found.labels[7][paint[7] == BACKGROUND].any()
    assert (found.labels[7] == 2).any()


def test_scribbles_of_background_alone_cannot_be_filled():
    volume, truth = bodies()
    paint = np.zeros(truth.shape, np.uint8)
    paint[7, 36:44] = BACKGROUND
    with pytest.raises(SupportError, match="Nothing is painted"):
        fill(volume, paint, partial=[7])


def test_a_walker_is_the_solution_of_its_equations():
    """Against the same equations as a dense matrix."""
    rng = np.random.default_rng(1)
    images = rng.random((2, 5, 6)).astype(np.float32)
    prior, trust = rng.random(images.shape).astype(np.float32), np.full(images.shape, 0.1, np.float32)
    certain = rng.random(images.shape) < 0.2
    values = (rng.random(images.shape) < 0.5).astype(np.float32)
    weights = edge_weights(images, (3.0, 1.0, 1.0), 0.5)
    found = walk(weights, certain, values, prior, trust)
    count = images.size
    places = np.arange(count).reshape(images.shape)
    matrix, right = np.diag(trust.ravel()).astype(float), (trust * prior).ravel().astype(float)
    for axis, w in enumerate(weights):
        low = np.take(places, range(images.shape[axis] - 1), axis).ravel()
        high = np.take(places, range(1, images.shape[axis]), axis).ravel()
        for a, b, one in zip(low, high, w.ravel(), strict=True):
            matrix[a, a] += one
            matrix[b, b] += one
            matrix[a, b] -= one
            matrix[b, a] -= one
    known = certain.ravel()
    matrix[known] = np.eye(count)[known]
    right[known] = values.ravel()[known]
    np.testing.assert_allclose(found.ravel(), np.linalg.solve(matrix, right), atol=5e-3)
