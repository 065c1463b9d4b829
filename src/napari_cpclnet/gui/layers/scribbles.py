"""Scribbles on slices: their label for the background, and which slices look as if they held nothing else. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.gui.layers.undoing import is_ours
from napari_cpclnet.imaging import BACKGROUND

if TYPE_CHECKING:
    from napari.layers import Labels

BACKGROUND_NAME = "background (scribble)"
BACKGROUND_COLOR = (150, 150, 150)

_UNNAMED = f"label {BACKGROUND}"

_LARGEST_SHARE = 0.03
"""Of a slice; more paint than that is an area."""

_THIN = 14
"""Pixels across, of a stroke of a brush."""

_LONG = 3
"""Times that a stroke is longer than wide."""


def looks_scribbled(labels2d: np.ndarray) -> bool:
    """Whether the paint on a slice is a stroke or a dab of the brush rather than the area of a structure."""
    from scipy import ndimage

    painted = labels2d != 0
    count = int(np.count_nonzero(painted))
    if not count or count > _LARGEST_SHARE * painted.size:
        return False
    rows, columns = (np.flatnonzero(painted.any(a)) for a in (1, 0))
    box = painted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = 2 * float(ndimage.distance_transform_edt(np.pad(box, 1)).max())
    if width > _THIN:
        return False
    dab = count <= 0.9 * width**2 and max(box.shape) <= _THIN
    return dab or count / width >= _LONG * width


def strokes_on(layer: Labels, axis: int, index: int) -> int:
    """How many of the strokes that napari can undo painted on a slice along an array axis (z, y, x).

    What the plugin painted there is more than a stroke.
    """
    along = axis - 3 + layer.ndim
    steps = [
        item for item in tuple(layer._undo_history) if any(_touches(atom, along, index) for atom in item)
    ]
    return sum(2 if is_ours(item) else 1 for item in steps)


def _touches(atom: object, axis: int, index: int) -> bool:
    if axis < 0:
        return True  # a single picture
    key = getattr(atom, "slice_key", None)
    if key is not None:
        return bool(key[axis].start <= index < key[axis].stop)
    places = np.asarray(atom[0][axis])  # type: ignore[index]
    return bool((places == index).any())


def without_background(values: Collection[int], names: Mapping[int, str]) -> tuple[dict[int, str], list[int]]:
    """Names and label values of classes; that of scribbles for the background is one if it has a name, or is alone."""
    named = names.get(BACKGROUND, _UNNAMED) != _UNNAMED
    if named or {*values} <= {0, BACKGROUND}:
        return dict(names), list(values)
    return (
        {value: name for value, name in names.items() if value != BACKGROUND},
        [value for value in values if value != BACKGROUND],
    )
