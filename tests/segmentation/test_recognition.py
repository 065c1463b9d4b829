"""How well a network recognises what was painted, with networks that see a structure of their own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_cpclnet import Geometry, SupportSet, Volume
from napari_cpclnet.segmentation.recognition import Recognised, found_again

SHAPE = (30, 16, 16)


def recognised(painted: np.ndarray, seen: np.ndarray, slices: tuple[int, ...], mm: float = 1) -> Recognised:
    """What is to be said of a network that sees `seen`, whatever is painted."""
    support = SupportSet({1: "structure"})
    volume = Volume(np.zeros(SHAPE, np.float32), Geometry(SHAPE, (1, mm, mm)))
    support.add(volume, painted.astype(np.uint8), slices=slices)
    grid = SimpleNamespace(n_slices=SHAPE[0], to_native=lambda maps: maps)
    scan = SimpleNamespace(grid=grid, features=lambda indices: [seen[i] for i in indices])
    return found_again(
        support, lambda _: scan, lambda features: torch.from_numpy(np.stack(features)[:, None]).float(), 0.5
    )


def again(painted: np.ndarray, seen: np.ndarray, slices: tuple[int, ...]) -> float:
    """How far it is believed."""
    (found,) = recognised(painted, seen, slices).again
    return found


def structure(first: int, end: int) -> np.ndarray:
    labels = np.zeros(SHAPE, bool)
    labels[first:end, 4:12, 4:12] = True
    return labels


def test_a_network_that_finds_the_paint_and_nothing_beyond_is_believed() -> None:
    whole = structure(5, 25)
    assert again(whole, whole, (7, 11, 15, 19, 23)) == 1
    assert again(whole, np.zeros_like(whole), (7, 11, 15, 19, 23)) == 0
    a_bit_more = structure(5, 25)
    a_bit_more[25:28, 4:12, 4:6] = True
    assert again(whole, a_bit_more, (7, 11, 15, 19, 23)) == 1


@pytest.mark.parametrize("slices", [(6, 8, 10, 12), (6, 10, 13)])
def test_a_network_that_sees_the_whole_of_what_was_painted_in_half_is_not(slices: tuple[int, ...]) -> None:
    found = recognised(structure(5, 14), structure(5, 25), slices)
    assert (found.again, found.goes_on) == ([0], [True])
    assert recognised(structure(5, 14), structure(5, 14), slices).goes_on == [False]


def test_a_network_that_sees_the_whole_of_which_one_side_was_painted_is_not() -> None:
    whole, side, slices = structure(5, 25), structure(5, 25), (6, 11, 16, 21)
    side[:, :, 8:] = False
    assert recognised(side, side, slices, mm=10).again == [1]
    assert recognised(side, whole, slices, mm=10).again == [0]
    # as far as outlines are off, sides are not told apart
    assert recognised(side, whole, slices, mm=1).again == pytest.approx([2 / 3])


def test_slices_that_follow_each_other_say_nothing_about_the_ends() -> None:
    assert again(structure(12, 15), structure(5, 25), (12, 13, 14)) == 1
    assert again(structure(5, 14), structure(5, 25), (6, 12)) == 1


def test_ends_outside_of_the_scan_are_not_looked_at() -> None:
    assert again(structure(0, 30), structure(0, 30), (2, 10, 18, 26)) == 1


def test_what_is_marked_empty_counts_though_slices_follow_each_other() -> None:
    assert again(structure(5, 14), structure(5, 25), (12, 13, 14, 15)) == pytest.approx(2 / 3)
