"""Which slices of a label map were painted, and along which array axis: paint lies on single slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.planes import Plane, axis_plane, named_plane

Points = NDArray[np.intp]

BACKGROUND = 255
"""Label value by which somebody paints that no class is there, on slices that are not painted completely."""

# Voxels that are looked at to find the axis, on so many slices.
_SAMPLE, _SAMPLED_SLICES = 4096, 32
# The same for a slice that may only be crossed by strokes.
_SAMPLE_OF_SLICE = 256
_REACH = 12
# Slices painted side by side are still paint up to this number, if what is painted is much longer than they are thick.
_SIDE_BY_SIDE = 3
# Share of the labelled voxels that must lie on single slices; for an axis in use, to stay.
_PAINTED, _STILL_PAINTED = 0.5, 0.2
# A slice is only crossed if nearly all of its labelled voxels belong to strokes; the rest are their ends.
_CROSSED = 0.9


def single_slice_shares(labels: NDArray[Any]) -> tuple[float, float, float]:
    """For each array axis, which part of the labelled voxels lies on single slices along it; 0 if there are none."""
    points = _sample(labels)
    if not len(points):
        return 0.0, 0.0, 0.0
    z, y, x = (float(one.mean()) for one in _on_single_slices(labels, points))
    return z, y, x


def painted_axis(labels: NDArray[Any], before: int | None = None) -> int | None:
    """Array axis along which slices were painted.

    Parameters
    ----------
    labels : ndarray (z, y, x)
        Label values; 0 where nothing is painted.
    before : int, optional
        Axis found earlier: it stays while a fifth of the paint lies on slices along it.

    Returns
    -------
    int or None
        None where no slices stand out, as in an empty or a complete label map. Of a complete one that is flat, up to
        three voxels, it is the flat axis.
    """
    return chosen_axis(single_slice_shares(labels), before)


def chosen_axis(shares: tuple[float, float, float], before: int | None = None) -> int | None:
    """As :func:`painted_axis`, from what :func:`single_slice_shares` found."""
    if before is not None and shares[before] >= _STILL_PAINTED:
        return before
    best = int(np.argmax(shares))
    return best if shares[best] >= _PAINTED else None


def painted_plane(
    labels: NDArray[Any], geometry: Geometry, plane: Plane = "auto", before: int | None = None
) -> Plane:
    """The plane that was asked for or, with ``auto``, the one of axial, coronal and sagittal that was painted in.

    Where no slices stand out it is the plane across the thickest axis of the scan, else axial.
    """
    if plane != "auto":
        return plane
    axis = painted_axis(labels, before)
    return named_plane(geometry, "auto") if axis is None else axis_plane(geometry, axis)


def painted_slices(labels: NDArray[Any], axis: int) -> tuple[int, ...]:
    """Slices along an axis that were painted: that hold labels, and more than strokes across them in another view."""
    held = held_slices(labels, axis)
    crossed = set(crossed_slices(labels, axis, held))
    return tuple(index for index in held if index not in crossed)


def held_slices(labels: NDArray[Any], axis: int) -> tuple[int, ...]:
    """Slices along an axis that hold any label."""
    others = tuple(a for a in range(3) if a != axis)
    return tuple(np.flatnonzero(labels.any(axis=others)).tolist())


def crossed_slices(
    labels: NDArray[Any], axis: int, held: tuple[int, ...], shares: tuple[float, float, float] | None = None
) -> tuple[int, ...]:
    """Slices that only strokes of another view cross: one voxel thick there, and going on to the next slice.

    Parameters
    ----------
    labels : ndarray (z, y, x)
    axis : int
        Array axis of the slices.
    held : tuple of int
        Slices that hold labels.
    shares : tuple of float, optional
        From :func:`single_slice_shares`, if they are known.

    Returns
    -------
    tuple of int
        None of a map whose labels do not lie on single slices along the axis: it may be complete, and thin.
    """
    if len(held) < 2:
        return ()
    if (shares or single_slice_shares(labels))[axis] < _STILL_PAINTED:
        return ()
    slices = np.moveaxis(labels, axis, 0)
    found = []
    for index in held:
        there = _points_of_slice(slices[index], _SAMPLE_OF_SLICE)
        here = np.insert(there, axis, index, axis=1)
        runs = [_run(labels, here, a, 1) for a in range(3)]
        sides = [runs[a] for a in range(3) if a != axis]
        strokes = (runs[axis] > 1) & ((sides[0] == 1) | (sides[1] == 1))
        if strokes.mean() >= _CROSSED:
            found.append(index)
    return tuple(found)


def _on_single_slices(labels: NDArray[Any], points: Points) -> list[NDArray[np.bool_]]:
    """For each array axis, which of some labelled voxels lie on one slice painted along it, or a few side by side."""
    runs = [_run(labels, points, axis, _REACH) for axis in range(3)]
    found = []
    for axis in range(3):
        low, high = np.sort([runs[a] for a in range(3) if a != axis], axis=0)
        thin = runs[axis]
        few = (thin <= _SIDE_BY_SIDE) & (low >= 2 * thin) & (high >= 5 * thin)
        found.append(((thin == 1) & (low > 1)) | few)
    return found


def _run(labels: NDArray[Any], points: Points, axis: int, reach: int) -> NDArray[np.intp]:
    """Length of the row of labelled voxels along an axis that each point lies in, looking so far to both sides."""
    length = np.ones(len(points), np.intp)
    for way in (-1, 1):
        going = np.arange(len(points))
        for step in range(1, reach + 1):
            moved = points[going].copy()
            moved[:, axis] += way * step
            inside = (moved[:, axis] >= 0) & (moved[:, axis] < labels.shape[axis])
            going, moved = going[inside], moved[inside]
            going = going[labels[moved[:, 0], moved[:, 1], moved[:, 2]] != 0]
            if not len(going):
                break
            length[going] += 1
    return length


def _sample(labels: NDArray[Any]) -> Points:
    """Labelled voxels (n, 3), spread evenly over all of them but on a few slices."""
    counts = np.array([np.count_nonzero(one) for one in labels])
    total = int(counts.sum())
    if not total:
        return np.zeros((0, 3), np.intp)
    ranks = (np.arange(_SAMPLED_SLICES) + 0.5) / _SAMPLED_SLICES * total
    chosen, hits = np.unique(np.searchsorted(np.cumsum(counts), ranks, side="right"), return_counts=True)
    each = [
        np.insert(_points_of_slice(labels[index], int(n) * _SAMPLE // _SAMPLED_SLICES), 0, index, axis=1)
        for index, n in zip(chosen, hits, strict=True)
    ]
    return np.concatenate(each)


def _points_of_slice(labels2d: NDArray[Any], most: int) -> Points:
    places = np.flatnonzero(labels2d)
    rows, columns = np.unravel_index(places[:: -(-len(places) // most)], labels2d.shape)
    return np.stack([rows, columns], 1)
