"""Random walker with priors: labels that spread from what is certain and stop at edges of the image.

After Grady, "Multilabel random walker image segmentation using prior models", CVPR 2005. Every pixel or voxel takes the
mean of its neighbours, less of those beyond an edge, and is drawn towards its prior as far as that counts; what is
certain stays. The equations are solved by conjugate gradients on the arrays themselves, in two or three dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LEAST = 1e-3
"""Weight of neighbours beyond the strongest edge: no part is cut off from all that is certain."""

_TOLERANCE = 2e-3
_ITERATIONS = 300


def edge_weights(images: Map, spacing: Sequence[float], edge: float) -> list[Map]:
    """How strongly neighbours hang together, along each axis.

    Parameters
    ----------
    images : ndarray (n, h, w) of float32
        Normalised grey values.
    spacing : sequence of float
        Distance of neighbours along each axis, in mm.
    edge : float
        Difference of grey values that counts as an edge.

    Returns
    -------
    list of ndarray
        One array for each axis, one shorter along it; 1 between equal neighbours at the smallest distance.
    """
    smallest = min(spacing)
    weights = []
    for axis, step in enumerate(spacing):
        w = np.diff(images, axis=axis)
        w /= np.float32(edge)
        np.square(w, out=w)
        np.negative(w, out=w)
        np.exp(w, out=w)
        w += np.float32(_LEAST)
        w *= np.float32((smallest / step) ** 2)
        weights.append(w)
    return weights


def walk(
    weights: Sequence[Map], certain: Mask, values: Map, prior: Map, trust: Map, start: Map | None = None
) -> Map:
    """Probability that a walker from each place reaches the label rather than something else.

    Parameters
    ----------
    weights : sequence of ndarray
        From :func:`edge_weights`.
    certain : ndarray (n, h, w) of bool
        Places whose probability is known.
    values : ndarray (n, h, w) of float32
        That probability, 0 or 1; elsewhere it does not matter.
    prior : ndarray (n, h, w) of float32
        Probability before anything is known of the neighbours.
    trust : ndarray (n, h, w) of float32
        How much the prior counts, in neighbours.
    start : ndarray (n, h, w) of float32, optional
        Where to begin; a good guess saves time.

    Returns
    -------
    ndarray (n, h, w) of float32
    """
    free = (~certain).astype(np.float32)
    total = trust + np.float32(1e-6)
    for axis, w in enumerate(weights):
        total[_part(axis, 1, None)] += w
        total[_part(axis, None, -1)] += w

    def product(x: Map) -> Map:
        out = total * x
        for axis, w in enumerate(weights):
            low, high = _part(axis, None, -1), _part(axis, 1, None)
            out[high] -= w * x[low]
            out[low] -= w * x[high]
        return out

    x = np.where(certain, values, prior if start is None else start).astype(np.float32)
    residual = (trust * prior - product(x)) * free
    scale = free / total
    step = scale * residual
    direction = step.copy()
    size = float(np.vdot(residual, step))
    enough = _TOLERANCE**2 * max(float(np.vdot(trust * prior * free, scale * prior * trust)), size, 1e-12)
    for _ in range(_ITERATIONS):
        if size <= enough:
            break
        image = product(direction) * free
        length = np.float32(size / max(float(np.vdot(direction, image)), 1e-20))
        x += length * direction
        residual -= length * image
        np.multiply(scale, residual, out=step)
        size, before = float(np.vdot(residual, step)), size
        direction *= np.float32(size / before)
        direction += step
    return np.clip(x, 0, 1, out=x)


def _part(axis: int, start: int | None, stop: int | None) -> tuple[Any, ...]:
    return (slice(None),) * axis + (slice(start, stop),)
