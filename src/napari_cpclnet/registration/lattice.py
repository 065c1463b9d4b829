"""The grid that features are compared on: in the query's own axes, so that it suits every plane and every slant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.preprocessing.body import body_box

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.registration.settings import RegistrationSettings

Floats = NDArray[np.float64]

_FEWEST = 4
"""Grid points along an axis, also across a single slice."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Grid of equal steps over the body that a query shows, along its array axes.

    Parameters
    ----------
    shape : tuple of int
        Grid points along the array axes (z, y, x), even numbers.
    step : float
        Their distance in mm.
    start : tuple of float
        Native index position (z, y, x) of the first one.
    spacing : tuple of float
        Of the query's voxels, in mm.
    query_affine : ndarray (4, 4)
        From native index to world.
    """

    shape: tuple[int, int, int]
    step: float
    start: tuple[float, float, float]
    spacing: tuple[float, float, float]
    query_affine: Floats

    @classmethod
    def over(cls, query: Volume, settings: RegistrationSettings) -> Lattice:
        """Lattice over the body box of a query."""
        spacing = query.geometry.spacing
        box = np.array(body_box(query, spacing))
        sides = (box[:, 1] - box[:, 0]) * spacing
        finest, coarsest = settings.step_mm
        step = float(np.clip((sides.prod() / settings.points) ** (1 / 3), finest, coarsest))
        step = max(step, float((sides.prod() / settings.most_points) ** (1 / 3)))
        half = np.maximum(np.ceil((sides + 2 * step) / step / 2), _FEWEST // 2)
        shape = (2 * half).astype(int)
        start = box.mean(1) - (shape - 1) / 2 * step / np.array(spacing)
        a, b, c = (int(n) for n in shape)
        z, y, x = (float(v) for v in start)
        return cls((a, b, c), step, (z, y, x), spacing, query.geometry.affine)

    @property
    def to_native(self) -> Floats:
        """(4, 4) matrix from lattice index to the query's native index."""
        matrix = np.diag([*(self.step / s for s in self.spacing), 1.0])
        matrix[:3, 3] = self.start
        return matrix

    @property
    def affine(self) -> Floats:
        """(4, 4) matrix from lattice index to world."""
        return np.asarray(self.query_affine @ self.to_native)

    @property
    def half_shape(self) -> tuple[int, int, int]:
        """Shape of the grid of every second point."""
        a, b, c = self.shape
        return a // 2, b // 2, c // 2
