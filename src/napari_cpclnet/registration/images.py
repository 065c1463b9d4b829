"""Scans in little: smoothed to what the registration's grid resolves, whatever their size.

A scan of 512 x 512 x 600 voxels is read in pieces, and only the reduced image stays.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.preprocessing import PreprocessingSettings, intensity_range, normalise
from napari_cpclnet.preprocessing.body import tissue_threshold

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Geometry, Volume

Floats = NDArray[np.float64]

DARKEST = 0.02
"""Normalised intensity that air does not exceed."""

_PIECE = 2**21
_SMOOTHING = 0.4
_COARSER = 1.2


@dataclass(frozen=True, eq=False)
class ReducedScan:
    """A scan's intensities on a coarser grid of its own axes.

    Parameters
    ----------
    image : Tensor, shape (Z, Y, X)
        In [0, 1].
    affine : ndarray (4, 4)
        From index to world, as `Geometry.affine`.
    tissue : float
        Intensity above which a voxel is tissue.
    geometry : Geometry
        Of the scan itself.
    """

    image: Tensor
    affine: Floats
    tissue: float
    geometry: Geometry

    def to(self, device: torch.device) -> ReducedScan:
        """The same on a device."""
        return ReducedScan(self.image.to(device), self.affine, self.tissue, self.geometry)


def reducing(volume: Volume, steps_mm: Sequence[float]) -> Generator[None, None, list[ReducedScan]]:
    """Smooth a scan to grids of some steps, with two samples a step; yields after every piece.

    Parameters
    ----------
    volume : Volume
    steps_mm : sequence of float
        Steps of the grids that will be laid through it. Axes with larger voxels stay as they are.

    Returns
    -------
    list of ReducedScan
        One for each step.
    """
    value_range = intensity_range(volume, PreprocessingSettings())
    grids = [_Reduction(volume.geometry, step) for step in steps_mm]
    per_slice = volume.array.shape[1] * volume.array.shape[2]
    piece = max(1, _PIECE // per_slice)
    for first in range(0, len(volume.array), piece):
        part = torch.from_numpy(normalise(volume.array[first : first + piece], value_range))
        for grid in grids:
            grid.add(part)
        yield
    low, high = value_range
    threshold = (tissue_threshold(volume) - low) / (high - low) if high > low else 0.0
    # one after the other: all slices within themselves take as much as several results
    return [grids.pop(0).result(float(np.clip(threshold, DARKEST, 0.5))) for _ in steps_mm]


class _Reduction:
    """Slices of a scan on their way to a coarser grid."""

    def __init__(self, geometry: Geometry, step_mm: float) -> None:
        self._geometry = geometry
        self._along = [
            _smoothing(n, s, step_mm) for n, s in zip(geometry.shape, geometry.spacing, strict=True)
        ]
        self._rows, self._columns = (torch.from_numpy(matrix) for matrix, _, _ in self._along[1:])
        size = geometry.shape[0], len(self._rows), len(self._columns)
        self._slices, self._done = torch.empty(size), 0

    def add(self, part: Tensor) -> None:
        """Reduce the next slices within themselves."""
        self._slices[self._done : self._done + len(part)] = self._rows @ (part @ self._columns.T)
        self._done += len(part)

    def result(self, tissue: float) -> ReducedScan:
        """All slices reduced across themselves, too."""
        image = torch.tensordot(torch.from_numpy(self._along[0][0]), self._slices, dims=1)
        to_native = np.diag([*(step for _, _, step in self._along), 1.0])
        to_native[:3, 3] = [start for _, start, _ in self._along]
        return ReducedScan(image, self._geometry.affine @ to_native, tissue, self._geometry)


def _smoothing(count: int, spacing: float, step_mm: float) -> tuple[NDArray[np.float32], float, float]:
    """Gaussian weights (n, count) of one axis, where the first sample lies and how far the next, in voxels."""
    if step_mm <= _COARSER * spacing:
        return np.eye(count, dtype=np.float32), 0.0, 1.0
    step = max(1.0, step_mm / 2 / spacing)
    n = int((count - 1) / step) + 1
    start = (count - 1 - (n - 1) * step) / 2
    distance = np.arange(count)[None] - (start + step * np.arange(n))[:, None]
    weights = np.exp(-0.5 * (distance * spacing / (_SMOOTHING * step_mm)) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32), start, step


def index_points(shape: tuple[int, int, int], matrix: Floats, device: torch.device) -> Tensor:
    """Images (Z, Y, X, 3) of all index positions (z, y, x) of a grid under a (4, 4) matrix."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    m = torch.as_tensor(matrix, dtype=torch.float32, device=device)
    z, y, x = (axis.view([-1 if k == i else 1 for k in range(3)]) for i, axis in enumerate(axes))
    return torch.stack([m[k, 0] * z + m[k, 1] * y + m[k, 2] * x + m[k, 3] for k in range(3)], -1)


def sample(values: Tensor, points: Tensor) -> Tensor:
    """Linear interpolation, the border's values held outside.

    Parameters
    ----------
    values : Tensor, shape (C, Z, Y, X)
    points : Tensor, shape (..., 3)
        Index positions (z, y, x).

    Returns
    -------
    Tensor, shape (C, ...)
    """
    last = torch.tensor([max(n - 1, 1) for n in values.shape[1:]], dtype=points.dtype, device=points.device)
    grid = (2 * points / last - 1).flip(-1).reshape(1, 1, 1, -1, 3)
    found = F.grid_sample(values[None], grid, align_corners=True, padding_mode="border")
    return found.reshape(len(values), *points.shape[:-1])
