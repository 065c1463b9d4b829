"""Affine starts: several ways of laying one scan over another, of which the cheapest is taken.

World axes are the patient's, so two scans of upright patients differ by a shift and by scales. Scans that were planned
on an organ (a heart in short axis, a slanted spine) lie alike in their own axes rather than in the world's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Geometry
    from napari_cpclnet.registration.images import ReducedScan

Floats = NDArray[np.float64]

_SCALES = (0.7, 1.4)
_FEWEST_SLABS_MM = 30.0
_FEWEST_VOXELS = 4
_SAME_AXES_DEG = 3.0
_STRETCHED, _OFF_CENTRE = 0.3, 0.2
"""What a start costs more by the mean logarithm of its scales, and by its shift in half diagonals of a scan."""


@dataclass(frozen=True, eq=False)
class Start:
    """An affine map from the query's world to the support's, and how it was found."""

    affine: Floats
    found_by: str


def own_axes(geometry: Geometry) -> Floats:
    """Rotation (3, 3) whose columns are the array axes nearest to superior, posterior and left, in world axes."""
    direction = np.array(geometry.direction)
    columns = [
        (-1.0 if backwards else 1.0) * direction[:, axis] for axis, backwards in geometry.anatomical_axes
    ]
    # the nearest rotation: the axes of a tilted gantry are not at right angles
    left, _, right = np.linalg.svd(np.stack(columns, 1))
    return np.asarray(left @ right)


def about(query: Floats, support: Floats, scales: Floats, query_axes: Floats, support_axes: Floats) -> Floats:
    """Affine (4, 4) that takes one point to the other, scaled along axes that are brought together."""
    affine = np.eye(4)
    affine[:3, :3] = support_axes @ np.diag(scales) @ query_axes.T
    affine[:3, 3] = support - affine[:3, :3] @ query
    return affine


@dataclass(frozen=True, eq=False)
class Body:
    """Where tissue lies in a scan, slab by slab, in mm along a frame of three axes.

    Parameters
    ----------
    places : ndarray (n,)
        Heights of the slabs.
    low, high : ndarray (n, 2)
        Where the tissue of each slab begins and ends along the two other axes; nan where a slab shows none.
    """

    places: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, scan: ReducedScan, axes: Floats) -> Body:
        """Body of a scan along a frame of axes near its own."""
        order = [axis for axis, _ in scan.geometry.anatomical_axes]
        mask = np.transpose(tissue_mask(scan), order)
        centre = scan.affine[:3, :3] @ ((np.array(scan.image.shape) - 1) / 2) + scan.affine[:3, 3]
        coordinates = []
        for k, axis in enumerate(order):
            step = float(axes[:, k] @ scan.affine[:3, axis])
            offsets = np.arange(mask.shape[k]) - (mask.shape[k] - 1) / 2
            coordinates.append(float(axes[:, k] @ centre) + step * offsets)
        low, high = (np.full((len(coordinates[0]), 2), np.nan) for _ in range(2))
        for k in (1, 2):
            shown = np.asarray(mask.any(3 - k))
            for slab, row in enumerate(shown):
                hit = coordinates[k][row]
                if len(hit) >= _FEWEST_VOXELS:
                    low[slab, k - 1], high[slab, k - 1] = hit.min(), hit.max()
        return cls(coordinates[0], low, high)

    @property
    def heights(self) -> tuple[float, float]:
        """Lowest and highest slab that shows tissue."""
        shown = self.places[np.isfinite(self.low).all(1)]
        if not len(shown):
            shown = self.places
        return float(shown.min()), float(shown.max())

    def box(self, low: float, high: float) -> tuple[Floats, Floats]:
        """Middle and width (2,) of the body between two heights, medians over the slabs; nan where there is none."""
        within = (self.places >= low) & (self.places <= high) & np.isfinite(self.low).all(1)
        if not within.any():
            return np.full(2, np.nan), np.full(2, np.nan)
        begin, end = np.median(self.low[within], 0), np.median(self.high[within], 0)
        return (begin + end) / 2, end - begin


def tissue_mask(scan: ReducedScan) -> NDArray[np.bool_]:
    """Largest piece of tissue of a reduced scan."""
    mask = scan.image.cpu().numpy() > scan.tissue
    cross = ndimage.generate_binary_structure(3, 1)
    opened = ndimage.binary_opening(mask, cross) if min(mask.shape) > 2 else mask
    pieces, count = ndimage.label(opened)
    if count == 0:
        return np.ones_like(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def frames(query: Geometry, support: Geometry) -> list[tuple[str, Floats, Floats]]:
    """Axes (3, 3) of the query and of the support that may be brought together, with words for them."""
    found = [("", np.eye(3), np.eye(3))]
    own = own_axes(query), own_axes(support)
    turn = np.degrees(np.arccos(np.clip((np.trace(own[1] @ own[0].T) - 1) / 2, -1, 1)))
    if turn > _SAME_AXES_DEG:
        found.append((" in their own axes", *own))
    return found


def middles(query: Geometry, support: Geometry, query_axes: Floats, support_axes: Floats) -> Floats:
    """Affine (4, 4) that brings the middles of two scans together along axes."""
    return about(_middle(query), _middle(support), np.ones(3), query_axes, support_axes)


def starts(query: ReducedScan, support: ReducedScan) -> Iterator[Start]:
    """Affine starts that need nothing but the scans, the likeliest first."""
    for suffix, query_axes, support_axes in frames(query.geometry, support.geometry):
        yield Start(
            middles(query.geometry, support.geometry, query_axes, support_axes),
            f"middles of the scans{suffix}",
        )
        yield Start(
            by_bodies(Body.of(query, query_axes), Body.of(support, support_axes), query_axes, support_axes),
            f"boxes of the bodies{suffix}",
        )


def improbability(start: Start, query: Geometry, support: Geometry) -> float:
    """Factor of a start's cost, 1 where middle lies over middle at the same size.

    Scans are centred on what they were made for, people differ little in size, and what is squeezed is smoother and so
    fits more easily.
    """
    scales = np.linalg.norm(start.affine[:3, :3], axis=0)
    middle = start.affine[:3, :3] @ _middle(query) + start.affine[:3, 3]
    off_centre = np.linalg.norm(middle - _middle(support)) / max(map(_half_diagonal, (query, support)))
    return float(1 + _STRETCHED * np.abs(np.log(scales)).mean() + _OFF_CENTRE * off_centre)


def by_bodies(
    query: Body,
    support: Body,
    query_axes: Floats,
    support_axes: Floats,
    heights: tuple[float, float] | None = None,
) -> Floats:
    """Affine (4, 4) that lays the box of one body over the other's, by the slabs that both show.

    Parameters
    ----------
    query, support : Body
    query_axes, support_axes : ndarray (3, 3)
        Their frames.
    heights : tuple of float, optional
        Scale and shift from the query's heights to the support's; the middles brought together by default.
    """
    low, high = query.heights
    if heights is None:
        heights = (1.0, sum(support.heights) / 2 - (low + high) / 2)
    scale, shift = heights
    both = max(low, (support.heights[0] - shift) / scale), min(high, (support.heights[1] - shift) / scale)
    if both[1] - both[0] < _FEWEST_SLABS_MM:
        both = low, high
    middle, width = query.box(*both)
    other, other_width = support.box(scale * both[0] + shift, scale * both[1] + shift)
    if not np.isfinite([middle, other]).all():
        middle, width = query.box(low, high)
        other, other_width = support.box(*support.heights)
    if not np.isfinite([middle, other]).all():
        middle = other = np.zeros(2)
        width = other_width = np.ones(2)
    scales = np.clip(other_width / np.maximum(width, 1e-3), *_SCALES)
    height = sum(both) / 2
    return about(
        query_axes @ np.array([height, *middle]),
        support_axes @ np.array([scale * height + shift, *other]),
        np.array([scale, *scales]),
        query_axes,
        support_axes,
    )


def _middle(geometry: Geometry) -> Floats:
    return np.asarray(geometry.index_to_world([(np.array(geometry.shape) - 1) / 2])[0])


def _half_diagonal(geometry: Geometry) -> float:
    """In mm."""
    return float(np.linalg.norm(np.array(geometry.shape) * geometry.spacing)) / 2
