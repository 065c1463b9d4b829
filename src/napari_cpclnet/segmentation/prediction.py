"""State of one prediction: what was found so far, slice by slice, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.segmentation.fixed_labels import FixedLabels
from napari_cpclnet.segmentation.postprocessing import postprocess

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.preprocessing import ModelGrid
    from napari_cpclnet.segmentation.confidence import Evidence
    from napari_cpclnet.segmentation.feature_cache import FeatureCache
    from napari_cpclnet.segmentation.settings import PostprocessingSettings
    from napari_cpclnet.segmentation.support import SupportSet

CERTAIN = 255
"""Probability 1 where probabilities are kept as whole numbers."""

_NOTHING = 0.05
"""Probabilities below count as none: over a whole slice, much of next to nothing would still add up."""


@dataclass(frozen=True)
class SliceResult:
    """One segmented slice.

    Parameters
    ----------
    index : int
        Slice along the sliced array axis.
    labels : ndarray (h, w) of unsigned integers
        Label values in array order; painted slices and corrected voxels as they were painted.
    probabilities : ndarray (C, h, w) of float32
        Probability of each class, in the order of the classes' label values.
    confidence : ndarray (C,) of float32
        Mean probability of each class inside its answer; nan where it is not on this slice.
    done, total : int
        Slices finished, and slices in all; with a second pass, every slice counts twice.
    pass_number : int
        1, or 2 in the second pass.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import SliceResult
    >>> nothing = np.zeros((1, 32, 32), np.float32)
    >>> one = SliceResult(5, nothing[0] > 0, nothing, np.array([np.nan]), done=3, total=40)
    >>> f"slice {one.index} is the {one.done}rd of {one.total}"
    'slice 5 is the 3rd of 40'
    """

    index: int
    labels: NDArray[Any]
    probabilities: NDArray[np.float32]
    confidence: NDArray[np.float32]
    done: int
    total: int
    pass_number: int = 1


class NetworkMaps:
    """Foreground probabilities of slices on the network's own pixels, in one tensor.

    One tensor for each slice would hold on to the memory around it, see `feature_cache`.

    Parameters
    ----------
    n_slices : int
        Of the scan.
    """

    def __init__(self, n_slices: int) -> None:
        self._seen = np.zeros(n_slices, bool)
        self._maps: Tensor | None = None

    def keep(self, index: int, maps: Tensor) -> None:
        """Keep the maps (C, H, W) of a slice, in the place of earlier ones."""
        if self._maps is None:
            self._maps = maps.new_empty((len(self._seen), *maps.shape))
        self._maps[index] = maps
        self._seen[index] = True

    def of(self, index: int) -> Tensor | None:
        """Maps (C, H, W) of a slice; None if the network saw nothing there."""
        return self._maps[index] if self._maps is not None and self._seen[index] else None


@dataclass(eq=False)
class PredictionState:
    """State of one prediction.

    Parameters
    ----------
    scan : FeatureCache
    painted : FixedLabels
        What must not change.
    support : SupportSet
        What it was done with.
    threshold : float
        Probability from which a pixel belongs to a class.
    keep_probabilities : bool
    n_passes : int
        How often all slices are segmented.
    """

    scan: FeatureCache
    painted: FixedLabels
    support: SupportSet
    threshold: float
    keep_probabilities: bool
    n_passes: int = 1
    labels: NDArray[Any] = field(init=False)
    max_probability: NDArray[np.uint8] = field(init=False)
    """Probability of the best class, (z, y, x)."""
    probabilities: NDArray[np.uint8] | None = field(init=False, default=None)
    expected_area: NDArray[np.float64] = field(init=False)
    """Pixels that each class probably has on each slice, (slices, C): the sum of its probabilities."""
    expected_errors: NDArray[np.float64] = field(init=False)
    """Pixels that are probably wrong, by slice and by the class that is likeliest there, (slices, C)."""
    finished: set[int] = field(init=False, default_factory=set)
    keep_maps: bool = False
    """Whether what the network saw on its own pixels is wanted later."""
    network_maps: NetworkMaps | None = field(init=False, default=None)
    """The same, until it was used."""
    means: tuple[str, ...] = ()
    """By what each class was found, once that is known: network, alignment, both or none."""
    goes_on: tuple[bool, ...] = ()
    """Whether the network sees each class go on beyond its outermost painted slices, once that is known."""
    evidence: tuple[Evidence, ...] = ()
    """What speaks for the answer to each class, once scans were aligned."""
    several: frozenset[int] = frozenset()
    """Label values of classes that are of several pieces: not the largest alone is kept of them."""
    _pass: int = field(init=False, default=1)
    _first_pass: tuple[NDArray[np.float64], NDArray[np.float64]] | None = field(init=False, default=None)
    _final: NDArray[Any] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        highest = max(self.classes)
        if self.painted.corrections is not None:
            highest = max(highest, self.painted.corrections.highest)
        shape, count = self.grid.shape, len(self.classes)
        self.labels = np.zeros(shape, np.min_scalar_type(highest))
        if self.painted.corrections is not None:
            FixedLabels((), self.painted.corrections).apply(self.labels)
        self.max_probability = np.zeros(shape, np.uint8)
        if self.keep_maps:
            self.network_maps = NetworkMaps(self.grid.n_slices)
        if self.keep_probabilities:
            self.probabilities = np.zeros((count, *shape), np.uint8)
        self.expected_area, self.expected_errors = (np.zeros((self.grid.n_slices, count)) for _ in range(2))

    @property
    def volume(self) -> Volume:
        """The scan."""
        return self.scan.volume

    @property
    def grid(self) -> ModelGrid:
        """Its slices."""
        return self.scan.grid

    @property
    def classes(self) -> dict[int, str]:
        """Label values and names, in their order."""
        return self.support.classes

    @property
    def complete(self) -> bool:
        """Whether all slices are finished, in the last pass."""
        return self._pass == self.n_passes and len(self.finished) == self.grid.n_slices

    @property
    def first_pass(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums over all slices of `expected_errors` and of `expected_area`, (C,) each, before any second pass.

        A second pass is surer of itself, of what it should not have found as well.
        """
        return self._first_pass or (self.expected_errors.sum(0), self.expected_area.sum(0))

    def begin_second_pass(self) -> None:
        """Begin another pass; what was found stays until it is decided anew."""
        self._first_pass = self.first_pass
        self._pass += 1
        self.finished.clear()

    def shown(self, index: int, share: float) -> SliceResult:
        """A slice as it stands, with the progress of a pass of which `share` is done."""
        grid = self.grid
        labels, best = (
            grid.take(self.labels, index),
            grid.take(self.max_probability, index).astype(np.float32) / CERTAIN,
        )
        here = [labels == value for value in self.values]
        probabilities = np.stack([np.where(one, best, 0) for one in here]).astype(np.float32)
        confidence = np.array([best[one].mean() if one.any() else np.nan for one in here], np.float32)
        total = self.n_passes * grid.n_slices
        return SliceResult(
            index, labels.copy(), probabilities, confidence, self.done_by(share), total, self._pass
        )

    def done_by(self, share: float) -> int:
        """Slices that count as finished when so much of a pass is done; the pass is not at its end before it is."""
        n_slices = self.grid.n_slices
        return (self._pass - 1) * n_slices + min(int(share * n_slices), n_slices - 1)

    def postprocessed(self, settings: PostprocessingSettings) -> NDArray[Any]:
        """Labels (z, y, x) found so far, post-processed."""
        return postprocess(self.labels, self.volume, self.grid, settings, self.painted, self.several)

    def final_labels(self, settings: PostprocessingSettings) -> NDArray[Any]:
        """Post-processed labels (z, y, x) of a complete run, worked out once; else those found so far."""
        if not self.complete:
            return self.labels
        if self._final is None:
            # what was found before is not asked for any more, and of a long scan one copy is enough
            self.labels = self._final = self.postprocessed(settings)
        return self._final

    @cached_property
    def values(self) -> NDArray[np.int64]:
        """Label values of the classes, in their order."""
        return np.asarray(list(self.classes), np.int64)

    def add(self, index: int, probabilities: NDArray[np.float32]) -> SliceResult:
        """Decide one slice from its probabilities (C, h, w), and keep what is needed later."""
        grid, best = self.grid, probabilities.max(0)
        labels = np.zeros(best.shape, self.labels.dtype)
        fixed = self.painted.mask_of_slice(labels.shape, grid.axis, index) if self.painted else None
        # most of a slice is air, and other organs
        box = box_of(best >= min(_NOTHING, self.threshold)) if fixed is None else (slice(None), slice(None))
        here = probabilities[:, *box]
        labels[box] = decide(here, self.values, self.threshold)
        if fixed is not None:
            self.painted.apply_to_slice(labels, grid.axis, index)
            best = np.where(fixed, labels > 0, best).astype(np.float32)
        grid.put(self.labels, index, labels)
        grid.put(self.max_probability, index, _whole_numbers(best))
        if self.probabilities is not None:
            for kept, one in zip(self.probabilities, probabilities, strict=True):
                grid.put(kept, index, _whole_numbers(one))
        likeliest, decided, best = here.argmax(0), labels[box], best[box]
        wrong = np.where(best < _NOTHING, 0, np.minimum(best, 1 - best))
        confidence = np.full(len(self.values), np.nan, np.float32)
        for c, value in enumerate(self.values):
            inside = decided == value
            if inside.any():
                confidence[c] = best[inside].mean()
            likely = np.where(here[c] < _NOTHING, 0, here[c])
            self.expected_area[index, c] = (
                likely if fixed is None else np.where(fixed, inside, likely)
            ).sum()
            self.expected_errors[index, c] = wrong[likeliest == c].sum()
        self.finished.add(index)
        done = (self._pass - 1) * grid.n_slices + len(self.finished)
        total = self.n_passes * grid.n_slices
        return SliceResult(index, labels, probabilities, confidence, done, total, self._pass)


