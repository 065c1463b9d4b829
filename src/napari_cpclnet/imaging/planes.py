"""Anatomical planes: the array axes they mean in a scan, and the one that paint follows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_cpclnet.imaging.geometry import Geometry

Plane = Annotated[
    Literal["auto", "axial", "coronal", "sagittal", "native"],
    Field(
        title="Plane",
        json_schema_extra={
            "choices": {
                "auto": "As painted",
                "axial": "Axial",
                "coronal": "Coronal",
                "sagittal": "Sagittal",
                "native": "As stored",
            }
        },
    ),
]

NAMES: tuple[Plane, Plane, Plane] = ("axial", "coronal", "sagittal")
"""Planes whose slices are stacked along the world axes superior, posterior, left."""

# For each plane: (world axis, runs against it) of slices, rows, columns; world axes are S, P, L.
_ATTITUDE: dict[str, tuple[tuple[int, bool], tuple[int, bool], tuple[int, bool]]] = {
    "axial": ((0, False), (1, False), (2, False)),
    "coronal": ((1, False), (0, True), (2, False)),
    "sagittal": ((2, False), (0, True), (1, False)),
}

# Spacing of the thickest axis against the next: 1.5 leaves 1.2 mm sagittal slices of 1 mm pixels to the axial plane.
_DISTINCT = 1.5
_NEAR = 0.5**0.5  # 45 degrees
# The thickest axis of one oblique scan answers that of another up to 60 degrees away.
_SAME_VIEW = 0.5

Direction = tuple[float, float, float]
Attitude = tuple[Direction, Direction, Direction]
"""World directions (S, P, L) of slices, rows and columns."""


@dataclass(frozen=True)
class View:
    """A plane on the array axes of one grid.

    Parameters
    ----------
    plane
        Name of the nearest anatomical plane.
    axes
        Array axes of slices, rows and columns.
    flips
        Whether slices, rows, columns run against the array's order.
    """

    plane: Plane
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def attitude(self, geometry: Geometry) -> Attitude:
        """How slices, rows and columns of that grid lie in the patient."""
        matrix = np.array(geometry.direction)
        found = []
        for axis, flip in zip(self.axes, self.flips, strict=True):
            s, p, l = (-matrix if flip else matrix)[:, axis].tolist()
            found.append((s, p, l))
        return found[0], found[1], found[2]


@dataclass(frozen=True)
class Sliced:
    """How one scan of a support is sliced, and how many of its slices are taken."""

    geometry: Geometry
    plane: Plane
    slices: int = 1


def plane_axis(geometry: Geometry, plane: Plane) -> int:
    """Array axis that is sliced to look at a grid in `plane`; for ``auto`` that of a grid nobody painted on."""
    if plane == "native":
        return 0
    if plane != "auto":
        return geometry.anatomical_axes[NAMES.index(plane)][0]
    single = [axis for axis, n in enumerate(geometry.shape) if n == 1]
    if len(single) == 1:
        return single[0]
    thickest = _thickest(geometry)
    return plane_axis(geometry, "axial") if thickest is None else thickest


def axis_plane(geometry: Geometry, axis: int) -> Plane:
    """Name of the nearest anatomical plane of the slices along an array axis."""
    return NAMES[[found for found, _ in geometry.anatomical_axes].index(axis)]


def named_plane(geometry: Geometry, plane: Plane) -> Plane:
    """One of axial, coronal and sagittal, whatever was asked for."""
    return plane if plane in NAMES else axis_plane(geometry, plane_axis(geometry, plane))


def view_of(geometry: Geometry, plane: Plane, like: Attitude | None = None) -> View:
    """The array axes and directions in which a grid is shown in a plane.

    Parameters
    ----------
    geometry : Geometry
    plane : str
        Any plane; its slices keep their array axis.
    like : Attitude, optional
        Of another scan, to which the pictures are turned if the slices lie less than 45 degrees apart; else, and by
        default, they are turned to the nearest anatomical one.
    """
    name = named_plane(geometry, plane)
    matrix = np.array(geometry.direction)
    axis = plane_axis(geometry, plane)
    if like is not None and abs(np.dot(matrix[:, axis], like[0])) > _NEAR:
        return _turned_like(matrix, axis, name, np.array(like))
    (a, flip_a), (b, flip_b), (c, flip_c) = (
        (int(geometry.anatomical_axes[world][0]), geometry.anatomical_axes[world][1] != against)
        for world, against in _ATTITUDE[name]
    )
    return View(name, (a, b, c), (flip_a, flip_b, flip_c))


def _turned_like(matrix: NDArray[np.float64], axis: int, name: Plane, like: NDArray[np.float64]) -> View:
    """Slices along an axis, rows and columns as near to others as they can be without mirroring the body."""
    best, nearest = None, -np.inf
    for rows, columns in itertools.permutations(a for a in range(3) if a != axis):
        axes = (axis, rows, columns)
        for flips in itertools.product((False, True), repeat=3):
            ways = matrix[:, axes].T * np.where(flips, -1.0, 1.0)[:, None]
            near = float((ways * like).sum())
            if (
                np.linalg.det(ways) * np.linalg.det(like) > 0
                and np.dot(ways[0], like[0]) > 0
                and near > nearest
            ):
                best, nearest = View(name, axes, (flips[0], flips[1], flips[2])), near
    assert best is not None  # of four turns by a quarter, one is always the nearest
    return best


def plane_like(geometry: Geometry, support: Iterable[Sliced]) -> Plane:
    """The plane in which a scan is sliced for a support.

    Parameters
    ----------
    geometry : Geometry
        Of the scan.
    support : iterable of Sliced
        How the scans of the support are sliced. If the scan's own grid is among them, only that counts.

    Returns
    -------
    str
        axial, coronal or sagittal: the one whose slices are the most parallel to most slices of the support. Where
        those lie along the thickest axis of an oblique scan, as along the short axis of a heart, and this scan is
        oblique and has a thickest axis, too, it is that one, up to 60 degrees away.
    """
    counted = list(support)
    counted = [one for one in counted if one.geometry.isclose(geometry)] or counted
    chief = leading(counted)
    if chief is None:
        return named_plane(geometry, "auto")
    axis = plane_axis(chief.geometry, chief.plane)
    way = np.array(chief.geometry.direction)[:, axis]
    near = np.abs(np.array(geometry.direction).T @ way)
    thickest = _thickest(geometry)
    both = geometry.is_oblique and chief.geometry.is_oblique
    if both and thickest is not None and _thickest(chief.geometry) == axis and near[thickest] >= _SAME_VIEW:
        return axis_plane(geometry, thickest)
    return axis_plane(geometry, int(near.argmax()))


def attitude_of(support: Iterable[Sliced]) -> Attitude | None:
    """In which attitude most slices of a support are seen; None if there are none."""
    chief = leading(support)
    return None if chief is None else view_of(chief.geometry, chief.plane).attitude(chief.geometry)


def leading(support: Iterable[Sliced]) -> Sliced | None:
    """The scan and plane with most slices, in whatever order they come; None if there is none."""
    counts: dict[tuple[Plane, Geometry], int] = {}
    for one in support:
        key = (named_plane(one.geometry, one.plane), one.geometry)
        counts[key] = counts.get(key, 0) + one.slices
    of_plane = {plane: sum(n for (name, _), n in counts.items() if name == plane) for plane in NAMES}
    best = max(NAMES, key=lambda name: of_plane[name])
    scans = sorted(((-n, repr(g)), g, n) for (name, g), n in counts.items() if name == best and n)
    return Sliced(scans[0][1], best, scans[0][2]) if scans else None


def _thickest(geometry: Geometry) -> int | None:
    """Array axis whose voxels are distinctly longer than along both others, or None."""
    order = np.argsort(geometry.spacing)
    longest, next_one = geometry.spacing[order[2]], geometry.spacing[order[1]]
    return int(order[2]) if longest >= _DISTINCT * next_one else None
