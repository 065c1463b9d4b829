"""Evidence for a class on the slices that were not painted: features of its scores, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.propagation.appearance import AROUND_MM, log_ratios
from napari_cpclnet.propagation.matching import carried_distance
from napari_cpclnet.propagation.shape import Interpolation, signed_distance
from napari_cpclnet.propagation.working_grid import Map, WorkingGrid

SMOOTHING_MM = (1.0, 3.0)
"""Standard deviations of the two scales on which grey values are compared."""

_CARRIED_BYTES = 24 * 2**20
"""Room for the likeness of patches; what is done at once keeps a cancellation waiting."""

COLUMNS = ("shape", "carried", "coarse grey", "fine grey", "end")


@dataclass(frozen=True)
class Neighbours:
    """The painted slices that say what a slice shows.

    Parameters
    ----------
    below, above : int or None
        Nearest painted slices that show the class on either side; one of them is None beyond the outermost.
    gap_mm : float
        Distance between the two; beyond the outermost, what such a distance is otherwise, or the distance to the slice
        that is known not to show the class.
    away_mm : float
        Uncertainty of the interpolation: 0 on a painted slice, largest in the middle; beyond the outermost slice, the
        distance to it.
    """

    below: int | None
    above: int | None
    gap_mm: float
    away_mm: float

    @property
    def between(self) -> bool:
        """Whether the class was painted on both sides."""
        return self.below is not None and self.above is not None


def neighbours_of(
    index: int, shown: Sequence[int], empty: Sequence[int], slice_mm: float, size_mm: float
) -> Neighbours | None:
    """Painted slices on both sides of a slice; None where an empty one keeps the class away.

    Parameters
    ----------
    index : int
    shown, empty : sequence of int
        Painted slices that show the class, and those that are known not to; ascending.
    slice_mm : float
        Distance between slices.
    size_mm : float
        Radius of the class, which tells how far it may go on if one slice only shows it.
    """
    below = max((s for s in shown if s <= index), default=None)
    above = min((s for s in shown if s >= index), default=None)
    stop_below = max((s for s in empty if s <= index), default=None)
    stop_above = min((s for s in empty if s >= index), default=None)
    lost_below = below is None or (stop_below is not None and stop_below >= below)
    lost_above = above is None or (stop_above is not None and stop_above <= above)
    if not lost_below and not lost_above:
        assert below is not None and above is not None
        gap = (above - below) * slice_mm
        return Neighbours(below, above, gap, (index - below) * (above - index) * slice_mm**2 / max(gap, 1e-6))
    if lost_below and lost_above:
        return None
    near, stop = (above, stop_below) if lost_below else (below, stop_above)
    assert near is not None
    usual = float(np.diff(shown).mean()) * slice_mm if len(shown) > 1 else 2 * size_mm
    gap = usual if stop is None else abs(stop - near) * slice_mm
    away = abs(index - near) * slice_mm
    return Neighbours(None, near, gap, away) if lost_below else Neighbours(near, None, gap, away)


class Evidence:
    """Everything that is known of one class from its painted slices.

    Parameters
    ----------
    grid : WorkingGrid
    pictures : mapping of int to ndarray (h, w)
        Slices of the scan by index, anything that can be indexed by the slice.
    masks : mapping of int to ndarray (h, w) of bool
        Native painted slices that show the class.
    empty : sequence of int
        Painted slices that do not.
    """

    def __init__(
        self,
        grid: WorkingGrid,
        pictures: NDArray[np.generic],
        masks: Mapping[int, NDArray[np.bool_]],
        empty: Sequence[int],
    ) -> None:
        self.grid, self._pictures = grid, pictures
        self.shown, self._empty = sorted(masks), sorted(empty)
        self._pixel = (grid.spacing[1], grid.spacing[2])
        native = (self._pixel[0] / grid.factor, self._pixel[1] / grid.factor)
        box = {i: mask[grid.rows, grid.columns] for i, mask in masks.items()}
        self.distance = {i: _averaged(signed_distance(mask, native), grid.factor) for i, mask in box.items()}
        self._masks = {i: distance > 0 for i, distance in self.distance.items()}
        self.radius_mm = max(1.0, max(float(d.max()) for d in self.distance.values()))
        self._low, self._high = self._range()
        self.flat = not self._high - self._low > 1e-6
        """Whether the scan shows nothing near the class."""
        self._known: dict[int, Map] = {}
        self._smooth: dict[tuple[int, float], Map] = {}

    def picture(self, index: int) -> Map:
        """A slice on the working pixels; most values near the class between 0 and 1."""
        if index not in self._known:
            scaled = (self.grid.shrunk(self._pictures[index]) - self._low) / max(self._high - self._low, 1e-6)
            self._known[index] = np.clip(np.nan_to_num(scaled), -0.2, 1.2).astype(np.float32)
        return self._known[index]

    def neighbours(self, index: int, without: int | None = None) -> Neighbours | None:
        """Painted slices on both sides, as if one of them had not been painted."""
        shown = [i for i in self.shown if i != without]
        return neighbours_of(index, shown, self._empty, self.grid.spacing[0], self.radius_mm)

    def columns(self, indices: Sequence[int], without: int | None = None) -> Iterator[tuple[list[int], Map]]:
        """What speaks for the class, a few slices at a time.

        Parameters
        ----------
        indices : sequence of int
            Ascending slices that have the same neighbours.
        without : int, optional
            A painted slice that must not be used.

        Yields
        ------
        list of int, ndarray (slices, columns, h, w) of float32
            In the order of :data:`COLUMNS`.
        """
        place = self.neighbours(indices[0], without)
        if place is None:
            return
        sides = [i for i in (place.below, place.above) if i is not None]
        h, w = self.distance[sides[0]].shape
        way = (
            Interpolation(self._masks[sides[0]], self._masks[sides[1]], self._pixel)
            if place.between
            else None
        )
        at_once = max(1, _CARRIED_BYTES // (8 * h * w * 81))
        for first in range(0, len(indices), at_once):
            part = list(indices[first : first + at_once])
            yield part, self._some(part, place, sides, way, without)

    def _some(
        self,
        part: list[int],
        place: Neighbours,
        sides: list[int],
        way: Interpolation | None,
        without: int | None,
    ) -> Map:
        images = np.stack([self.picture(i) for i in part])
        nearest = [self.neighbours(i, without) for i in part]
        away = np.array([n.away_mm if n else 0.0 for n in nearest], np.float32)[:, None, None]
        pixel = min(1.7, float(np.sqrt(self._pixel[0] * self._pixel[1] / self.grid.factor**2)))
        if way is None:
            unsure = 0.7 * pixel + 0.3 + 0.4 * away
            shape = np.repeat(self.distance[sides[0]][None], len(part), 0)
            shares = [np.ones(len(part), np.float32)]
            end = (away / (0.5 * place.gap_mm + 1.0)) ** 1.5 * self.radius_mm / unsure
        else:
            unsure = 0.7 * pixel + 0.3 + 0.25 * away
            fractions = (np.array(part, np.float32) - sides[0]) / (sides[1] - sides[0])
            shape = np.stack([way.at(float(t)) for t in fractions])
            shares = [np.asarray(f, np.float32) for f in (1 - fractions, fractions)]
            end = np.zeros_like(away)
        painted = [(self.picture(i), self.distance[i], share) for i, share in zip(sides, shares, strict=True)]
        carried = carried_distance(images, painted, self._pixel, place.gap_mm)
        coarse, fine = (self._grey(part, sigma, without) for sigma in reversed(SMOOTHING_MM))
        # where the interpolation is unsure, it says less
        columns = (shape / unsure, carried / unsure, coarse, fine, end + 0 * shape)
        return np.stack(columns, 1).astype(np.float32)

    def _grey(self, part: Sequence[int], sigma: float, without: int | None) -> Map:
        used = [i for i in self.shown if i != without]
        widths = [sigma / s for s in self._pixel]

        def smooth(index: int) -> Map:
            if (index, sigma) in self._smooth:
                return self._smooth[index, sigma]
            found = np.asarray(ndimage.gaussian_filter(self.picture(index), widths, truncate=3.0))
            if index in self.distance:  # compared with every other slice
                self._smooth[index, sigma] = found
            return found

        usual = float(np.diff(used).mean()) if len(used) > 1 else 10.0
        weights = [np.array([1 / (1 + abs(i - z) / (2 * usual)) for i in used]) for z in part]
        images, distances = (
            np.stack(x) for x in ([smooth(i) for i in used], [self.distance[i] for i in used])
        )
        return np.stack(log_ratios(images, distances, weights, [smooth(z) for z in part]))

    def _range(self) -> tuple[float, float]:
        near = np.concatenate(
            [self.grid.shrunk(self._pictures[i])[d > -AROUND_MM] for i, d in self.distance.items()]
        )
        near = near[np.isfinite(near)]
        low, high = np.percentile(near, (1, 99)) if near.size else (0.0, 0.0)
        return float(low), float(high)


def _averaged(distance: Map, factor: int) -> Map:
    if factor == 1:
        return distance
    h, w = (n // factor for n in distance.shape)
    return np.asarray(distance.reshape(h, factor, w, factor).mean((1, 3)), np.float32)
