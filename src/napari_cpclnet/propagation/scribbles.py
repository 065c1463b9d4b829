"""Slices on which only some pixels were painted, completed within the slice.

What is scribbled spreads by a random walker (`walking`). Its prior joins how grey values are spread inside and outside
of the scribbles of the whole scan with, where a class was painted completely on other slices, what these say of the
slice. How far the answer is to be believed is part of it: what lies far from any scribble, or is undecided, stays
unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.propagation.walking import edge_weights, walk

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

REACH_MM = 25.0
"""Farther from every scribble nothing is believed."""

_PIXEL_MM = 1.3
"""Working pixels are not smaller than this, in large pictures."""

_LARGE = 40_000
_BINS = 48
_TRUST = 0.002
_PRIOR_TRUST = 0.02
_EDGE = (0.06, 0.25)
_LIMIT = 2.5
_AWAY_MM = 100.0
_SURE = 0.85


@dataclass(frozen=True, eq=False)
class Scribbled:
    """A slice of which some pixels are known.

    Parameters
    ----------
    labels : ndarray (h, w) of unsigned integers
        Label values; 0 where no class is, and where nothing is known.
    known : ndarray (h, w) of bool
        Where it was painted, background too.
    """

    labels: NDArray[Any]
    known: Mask


@dataclass(frozen=True, eq=False)
class Completed:
    """A slice as it follows from scribbles.

    Parameters
    ----------
    labels : ndarray (h, w)
        Label values everywhere; what was painted is what it was.
    sure : ndarray (h, w) of bool
        Where they are to be believed.
    """

    labels: NDArray[Any]
    sure: Mask


class GreyValues:
    """How grey values are spread inside of each class and outside, over all scribbles of a scan."""

    def __init__(self, images: Sequence[Map], slices: Sequence[Scribbled], values: Sequence[int]) -> None:
        everything = sum((_histogram(image) for image in images), np.zeros(_BINS))
        # most of a slice is background, scribbled or not
        outside = 0.3 * everything / max(everything.sum(), 1)
        counts = {value: np.zeros(_BINS) for value in (0, *values)}
        for image, one in zip(images, slices, strict=True):
            for value in counts:
                counts[value] += _histogram(image[one.known & (one.labels == value)])
        if counts[0].sum():
            outside += counts[0] / counts[0].sum()
        self._densities = {value: _density(count) for value, count in counts.items()}
        self._densities[0] = _density(outside / outside.sum())

    def log_odds(self, image: Map, value: int, others: Sequence[int]) -> Map:
        """How much each pixel speaks for a class, against the background and other classes."""
        rest = np.maximum.reduce([self._densities[other] for other in (0, *others)])
        table = np.log(self._densities[value]) - np.log(rest)
        return np.asarray(np.clip(table, -_LIMIT, _LIMIT), np.float32)[_bins(image)]


def complete(
    pictures: NDArray[Any],
    spacing: tuple[float, float, float],
    scribbled: Mapping[int, Scribbled],
    values: Sequence[int],
    priors: Mapping[tuple[int, int], Map] | None = None,
) -> Iterator[tuple[int, Completed]]:
    """Complete scribbled slices of a scan, one after the other.

    Parameters
    ----------
    pictures, spacing
        As in :func:`~napari_cpclnet.propagation.carrying.propagating`.
    scribbled : mapping of int to Scribbled
        By slice.
    values : sequence of int
        Label values of the classes.
    priors : mapping of (int, int) to ndarray (h, w) of float32, optional
        Logarithms of odds of a slice and class, where other slices say something.

    Yields
    ------
    int, Completed
        Slice, and what it shows.
    """
    if not scribbled:
        return
    factor = _factor(pictures.shape[1:], spacing[1:])
    shown = {i: np.asarray(pictures[i], np.float32) for i in sorted(scribbled)}
    low, high = _range(list(shown.values()), [scribbled[i].known for i in shown])
    images = {i: np.clip((_shrunk(p, factor) - low) / (high - low), -0.1, 1.1) for i, p in shown.items()}
    small = {i: _shrunk_scribbles(scribbled[i], factor, values) for i in shown}
    smooth = {i: ndimage.gaussian_filter(image, 0.8) for i, image in images.items()}
    here = [v for v in values if any((one.labels == v).any() for one in small.values())]
    grey = GreyValues(list(smooth.values()), list(small.values()), here)
    pixel = (spacing[1] * factor, spacing[2] * factor)
    for index, image in images.items():
        found = _one(image, smooth[index], small[index], pixel, grey, index, factor, priors or {})
        yield index, _brought_back(found, scribbled[index], factor, spacing[1:])


def _one(
    image: Map,
    smooth: Map,
    one: Scribbled,
    pixel: tuple[float, float],
    grey: GreyValues,
    index: int,
    factor: int,
    priors: Mapping[tuple[int, int], Map],
) -> dict[int, Map]:
    """Probability of every class that is scribbled on a slice."""
    values = [int(v) for v in np.unique(one.labels) if v]
    steps = np.concatenate([np.abs(np.diff(image, axis=a)).ravel() for a in (0, 1)])
    edge = float(np.clip(3 * np.median(steps[steps > 0]) if (steps > 0).any() else 1, *_EDGE))
    weights = edge_weights(image[None], (1.0, *pixel), edge)
    bare = not (one.known & (one.labels == 0)).any()
    found = {}
    for value in values:
        mine = one.labels == value
        score = grey.log_odds(smooth, value, [v for v in values if v != value])
        away = ndimage.distance_transform_edt(~mine, sampling=pixel).astype(np.float32)
        score = score - away / np.float32(_AWAY_MM)
        trust = np.full(image.shape, _TRUST, np.float32)
        prior = priors.get((index, value))
        if prior is not None:
            score = score + _shrunk(prior, factor)
            trust += np.float32(_PRIOR_TRUST)
        if bare:
            # nothing says where it ends but the grey values
            trust *= 2
        chance = 1 / (1 + np.exp(-np.clip(score, -6, 6)))
        found[value] = walk(
            weights, one.known[None], mine[None].astype(np.float32), chance[None], trust[None]
        )[0]
    return found


def _brought_back(found: Mapping[int, Map], one: Scribbled, factor: int, pixel: Sequence[float]) -> Completed:
    """Labels of the native pixels, and where they are sure."""
    shape = one.labels.shape
    labels, best, second = np.zeros(shape, one.labels.dtype), *(np.zeros(shape, np.float32) for _ in range(2))
    for value, chance in found.items():
        wide = _enlarged(chance, factor, shape)
        better = wide > best
        second = np.where(better, best, np.maximum(second, wide))
        labels[better & (wide > 0.5)] = value
        best = np.where(better, wide, best)
    for value in found:
        # a piece that no scribble of the class touches is another thing of the same grey
        pieces, _ = ndimage.label(labels == value)
        touched = np.unique(pieces[(one.labels == value) & one.known])
        labels[(pieces > 0) & ~np.isin(pieces, touched)] = 0
    np.copyto(labels, one.labels, where=one.known)
    certain = np.where(labels > 0, best - second > 2 * _SURE - 1, best < 1 - _SURE)
    near = ndimage.distance_transform_edt(~one.known, sampling=pixel) <= REACH_MM
    return Completed(labels, (certain & near) | one.known)


def _factor(shape: Sequence[int], pixel: Sequence[float]) -> int:
    if shape[0] * shape[1] <= _LARGE:
        return 1
    return max(1, round(_PIXEL_MM / min(pixel)))


def _range(images: Sequence[Map], known: Sequence[Mask]) -> tuple[float, float]:
    """Grey values near the scribbles that are black and white."""
    near = np.concatenate(
        [i[ndimage.binary_dilation(k, iterations=8)] for i, k in zip(images, known, strict=True)]
    )
    near = near[np.isfinite(near)]
    low, high = np.percentile(near, (1, 99)) if near.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _shrunk(picture: NDArray[Any], factor: int) -> Map:
    picture = np.nan_to_num(np.asarray(picture, np.float32))
    if factor == 1:
        return picture
    wide = np.pad(picture, [(0, -n % factor) for n in picture.shape], mode="edge")
    h, w = (n // factor for n in wide.shape)
    return np.asarray(wide.reshape(h, factor, w, factor).mean((1, 3)), np.float32)


def _shrunk_scribbles(one: Scribbled, factor: int, values: Sequence[int]) -> Scribbled:
    if factor == 1:
        return one
    share = {v: _shrunk(one.known & (one.labels == v), factor) for v in (0, *values)}
    stack = np.stack(list(share.values()))
    labels = np.array(list(share), one.labels.dtype)[stack.argmax(0)]
    known = stack.max(0) > 0
    return Scribbled(np.where(known, labels, 0).astype(one.labels.dtype), known)


def _enlarged(chance: Map, factor: int, shape: Sequence[int]) -> Map:
    if factor == 1:
        return chance
    places = [(np.arange(n) + 0.5) / factor - 0.5 for n in shape]
    rows, columns = np.meshgrid(*places, indexing="ij")
    return np.asarray(ndimage.map_coordinates(chance, [rows, columns], order=1, mode="nearest"), np.float32)


def _bins(values: NDArray[np.floating]) -> NDArray[np.intp]:
    return np.asarray(np.clip((values + 0.1) * (_BINS / 1.2), 0, _BINS - 1), np.intp)


def _histogram(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.bincount(_bins(np.ravel(values)), minlength=_BINS).astype(float)


def _density(histogram: NDArray[np.float64]) -> NDArray[np.float64]:
    smooth = ndimage.gaussian_filter1d(histogram, 1.5)
    return np.asarray(0.95 * smooth / max(smooth.sum(), 1e-9) + 0.05 / _BINS)
