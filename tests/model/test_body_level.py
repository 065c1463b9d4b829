"""Levels of the slices of one scan lie on one line, whatever the network thinks of some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model.body_level import (
    MAX_MISFIT,
    MAX_MISFIT_TTA,
    MIN_SLICES,
    fit_line,
    fit_scan_levels,
    positions_mm,
    sampled_slices,
)
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings

HEIGHT = 220.0
"""From the iliac crest to the dome of the liver, in mm."""


def scan(direction: float = 1.0, slices: int = 30, calibrated: bool = True) -> Volume:
    """A bright block whose value tells the slice, numbered from inferior to superior."""
    order = np.arange(slices) if direction > 0 else np.arange(slices)[::-1]
    array = np.zeros((slices, 40, 40), np.float32)
    array[:, 8:32, 8:32] = (50 + order)[:, None, None]
    geometry = Geometry(
        shape=(slices, 40, 40),
        spacing=(8.0, 5.0, 5.0),
        direction=((direction, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    )
    return Volume(array, geometry, modality="MR", unit="", name="block", calibrated=calibrated)


def grid_of(volume: Volume) -> ModelGrid:
    return ModelGrid.for_volume(volume, "axial", PreprocessingSettings())


Estimate = Callable[[Sequence[int], int], list[float | None]]


def level_of(volume: Volume) -> Estimate:
    """A network that reads the level off the brightness of the block, whatever the tone."""
    return lambda indices, tone: [float(volume.array[i].max() - 50) * 8 / HEIGHT for i in indices]


def in_tone(volume: Volume, good: int, error: float) -> Estimate:
    """A network that is lost but for one tone, in which its levels have an error."""
    right = level_of(volume)

    def estimate(indices: Sequence[int], tone: int) -> list[float | None]:
        levels, rng = right(indices, tone), np.random.default_rng(0)
        noise = rng.normal(0, error, len(levels))
        if tone != good:
            return list(rng.uniform(-2, 2, len(levels)))
        return [level + n for level, n in zip(levels, noise, strict=True) if level is not None]

    return estimate


def test_a_line_is_found_though_a_third_of_the_estimates_is_nonsense() -> None:
    rng = np.random.default_rng(0)
    places = np.arange(15) * 16.0
    levels = places / HEIGHT - 0.2 + rng.normal(0, 0.03, 15)
    levels[10:] = rng.uniform(-0.6, 0.4, 5)
    line = fit_line(places.tolist(), levels.tolist())
    assert line is not None
    np.testing.assert_allclose(line.at(places), places / HEIGHT - 0.2, atol=0.1)


def test_an_exact_line_within_the_range_of_adults_is_found_exactly() -> None:
    places = np.arange(10) * 10.0
    line = fit_line(places.tolist(), (0.3 + places / 220.0).tolist())
    assert line is not None
    assert line.start == pytest.approx(0.3)
    assert 1 / line.slope == pytest.approx(220.0)


def test_estimates_that_do_not_rise_make_no_line() -> None:
    places = np.arange(16) * 40.0
    assert fit_line(places.tolist(), [0.3] * 16) is None


def test_too_few_estimates_make_no_line() -> None:
    places = [10.0 * i for i in range(MIN_SLICES - 1)]
    assert fit_line(places, [p / HEIGHT for p in places]) is None


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_levels_rise_towards_the_head_whatever_the_order_of_slices(direction: float) -> None:
    volume = scan(direction)
    grid = grid_of(volume)
    line = fit_scan_levels(volume, grid, level_of(volume), 1)
    assert line is not None
    levels = line.at(positions_mm(volume, grid, range(30)))
    height = np.arange(30) if direction > 0 else np.arange(30)[::-1]
    np.testing.assert_allclose(levels, height * 8 / HEIGHT, atol=0.06)


def test_slices_that_show_nothing_do_not_count() -> None:
    volume = scan()
    full = level_of(volume)

    def estimate(indices: Sequence[int], tone: int) -> list[float | None]:
        return [None if i < 10 else level for i, level in zip(indices, full(indices, tone), strict=True)]

    line = fit_scan_levels(volume, grid_of(volume), estimate, 1)
    assert line is not None
    np.testing.assert_allclose(line.at(np.array([0.0, 160.0])), [0, 160 / HEIGHT], atol=0.06)


def test_where_the_scan_as_it_is_misleads_the_tone_with_a_clear_line_counts() -> None:
    volume = scan()
    grid = grid_of(volume)
    assert fit_scan_levels(volume, grid, in_tone(volume, good=3, error=0.0), 3) is None
    line = fit_scan_levels(volume, grid, in_tone(volume, good=3, error=0.02), 5)
    assert line is not None
    np.testing.assert_allclose(line.at(np.array([0.0, 160.0])), [0, 160 / HEIGHT], atol=0.08)


def test_another_tone_must_agree_better_than_the_scan_as_it_is() -> None:
    volume = scan()
    grid = grid_of(volume)
    found = {
        tone: fit_scan_levels(volume, grid, in_tone(volume, good=tone, error=0.17), 2) for tone in (0, 1)
    }
    assert found[0] is not None and MAX_MISFIT_TTA < found[0].misfit < MAX_MISFIT
    assert found[1] is None


def test_a_scan_without_size_or_with_few_slices_has_no_line() -> None:
    for volume in (scan(calibrated=False), scan(slices=MIN_SLICES - 1)):
        assert fit_scan_levels(volume, grid_of(volume), level_of(volume), 8) is None


@pytest.mark.parametrize("count", [1, 5, 16, 17, 300])
def test_sampled_slices_are_distinct_and_reach_both_ends(count: int) -> None:
    chosen = sampled_slices(count)
    assert len(set(chosen)) == len(chosen) <= 16
    assert chosen[0] == 0
    assert chosen[-1] == count - 1
