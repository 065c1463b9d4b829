"""Probabilities of classes that were painted on the very scan that is segmented: carried, not recognised.

What was painted on two or more slices of a scan is followed through it by `propagation`, which needs no network, and no
network that was tried adds to it (benchmarks/propagation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.propagation import ClassScores, Completed, PropagationSettings, completing, propagating
from napari_cpclnet.segmentation.partial_slices import scribbled
from napari_cpclnet.segmentation.prediction import PredictionState, SliceResult, chunks, outwards

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.preprocessing import ModelGrid
    from napari_cpclnet.segmentation.support import SupportSlice

Recognise = Callable[[Sequence[int]], Iterable[NDArray[np.float32]]]
"""The network: probabilities (classes, h, w) of each of some slices."""

_SURE, _LIKELY = 0.95, 0.75
"""Probability of what follows from scribbles on their slice, where it is sure and elsewhere."""

LEAST_SLICES = 2
"""Painted slices of a class from which it is carried; one alone says too little of its shape."""


def enough_to_carry(own: Sequence[SupportSlice]) -> bool:
    """Whether a scan's own painted slices say more of it than those of other scans.

    A complete slice does, or a class on several. A few scribbles do not: they stay what they are, and the rest of the
    scan is labelled as any other.
    """
    if any(not one.partial for one in own):
        return True
    values = [int(v) for one in own for v in np.unique(one.labels2d) if v]
    return any(values.count(value) >= LEAST_SLICES for value in values)


class CarriedClasses:
    """Classes that are carried from a scan's own painted slices to its other slices.

    Parameters
    ----------
    volume : Volume
    grid : ModelGrid
        Says along which axis the scan is sliced.
    own : sequence of SupportSlice
        Painted slices of this scan, complete or partial; those in other planes do not count here.
    values : sequence of int
        Label values of the classes, in the order of their probabilities.
    threshold : float
        Probability that a voxel on the outline shall have.
    settings : PropagationSettings, optional
    """

    def __init__(
        self,
        volume: Volume,
        grid: ModelGrid,
        own: Sequence[SupportSlice],
        values: Sequence[int],
        threshold: float,
        settings: PropagationSettings | None = None,
    ) -> None:
        self._settings = settings or PropagationSettings()
        self._pictures = np.moveaxis(volume.array, grid.axis, 0)
        spacing = volume.geometry.spacing
        rows, columns = (a for a in range(3) if a != grid.axis)
        self._spacing = (float(spacing[grid.axis]), float(spacing[rows]), float(spacing[columns]))
        here = [s for s in own if s.axis == grid.axis]
        self._painted = {s.index: s.labels2d for s in here if not s.partial}
        self._scribbled = scribbled(here)
        self._completed: dict[int, Completed] = {}
        self._on_the_outline = float(np.log(threshold / (1 - threshold)))
        self._scores: dict[int, ClassScores] = {}
        shown = {v: sum(bool((s.labels2d == v).any()) for s in here) for v in values}
        self.places = [place for place, v in enumerate(values) if shown[v] >= LEAST_SLICES]
        """Which of the classes are carried."""
        self._values = list(values)

    def carry(self) -> Iterator[None]:
        """Carry the classes, in short steps."""
        painted = self._painted
        if self._scribbled:
            self._completed = yield from completing(
                self._pictures, self._spacing, painted, self._scribbled, self._values, self._settings
            )
            painted = painted | {index: one.labels for index, one in self._completed.items()}
        for place in self.places:
            for found in propagating(
                self._pictures,
                self._spacing,
                painted,
                self._values[place],
                self._settings,
                self._scribbled.keys(),
            ):
                if found is not None:
                    self._scores[place] = found
                yield

    def probabilities(self, index: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Place and probabilities (h, w) of every class that is carried, on one slice."""
        for place, found in self._scores.items():
            picture = np.zeros(self._pictures.shape[1:], np.float32)
            if found.grid.slices[0] <= index <= found.grid.slices[-1]:
                score = found.grid.native(found.scores, index) + self._on_the_outline
                picture[found.grid.rows, found.grid.columns] = 1 / (1 + np.exp(-score))
            yield place, picture
        one = self._completed.get(index)
        for place, value in enumerate(self._values if one is not None else ()):
            assert one is not None
            if place not in self._scores and (self._scribbled[index].labels == value).any():
                # too few slices to carry it, but this one was scribbled on
                chance = np.where(one.sure, _SURE, _LIKELY)
                yield place, np.where(one.labels == value, chance, 1 - chance).astype(np.float32)


def stream_own_scan(
    run: PredictionState,
    own: Sequence[SupportSlice],
    start: int,
    batch_size: int,
    recogniser: Callable[[], Recognise],
) -> Iterator[SliceResult]:
    """Slices of a scan that was painted itself: what was painted often enough is carried, the rest recognised.

    Parameters
    ----------
    run : PredictionState
    own : sequence of SupportSlice
        Painted slices of the scan.
    start : int
        Slice to begin with; then its neighbours, outwards, after the painted ones.
    batch_size : int
        Slices that are recognised at once.
    recogniser : callable
        Makes the network ready; called only if a class cannot be carried.

    Yields
    ------
    SliceResult
        Every slice once.
    """
    axis, values = run.grid.axis, run.values[:, None, None]
    carried = CarriedClasses(run.volume, run.grid, own, run.values.tolist(), run.threshold)
    painted = {
        s.index: np.asarray(s.labels2d[None] == values, np.float32)
        for s in own
        if s.axis == axis and not s.partial
    }
    known = iter(sorted(painted, key=lambda index: abs(index - start)))
    for _ in carried.carry():
        # painted slices are certain; between the steps they let whoever listens cancel
        index = next(known, None)
        if index is not None:
            yield run.add(index, painted[index])
    recognise = recogniser() if len(carried.places) < len(values) else None
    rest = [index for index in outwards(start, run.grid.n_slices) if index not in run.finished]
    for chunk in chunks(rest, batch_size):
        found: Iterable[NDArray[np.float32]]
        if recognise is None:
            found = [np.zeros((len(values), *run.grid.slice_shape), np.float32) for _ in chunk]
        else:
            found = recognise(chunk)
        for index, probabilities in zip(chunk, found, strict=True):
            if index in painted:
                probabilities = painted[index]
            else:
                for place, one in carried.probabilities(index):
                    probabilities[place] = one
            yield run.add(index, probabilities)
