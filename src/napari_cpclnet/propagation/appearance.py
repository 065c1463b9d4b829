"""How much more probable a grey value is inside a painted class than around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AROUND_MM = 18.0
"""Width of the surroundings that count as background."""

_BINS = 64
_LOW, _HIGH = -0.2, 1.2  # what lies outside of the range of the painted values still differs a little
_LIMIT = 3.5

Map = NDArray[np.float32]


def log_ratios(
    images: Map, distances: Map, weights: Sequence[NDArray[np.float64]], targets: Sequence[Map]
) -> list[Map]:
    """Logarithm of the ratio of grey values' densities inside the class and around it.

    Parameters
    ----------
    images : ndarray (k, h, w) of float32
        Painted slices, normalised so that most values near the class lie between 0 and 1.
    distances : ndarray (k, h, w) of float32
        Signed distances of the class on them, in mm.
    weights : sequence of ndarray (k,)
        For each target, how much each painted slice counts.
    targets : sequence of ndarray (h, w) of float32
        Slices whose grey values are judged.

    Returns
    -------
    list of ndarray (h, w) of float32
        Positive where the grey value speaks for the class; between -3.5 and 3.5.
    """
    inside = [_histogram(i[d > 0]) for i, d in zip(images, distances, strict=True)]
    around = [_histogram(i[(d < 0) & (d > -AROUND_MM)]) for i, d in zip(images, distances, strict=True)]
    found = []
    for weight, target in zip(weights, targets, strict=True):
        ratio = np.log(_density(weight, inside) / _density(weight, around))
        table = np.clip(ratio, -_LIMIT, _LIMIT).astype(np.float32)
        found.append(table[_bins(target)])
    return found


def _bins(values: NDArray[np.floating]) -> NDArray[np.intp]:
    scaled = (values - _LOW) * (_BINS / (_HIGH - _LOW))
    return np.asarray(np.clip(scaled, 0, _BINS - 1), np.intp)


def _histogram(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.bincount(_bins(values), minlength=_BINS).astype(float)


def _density(weight: NDArray[np.float64], histograms: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    total = sum((w * h for w, h in zip(weight, histograms, strict=True)), np.full(_BINS, 1e-6))
    smooth = ndimage.gaussian_filter1d(total, 2.0)
    # a share of the unknown, so that a value that was never seen says little
    return np.asarray(smooth / smooth.sum() * 0.98 + 0.02 / _BINS)
