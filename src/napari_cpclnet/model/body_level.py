"""Body-part regression: levels of a scan's slices in the body, as one straight line.

The network estimates the level of every slice by itself (0 at the iliac crest, 1 at the dome of the liver), with an
error of one or two slices. The slices of one scan lie on a straight line through the body, so a line fitted to some of
them is far more certain than any of them, and tells which slices lie above or below everything the support shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.preprocessing import ModelGrid

MIN_SLICES = 6
"""Slices needed for a line."""

_SAMPLES = 16
_FAR = 0.2
"""Distance from the line, in levels, from which an estimate counts as wrong."""

MAX_MISFIT = 0.1
"""Median distance of the estimates from a line that is believed: near 0.05 in scans of the trunk, 0.13 in limbs."""

MAX_MISFIT_TTA = 0.07
"""The same for estimates in another tone than the scan's own, which are believed only where they agree well."""

_SLOPES = 1.0 / np.linspace(180.0, 270.0, 19)
"""Levels per mm: the dome of an adult's liver lies 18 to 27 cm above the iliac crest."""


@dataclass(frozen=True)
class BodyLevelFit:
    """Level = `start` + `slope` x position, position in mm from inferior to superior."""

    start: float
    slope: float
    misfit: float = 0.0
    """Median distance of the estimates that it was laid through."""

    def at(self, positions: NDArray[np.floating]) -> NDArray[np.float32]:
        """Levels at positions in mm."""
        return np.asarray(self.start + self.slope * positions, np.float32)


@dataclass(frozen=True)
class SliceLevels:
    """Levels of the axial slices of a scan: which slice of one patient shows what one of another does.

    Parameters
    ----------
    axis
        Array axis (z, y, x) that is sliced.
    start
        Level of slice 0.
    step
        From a slice to the next.
    """

    axis: int
    start: float
    step: float

    @classmethod
    def of(cls, volume: Volume, grid: ModelGrid, line: BodyLevelFit) -> SliceLevels:
        """Levels on the line of a scan."""
        first, second = (float(level) for level in line.at(positions_mm(volume, grid, (0, 1))))
        return cls(grid.axis, first, second - first)

    def at(self, index: float) -> float:
        """Level of a slice, or between two."""
        return self.start + self.step * index

    def index_of(self, level: float) -> float:
        """Slice at a level, counted on beyond the scan's ends."""
        return (level - self.start) / self.step


def sampled_slices(count: int) -> list[int]:
    """Slices to estimate, evenly spaced over a scan of `count` slices; all of a short scan."""
    if count <= _SAMPLES:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, _SAMPLES).round()]


def fit_line(
    positions: Sequence[float], levels: Sequence[float], loose: float = MAX_MISFIT
) -> BodyLevelFit | None:
    """Line through estimated levels.

    Estimates that lie far from the line all cost the same, as those of slices outside the trunk may be anything; only
    slopes that an adult's body can have are tried.

    Parameters
    ----------
    positions : sequence of float
        Of the slices, in mm from inferior to superior.
    levels : sequence of float
        Estimates of the network.
    loose : float
        Largest misfit of a line that is believed.

    Returns
    -------
    BodyLevelFit or None
        None if there are fewer than `MIN_SLICES` estimates or they lie on no line, as in a scan of a leg.
    """
    if len(positions) < MIN_SLICES:
        return None
    place, level = np.asarray(positions, np.float64), np.asarray(levels, np.float64)
    starts = level - _SLOPES[:, None] * place  # (slopes, lines through each estimate)
    misfit = np.abs(starts[:, :, None] - starts[:, None, :])
    cost = np.minimum(misfit, _FAR).mean(2)
    slope, start = np.unravel_index(cost.argmin(), cost.shape)
    distance = float(np.median(misfit[slope, start]))
    if distance > loose:
        return None
    near = misfit[slope, start] < _FAR
    return BodyLevelFit(float(starts[slope][near].mean()), float(_SLOPES[slope]), distance)


def positions_mm(volume: Volume, grid: ModelGrid, indices: Sequence[int]) -> NDArray[np.float64]:
    """Places of slices in mm from inferior to superior, from the scan's first slice."""
    step = volume.geometry.spacing[grid.axis]
    return np.asarray(indices, np.float64) * (-step if grid.flips[0] else step)


def too_short(volume: Volume, grid: ModelGrid) -> bool:
    """Whether a scan has too few slices for a line, or no physical size."""
    return not volume.calibrated or grid.n_slices < MIN_SLICES


def fit_scan_levels(
    volume: Volume,
    grid: ModelGrid,
    estimate: Callable[[Sequence[int], int], Sequence[float | None]],
    n_variants: int,
) -> BodyLevelFit | None:
    """Line of one scan.

    Where the slices as they are lie on no line, those of a dark liver say, the tone in which they lie on one best does.

    Parameters
    ----------
    volume : Volume
    grid : ModelGrid
        Of that volume.
    estimate : callable
        The network's levels of slices in one of the intensity variants; None for one that shows nothing.
    n_variants : int
        Number of intensity variants; the first is the scan's own.

    Returns
    -------
    BodyLevelFit or None
        None for another plane than axial, a scan without a physical size, or where there is no line.
    """
    if grid.plane != "axial" or too_short(volume, grid):
        return None
    indices = sampled_slices(grid.n_slices)

    def line_in(tone: int, loose: float) -> BodyLevelFit | None:
        known = [(i, v) for i, v in zip(indices, estimate(indices, tone), strict=True) if v is not None]
        places = positions_mm(volume, grid, [i for i, _ in known])
        return fit_line(places.tolist(), [level for _, level in known], loose)

    line = line_in(0, MAX_MISFIT)
    if line is not None:
        return line
    others = [found for tone in range(1, n_variants) if (found := line_in(tone, MAX_MISFIT_TTA)) is not None]
    return min(others, key=lambda found: found.misfit, default=None)
