"""Active learning: suggests which slice of a scan to paint next.

A slice is worth painting if it shows a class that no painted slice shows yet, or sets right what is probably wrong: on
itself, and on the slices that lie near it and look like it. What is probably wrong follows from the network's own
doubt, from classes that get lost between painted slices that show them, and from the extent of the class, as the
network may be wrong without doubting. Slices near or like those that are painted have little left to give, so
suggestions spread over the class.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.segmentation.organ_atlas import presence_prior
from napari_cpclnet.segmentation.suggestion_evidence import SuggestionEvidence, gather

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.segmentation.segmenter import Segmenter

REACH_MM = 15.0
"""Distance at which a painted slice helps another e times less."""

HIDDEN = 0.2
"""Share of every answer that is taken to be wrong though the network does not doubt it."""

FAINT = 0.3
"""How well a slice unlike all painted ones shows a class of which nothing else is known."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SliceSuggestion:
    """A slice to paint.

    Parameters
    ----------
    index : int
        Slice along the sliced array axis.
    score : float
        Estimated gain: the share of all classes that painting it would set right, mean over classes, 0 to 1. Rough.
    reason : str
        One sentence.
    """

    index: int
    score: float
    reason: str


def suggest(
    segmenter: Segmenter,
    volume: Volume,
    painted: Iterable[int] = (),
    *,
    classes: Mapping[int, str] | None = None,
    count: int = 5,
) -> tuple[SliceSuggestion, ...]:
    """Slices of a scan whose painting would help most.

    Parameters
    ----------
    segmenter : Segmenter
        Its support set may hold slices of this scan, of others, or both. If its last prediction was of this scan with
        this support it is used, else the scan is segmented first. Without a support, only what the scan shows counts.
    volume : Volume
        The scan.
    painted : iterable of int
        Slices of the scan that are painted but not in the support, or not wanted for another reason.
    classes : mapping of int to str, optional
        Label values and names that are wanted, whether or not they are painted yet; by default those of the support.
    count : int
        How many suggestions, to be painted one after another: each takes those before it as painted.

    Returns
    -------
    tuple of SliceSuggestion
        The best first; fewer than `count` if no other slice shows anything.

    Raises
    ------
    SupportError
        If the segmenter has no support and no classes are given.
    """
    return rank(gather(segmenter, volume, painted, classes), count)


def rank(evidence: SuggestionEvidence, count: int) -> tuple[SliceSuggestion, ...]:
    """Suggestions from what is known of a scan; see :func:`suggest`."""
    found: list[SliceSuggestion] = []
    shown = _usually_shown(evidence)
    while len(found) < count:
        parts = _gains(evidence, shown)
        total = parts.sum((0, 2)) / len(evidence.names)
        free = evidence.visible.copy()
        free[list(evidence.painted)] = False
        if not free.any():
            break
        index = int(np.where(free, total, -1).argmax())
        reason = _reason(evidence, parts[:, index], index)
        found.append(SliceSuggestion(index, float(min(total[index], 1.0)), reason))
        evidence = _as_painted(evidence, index, shown)
    return tuple(found)


def _gains(e: SuggestionEvidence, shown: Array) -> Array:
    """What painting each slice would gain: (2, slices, classes), by first sight of a class and by setting right."""
    near = _nearness(e)
    painted = list(e.painted)
    covered = near[:, painted].max(1, initial=0.0)
    first = np.zeros_like(shown)
    right = np.zeros_like(shown)
    left = np.maximum(near - covered[None], 0)  # (painted slice, slice it helps)
    for c in range(len(e.names)):
        if not e.known[c]:
            first[:, c] = shown[:, c] * (1 - covered)
            continue
        extent = e.expected_area[:, c]
        lost = np.maximum(_between(e, c) - extent, 0)
        size = extent.sum() + lost.sum()
        # a class that was painted elsewhere and is hardly found here is as good as new
        found = min(1.0, 2 * extent.max(initial=0) / e.typical[c]) if e.typical[c] else 1.0
        first[:, c] = (1 - found) ** 2 * shown[:, c] * (1 - covered)
        if size > 0:
            wrong = (e.expected_errors[:, c] + HIDDEN * extent + lost) / size
            wrong[painted] = 0
            right[:, c] = found * (left @ wrong)
    return np.stack([first, right])


def _usually_shown(e: SuggestionEvidence) -> Array:
    """How well each slice probably shows each class, from its name and the level, else from what it looks like."""
    out = np.zeros((len(e.visible), len(e.names)))
    for c, name in enumerate(e.names):
        places = presence_prior(name, e.levels)
        out[:, c] = FAINT if places is None else places
    return np.asarray(out * e.visible[:, None])


def _nearness(e: SuggestionEvidence) -> Array:
    """How much one slice says about another, 0 to 1: by distance along the body and similarity to the network."""
    away = np.abs(e.positions[:, None] - e.positions[None])
    return np.asarray(np.exp(-away / REACH_MM) * np.clip(e.similarity, 0, 1))


def _between(e: SuggestionEvidence, c: int) -> Array:
    """Pixels that a class should have on each slice between two painted ones that both show it."""
    painted = sorted(e.painted)
    out = np.zeros(len(e.visible))
    for low, high in itertools.pairwise(painted):
        ends = e.expected_area[[low, high], c]
        if ends.min() > 0:
            places = np.arange(low + 1, high)
            out[places] = np.interp(places, [low, high], ends)
    return out


def _as_painted(e: SuggestionEvidence, index: int, shown: Array) -> SuggestionEvidence:
    """What is known once a slice is painted, as far as that can be foreseen."""
    errors = e.expected_errors.copy()
    errors[index] = 0
    known = e.known | (shown[index] > 0.5)
    return replace(e, painted=(*e.painted, index), expected_errors=errors, known=known)


def _reason(e: SuggestionEvidence, parts: Array, index: int) -> str:
    first, right = parts
    new = [name for name, g, known in zip(e.names, first, e.known, strict=True) if not known and g > FAINT]
    if new:
        return f"It probably shows {_list(new)}, which no painted slice shows yet."
    c = int((first + right).argmax())
    name = e.names[c]
    if first[c] > right[c]:
        if e.known[c]:
            return f"The {name} is hardly found in this scan, and should be here."
        return f"It looks unlike all painted slices, and none of them shows {name} yet."
    extent = e.expected_area[index, c]
    if _between(e, c)[index] > 2 * extent:
        return f"The {name} seems to get lost here between painted slices that show it."
    if e.expected_errors[index, c] > HIDDEN * extent:
        return f"The network is unsure about the {name} here."
    return f"The {name} here is far from any annotated slice."


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
