"""Sheared voxel grids (gantry tilt, skewed matrices) brought to a grid with right angles."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.imaging.geometry import Geometry

# Cosine between two axes from which a grid counts as sheared: half a voxel in 500.
SHEAR = 1e-3
# A grid skewed so much that its box needs this many times its voxels is a damaged header, not a scan.
LARGEST_GROWTH = 8


def shear_of(geometry: Geometry) -> float:
    """Largest cosine between two axes of the grid: 0 for right angles."""
    axes = np.array(geometry.direction)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def upright(geometry: Geometry) -> Geometry:
    """Smallest grid of right angles around a sheared one.

    Columns keep their direction, and slices their plane, so that a series with a tilted gantry keeps its pixels
    and is only pushed along within its slices.

    Raises
    ------
    GeometryError
        If the axes lie almost in one plane.
    """
    matrix = geometry.affine[:3, :3]
    # Gram-Schmidt from the last axis on: x is kept, y made square to it, z becomes the normal of both.
    x = matrix[:, 2] / np.linalg.norm(matrix[:, 2])
    y = matrix[:, 1] - (matrix[:, 1] @ x) * x
    y_step = float(np.linalg.norm(y))
    normal = np.cross(x, y / max(y_step, 1e-12))
    z_step = float(matrix[:, 0] @ normal)
    if min(y_step / geometry.spacing[1], abs(z_step) / geometry.spacing[0]) < 1e-2:
        raise GeometryError("The axes of the voxel grid lie almost in one plane.")
    axes = np.stack([normal * np.sign(z_step), y / y_step, x], axis=1)
    spacing = np.array([abs(z_step), y_step, geometry.spacing[2]])
    corners = np.array(list(itertools.product(*((0, n - 1) for n in geometry.shape))), dtype=np.float64)
    index = (geometry.index_to_world(corners) - geometry.origin) @ axes / spacing
    low = index.min(axis=0)
    # Rounding must not add a slice: the depth of a sheared stack is a whole number of steps.
    shape = np.ceil(index.max(axis=0) - low - 1e-3).astype(int) + 1
    if np.prod(shape, dtype=np.float64) > LARGEST_GROWTH * np.prod(geometry.shape, dtype=np.float64) + 1000:
        raise GeometryError("The voxel grid is skewed so much that it cannot be resampled.")
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = np.array(geometry.origin) + (axes * spacing) @ low
    return Geometry.from_affine((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def deskew(array: NDArray[Any], geometry: Geometry, *, labels: bool = False) -> tuple[NDArray[Any], Geometry]:
    """Resample an array (z, y, x) of a sheared grid to `upright` voxels.

    Parameters
    ----------
    array
        Grey values or labels.
    geometry
        Sheared grid of the array.
    labels
        Take the nearest voxel; else values are interpolated linearly, in float32, and voxels outside take the
        lowest value.

    Raises
    ------
    GeometryError
        If the grid is skewed too much.
    """
    from scipy.ndimage import affine_transform

    target = upright(geometry)
    matrix = np.linalg.inv(geometry.affine) @ target.affine
    moved = affine_transform(
        array if labels else array.astype(np.float32, copy=False),
        matrix[:3, :3],
        offset=matrix[:3, 3],
        output_shape=target.shape,
        order=0 if labels else 1,
        cval=0 if labels else float(array.min()),
    )
    return np.asarray(moved), target
