"""Geometry of scans that another plugin opened: shown at a place of its own, with the true one in the metadata.

Readers put affines there as their files have them: in RAS, of the axes x, y, z.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.imaging import Geometry

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_cpclnet.imaging import Geometry

# From superior, posterior and left to superior, anterior and right.
_TO_SAR = np.diag([1.0, -1.0, -1.0, 1.0])
# Relative to the size of a voxel.
_SAME = 0.01


def noted_affine(layer: Layer) -> np.ndarray | None:
    """Affine (4, 4) that another plugin wrote down for a 3-D layer, from index x, y, z to RAS in mm."""
    found = layer.metadata.get("affine")
    if found is None or layer.ndim != 3:
        return None
    try:
        matrix = np.asarray(found, dtype=float)
    except (TypeError, ValueError):
        return None
    usable = (
        matrix.shape == (4, 4) and np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) > 1e-9
    )
    return matrix if usable else None


def true_geometry(layer: Layer, shown: np.ndarray) -> Geometry | None:
    """Grid in the patient by the noted affine, if the way in which the layer is shown tells how its axes run.

    Parameters
    ----------
    layer
        With a `noted_affine`.
    shown
        Matrix (4, 4) from index z, y, x to what napari calls world.
    """
    affine = noted_affine(layer)
    if affine is None:
        return None
    depth, height, width = (int(n) for n in layer.data.shape)
    shape = depth, height, width
    fitting = [one for one in _arrays(affine, shape) if _is_shown(one, shown, shape)]
    return Geometry.from_affine(shape, _TO_SAR @ fitting[0]) if fitting else None


def _arrays(affine: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Matrices from index of the layer's array to superior, anterior, right, for the ways in which readers turn it.

    The array may be as in the file (x, y, z), with its axes the other way round, or turned to S, A and R.
    """
    sar = affine[[2, 1, 0, 3]]  # rows
    closest = _nearest_axes(sar[:3, :3])
    return [sar, sar[:, [2, 1, 0, 3]], _turned(sar, closest, shape)]


def _turned(sar: np.ndarray, axes: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Columns in the order of the axes they are nearest to, each running upwards."""
    turned = sar[:, [*axes, 3]].copy()
    for axis in range(3):
        if turned[axis, axis] < 0:
            turned[:3, 3] += (shape[axis] - 1) * turned[:3, axis]
            turned[:3, axis] *= -1
    return turned


def _nearest_axes(matrix: np.ndarray) -> tuple[int, ...]:
    """File axis nearest to each row of a matrix, each once."""
    size = np.abs(matrix / np.linalg.norm(matrix, axis=0))
    return max(itertools.permutations(range(3)), key=lambda p: sum(size[row, p[row]] for row in range(3)))


def _is_shown(array: np.ndarray, shown: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether napari shows an array where this matrix puts it, or with axes laid straight and turned round."""
    spacing = np.linalg.norm(array[:3, :3], axis=0)
    if not np.allclose(np.linalg.norm(shown[:3, :3], axis=0), spacing, rtol=_SAME):
        return False
    as_in_file = array[[2, 1, 0, 3]]  # rows R, A, S
    if any(np.allclose(shown, one, atol=_SAME * spacing.min()) for one in (array, as_in_file)):
        return True
    # napari-nifti: straight axes that run downwards from the far corner
    straight = np.diag([*(-spacing), 1.0])
    straight[:3, 3] = array[:3, 3] + (np.array(shape) - 1) * spacing
    return bool(np.allclose(shown, straight, atol=_SAME * spacing.min()))


def place_is_unknown(layer: Any, shown: np.ndarray) -> bool:
    """Whether another plugin noted a true place that does not agree with what is shown in any known way."""
    return noted_affine(layer) is not None and true_geometry(layer, shown) is None
