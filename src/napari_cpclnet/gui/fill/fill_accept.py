"""Acceptance of filled slices as paint: one step of undo, a few slices at a time so that the window lives. No Qt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.gui.layers.scan_layers import labels_array
from napari_cpclnet.gui.layers.undoing import no_voxels

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.layers import Labels

    from napari_cpclnet.gui.jobs.fill_job import AcceptedSlices, Filled

AT_ONCE_S = 0.02


def accepting(filled: Filled, leave: Collection[int], accepted: AcceptedSlices) -> Iterator[int]:
    """Write filled slices into the painted layer, which cannot be edited until that is done.

    Parameters
    ----------
    filled : Filled
    leave : collection of int
        Slices that stay as they are.
    accepted : AcceptedSlices
        Is told of each slice that shows something.

    Yields
    ------
    int
        Slices that show something, so far. Whoever stops early keeps those that are written.
    """
    order = filled.order
    layer, plane, axis = order.pair.labels, order.plane, order.axis
    target, found = (np.moveaxis(a, axis, 0) for a in (labels_array(layer), filled.labels))
    fixed = {*order.painted, *order.empty, *leave}
    editable, count = layer.editable, 0
    layer.editable = False
    history = layer.block_history()
    history.__enter__()
    try:
        layer._save_history(no_voxels(layer))
        began = time.perf_counter()
        for index in (i for i in range(len(target)) if i not in fixed):
            old, new = target[index], found[index]
            if old.any() and not accepted.holds(
                layer, plane, index, old
            ):  # strokes of another view across it stay
                new = np.where(old != 0, old, new)
            _write(layer, axis, index, old, new)
            if new.any():
                accepted.add(layer, plane, index, target[index])
                count += 1
            if time.perf_counter() - began > AT_ONCE_S:
                yield count
                began = time.perf_counter()
    finally:
        history.__exit__(None, None, None)
        layer.editable = editable
        layer.refresh()
    yield count


def _write(layer: Labels, axis: int, index: int, old: np.ndarray, new: np.ndarray) -> None:
    rows, columns = np.nonzero(old != new)
    if not len(rows):
        return
    # napari keeps the places for its undo: of millions of voxels they had better be small
    places = [rows.astype(np.int32), columns.astype(np.int32)]
    places.insert(axis, np.full(len(rows), index, np.int32))
    values = new[rows, columns].astype(layer.data.dtype)
    layer.data_setitem(tuple(places[3 - layer.ndim :]), values, refresh=False)
