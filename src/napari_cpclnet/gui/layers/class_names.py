"""Class names of a labels layer: kept in its metadata, shown in napari's status bar."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.gui.layers.scan_layers import KEY, class_features, label_colormap, note
from napari_cpclnet.gui.layers.undoing import history_kept

if TYPE_CHECKING:
    from napari.layers import Labels

Color = tuple[int, int, int]


def default_name(value: int) -> str:
    """Name of a label value that nobody named."""
    return f"label {value}"


def class_names(labels: Labels) -> dict[int, str]:
    """Names of the label values that have one."""
    return {int(value): str(name) for value, name in note(labels).get("classes", {}).items()}


def class_name(labels: Labels, value: int) -> str:
    """Name of one label value; ``label 3`` where the user gave none."""
    return class_names(labels).get(value, default_name(value))


def set_class_names(
    labels: Labels,
    names: dict[int, str],
    terms: dict[int, str] | None = None,
    others: dict[int, str] | None = None,
) -> None:
    """Replace all names; ``terms``: what to look up in the terminology where that is something else.

    ``others``: what the status bar calls values that are no classes.
    """
    names, terms = dict(sorted(names.items())), terms or {}
    if names != class_names(labels) or terms != note(labels).get("terms", {}):
        labels.metadata = {**labels.metadata, KEY: {**note(labels), "classes": names, "terms": terms}}
    told = class_features({**names, **(others or {})})
    if told != labels.features.to_dict(orient="list"):
        labels.features = told


def set_class_colors(labels: Labels, colors: dict[int, Color]) -> None:
    """Draw label values in these colours."""
    if any(class_color(labels, value) != color for value, color in colors.items()):
        labels.colormap = label_colormap(colors)


def class_color(labels: Labels, value: int) -> Color:
    """Red, green and blue (0 to 255) in which napari draws a label value."""
    red, green, blue = (round(255 * float(part)) for part in labels.colormap.map(value)[:3])
    return red, green, blue


def renumber(
    labels: Labels, moved: dict[int, int], one_step: Callable[[], AbstractContextManager[object]]
) -> None:
    """Give label values other numbers, in the step of undo that ``one_step`` makes."""
    data = np.asarray(labels.data)
    new = renumbered(data, moved)
    if new.dtype != data.dtype:
        with history_kept(labels):
            labels.data = data.astype(new.dtype)
    places = np.nonzero(new != data)
    with one_step():
        labels.data_setitem(places, new[places])


def renumbered(data: np.ndarray, moved: dict[int, int]) -> np.ndarray:
    """Labels with other numbers, of a wider type if that is needed; the same array where nothing moves."""
    if not moved:
        return data
    new = data.astype(np.promote_types(data.dtype, np.min_scalar_type(max(moved.values()))))
    for value, other in moved.items():
        new[data == value] = other
    return new
