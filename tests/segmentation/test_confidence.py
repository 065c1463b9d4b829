"""Dice to expect of an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_cpclnet.segmentation.confidence import UNLIKELY, Evidence, expected_dice, radius_mm

GOOD = Evidence(0.9, 0.15, 3.0, True, 0.9, 0.9, 1000.0)


def test_all_that_speaks_for_an_answer_makes_more_of_it_be_expected() -> None:
    sure = expected_dice(GOOD, 0.95, 1000.0)
    assert 0.8 < sure < 1
    for worse in (
        expected_dice(replace(GOOD, difference=0.6), 0.95, 1000.0),
        expected_dice(replace(GOOD, cycle_mm=40.0), 0.95, 1000.0),
        expected_dice(replace(GOOD, agreement=0.2), 0.95, 1000.0),
        expected_dice(GOOD, 0.6, 1000.0),
        expected_dice(GOOD, 0.95, 100.0),
    ):
        assert worse < sure


def test_what_nothing_speaks_for_is_probably_not_found() -> None:
    assert expected_dice(Evidence(), 0.5, 10.0) < UNLIKELY
    assert expected_dice(Evidence(), 0.0, 0.0) < UNLIKELY


def test_of_a_middling_answer_a_middling_dice_is_expected() -> None:
    carried_alone = Evidence(0.0, 0.3, 6.0, True, 0.0, 0.8, 50.0)
    assert 0.4 < expected_dice(carried_alone, 0.8, 50.0) < 0.8


def test_a_ball_of_four_thirds_pi_has_the_radius_one() -> None:
    assert radius_mm(4.18879) == pytest.approx(10.0, rel=1e-4)
