"""Partial slices of a support set, completed before anything is learned from them.

A partial slice says where some pixels belong; the rest is unknown. What follows from its scribbles within the slice
(`propagation.scribbles`) stands in for paint, and what does not follow is left out by all that learns: descriptors,
statistics, and the loss of an adaptation. Labels that were painted stay what they are.
"""

from __future__ import annotations

import numpy as np

from napari_cpclnet.last_used import LastUsed
from napari_cpclnet.propagation import PropagationSettings, Scribbled, completing
from napari_cpclnet.segmentation.support import SupportSet, SupportSlice

_REMEMBERED = 4


class Completion:
    """Completes support sets, and remembers the last ones."""

    def __init__(self) -> None:
        self._known: LastUsed[str, SupportSet] = LastUsed(_REMEMBERED)

    def __call__(self, support: SupportSet) -> SupportSet:
        """The set with its partial slices completed; the same one if there are none."""
        if not any(one.partial for one in support.slices):
            return support
        key = support.content_hash()
        if key not in self._known:
            self._known[key] = support.with_slices(_completed(support))
        return self._known[key]


def scribbled(slices: list[SupportSlice]) -> dict[int, Scribbled]:
    """The partial ones of some slices of one scan and plane, as propagation wants them."""
    return {s.index: Scribbled(s.labels2d, s.known) for s in slices if s.known is not None}


def _completed(support: SupportSet) -> list[SupportSlice]:
    stacks: dict[tuple[int, int], list[SupportSlice]] = {}
    for one in support.slices:
        stacks.setdefault((id(one.volume), one.axis), []).append(one)
    found = []
    for stack in stacks.values():
        volume, axis = stack[0].volume, stack[0].axis
        spacing = volume.geometry.spacing
        rows, columns = (a for a in range(3) if a != axis)
        steps = completing(
            np.moveaxis(volume.array, axis, 0),
            (float(spacing[axis]), float(spacing[rows]), float(spacing[columns])),
            {s.index: s.labels2d for s in stack if not s.partial},
            scribbled(stack),
            list(support.classes),
            PropagationSettings(),
        )
        done = {}
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                done = finished.value
                break
        for one in stack:
            if one.partial:
                labels = done[one.index].labels.astype(np.uint32)
                one = SupportSlice(volume, one.index, one.plane, labels, one.known, done[one.index].sure)
            found.append(one)
    return found
