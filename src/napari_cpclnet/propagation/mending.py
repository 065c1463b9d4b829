"""A class mended by a stroke: on the slice it was drawn on, then on the slices around it. No network.

Points and scribbles edit what is there: the labels count as a prior that is forgotten near the stroke and holds away
from it, so that the change ends at an edge of the image or where the stroke is no longer meant. After Grady and
Funka-Lea, "An energy minimization approach to the data driven editing of presegmented images/volumes", MICCAI 2006.
Areas (lasso, box, swath of a brush) enclose what is meant, and edges inside of them decide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.propagation.scribbles import Scribbled, complete
from napari_cpclnet.propagation.walking import edge_weights, walk

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

_FORGET_MM = 32.0
_PRIOR = 0.1
_GREY = 0.01
_BETWEEN_MM = 8.0
_BINS = 32
_MOST_VOXELS = 350_000
_EDGE = (0.06, 0.25)


def mended_slice(
    picture: NDArray[Any], spacing: tuple[float, float], present: Mask, stroke: Mask, *, add: bool
) -> Mask:
    """Where a class is on a slice, after somebody pointed at where it is or is not.

    Parameters
    ----------
    picture : ndarray (h, w)
        The scan's values; crop it to what lies within reach.
    spacing : (float, float)
        Pixel size, in mm.
    present : ndarray (h, w) of bool
        Where it is now.
    stroke : ndarray (h, w) of bool
        Points or scribbles.
    add : bool
        Whether the class is there, or is not.

    Returns
    -------
    ndarray (h, w) of bool
    """
    image = _normalised(picture)
    away = ndimage.distance_transform_edt(~stroke, sampling=spacing).astype(np.float32)
    held = 1 - np.exp(-0.5 * (away / np.float32(_FORGET_MM)) ** 2)
    near = ndimage.binary_dilation(stroke, iterations=1)
    here, there = (near, present & ~near) if add else (present & ~near, near)
    grey = _grey_odds(image, here | (present & (away > _FORGET_MM)), there if not add else ~present & ~near)
    chance = held * present + (1 - held) * grey
    trust = _PRIOR * held + _GREY * (1 - held)
    weights = edge_weights(image[None], (1.0, *spacing), _edge(image))
    found = walk(
        weights, stroke[None], np.full((1, *stroke.shape), add, np.float32), chance[None], trust[None]
    )
    after = found[0] > 0.5
    # only what hangs together with the stroke changes
    changed, _ = ndimage.label((after != present) | stroke)
    touched = np.unique(changed[stroke])
    return np.where(np.isin(changed, touched[touched > 0]), after, present)


def grown_slice(
    picture: NDArray[Any], spacing: tuple[float, float], core: Mask, region: Mask, *, enclosed: bool = True
) -> Mask:
    """What a stroke or an area means on a slice: as far as edges of the image, and never beyond a region.

    Parameters
    ----------
    picture : ndarray (h, w)
        The scan's values.
    spacing : (float, float)
        Pixel size, in mm.
    core : ndarray (h, w) of bool
        Pixels that surely belong to it.
    region : ndarray (h, w) of bool
        Pixels that may.
    enclosed : bool
        Whether what lies beyond the region is known to be something else, or only not asked for.

    Returns
    -------
    ndarray (h, w) of bool
    """
    drawn = Scribbled((core & region).astype(np.uint8), core | ~region if enclosed else core)
    ((_, found),) = complete(np.asarray(picture)[None], (1.0, *spacing), {0: drawn}, [1])
    return np.asarray(ndimage.binary_fill_holes(found.labels == 1)) & region


def enclosed_core(region: Mask, spacing: tuple[float, float], share: float = 0.5) -> Mask:
    """The part of an area that lies deeper in it than a share of its greatest depth: surely what is meant."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1), sampling=spacing)[1:-1, 1:-1]
    return np.asarray(depth > share * depth.max())


