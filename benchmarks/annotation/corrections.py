"""A simulated annotator who mends labels by scribbles until they are good enough, and paints what these do not mend."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from run import Subject
from scipy import ndimage
from skimage import morphology
from strokes import Seconds, outlines

from napari_cpclnet.propagation import mending
from napari_cpclnet.propagation.settings import MEND_AROUND_MM, MEND_REACH_MM

Labels = NDArray[np.integer]
TRIES = 1
"""Tries on a slice and class that may fail before it is painted."""


@dataclass(frozen=True)
class Correction:
    """One thing the annotator did, and how long the computer took: for the slice, and for those around."""

    kind: str
    clicks: int
    seconds: float
    slice_s: float = 0.0
    around_s: float = 0.0


def correcting(subject: Subject, labels: Labels, values: list[int], cost: Seconds) -> Iterator[Correction]:
    """Correct labels in place, worst slice first; whoever stops consuming is content."""
    failed: Counter[tuple[int, int]] = Counter()
    last = -1
    while True:
        wrong = {v: (labels == v) != (subject.truth == v) for v in values}
        areas = np.stack([wrong[v].sum((1, 2)) for v in values])
        if not areas.any():
            return
        place, index = (int(n) for n in np.unravel_index(areas.argmax(), areas.shape))
        value = values[place]
        page, last = (0.0 if index == last else cost.page), index
        if failed[value, index] >= TRIES:
            drawn = outlines(subject.truth[index], [value], subject.volume.geometry.spacing[1:])
            labels[index][labels[index] == value] = 0
            labels[index][subject.truth[index] == value] = value
            seconds = cost.outlines(drawn.strokes, drawn.mm) - cost.page + page
            yield Correction("painted", 2 * max(drawn.strokes, 1), seconds)
            continue
        before = int(sum(w.sum() for w in wrong.values()))
        kept = labels.copy()
        strokes, mm, slice_s, around_s = _scribble(subject, labels, value, index, wrong[value][index])
        after = int(sum(((labels == v) != (subject.truth == v)).sum() for v in values))
        seconds = page + strokes * cost.aim + mm * cost.loose
        if after < before - 0.2 * areas.max():
            yield Correction("mended", strokes, seconds, slice_s, around_s)
        else:
            labels[...] = kept
            failed[value, index] += 1
            yield Correction("undone", strokes + 1, seconds + cost.aim, slice_s, around_s)


def _scribble(
    subject: Subject, labels: Labels, value: int, index: int, wrong: NDArray[np.bool_]
) -> tuple[int, float, float, float]:
    """A line through the largest error of either kind on a slice; strokes, their mm, seconds until all is mended."""
    spacing = subject.volume.geometry.spacing
    largest = []
    for add in (True, False):
        mask = wrong & ((subject.truth[index] == value) == add)
        pieces, count = ndimage.label(mask)
        if count:
            sizes = ndimage.sum_labels(mask, pieces, range(1, count + 1))
            largest.append((float(sizes.max()), add, pieces == 1 + int(np.argmax(sizes))))
    worst = max(size for size, *_ in largest)
    lines = [(add, morphology.skeletonize(mask)) for size, add, mask in largest if size >= 0.3 * worst]
    drawn = np.logical_or.reduce([line for _, line in lines])
    rows, columns = (np.flatnonzero(drawn.any(a)) for a in (1, 0))
    box = []
    for first, last, step, size, reach in (
        (index, index, spacing[0], len(labels), MEND_AROUND_MM),
        (rows[0], rows[-1], spacing[1], labels.shape[1], MEND_REACH_MM),
        (columns[0], columns[-1], spacing[2], labels.shape[2], MEND_REACH_MM),
    ):
        margin = max(1, int(np.ceil(reach / step)))
        box.append(slice(max(0, int(first) - margin), min(size, int(last) + margin + 1)))
    part = labels[tuple(box)]
    pictures, present = subject.volume.array[tuple(box)], part == value
    here, began = index - box[0].start, time.perf_counter()
    after, on_slice = present[here], 0.0
    for add, line in lines:
        asked = time.perf_counter()
        after = mending.mended_slice(pictures[here], spacing[1:], after, line[box[1], box[2]], add=add)
        on_slice = max(on_slice, time.perf_counter() - asked)
    found = mending.mended_around(pictures, spacing, present, here, after)
    whole = time.perf_counter() - began
    found &= present | (part == 0)
    found[here] = after
    part[present & ~found] = 0
    part[found & ~present] = value
    return len(lines), float(drawn.sum() * np.mean(spacing[1:])), on_slice, whole
