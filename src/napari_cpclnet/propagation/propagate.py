"""Painted slices carried through their own scan: shapes interpolated between them, moved to where grey values say.

For every class the signed distances of its painted outlines are interpolated (`shape`), carried by the likeness of
patches (`matching`), joined with the logarithms of the ratios of grey values' densities inside and around
(`appearance`) and smoothed within what looks the same (`smoothing`). How much grey values count is decided for each
scan and class by leaving out one painted slice after the other and predicting it from the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import Segmentation
from napari_cpclnet.propagation.evidence import COLUMNS, Evidence
from napari_cpclnet.propagation.settings import PropagationSettings
from napari_cpclnet.propagation.smoothing import smoothed
from napari_cpclnet.propagation.working_grid import Map, WorkingGrid

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume

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


@dataclass(frozen=True)
class PropagationReport:
    """Progress of a propagation.

    Parameters
    ----------
    done, total : int
        Steps finished, and steps in all.
    value : int
        Label value of the class that is worked on.
    """

    done: int
    total: int
    value: int


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
) -> Iterator[ClassScores | None]:
    """Carry one class through its scan.

    Parameters
    ----------
    pictures : ndarray (n, h, w)
        The scan, slices first.
    spacing : (float, float, float)
        Of slices, rows and columns, in mm.
    painted : mapping of int to ndarray (h, w)
        Label values of completely labelled slices.
    value : int
        Label value of the class.
    settings : PropagationSettings

    Yields
    ------
    ClassScores or None
        None after every step; at the end the scores, unless no slice shows the class.
    """
    masks = {i: np.asarray(labels == value) for i, labels in sorted(painted.items())}
    shown = {i: mask for i, mask in masks.items() if mask.any()}
    if not shown:
        return
    empty = [i for i in masks if i not in shown]
    reach = extent(list(shown), empty, len(pictures), spacing, radius(shown, spacing), settings.reach)
    grid = WorkingGrid.around(shown, reach, spacing, settings.working_voxels)
    evidence = Evidence(grid, pictures, shown, empty)
    yield None
    strength = float(settings.grey_values and not evidence.flat)
    for tried in _strengths(evidence) if strength else ():
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
        fixed = np.isin(grid.slices, list(masks))
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


def _strengths(evidence: Evidence) -> Iterator[float]:
    """Strength of grey values that predicts left-out painted slices best, better known with every step.

    The outermost slices are not left out: that the class goes on to there is what they alone tell.
    """
    overlap, size = (np.zeros(len(STRENGTHS)) for _ in range(2))
    weights = np.stack([_weights(s) for s in STRENGTHS])
    for index in evidence.shown[1:-1]:
        truth = evidence.distance[index] > 0
        for _, columns in evidence.columns([index], without=index):
            for k, found in enumerate(np.tensordot(weights, columns[0], (1, 0)) > 0):
                overlap[k] += 2 * np.count_nonzero(found & truth)
                size[k] += np.count_nonzero(found) + np.count_nonzero(truth)
        dice = overlap / np.maximum(size, 1)
        yield STRENGTHS[int(np.argmax(dice - _RELUCTANCE * (1 - np.array(STRENGTHS))))]


class Propagation:
    """Labels of a whole scan from its painted slices.

    Parameters
    ----------
    volume : Volume
        The scan, any orientation.
    painted : mapping of int to ndarray (h, w)
        Label values of completely labelled slices along `axis`, in array order; a slice of zeros says that no class is
        there.
    axis : int
        Array axis that was sliced.
    classes : mapping of int to str
        Label values and names.
    settings : PropagationSettings, optional

    Raises
    ------
    SupportError
        If no slice shows a class, or a slice does not lie in the scan.
    """

    def __init__(
        self,
        volume: Volume,
        painted: Mapping[int, NDArray[Any]],
        axis: int,
        classes: Mapping[int, str],
        settings: PropagationSettings | None = None,
    ) -> None:
        self.volume, self.axis, self.classes = volume, axis, dict(sorted(classes.items()))
        self.settings = settings or PropagationSettings()
        self._pictures = np.moveaxis(volume.array, axis, 0)
        spacing = volume.geometry.spacing
        order = (axis, *(a for a in range(3) if a != axis))
        self._spacing = (float(spacing[order[0]]), float(spacing[order[1]]), float(spacing[order[2]]))
        self._painted = dict(sorted(painted.items()))
        for index, labels in self._painted.items():
            if not 0 <= index < len(self._pictures) or labels.shape != self._pictures.shape[1:]:
                raise SupportError(f"'{volume.name}' has no slice {index} of shape {labels.shape}.")
        if not any(np.isin(labels, list(self.classes)).any() for labels in self._painted.values()):
            raise SupportError("No slice shows a class: paint a class on at least one slice.")
        shape = self._pictures.shape
        self._labels = np.zeros(shape, np.min_scalar_type(max(self.classes)))
        self._best = np.zeros(shape, np.float32)
        self.strengths: dict[int, float] = {}
        """How much grey values counted for each class, from 0 to 1."""

    def run(self) -> Iterator[PropagationReport]:
        """Do it; lazily, so that whoever stops consuming cancels it."""
        steps_of_class = 100
        total = steps_of_class * len(self.classes)
        for place, value in enumerate(self.classes):
            for step, found in enumerate(
                propagating(self._pictures, self._spacing, self._painted, value, self.settings)
            ):
                if found is not None:
                    self.strengths[value] = found.strength
                    for _ in self._compete(value, found):
                        yield PropagationReport(place * steps_of_class + steps_of_class - 1, total, value)
                yield PropagationReport(place * steps_of_class + min(step, steps_of_class - 1), total, value)
        for index, labels in self._painted.items():
            self._labels[index] = np.where(np.isin(labels, list(self.classes)), labels, 0)
            self._best[index] = LIMIT
        yield PropagationReport(total, total, max(self.classes))

    def _compete(self, value: int, found: ClassScores) -> Iterator[None]:
        """Take the voxels on which this class speaks louder than those before."""
        grid = found.grid
        for index in range(grid.slices[0], grid.slices[-1] + 1):
            score = grid.native(found.scores, index)
            best = self._best[index, grid.rows, grid.columns]
            better = score > best
            best[better] = score[better]
            self._labels[index, grid.rows, grid.columns][better] = value
            yield

    def result(self) -> Segmentation:
        """Labels on the scan's own grid; painted slices exactly as painted."""
        labels = np.ascontiguousarray(np.moveaxis(self._labels, 0, self.axis))
        name = f"{self.volume.name} propagated"
        return Segmentation(labels, dict(self.classes), self.volume.geometry, name)

    def probability(self) -> NDArray[np.uint8]:
        """Probability of the label where there is one, (z, y, x); 255 is 1, 0 where there is none."""
        found = np.zeros(self._best.shape, np.uint8)
        inside = self._labels > 0
        found[inside] = np.rint(255 / (1 + np.exp(-self._best[inside])))
        return np.ascontiguousarray(np.moveaxis(found, 0, self.axis))