def mended_around(
    pictures: NDArray[Any], spacing: tuple[float, float, float], present: Mask, index: int, slice_after: Mask
) -> Mask:
    """Where a class is on the slices around one that was mended.

    Parameters
    ----------
    pictures : ndarray (n, h, w)
        The scan's values; crop them to what lies within reach.
    spacing : (float, float, float)
        Of slices, rows and columns, in mm.
    present : ndarray (n, h, w) of bool
        Where it was before, on the mended slice, too.
    index : int
        The mended slice.
    slice_after : ndarray (h, w) of bool
        Where it is there now.

    Returns
    -------
    ndarray (n, h, w) of bool
    """
    changed = present[index] != slice_after
    if not changed.any() or len(pictures) == 1:
        after = present.copy()
        after[index] = slice_after
        return after
    factor = 1
    while pictures.size / factor**2 > _MOST_VOXELS:
        factor += 1
    thin = (slice(None), slice(None, None, factor), slice(None, None, factor))
    image = np.stack([_normalised(one) for one in np.asarray(pictures)[thin]])
    before, plane, moved = present[thin], slice_after[thin[1:]], changed[thin[1:]]
    pixel = (spacing[1] * factor, spacing[2] * factor)
    away = np.abs(np.arange(len(pictures)) - index) * np.float32(spacing[0])
    # where the slice did not change its neighbours do not, either
    beside = (
        ndimage.distance_transform_edt(~moved, sampling=pixel) if moved.any() else np.full(plane.shape, 99.0)
    )
    far = np.sqrt(away[:, None, None] ** 2 + beside[None].astype(np.float32) ** 2)
    held = (1 - np.exp(-0.5 * (far / np.float32(_BETWEEN_MM)) ** 2)).astype(np.float32)
    grey = _grey_odds(
        image, np.broadcast_to(plane, image.shape) & (away == 0)[:, None, None], _only(index, ~plane, image)
    )
    chance = held * before + (1 - held) * grey
    trust = _PRIOR * held + _GREY * (1 - held)
    certain = np.zeros(image.shape, bool)
    certain[index] = True
    values = np.zeros(image.shape, np.float32)
    values[index] = plane
    weights = edge_weights(image, (spacing[0], *pixel), _edge(image[index]))
    # thick slices still hang together
    weights[0] *= np.float32(max(1.0, 0.15 * (spacing[0] / min(pixel)) ** 2))
    found = walk(weights, certain, values, chance.astype(np.float32), trust) > 0.5
    turned = _wide((found != before).astype(np.uint8), factor, present.shape).astype(bool)
    turned[index] = changed
    pieces, _ = ndimage.label(turned, np.ones((3, 3, 3)))
    touched = np.unique(pieces[index][changed])
    return present ^ np.isin(pieces, touched[touched > 0])


def _only(index: int, mask: Mask, image: Map) -> Mask:
    found = np.zeros(image.shape, bool)
    found[index] = mask
    return found


def _wide(labels: NDArray[np.uint8], factor: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if factor == 1:
        return labels
    wide = labels.repeat(factor, 1).repeat(factor, 2)
    return wide[:, : shape[1], : shape[2]]


def _normalised(picture: NDArray[Any]) -> Map:
    image = np.nan_to_num(np.asarray(picture, np.float32))
    low, high = np.percentile(image, (1, 99))
    return np.asarray(np.clip((image - low) / max(float(high - low), 1e-6), -0.1, 1.1), np.float32)


def _edge(image: Map) -> float:
    steps = np.concatenate([np.abs(np.diff(image, axis=a)).ravel() for a in range(image.ndim)])
    steps = steps[steps > 0]
    return float(np.clip(3 * np.median(steps) if steps.size else 1.0, *_EDGE))


def _grey_odds(image: Map, inside: Mask, outside: Mask) -> Map:
    """Probability of a grey value inside rather than outside; a half where one of them is empty."""
    if not inside.any() or not outside.any():
        return np.full(image.shape, 0.5, np.float32)
    places = np.clip((image + 0.1) * (_BINS / 1.2), 0, _BINS - 1).astype(np.intp)
    counts = [np.bincount(places[m], minlength=_BINS).astype(float) for m in (inside, outside)]
    one, other = (
        0.9 * s / s.sum() + 0.1 / _BINS for s in (ndimage.gaussian_filter1d(c, 1.5) for c in counts)
    )
    share: Map = np.asarray(one / (one + other), np.float32)
    return np.asarray(share[places])
