"""The grid that features are compared on: in the query's own axes, so that it suits every plane and every slant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.preprocessing.body import body_box, tissue_threshold
from napari_cpclnet.preprocessing.intensity import sample_voxels

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.registration.settings import RegistrationSettings

Floats = NDArray[np.float64]

_COARSE_MM = 4.0
_DIM = 0.25
_DARKEST_PERCENT = 0.5
_SMALLEST_PROFILE = 0.05
_WORTHWHILE = 0.9
"""A lattice is finer if its step is less than this share of another's."""
_FEWEST = 4
"""Grid points along an axis, also across a single slice."""


def tissue_box(volume: Volume) -> tuple[tuple[float, float], ...]:
    """Edges of the box of everything brighter than air, for each array axis in fractional voxel indices.

    Far from a surface coil, MR shows tissue darker than the threshold that finds the bulk of a body.
    """
    if volume.modality == "CT":
        return body_box(volume, volume.geometry.spacing)
    shape = volume.array.shape
    steps = [
        min(max(1, round(_COARSE_MM / s)), max(1, n // 8))
        for s, n in zip(volume.geometry.spacing, shape, strict=True)
    ]
    coarse = volume.array[tuple(slice(step // 2, None, step) for step in steps)]
    darkest = float(np.percentile(sample_voxels(volume.array), _DARKEST_PERCENT))
    bright = coarse > darkest + _DIM * (tissue_threshold(volume) - darkest)
    if min(bright.shape) > 2:
        bright = ndimage.binary_opening(bright, ndimage.generate_binary_structure(3, 1))
    box = []
    for axis, (step, count) in enumerate(zip(steps, shape, strict=True)):
        profile = np.count_nonzero(bright, axis=tuple(a for a in range(3) if a != axis))
        hit = np.flatnonzero(profile >= max(1.0, _SMALLEST_PROFILE * profile.max()))
        if not len(hit):
            return tuple((-0.5, n - 0.5) for n in shape)
        first, last = int(hit[0]), int(hit[-1])
        low = -0.5 if first == 0 else first * step - 0.5
        box.append((low, count - 0.5 if last == len(profile) - 1 else (last + 1) * step - 0.5))
    return tuple(box)


@dataclass(frozen=True, eq=False)
class Lattice:
    """Grid of equal steps over the tissue that a query shows, along its array axes.

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
        """Lattice over all tissue of a query."""
        spacing = query.geometry.spacing
        box = np.array(tissue_box(query))
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

    def finer(self, settings: RegistrationSettings) -> Lattice:
        """Lattice over the same tissue for the end of the continuous optimisation; itself if none is finer."""
        size = np.array(self.shape) * self.step
        step = float(max((size.prod() / settings.fine_points) ** (1 / 3), settings.step_mm[0]))
        if step > _WORTHWHILE * self.step:
            return self
        half = np.maximum(np.ceil(size / step / 2), _FEWEST // 2).astype(int)
        shape = 2 * half
        middle = np.array(self.start) + (np.array(self.shape) - 1) / 2 * self.step / np.array(self.spacing)
        z, y, x = (float(v) for v in middle - (shape - 1) / 2 * step / np.array(self.spacing))
        a, b, c = (int(n) for n in shape)
        return Lattice((a, b, c), step, (z, y, x), self.spacing, self.query_affine)

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

    @property
    def half_to_native(self) -> Floats:
        """(4, 4) matrix from an index of that grid, whose points lie between two, to the query's native index."""
        between = np.diag([2.0, 2.0, 2.0, 1.0])
        between[:3, 3] = 0.5
        return np.asarray(self.to_native @ between)
