"""One class carried from its painted slices through its scan: shapes interpolated, moved to where grey values say.

The signed distances of the painted outlines are interpolated (`shape`), carried by the likeness of patches
(`matching`), joined with the logarithms of the ratios of grey values' densities inside and around (`appearance`) and
smoothed within what looks the same (`smoothing`). How much grey values count is decided for each scan and class by
leaving out one painted slice after the other and predicting it from the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.propagation.evidence import COLUMNS, Evidence
from napari_cpclnet.propagation.settings import PropagationSettings
from napari_cpclnet.propagation.smoothing import smoothed
from napari_cpclnet.propagation.working_grid import Map, WorkingGrid

LIMIT = 8.0
"""Largest score; a score is a logarithm of odds, positive inside."""

# fitted by benchmarks/propagation/fit.py
WEIGHTS = dict(zip(COLUMNS, (0.81, 0.56, -0.17, 0.7, -1.1), strict=True))
"""Weight of each column of evidence."""

SHAPE_WEIGHTS = dict(zip(COLUMNS, (0.74, 0.87, 0.0, 0.0, -1.1), strict=True))

STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""How much of the grey values' weight is tried; 0 is interpolation alone."""

_RELUCTANCE = 0.01
"""Gain of Dice on the left-out slices that a strength of 0 must bring."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of one class around where it was painted.

    Parameters
    ----------
    grid : WorkingGrid
    scores : ndarray (n, h, w) of float32
        On the working grid; logarithms of odds, positive inside.
    strength : float
        How much grey values counted, from 0 to 1.
    """

    grid: WorkingGrid
    scores: Map
    strength: float


def propagating(
    pictures: NDArray[Any],
    spacing: tuple[float, float, float],
    painted: Mapping[int, NDArray[Any]],
    value: int,
    settings: PropagationSettings,
    partial: Collection[int] = (),
) -> Iterator[ClassScores | None]:
    """Carry one class through its scan.

    Parameters
    ----------
    pictures : ndarray (n, h, w)
        The scan, slices first.
    spacing : (float, float, float)
        Of slices, rows and columns, in mm.
    painted : mapping of int to ndarray (h, w)
        Label values of painted slices.
    value : int
        Label value of the class.
    settings : PropagationSettings
    partial : collection of int
        Those of the painted slices that were completed from scribbles: where they do not show the class it may be all
        the same, and their outlines may still move.

    Yields
    ------
    ClassScores or None
        None after every step; at the end the scores, unless no slice shows the class.
    """
    masks = {i: np.asarray(labels == value) for i, labels in sorted(painted.items())}
    shown = {i: mask for i, mask in masks.items() if mask.any()}
    if not shown:
        return
    empty = [i for i in masks if i not in shown and i not in partial]
    reach = extent(list(shown), empty, len(pictures), spacing, radius(shown, spacing), settings.reach)
    grid = WorkingGrid.around(shown, reach, spacing, settings.working_voxels)
    evidence = Evidence(grid, pictures, shown, empty)
    yield None
    strength = float(settings.grey_values and not evidence.flat)
    for tried in _strengths(evidence, partial) if strength else ():
        strength = tried
        yield None
    weights = _weights(strength)
    scores = np.full((len(grid.slices), *evidence.distance[min(shown)].shape), -LIMIT, np.float32)
    for indices in stretches(grid.slices, evidence):
        for part, columns in evidence.columns(indices):
            first = grid.slices.index(part[0])
            scores[first : first + len(part)] = np.clip(np.tensordot(weights, columns, (0, 1)), -LIMIT, LIMIT)
            yield None
    for index, distance in evidence.distance.items():
        scores[grid.slices.index(index)] = np.clip(2 * distance, -LIMIT, LIMIT)
    if strength > 0 and len(grid.slices) > 1:
        images = np.stack([evidence.picture(i) for i in grid.slices])
        fixed = np.isin(grid.slices, [i for i in masks if i not in partial])
        gaps = np.diff(np.array(grid.slices, np.float64)) * spacing[0]
        scores = smoothed(scores, images, (grid.spacing[1], grid.spacing[2]), gaps, evidence.radius_mm, fixed)
    yield ClassScores(grid, scores, strength)


def radius(shown: Mapping[int, NDArray[np.bool_]], spacing: tuple[float, float, float]) -> float:
    """Radius in mm of the circle of a class's largest painted area."""
    largest = max(np.count_nonzero(mask) for mask in shown.values())
    return float(np.sqrt(largest * spacing[1] * spacing[2] / np.pi))


def extent(
    shown: list[int],
    empty: list[int],
    count: int,
    spacing: tuple[float, float, float],
    radius: float,
    reach: float,
) -> tuple[int, int]:
    """First and last slice that may show the class."""
    usual = float(np.diff(shown).mean()) if len(shown) > 1 else 2 * radius / spacing[0]
    beyond = int(np.ceil(reach * usual))
    low = max([0, shown[0] - beyond, *(i for i in empty if i < shown[0])])
    high = min([count - 1, shown[-1] + beyond, *(i for i in empty if i > shown[-1])])
    return low, high


def stretches(slices: Iterable[int], evidence: Evidence) -> Iterator[list[int]]:
    """Runs of slices that were not painted and have the same neighbours."""
    run: list[int] = []
    last = None
    for index in slices:
        place = None if index in evidence.distance else evidence.neighbours(index)
        key = None if place is None else (place.below, place.above)
        if run and key != last:
            yield run
            run = []
        if key is not None:
            run.append(index)
        last = key
    if run:
        yield run


def _weights(strength: float) -> NDArray[np.float32]:
    """Weights of the columns of evidence for a strength of grey values."""
    grey, shape = (np.array([w[c] for c in COLUMNS], np.float32) for w in (WEIGHTS, SHAPE_WEIGHTS))
    return np.asarray(strength * grey + (1 - strength) * shape, np.float32)


def _strengths(evidence: Evidence, partial: Collection[int]) -> Iterator[float]:
    """Strength of grey values that predicts left-out painted slices best, better known with every step.

    The outermost slices are not left out: that the class goes on to there is what they alone tell. Nor are partial
    ones, whose outlines were made from grey values.
    """
    overlap, size = (np.zeros(len(STRENGTHS)) for _ in range(2))
    weights = np.stack([_weights(s) for s in STRENGTHS])
    for index in (i for i in evidence.shown[1:-1] if i not in partial):
        truth = evidence.distance[index] > 0
        for _, columns in evidence.columns([index], without=index):
            for k, found in enumerate(np.tensordot(weights, columns[0], (1, 0)) > 0):
                overlap[k] += 2 * np.count_nonzero(found & truth)
                size[k] += np.count_nonzero(found) + np.count_nonzero(truth)
        dice = overlap / np.maximum(size, 1)
        yield STRENGTHS[int(np.argmax(dice - _RELUCTANCE * (1 - np.array(STRENGTHS))))]
