"""What registration carried over, joined with what the network sees."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_cpclnet import Geometry, Volume
from napari_cpclnet.model.weights import load_prior_decoder
from napari_cpclnet.segmentation.boxed import Boxed
from napari_cpclnet.segmentation.confidence import Evidence, dice
from napari_cpclnet.segmentation.fusion import JoinedClass, fusing, outline_error_mm, part_classes

SHAPE = (12, 48, 48)
KNOWN = Evidence(recognised=1.0, difference=0.2, cycle_mm=1.0, named=True, painted_ml=30.0)


def block(first: int, end: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 16:32, first:end] = True
    return mask


CARRIED, SEEN = block(8, 22), block(24, 38)


@pytest.fixture(scope="module")
def query() -> Volume:
    """Both blocks are as bright as each other, so that edges speak for neither."""
    grey = np.random.default_rng(0).normal(0, 5, SHAPE) + 100 * (CARRIED | SEEN)
    return Volume(grey.astype(np.float32), Geometry(SHAPE, (3.0, 2.0, 2.0)), modality="MR")


def joined(query: Volume, evidence: Evidence, seen: np.ndarray = SEEN) -> JoinedClass:
    logits = np.where(seen, 4.5, -3.0).astype(np.float32)
    steps: Generator[float, None, Any] = fusing(
        load_prior_decoder(), query, 0, 0, Boxed.around(CARRIED), evidence, lambda _: logits.copy(), 0.5
    )
    while True:
        try:
            assert next(steps) == 0.5
        except StopIteration as end:
            return end.value


def mask_of(one: JoinedClass) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[one.box] = one.logits > 0
    return mask


def test_registration_that_does_not_come_back_gives_way_to_a_network_that_knows(query: Volume) -> None:
    steady, lost = joined(query, KNOWN), joined(query, replace(KNOWN, cycle_mm=30.0))
    assert steady.means == lost.means == "both"
    assert dice(mask_of(lost), SEEN) > 0.8
    assert dice(mask_of(lost), CARRIED) < 0.1
    assert dice(mask_of(steady), CARRIED) > 0.3
    # where the network does not know the part of the body, the way back says nothing of it
    elsewhere = joined(query, replace(KNOWN, cycle_mm=30.0, named=False))
    assert dice(mask_of(elsewhere), CARRIED) > 0.3


def test_what_the_network_does_not_see_is_guessed_where_it_does_not_know_the_body(query: Volume) -> None:
    unlike = replace(KNOWN, difference=0.58, named=False)
    nothing = np.zeros(SHAPE, bool)
    guess = joined(query, unlike, nothing)
    assert guess.means == "alignment"
    assert dice(mask_of(guess), CARRIED) > 0.6
    assert joined(query, replace(unlike, named=True), nothing).means == "both"
    assert not mask_of(joined(query, replace(unlike, named=True), nothing)).any()
    assert not mask_of(joined(query, replace(unlike, difference=0.8), nothing)).any()


def test_what_was_seen_on_the_way_is_in_the_evidence(query: Volume) -> None:
    one = joined(query, KNOWN, CARRIED)
    assert one.evidence.agreement == 1
    assert one.evidence.kept > 0.8
    assert one.evidence.recognised == KNOWN.recognised


def test_outlines_of_small_classes_are_further_off_where_the_decoder_is_alone() -> None:
    def error(ml: float, cycle_mm: float = 4.0, alone: bool = True) -> float:
        return outline_error_mm(Evidence(cycle_mm=cycle_mm, painted_ml=ml), alone)

    assert error(5.0) > error(50.0) > error(2000.0) > error(2000.0, alone=False)
    assert error(5.0, alone=False) == error(2000.0, alone=False)
    assert error(1.0, 0.0) == 2.0
    assert error(0.0, 50.0) == error(1.0, np.inf) == 12.0


@pytest.mark.parametrize("seed", range(3))
def test_a_small_tube_that_slipped_by_its_own_width_is_found(seed: int) -> None:
    tube, slipped = np.zeros((2, 24, 64, 64), bool)
    tube[:, 28:33, 30:35] = True
    slipped[:, 28:33, 34:39] = True
    grey = np.random.default_rng(seed).normal(0, 5, tube.shape) + 80 * tube
    scan = Volume(grey.astype(np.float32), Geometry(tube.shape, (3.0, 1.5, 1.5)), modality="MR")
    evidence = Evidence(recognised=0.0, difference=0.2, cycle_mm=3.0, painted_ml=4.0)
    steps: Generator[float, None, Any] = fusing(
        load_prior_decoder(),
        scan,
        0,
        0,
        Boxed.around(slipped),
        evidence,
        lambda _: np.zeros(0, np.float32),
        0.5,
    )
    while True:
        try:
            next(steps)
        except StopIteration as end:
            one = end.value
            break
    found = np.zeros(tube.shape, bool)
    found[one.box] = one.logits > 0
    assert dice(slipped, tube) < 0.25
    assert dice(found, tube) > 0.6


def test_a_vessel_in_an_organ_is_the_vessels_and_each_place_is_of_one_class() -> None:
    organ, vessel, beside = (np.full((4, 6), -8, np.float32) for _ in range(3))
    organ[:, :4] = 8  # deep within, as logits of a vessel never are
    vessel[1:3, 1:3] = 1.5
    beside[:, 3:] = 5  # as large as the organ, and less sure of what both have
    logits = np.stack([organ, vessel, beside])
    before = logits.copy()
    part_classes(logits, [60.0, 6.0, 60.0])
    assert ((logits > 0).sum(0) <= 1).all()
    assert (logits[1, 1:3, 1:3] == 1.5).all() and (logits[0, 1:3, 1:3] == -1.5).all()
    assert (logits[0, :, 3] == 8).all() and (logits[2, :, 3] == -8).all()
    alone = (before > 0).sum(0) < 2
    assert (logits[:, alone] == before[:, alone]).all()
