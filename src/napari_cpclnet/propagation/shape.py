"""Shape-based interpolation: signed distances of painted outlines, blended from slice to slice.

After Raya and Udupa, "Shape-based interpolation of multidimensional objects", IEEE Transactions on Medical Imaging 9,
1990, and Herman, Zheng and Bucholtz, "Shape-based interpolation", IEEE Computer Graphics and Applications 12, 1992.
Pieces that lie apart on the two slices are moved onto each other first, so that a vessel that crosses the slices at an
angle is followed and not cut off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FAR_MM = 60.0
"""Distance that stands for "not on this slice at all"."""

_APART = 3.0
"""Dissimilarity from which two pieces of neighbouring slices are taken for different ones."""

Mask2D = NDArray[np.bool_]
Map = NDArray[np.float32]
Spacing2D = tuple[float, float]


def signed_distance(mask: Mask2D, spacing: Spacing2D) -> Map:
    """Signed distance to the outline of a mask, (h, w), in mm; positive inside.

    Parameters
    ----------
    mask : ndarray (h, w) of bool
    spacing : (float, float)
        Pixel size along rows and columns, in mm.

    Returns
    -------
    ndarray (h, w) of float32
        `-FAR_MM` everywhere if the mask is empty.
    """
    if not mask.any():
        return np.full(mask.shape, -FAR_MM, np.float32)
    # the outline runs between the pixels, half a pixel from the middle of either
    half = min(spacing) / 2
    padded = np.pad(mask, 1)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return np.asarray(np.where(mask, inside - half, half - outside), np.float32)


class Interpolation:
    """The way from the outline on one slice to that on another.

    Parameters
    ----------
    first, last : ndarray (h, w) of bool
        The class on two painted slices.
    spacing : (float, float)
        Pixel size along rows and columns, in mm.
    """

    def __init__(self, first: Mask2D, last: Mask2D, spacing: Spacing2D) -> None:
        self._spacing = spacing
        self._pairs, self._ending, self._beginning = _matched_pieces(first, last, spacing)

    def at(self, fraction: float) -> Map:
        """Signed distance (h, w) in mm at a fraction of the way, 0 on the first slice and 1 on the last."""
        maps = [
            (1 - fraction) * _moved(a, shift * fraction) + fraction * _moved(b, shift * (fraction - 1))
            for a, b, shift in self._pairs
        ]
        # a piece that is on one of the slices only ends half-way
        maps += [_shrunk(a, fraction) for a in self._ending]
        maps += [_shrunk(b, 1 - fraction) for b in self._beginning]
        return np.asarray(np.maximum.reduce(maps))


def _shrunk(distance: Map, fraction: float) -> Map:
    return distance - np.float32(2 * fraction * max(float(distance.max()), 1.0))


def _moved(distance: Map, shift: NDArray[np.float64]) -> Map:
    if np.abs(shift).max() < 0.05:
        return distance
    return np.asarray(ndimage.shift(distance, shift, order=1, mode="nearest", output=np.float32))


def _matched_pieces(
    first: Mask2D, last: Mask2D, spacing: Spacing2D
) -> tuple[list[tuple[Map, Map, NDArray[np.float64]]], list[Map], list[Map]]:
    """Pieces that belong together, with the shift between their centres in pixels; pieces of one slice only."""
    (a_pieces, a_centres), (b_pieces, b_centres) = _pieces(first), _pieces(last)
    a_maps = [signed_distance(piece, spacing) for piece in a_pieces]
    b_maps = [signed_distance(piece, spacing) for piece in b_pieces]
    cost = np.full((len(a_pieces), len(b_pieces)), np.inf)
    for i, a in enumerate(a_pieces):
        for j, b in enumerate(b_pieces):
            apart = np.linalg.norm((a_centres[i] - b_centres[j]) * spacing)
            a_mm2, b_mm2 = (np.count_nonzero(piece) * spacing[0] * spacing[1] for piece in (a, b))
            shared = np.count_nonzero(a & b) / min(np.count_nonzero(a), np.count_nonzero(b))
            cost[i, j] = apart / (a_mm2 * b_mm2) ** 0.25 - 2 * shared
    wanted = {(i, int(cost[i].argmin())) for i in range(len(a_pieces)) if len(b_pieces)}
    wanted |= {(int(cost[:, j].argmin()), j) for j in range(len(b_pieces)) if len(a_pieces)}
    chosen = sorted((i, j) for i, j in wanted if cost[i, j] <= _APART)
    pairs = [(a_maps[i], b_maps[j], b_centres[j] - a_centres[i]) for i, j in chosen]
    ending = [m for i, m in enumerate(a_maps) if i not in {i for i, _ in chosen}]
    beginning = [m for j, m in enumerate(b_maps) if j not in {j for _, j in chosen}]
    return pairs, ending, beginning


def _pieces(mask: Mask2D) -> tuple[list[Mask2D], list[NDArray[np.float64]]]:
    """Connected pieces of a mask, the largest twelve, and their centres."""
    labels: NDArray[Any]
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    order = np.argsort(np.bincount(labels.ravel(), minlength=count + 1)[1:])[::-1] + 1
    if count > 12:  # crumbs stay with the piece that is nearest to them
        _, nearest = ndimage.distance_transform_edt(~np.isin(labels, order[:12]), return_indices=True)
        labels = np.where(mask, labels[tuple(nearest)], 0)
    pieces = [np.asarray(labels == value) for value in order[:12]]
    return pieces, [np.asarray(ndimage.center_of_mass(piece)) for piece in pieces]
