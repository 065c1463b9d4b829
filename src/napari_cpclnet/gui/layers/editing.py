"""Edits of a labels layer as single steps of napari's own undo. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.gui.layers.scan_layers import labels_array
from napari_cpclnet.gui.layers.undoing import no_voxels

if TYPE_CHECKING:
    from napari.layers import Labels


def set_slice(layer: Labels, axis: int, index: int, values: np.ndarray) -> bool:
    """Give slice ``index`` along array axis ``axis`` (z, y, x) other labels (h, w); False if nothing changes.

    One step of undo, whatever it changes.
    """
    old = np.moveaxis(labels_array(layer), axis, 0)[index]
    rows, columns = np.nonzero(old != values)
    if not len(rows):
        return False
    places = [rows, columns]
    places.insert(axis, np.full_like(rows, index))
    set_voxels(layer, places, values[rows, columns])
    return True


def set_voxels(layer: Labels, places: Sequence[np.ndarray], values: np.ndarray) -> None:
    """Give voxels at places (z, y, x) other labels, in one step of undo that is known as the plugin's."""
    where = tuple(places[3 - layer.ndim :])
    if not (np.asarray(layer.data)[where] != values).any():
        return
    values = values.astype(layer.data.dtype)
    with layer.block_history():
        layer._save_history(no_voxels(layer))
        if layer.visible:
            layer.data_setitem(where, values)
        else:  # napari has no picture of it that could be brought up to date
            layer._save_history((where, np.array(layer.data[where]), values))
            layer.data[where] = values


def erase_slice(layer: Labels, axis: int, index: int) -> bool:
    """Take all paint off a slice; False if there was none."""
    old = np.moveaxis(labels_array(layer), axis, 0)[index]
    return set_slice(layer, axis, index, np.zeros_like(old))


def copy_class(layer: Labels, axis: int, index: int, to: int, value: int) -> bool:
    """Copy one class from a slice to another, beside what is painted there; False if nothing changes."""
    slices = np.moveaxis(labels_array(layer), axis, 0)
    return set_slice(
        layer, axis, to, np.where((slices[index] == value) & (slices[to] == 0), value, slices[to])
    )


def extend_last_step(
    layer: Labels, step: list[Any], places: Sequence[np.ndarray], values: np.ndarray
) -> bool:
    """Give more voxels other labels, in a step of undo that was just made; False if another came, or it was undone.

    Parameters
    ----------
    layer
    step
        The step, as `last_step` gave it.
    places, values
        As of `set_voxels`.
    """
    if last_step(layer) is not step:
        return False
    where = tuple(places[3 - layer.ndim :])
    values = values.astype(layer.data.dtype)
    atom = (where, np.array(layer.data[where]), values)
    step.append(atom)
    layer.data[where] = values
    layer.refresh()
    return True


def last_step(layer: Labels) -> list[Any] | None:
    """The step that napari would take back next."""
    return layer._undo_history[-1] if layer._undo_history else None
