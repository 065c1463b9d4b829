"""Edge-aware refinement of one slice's boundaries."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import segmentation

from napari_cpclnet.preprocessing import normalise

# Beyond this many undecided pixels the linear system would take seconds: such a slice keeps its labels.
MAX_BAND_PIXELS = 40_000


def refine_slice(
    labels2d: NDArray[Any],
    picture: NDArray[Any],
    value_range: tuple[float, float],
    spacing: tuple[float, float],
    band_mm: float,
    beta: float = 200.0,
) -> NDArray[Any]:
    """Move boundaries to the edges of the picture with random walkers.

    Pixels within `band_mm` of a boundary are undecided, the others are seeds; each undecided pixel goes to
    the seed that a random walker, hindered by edges, reaches first. A piece too thin to have a seed keeps its
    skeleton as one.

    Parameters
    ----------
    labels2d : ndarray (h, w) of unsigned integers
        Labels; not changed.
    picture : ndarray (h, w)
        The scan's values.
    value_range : tuple of float
        Values that count as black and white.
    spacing : tuple of float
        Pixel spacing along (h, w), in mm.
    band_mm : float
        How far a boundary may move, in mm.
    beta : float
        How strongly edges hinder.

    Returns
    -------
    ndarray (h, w)
        Refined labels, of the same type; unchanged where the picture is flat or the slice has no seeds.
    """
    values = [int(v) for v in np.unique(labels2d)]
    if len(values) < 2:
        return labels2d.copy()
    box = _box(labels2d > 0, spacing, 2 * band_mm)
    labels = labels2d[box]
    grey = normalise(picture[box], value_range)
    seeds = np.zeros(labels.shape, np.int32)
    for number, value in enumerate(values, start=1):
        seeds[_seeds(labels == value, spacing, band_mm)] = number
    undecided = seeds == 0
    if not undecided.any() or undecided.sum() > MAX_BAND_PIXELS or np.ptp(grey) == 0:
        return labels2d.copy()
    # seeds far from the band decide nothing: leave them out of the linear system
    seeds[~ndimage.binary_dilation(undecided, iterations=2)] = -1
    with warnings.catch_warnings():
        # islands without seeds and a conjugate gradient that stops early are answered below, not reported
        warnings.simplefilter("ignore")
        walked = segmentation.random_walker(grey, seeds, beta=beta, mode="cg_j", tol=1e-3, spacing=spacing)
    refined = labels.copy()
    reached = undecided & (walked > 0)
    refined[reached] = np.asarray(values, labels.dtype)[walked[reached] - 1]
    out = labels2d.copy()
    out[box] = refined
    return out


def _seeds(mask: NDArray[np.bool_], spacing: tuple[float, float], band_mm: float) -> NDArray[np.bool_]:
    """Pixels deeper inside a class than the band; of a thin piece its deepest pixels."""
    # padded with the class itself: the border of the picture is no boundary
    padded = np.pad(mask, 1, mode="edge")
    depth = ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1]
    seeds = depth > band_mm
    pieces, count = ndimage.label(mask, np.ones((3, 3), bool))
    if count:
        numbers = np.arange(1, count + 1)
        deepest = np.concatenate([[0.0], np.atleast_1d(ndimage.maximum(depth, pieces, numbers))])
        thin = deepest <= band_mm
        seeds |= mask & thin[pieces] & (depth >= 0.7 * deepest[pieces])
    return np.asarray(seeds)


def _box(mask: NDArray[np.bool_], spacing: tuple[float, float], margin_mm: float) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis=a)) for a in (1, 0))
    box = []
    for hit, step, size in zip((rows, columns), spacing, mask.shape, strict=True):
        margin = int(np.ceil(margin_mm / step)) + 2
        box.append(slice(max(0, int(hit[0]) - margin), min(size, int(hit[-1]) + margin + 1)))
    return box[0], box[1]
