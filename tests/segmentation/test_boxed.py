"""Arrays of which only the box around what they show is in memory."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.segmentation.boxed import Boxed, SliceBySlice, joint_box, label_boxes

SHAPE = (5, 7, 9)


@pytest.fixture(params=range(4))
def labels(request: pytest.FixtureRequest) -> np.ndarray:
    """A few voxels of two classes, somewhere."""
    rng = np.random.default_rng(request.param)
    found = np.zeros(SHAPE, np.uint8)
    low = [int(rng.integers(0, n - 2)) for n in SHAPE]
    part = tuple(slice(a, a + int(rng.integers(1, n - a + 1))) for a, n in zip(low, SHAPE, strict=True))
    found[part] = rng.integers(0, 3, found[part].shape)
    return found


def test_all_of_it_and_any_part_are_those_of_the_whole(labels: np.ndarray) -> None:
    boxed = Boxed.around(labels)
    np.testing.assert_array_equal(boxed.whole(), labels)
    for value in (1, 2, 3):
        np.testing.assert_array_equal(boxed.mask(value).whole(), labels == value)
    for part in ((slice(0, 5), slice(0, 7), slice(0, 9)), (slice(1, 3), slice(4, 4), slice(2, 8))):
        np.testing.assert_array_equal(boxed.part(part), labels[part])
    for axis in range(3):
        for index in range(SHAPE[axis]):
            np.testing.assert_array_equal(boxed.slice(axis, index), labels.take(index, axis))


def test_no_more_is_kept_than_the_box(labels: np.ndarray) -> None:
    for boxed in (Boxed.around(labels), Boxed.around(labels).mask(1)):
        assert boxed.array.base is None
        if boxed.array.size:
            for axis in range(3):
                sides = boxed.array.any(tuple(a for a in range(3) if a != axis))
                assert sides[0] and sides[-1]


def test_the_box_around_boxes_holds_them_and_there_may_be_none() -> None:
    one, other = (slice(1, 3), slice(0, 2), slice(4, 5)), (slice(2, 4), slice(1, 2), slice(0, 1))
    assert joint_box([one, other]) == (slice(1, 4), slice(0, 2), slice(0, 5))
    assert not Boxed.nothing(SHAPE).whole().any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_put_together_are_the_whole(labels: np.ndarray, axis: int) -> None:
    mask = labels > 0
    slices = SliceBySlice(SHAPE, axis)
    for index in range(SHAPE[axis]):
        slices.add(index, mask.take(index, axis))
    boxed, cropped = slices.boxed(), Boxed.around(mask)
    np.testing.assert_array_equal(boxed.whole(), mask)
    assert boxed.array.shape == cropped.array.shape
    assert not SliceBySlice(SHAPE, axis).boxed().whole().any()


def test_boxes_of_labels_are_those_of_their_masks(labels: np.ndarray) -> None:
    assert label_boxes(labels) == {
        value: Boxed.around(labels == value).box for value in np.unique(labels[labels > 0])
    }