def box_of(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The box (h, w) around what is true; empty if nothing is."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def decide(
    probabilities: NDArray[np.float32], values: NDArray[np.integer], threshold: float
) -> NDArray[np.integer]:
    """Most probable class where it reaches the threshold, else 0: (C, h, w) to (h, w)."""
    return np.where(probabilities.max(0) >= threshold, values[probabilities.argmax(0)], 0)


def uncertainty(best: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How undecided the network is.

    Parameters
    ----------
    best : ndarray of uint8
        Probability of the best class, 255 is certain.

    Returns
    -------
    ndarray of uint8
        0 where that probability is 0 or 1, 255 where it is 0.5.
    """
    found: NDArray[np.uint8] = np.minimum(best, CERTAIN - best)
    found *= 2
    return found


def outwards(start: int, count: int) -> Iterator[int]:
    """All of 0 to `count` - 1, nearest to `start` first: start, start + 1, start - 1, ..."""
    yield start
    for distance in range(1, count):
        for index in (start + distance, start - distance):
            if 0 <= index < count:
                yield index


def chunks(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """The first item alone, so that it need not wait for the others, then `size` at a time."""
    first, rest = items[:1], items[1:]
    if first:
        yield first
    for place in range(0, len(rest), size):
        yield rest[place : place + size]


def _whole_numbers(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(probabilities * CERTAIN), np.uint8)
