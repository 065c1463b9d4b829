"""Bounding box of the body in a field of view, found quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.preprocessing.intensity import background_threshold, sample_voxels

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume

COARSE_MM = 6.0
# CT: between air and fat. A window that ends at -125 HU puts air at 0 and fat at about 16 of 255.
_CT_THRESHOLD = {"HU": -300.0, "HU8": 0.5}
# A second leg belongs to the body, an arm beside the trunk need not be centred on.
_SMALLEST_PART = 0.3
# A plane through the body counts if it holds this part of the fullest plane's voxels: what is left of a couch
# does not.
_SMALLEST_PROFILE = 0.05


def body_box(volume: Volume, spacing: tuple[float, float, float]) -> tuple[tuple[float, float], ...]:
    """Bounding box of the body.

    Every n-th voxel (about 6 mm) above a threshold; thin things (couch, cables, noise) are opened away, then
    the largest component and those at least 0.3 times its size are taken, and the planes that hold at least 5
    % of what the fullest holds. Holes do not matter for a box.

    Parameters
    ----------
    volume : Volume
        The scan.
    spacing : tuple of float
        Spacing to work with along the array axes, in mm (a picture without a physical size has none of its
        own).

    Returns
    -------
    tuple of (low, high)
        For each array axis the edges of the box in fractional voxel indices (voxel i reaches from i - 0.5
        to i + 0.5). The whole field of view if nothing stands out from the background.
    """
    steps = [max(1, round(COARSE_MM / s)) for s in spacing]
    steps = [min(step, max(1, n // 8)) for step, n in zip(steps, volume.array.shape, strict=True)]
    coarse = volume.array[tuple(slice(step // 2, None, step) for step in steps)]
    body = _largest_parts(coarse > tissue_threshold(volume))
    whole = tuple((-0.5, n - 0.5) for n in volume.array.shape)
    if not body.any():
        return whole
    box = []
    for axis, step in enumerate(steps):
        profile = np.count_nonzero(body, axis=tuple(a for a in range(3) if a != axis))
        hit = np.flatnonzero(profile >= _SMALLEST_PROFILE * profile.max())
        low, high = whole[axis]
        first, last = int(hit[0]), int(hit[-1])
        start = low if first == 0 else first * step - 0.5
        stop = high if last == len(profile) - 1 else (last + 1) * step - 0.5
        box.append((start, stop))
    return tuple(box)


def tissue_threshold(volume: Volume) -> float:
    """Grey value above which a voxel is tissue, in the unit of the volume."""
    if volume.modality == "CT" and volume.unit in _CT_THRESHOLD:
        return _CT_THRESHOLD[volume.unit]
    return background_threshold(sample_voxels(volume.array))


def _largest_parts(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    cross = ndimage.generate_binary_structure(3, 1)
    for axis, size in enumerate(mask.shape):
        if size < 5:  # a few slices: thin along the stack is no reason to vanish
            cross = np.take(cross, [1], axis=axis)
    # noisy fat is full of holes: close them before opening, or thin fat vanishes with the couch
    closed = mask | ndimage.binary_closing(mask, cross)
    opened = ndimage.binary_opening(closed, cross, iterations=2)
    parts: NDArray[Any]
    parts, count = ndimage.label(opened if opened.any() else mask)
    if count == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= _SMALLEST_PART * sizes.max())[parts] & (parts > 0))
