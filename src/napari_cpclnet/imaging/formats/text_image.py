"""An image whose header is text, read and checked, and its voxels still in the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging.formats.header_text import NO_SPACING, NOT_PLACED
from napari_cpclnet.imaging.formats.voxel_files import Voxels
from napari_cpclnet.imaging.geometry import Geometry

Vector = tuple[float, ...]


@dataclass(frozen=True)
class TextImage:
    """What the header of an NRRD or MetaImage file says.

    Parameters
    ----------
    voxels
        Where the values are.
    axes
        Which axes of the file are x, y and z, two or three of them in rising order; the others count phases.
    geometry
        Of one phase; may be sheared.
    notes
        What was assumed, one sentence each.
    metadata
        Fields of other programs.
    calibrated
        False if the file says no voxel size.
    components
        Values per voxel, where one axis of the file counts these (colours, vectors) and not phases.
    slope, intercept
        Value = slope x stored + intercept.
    """

    voxels: Voxels
    axes: tuple[int, ...]
    geometry: Geometry
    notes: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    calibrated: bool = True
    components: int = 1
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def phase_axes(self) -> tuple[int, ...]:
        """Axes of the file that are no axes of space."""
        return tuple(axis for axis in range(len(self.voxels.sizes)) if axis not in self.axes)

    @property
    def n_phases(self) -> int:
        """Number of phases (time points, echoes, layers), or of components."""
        return math.prod(self.voxels.sizes[axis] for axis in self.phase_axes)

    def phase(self, number: int) -> NDArray[Any]:
        """Array (z, y, x) of one phase, read from the file.

        Raises
        ------
        ImageError
            If the file ends too early or is damaged.
        """
        if all(axis > self.axes[-1] or self.voxels.sizes[axis] == 1 for axis in self.phase_axes):
            count = self.voxels.count // self.n_phases
            values = self.voxels.values(number * count, count)
        else:
            values = np.ascontiguousarray(self.phases()[number])
        values = values.reshape(self.geometry.shape)
        if (self.slope, self.intercept) == (1.0, 0.0):
            return values
        with np.errstate(over="ignore"):  # infinite values are refused by whoever asked for a scan
            return values * self.slope + self.intercept

    def phases(self) -> NDArray[Any]:
        """Array (phase, z, y, x) of all phases as they are stored; it may not lie in one piece."""
        values = self.voxels.values(0, self.voxels.count)
        last = len(self.voxels.sizes) - 1
        array = values.reshape(self.voxels.sizes[::-1])
        order = [last - axis for axis in (*self.phase_axes[::-1], *self.axes[::-1])]
        return array.transpose(order).reshape(self.n_phases, *self.geometry.shape)


def lps_geometry(sizes: Sequence[int], directions: Sequence[Vector], origin: Vector, where: str) -> Geometry:
    """Geometry from what headers say of x, y (and z).

    Parameters
    ----------
    sizes
        Voxels along two or three axes.
    directions
        Step (left, posterior, superior) in mm from one voxel to the next along each axis; of two axes the third is
        made, square to both and of 1 mm.
    origin
        Place (left, posterior, superior) of the first voxel, in mm.
    where
        Begins the message.

    Raises
    ------
    ImageError
        If the axes lie in one plane.
    """
    columns = np.array(directions, dtype=np.float64).T
    if columns.shape[1] == 2:
        columns = np.column_stack([columns, _normal(columns)])
    affine = np.eye(4)
    affine[:3, :3] = columns[::-1, ::-1]
    affine[:3, 3] = origin[::-1]
    x, y, z = [*sizes, 1][:3]
    try:
        return Geometry.from_affine((z, y, x), affine)
    except GeometryError as error:
        raise ImageError(f"{where}: {error}") from error


def _normal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Third axis of a picture: superior if it is axial, however it is turned, else square to the other two."""
    if not np.any(columns[2]):
        return np.array([0.0, 0.0, 1.0])
    normal = np.cross(columns[:, 0], columns[:, 1])
    return np.asarray(normal / (np.linalg.norm(normal) or 1.0))


def assumptions(*, spaced: bool, placed: bool) -> tuple[str, ...]:
    """Notes on what a header leaves open."""
    return (() if spaced else (NO_SPACING,)) + (() if placed else (NOT_PLACED,))
