"""Scores made smooth within what looks the same, and free to change at edges of the image.

The stationary state of a diffusion that is held to its start, as in the random walker with priors (Grady, "Multilabel
random walker image segmentation using prior models", CVPR 2005), approached by a few Jacobi iterations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_EDGE = 0.1
"""Difference of normalised grey values that counts as an edge."""

_ITERATIONS = 12
_LENGTH_MM = 2.0
_LENGTH_OF_RADIUS = 0.2
"""Smoothing of a thin class would erase it."""

_THICK_MM = 4.0
"""Distance of slices from which they tell less and less of each other."""

_LEAST_BETWEEN = 0.03
"""Weight of the neighbours on thick slices, of the weight of those in the plane."""

Map = NDArray[np.float32]


def smoothed(
    scores: Map,
    images: Map,
    spacing: tuple[float, float],
    distances_mm: NDArray[np.float64],
    radius_mm: float,
    fixed: NDArray[np.bool_],
) -> Map:
    """Smooth scores.

    Parameters
    ----------
    scores, images : ndarray (n, h, w) of float32
        Scores and normalised grey values.
    spacing : (float, float)
        Pixel size, in mm.
    distances_mm : ndarray (n - 1,)
        Distances between the slices.
    radius_mm : float
        Radius of the largest ball within the class.
    fixed : ndarray (n,) of bool
        Slices whose scores stay.

    Returns
    -------
    ndarray (n, h, w) of float32
    """
    length = min(_LENGTH_MM, _LENGTH_OF_RADIUS * radius_mm) * min(
        1.0, _THICK_MM / float(np.median(distances_mm))
    )
    pixel2 = spacing[0] * spacing[1]
    strength = np.float32(length**2 / pixel2)
    weights = []
    for axis in range(3):
        w = np.diff(images, axis=axis)
        w /= _EDGE
        np.square(w, out=w)
        np.negative(w, out=w)
        np.exp(w, out=w)
        w *= strength
        if axis == 0:
            w *= np.maximum(pixel2 / distances_mm**2, _LEAST_BETWEEN).astype(np.float32)[:, None, None]
        weights.append(w)
    held = np.ones_like(scores)
    for axis, w in enumerate(weights):
        held[_from(axis, 1)] += w
        held[_from(axis, None, -1)] += w
    np.reciprocal(held, out=held)
    current = scores
    for _ in range(_ITERATIONS):
        total = scores.copy()
        for axis, w in enumerate(weights):
            total[_from(axis, 1)] += w * current[_from(axis, None, -1)]
            total[_from(axis, None, -1)] += w * current[_from(axis, 1)]
        total *= held
        total[fixed] = scores[fixed]
        current = total
    return current


def _from(axis: int, start: int | None, stop: int | None = None) -> tuple[Any, ...]:
    return (slice(None),) * axis + (slice(start, stop),)
