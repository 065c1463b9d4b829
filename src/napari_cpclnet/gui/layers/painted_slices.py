"""Which slices of a labels array are painted, and with which classes; fast enough for every stroke."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.gui.layers.scan_layers import note
from napari_cpclnet.gui.layers.scribbles import looks_scribbled
from napari_cpclnet.gui.layers.undoing import is_ours

if TYPE_CHECKING:
    from napari.layers import Labels

PAINTED = "painted"


def is_painted(layer: Labels) -> bool:
    """Whether a layer was made to paint a few slices on, here or by napari, rather than opened or imported."""
    if PAINTED in note(layer):
        return bool(note(layer)[PAINTED])
    return layer.source.path is None and any(not is_ours(item) for item in layer._undo_history)


def has_gaps(labels: np.ndarray, axis: int) -> bool:
    """Whether slices without paint lie between painted ones."""
    painted = np.flatnonzero(np.moveaxis(labels, axis, 0).any((1, 2)))
    return bool(len(painted)) and len(painted) != painted[-1] - painted[0] + 1


class PaintedSlices:
    """Table of painted slices that looks again only at slices that changed.

    A checksum of a slice costs far less than counting its labels, and catches every way of editing: brush,
    undo, other plugins.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, tuple[int, ...], bool]] = {}
        self._axis = 0

    def update(
        self, labels: np.ndarray, axis: int = 0, strokes: Callable[[int], int] = lambda _index: 0
    ) -> dict[int, tuple[int, ...]]:
        """Label values on every painted slice of ``labels`` (z, y, x) along array ``axis``.

        ``strokes``: how many strokes painted a slice, as far as that is known.
        """
        if axis != self._axis:
            self._seen.clear()
            self._axis = axis
        slices = np.moveaxis(labels, axis, 0)
        current: dict[int, tuple[int, tuple[int, ...], bool]] = {}
        others = tuple(a for a in range(labels.ndim) if a != axis)
        # all at once: slice by slice, those along the last axis would take a hundred times as long
        for index in np.flatnonzero(labels.any(axis=others)).tolist():
            plane = slices[index]
            checksum = zlib.crc32(np.ascontiguousarray(plane).data)
            known = self._seen.get(index)
            if known is None or known[0] != checksum:
                values = tuple(v for v in label_values(plane) if v != 0)
                known = (checksum, values, looks_scribbled(plane) and strokes(index) == 1)
            current[index] = known
        self._seen = current
        return {index: values for index, (_, values, _) in current.items()}

    def scribbled(self, index: int) -> bool:
        """Whether all that was painted on a slice, as it was seen last, is a single stroke or dab."""
        return index in self._seen and self._seen[index][2]

    def stamp(self, index: int) -> int:
        """Checksum of a slice as it was seen last; 0 if nothing is painted on it."""
        return self._seen[index][0] if index in self._seen else 0


def label_values(labels: np.ndarray) -> list[int]:
    """Label values that occur, in order; by counting where that is possible, as sorting takes ten times longer."""
    if labels.dtype.kind == "u" and labels.dtype.itemsize <= 2:
        return [int(v) for v in np.flatnonzero(np.bincount(labels.ravel()))]
    return [int(v) for v in np.unique(labels)]
