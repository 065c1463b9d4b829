"""Outlines carried from a painted slice to another slice by the likeness of small patches.

Label fusion by non-local patches, after Coupe et al., "Patch-based segmentation using expert priors", NeuroImage 54,
2011, between the slices of one scan: each pixel takes the signed distance of the painted pixels around it, weighted by
how alike their surroundings are. So the outlines follow what moves from slice to slice, without a registration.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_REACH_MM = (3.0, 14.0)
_REACH_OF_GAP = 0.6
_PATCH_MM = 7.0
_STEPS = 5
_FLOOR = 1e-4

Map = NDArray[np.float32]


def carried_distance(
    images: Map,
    painted: Sequence[tuple[Map, Map, NDArray[np.float32]]],
    spacing: tuple[float, float],
    gap_mm: float,
) -> Map:
    """Signed distances on some slices, from those of the painted slices beside them.

    Parameters
    ----------
    images : ndarray (n, h, w) of float32
        Slices to be labelled, normalised.
    painted : sequence of (image, distance, weights)
        Painted slices (h, w), the signed distance (h, w) of the class there in mm, and how much it counts on each of
        the slices (n,).
    spacing : (float, float)
        Pixel size, in mm.
    gap_mm : float
        Distance between the painted slices: how far the outline may have moved.

    Returns
    -------
    ndarray (n, h, w) of float32
        In mm, positive inside.
    """
    reach = float(np.clip(_REACH_OF_GAP * gap_mm, *_REACH_MM))
    offsets = _offsets(reach, spacing)
    size = (1, *(max(3, 2 * round(_PATCH_MM / s / 2) + 1) if s < 2.5 else 3 for s in spacing))
    pad = [(max(abs(o[k]) for o in offsets),) * 2 for k in (0, 1)]
    height, width = images.shape[1:]
    unlike = np.empty((len(painted), len(offsets), *images.shape), np.float32)
    windows = []
    for p, (image, distance, _) in enumerate(painted):
        wide_image, wide_distance = (np.pad(a, pad, mode="edge") for a in (image, distance))
        for k, (y, x) in enumerate(offsets):
            window = (
                slice(pad[0][0] + y, pad[0][0] + y + height),
                slice(pad[1][0] + x, pad[1][0] + x + width),
            )
            difference = images - wide_image[window]
            np.square(difference, out=difference)
            ndimage.uniform_filter(difference, size, output=unlike[p, k])
            windows.append(wide_distance[window])
    best = unlike.min((0, 1))
    # pixels that find nothing alike average over more of what they find
    scale = np.maximum(2 * best, np.median(best, axis=(1, 2))[:, None, None]) + _FLOOR
    total, weight = (np.zeros(images.shape, np.float32) for _ in range(2))
    for p, (_, _, share) in enumerate(painted):
        for k, (y, x) in enumerate(offsets):
            far = ((y * spacing[0]) ** 2 + (x * spacing[1]) ** 2) / (2 * (reach / 2) ** 2)
            exponent = unlike[p, k]
            exponent -= best
            exponent /= -scale
            exponent -= far
            w = np.exp(exponent, out=exponent)
            w *= share[:, None, None]
            total += w * windows[p * len(offsets) + k]
            weight += w
    return np.asarray(total / np.maximum(weight, 1e-12), np.float32)


def _offsets(reach: float, spacing: tuple[float, float]) -> list[tuple[int, int]]:
    """Displacements in pixels within `reach` mm, on a grid of about `2 * _STEPS + 1` a side."""
    sides = [np.unique(np.rint(np.linspace(-reach, reach, 2 * _STEPS + 1) / s).astype(int)) for s in spacing]
    return [
        (int(y), int(x))
        for y in sides[0]
        for x in sides[1]
        if (y * spacing[0]) ** 2 + (x * spacing[1]) ** 2 <= reach**2 * 1.01
    ]
