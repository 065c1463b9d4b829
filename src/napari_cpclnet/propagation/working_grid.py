"""Working grid: the box around one painted class, with fewer slices and larger pixels where it is large."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MARGIN_MM = 22.0
_COARSE_PIXEL_MM = 2.6
_COARSE_SLICE_MM = 5.0

Map = NDArray[np.float32]


@dataclass(frozen=True)
class WorkingGrid:
    """Which slices and pixels of a scan are worked on for one class.

    Parameters
    ----------
    slices : tuple of int
        Slices of the scan, ascending; the painted ones of the class among them.
    rows, columns : slice
        Box in the plane, in native pixels.
    factor : int
        Side of a working pixel, in native pixels.
    spacing : (float, float, float)
        Distance of the scan's slices and size of a working pixel, in mm.
    """

    slices: tuple[int, ...]
    rows: slice
    columns: slice
    factor: int
    spacing: tuple[float, float, float]

    @classmethod
    def around(
        cls,
        masks: Mapping[int, NDArray[np.bool_]],
        extent: tuple[int, int],
        spacing: tuple[float, float, float],
        working_voxels: int,
    ) -> WorkingGrid:
        """Working grid around the painted slices of a class.

        Parameters
        ----------
        masks : mapping of int to ndarray (h, w) of bool
            Slices that show it.
        extent : (int, int)
            First and last slice that may show it.
        spacing : (float, float, float)
            Of slices, rows and columns, in mm.
        working_voxels : int
            How large it should be at most.
        """
        shown = np.logical_or.reduce(list(masks.values()))
        box = []
        for k in (0, 1):
            places = np.flatnonzero(shown.any(1 - k))
            margin = int(np.ceil(_MARGIN_MM / spacing[k + 1]))
            box.append((max(0, int(places[0]) - margin), min(shown.shape[k], int(places[-1]) + margin + 1)))
        (top, bottom), (left, right) = box
        factor, step = 1, 1
        while ((bottom - top) * (right - left) / factor**2) * (
            (extent[1] - extent[0]) / step
        ) > working_voxels:
            pixel, distance = factor * max(spacing[1:]), step * spacing[0]
            if pixel >= _COARSE_PIXEL_MM and distance >= _COARSE_SLICE_MM:
                break
            if pixel >= _COARSE_PIXEL_MM or distance < pixel:
                step += 1
            else:
                factor += 1
        # whole working pixels; the rest of the last ones lies outside of the box
        size = [max(1, (end - start) // factor) * factor for start, end in box]
        return cls(
            _thinned(sorted({*masks, *extent}), step),
            slice(top, top + size[0]),
            slice(left, left + size[1]),
            factor,
            (spacing[0], spacing[1] * factor, spacing[2] * factor),
        )

    def shrunk(self, picture: NDArray[Any]) -> Map:
        """A native slice (h, w) on the working pixels: the mean of what they cover."""
        part = np.asarray(picture[self.rows, self.columns], np.float32)
        if self.factor == 1:
            return part
        h, w = (n // self.factor for n in part.shape)
        return np.asarray(part.reshape(h, self.factor, w, self.factor).mean((1, 3)), np.float32)

    def native(self, scores: Map, index: int) -> Map:
        """Working scores (n, h, w) on the native pixels of one slice of the scan, linearly interpolated."""
        after = int(np.searchsorted(self.slices, index))
        if self.slices[after] == index:
            picture = np.asarray(scores[after])
        else:
            low, high = self.slices[after - 1], self.slices[after]
            share = np.float32((index - low) / (high - low))
            picture = (1 - share) * scores[after - 1] + share * scores[after]
        if self.factor == 1:
            return picture
        rows, columns = (_enlarging(n, self.factor) for n in picture.shape)
        return np.asarray(rows @ picture @ columns.T)


def _thinned(kept: list[int], step: int) -> tuple[int, ...]:
    """The kept slices, and others between them, at most `step` apart."""
    found: list[int] = []
    for low, high in itertools.pairwise(kept):
        count = max(1, int(np.ceil((high - low) / step)))
        found += np.rint(np.linspace(low, high, count + 1)[:-1]).astype(int).tolist()
    return tuple(sorted({*found, kept[-1]}))


@lru_cache(maxsize=64)
def _enlarging(size: int, factor: int) -> Map:
    """Weights (size * factor, size) of linear interpolation between the middles of working pixels."""
    places = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    low = np.minimum(places.astype(int), max(size - 2, 0))
    matrix = np.zeros((size * factor, size), np.float32)
    matrix[np.arange(len(places)), low] = 1 - (places - low)
    matrix[np.arange(len(places)), np.minimum(low + 1, size - 1)] += places - low
    return matrix
