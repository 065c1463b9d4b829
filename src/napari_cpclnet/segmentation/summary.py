"""Summary of a result: volumes, confidence, and the slices to review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.segmentation.confidence import UNLIKELY, expected_dice
from napari_cpclnet.segmentation.prediction import CERTAIN

if TYPE_CHECKING:
    from napari_cpclnet.segmentation.prediction import PredictionState

UNCERTAIN = 0.25
"""Share of a class on a slice that is probably wrong from which the slice is uncertain. On phantoms two in three of
these slices have a Dice below 0.7, and half of all such slices are among them (benchmarks/annotation/absence.md)."""

ABSENT = 0.35
"""Share of a class in the whole scan that is probably wrong from which the class seems absent. On phantoms that said so
of 39 of 41 absent classes and of 1 of 81 that were there (benchmarks/annotation/absence.md)."""

SMALL = 0.01
"""Uncertain pixels below this share of the class's largest slice matter to nobody."""


@dataclass(frozen=True)
class ClassSummary:
    """One class of a result.

    Parameters
    ----------
    value, name
        Label value and name of the class.
    ml : float
        Volume; in voxels where the scan has no physical size.
    confidence : float
        Dice to expect, 0 to 1; 0 if nothing was found. Where scans were aligned it comes from what such answers
        reached in scans whose labels are known; else from the probabilities alone, which are surer of themselves.
    seems_absent : bool
        Whether it is probably not found: the scan seems not to show it, or a Dice below 0.3 is to be expected.
    means : str
        By what it was found in a scan that was aligned with the support: "network", "alignment", "both" or "none";
        empty in others.
    goes_on : bool
        Whether the network sees it go on in the support beyond its outermost painted slices, which were taken for its
        ends.
    """

    value: int
    name: str
    ml: float
    confidence: float
    seems_absent: bool
    means: str = ""
    goes_on: bool = False


@dataclass(frozen=True)
class UncertainSlice:
    """One class on one slice that a person should look at.

    Parameters
    ----------
    index : int
        Slice along the sliced array axis.
    value : int
        Label value of the class.
    score : float
        Share of the class on this slice that is probably wrong, 0 to 1.
    """

    index: int
    value: int
    score: float


@dataclass(frozen=True)
class Summary:
    """A result at a glance: its classes, and its uncertain slices, the worst first."""

    classes: tuple[ClassSummary, ...]
    uncertain: tuple[UncertainSlice, ...]


def summarise_run(run: PredictionState, labels: NDArray[Any]) -> Summary:
    """Summary of a prediction whose final labels (z, y, x) are given."""
    unit = run.volume.geometry.voxel_ml if run.volume.calibrated else 1.0
    counts = np.zeros(int(max(run.values.max(), labels.max(initial=0))) + 1, np.int64)
    sums = np.zeros(len(counts))
    for one, best in zip(
        labels, run.max_probability, strict=True
    ):  # slice by slice: bincount widens what it is given
        flat = one.ravel().astype(np.int64)
        counts += np.bincount(flat, minlength=len(counts))
        sums += np.bincount(flat, weights=best.ravel(), minlength=len(counts))
    classes = []
    for c, (value, name) in enumerate(run.classes.items()):
        count = int(counts[value])
        inside = float(sums[value]) / CERTAIN
        confidence = (
            2 * inside / (count + max(inside, float(run.expected_area[:, c].sum()))) if count else 0.0
        )
        if run.evidence and count:
            confidence = expected_dice(run.evidence[c], confidence, count * unit)
        means = run.means[c] if run.means else ""
        goes_on = bool(run.goes_on) and run.goes_on[c]
        absent = seems_absent(run, c, count) or (bool(run.evidence) and confidence < UNLIKELY)
        classes.append(ClassSummary(value, name, count * unit, confidence, absent, means, goes_on))
    return Summary(tuple(classes), uncertain_slices(run))


def uncertain_slices(run: PredictionState) -> tuple[UncertainSlice, ...]:
    """Slices on which much of a class is probably wrong, most pixels first; painted slices never."""
    largest = run.expected_area.max(0, keepdims=True)
    share = run.expected_errors / np.maximum(run.expected_area, 1)
    matters = (share >= UNCERTAIN) & (run.expected_errors >= SMALL * largest) & (run.expected_errors > 0)
    order = np.argsort(
        -np.where(matters, run.expected_errors / np.maximum(largest, 1), 0), axis=None, kind="stable"
    )
    places = [np.unravel_index(i, share.shape) for i in order[: np.count_nonzero(matters)]]
    return tuple(UncertainSlice(int(i), int(run.values[c]), min(float(share[i, c]), 1.0)) for i, c in places)


def seems_absent(run: PredictionState, c: int, count: int) -> bool:
    """Whether class number `c`, of which `count` voxels were found, seems to be absent.

    Nothing was found, or what was found in the first pass is mostly uncertain; what was painted on the scan is there.
    """
    if run.painted.shows(int(run.values[c])):
        return False
    if run.means and run.means[c] != "network":  # its first pass says nothing of what was carried over
        return count == 0 or bool(run.expected_errors[:, c].sum() > ABSENT * run.expected_area[:, c].sum())
    errors, expected = run.first_pass
    return count == 0 or bool(errors[c] > ABSENT * expected[c])
