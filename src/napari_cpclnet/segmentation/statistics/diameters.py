"""The largest diameter of a structure on one axial slice and the largest one across it, as RECIST and WHO measure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from napari_cpclnet.imaging import Geometry, plane_axis

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

_TOUCHING = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Diameters:
    """Diameters of the component that is the longest on an axial slice.

    Parameters
    ----------
    longest_mm : float
        The largest distance of two points of its outline.
    perpendicular_mm : float
        The largest chord at a right angle to the longest diameter.
    index : int
        The slice, counted along `axis`.
    axis : int
        Array axis nearest to the patient's long axis, along which axial slices are stacked.
    """

    longest_mm: float
    perpendicular_mm: float
    index: int
    axis: int


def axial_diameters(mask: Mask, geometry: Geometry) -> Diameters | None:
    """The largest diameter of a class on an axial slice, and the largest diameter perpendicular to it on that slice.

    Slices are those along the array axis that is nearest to the patient's long axis, so that an oblique scan is
    measured on its own slices. Each connected component of a slice (8-neighbourhood) is measured by itself. Its outline
    runs through the middles of the pixel edges that separate it from other pixels: a row of n pixels is n spacings
    long. Diameters are those of callipers, across hollows of the outline.

    Parameters
    ----------
    mask : ndarray (z, y, x) of bool
        The class.
    geometry : Geometry
        Its grid; pixels may be oblong and the slices oblique.

    Returns
    -------
    Diameters or None
        None if the mask is empty.
    """
    axis = plane_axis(geometry, "axial")
    frame = _frame(geometry, axis)
    best: tuple[float, int, Points] | None = None
    for bound, index, piece, corner in sorted(_pieces(mask, axis, frame), key=lambda one: -one[0]):
        if best is not None and bound <= best[0]:
            break  # nothing that follows has a longer diagonal
        hull = _hull((_edge_middles(piece) + corner) @ frame)
        length = _farthest(hull)[0]
        if best is None or length > best[0]:
            best = (length, index, hull)
    if best is None:
        return None
    length, index, hull = best
    return Diameters(length, _across(hull), index, axis)


def _frame(geometry: Geometry, axis: int) -> Points:
    """(2, 2) matrix from pixel steps (row, column) of a slice to mm in its plane, sheared grids included."""
    steps = np.delete(geometry.affine[:3, :3], axis, axis=1)
    return np.asarray(np.linalg.cholesky(steps.T @ steps))


def _pieces(mask: Mask, axis: int, frame: Points) -> Iterator[tuple[float, int, Mask, tuple[int, int]]]:
    """Components of all slices: an upper bound of the diameter in mm, slice, pixels, and where these begin."""
    for index in np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))):
        labels, _ = ndimage.label(mask.take(index, axis=axis), _TOUCHING)
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            rows, columns = box
            size = np.array([rows.stop - rows.start, columns.stop - columns.start])
            diagonals = (size * [[1, 1], [1, -1]]) @ frame
            bound = float(np.linalg.norm(diagonals, axis=1).max())
            yield bound, int(index), labels[box] == number, (rows.start, columns.start)


def _edge_middles(piece: Mask) -> Points:
    """Middles of the outermost pixel edges of each row and column (row, column)."""
    rows = np.flatnonzero(piece.any(1))
    first, last = piece[rows].argmax(1), piece.shape[1] - 1 - piece[rows, ::-1].argmax(1)
    columns = np.flatnonzero(piece.any(0))
    top, bottom = piece[:, columns].argmax(0), piece.shape[0] - 1 - piece[::-1, columns].argmax(0)
    ends = ((rows, first - 0.5), (rows, last + 0.5), (top - 0.5, columns), (bottom + 0.5, columns))
    return np.concatenate([np.stack(np.broadcast_arrays(*pair), 1) for pair in ends]).astype(np.float64)


def _hull(points: Points) -> Points:
    """Corners of the convex hull; the four edges of one pixel span an area already."""
    return np.asarray(points[ConvexHull(points).vertices])


def _farthest(points: Points) -> tuple[float, NDArray[Any]]:
    """The largest distance of two points, and the step from the one to the other."""
    steps = points[:, None] - points[None]
    lengths = np.linalg.norm(steps, axis=-1)
    at = np.unravel_index(lengths.argmax(), lengths.shape)
    return float(lengths[at]), steps[at]


def _across(hull: Points) -> float:
    """The largest chord of a convex outline at a right angle to its longest diameter."""
    length, step = _farthest(hull)
    along = step / length
    turned = hull @ np.array([along, [-along[1], along[0]]]).T
    # the chord is a concave function of the place along the diameter, with corners where the outline has some
    start = int(turned[:, 0].argmin())
    ring = np.roll(turned, -start, axis=0)
    end = int(ring[:, 0].argmax())
    one, other = ring[: end + 1], np.concatenate([ring[end:], ring[:1]])[::-1]
    places = ring[:, 0]
    chords = np.interp(places, one[:, 0], one[:, 1]) - np.interp(places, other[:, 0], other[:, 1])
    return float(np.abs(chords).max())
