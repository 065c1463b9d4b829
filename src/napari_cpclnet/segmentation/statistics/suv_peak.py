"""The peak of PET uptake: the highest mean in a sphere of 1 ml."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from napari_cpclnet.imaging import Geometry

Mask = NDArray[np.bool_]

PEAK_ML = 1.0
RADIUS_MM = (3 * PEAK_ML * 1000 / (4 * math.pi)) ** (1 / 3)
"""Of a sphere of 1 ml: 6.2 mm."""

# Kernels of more voxels are quicker by Fourier transform.
_LARGE = 200


def intensity_peak(array: NDArray[Any], mask: Mask, geometry: Geometry) -> float:
    """Global intensity peak of the Image Biomarker Standardisation Initiative (feature 0F91), SUVpeak where it is SUV.

    A sphere of 1 ml is put on the centre of each voxel of the class, and the mean of all voxels whose centres lie in
    the sphere is taken, whether they belong to the class or not; voxels beyond the border of the scan are left out of
    the mean. The peak is the highest of these means.

    Parameters
    ----------
    array : ndarray (z, y, x)
        Grey values.
    mask : ndarray (z, y, x) of bool
        The class.
    geometry : Geometry
        Their grid.

    Returns
    -------
    float
        nan if the mask is empty.

    References
    ----------
    Zwanenburg et al. 2020, Radiology 295(2); Wahl et al. 2009, J Nucl Med 50 (PERCIST).
    """
    boxes = ndimage.find_objects(mask.view(np.uint8))
    if not boxes:
        return math.nan
    ball = sphere(geometry)
    margins = [n // 2 for n in ball.shape]
    wide = tuple(
        slice(max(0, box.start - margin), min(n, box.stop + margin))
        for box, margin, n in zip(boxes[0], margins, mask.shape, strict=True)
    )
    values, inside = np.asarray(array[wide], np.float64), mask[wide]
    sums = _summed(values, ball)[inside]
    counts = np.rint(_summed(np.ones_like(values), ball)[inside])
    return float((sums / counts).max())


def sphere(geometry: Geometry) -> Mask:
    """Voxels (z, y, x) whose centres lie within 6.2 mm of that of the middle one, on any grid."""
    # how far the sphere reaches along each array axis, sheared grids included
    inverse = np.linalg.inv(geometry.affine[:3, :3])
    reach = [int(RADIUS_MM * norm) for norm in np.linalg.norm(inverse, axis=1)]
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1)
    return np.asarray(np.linalg.norm(steps @ geometry.affine[:3, :3].T, axis=-1) <= RADIUS_MM)


def _summed(values: NDArray[np.float64], ball: Mask) -> NDArray[np.float64]:
    """Sum of the values under a ball on each voxel; there is nothing beyond the border."""
    if np.count_nonzero(ball) > _LARGE:
        return np.asarray(signal.oaconvolve(values, ball.astype(np.float64), mode="same"))
    return np.asarray(ndimage.convolve(values, ball.astype(np.float64), mode="constant"))
