"""Strokes of a simulated annotator, made from the ground truth of a slice, and the seconds they take.

Seconds of a stroke are an assumption, stated in one place: `Seconds`. They follow the steering law (Accot and Zhai,
"Beyond Fitts' law", CHI 1997): the time to draw along a path grows with its length over the width that is allowed, and
Fitts's law for aiming. A loose scribble may stray by several millimetres, an outline by one or two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import morphology

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Seconds:
    """What strokes cost the annotator.

    Parameters
    ----------
    aim : float
        To look, choose the class and bring the pointer there, for every stroke and every click.
    loose, exact : float
        For each millimetre of a scribble, and of an outline that must lie on the edge.
    page : float
        To go to another slice and take it in.
    """

    aim: float = 1.5
    loose: float = 0.015
    exact: float = 0.06
    page: float = 2.0

    def scribbles(self, strokes: int, mm: float) -> float:
        """Of loose strokes on one slice."""
        return self.page + self.aim * strokes + self.loose * mm

    def outlines(self, strokes: int, mm: float) -> float:
        """Of painting a slice completely: every outline drawn exactly, and filled by a click."""
        return self.page + 2 * self.aim * strokes + self.exact * mm


@dataclass(frozen=True, eq=False)
class Drawn:
    """Paint on one slice (h, w), and what it took."""

    paint: Labels
    strokes: int
    mm: float


def scribbles(
    truth: Labels, values: list[int], spacing: tuple[float, float], background: int, rng: np.random.Generator
) -> Drawn:
    """A scribble inside each piece of each class and, unless `background` is 0, most of a loose line around them."""
    paint = np.zeros(truth.shape, np.uint8)
    strokes, mm = 0, 0.0
    pixel = float(np.mean(spacing))
    width = max(1, round(2.5 / pixel))
    for value in values:
        for piece in _pieces(truth == value, 30 / (spacing[0] * spacing[1])):
            inner = ndimage.distance_transform_edt(np.pad(piece, 1), sampling=spacing)[1:-1, 1:-1]
            core = inner > min(4.0, 0.5 * inner.max())
            line = morphology.skeletonize(core if core.any() else piece)
            thick = ndimage.binary_dilation(line, iterations=width // 2 + 1) & piece & (inner > 0.4 * pixel)
            paint[thick | line] = value
            strokes, mm = strokes + 1, mm + line.sum() * pixel
    every = np.isin(truth, values)
    if background and every.any():
        away = ndimage.distance_transform_edt(~every, sampling=spacing)
        reach = rng.uniform(5, 9)
        loop = np.abs(away - reach) < max(pixel, 1.5) / 1.5
        # some parts of the loop are left out
        waves = ndimage.gaussian_filter(rng.normal(size=truth.shape), 18 / pixel)
        loop &= waves > np.quantile(waves[loop], 0.25) if loop.any() else loop
        paint[loop & (paint == 0)] = background
        pieces = ndimage.label(ndimage.binary_dilation(loop, iterations=2))[1]
        strokes, mm = strokes + pieces, mm + loop.sum() * pixel / 2
    return Drawn(paint, strokes, mm)


def outlines(truth: Labels, values: list[int], spacing: tuple[float, float]) -> Drawn:
    """The slice painted completely, by outlines that are filled."""
    paint = np.where(np.isin(truth, values), truth, 0).astype(np.uint8)
    strokes, mm = 0, 0.0
    for value in values:
        mask = truth == value
        strokes += len(_pieces(mask, 1))
        mm += float((mask & ~ndimage.binary_erosion(mask)).sum()) * float(np.mean(spacing))
    return Drawn(paint, strokes, mm)


def _pieces(mask: Mask, least: float) -> list[Mask]:
    labelled, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, labelled, range(1, count + 1)) if count else []
    return [labelled == n for n, size in enumerate(sizes, 1) if size >= least]
