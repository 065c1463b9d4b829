"""Class names of a labels layer: kept in its metadata, shown in napari's status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cpclnet.gui.layers import KEY, class_features, note

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Labels


def class_names(labels: Labels) -> dict[int, str]:
    """Names of the label values that have one."""
    return {int(value): str(name) for value, name in note(labels).get("classes", {}).items()}


def class_name(labels: Labels, value: int) -> str:
    """Name of one label value; ``label 3`` where the user gave none."""
    return class_names(labels).get(value, f"label {value}")


def name_class(labels: Labels, value: int, name: str) -> None:
    """Give a label value a name; an empty name takes it back to the default."""
    names = class_names(labels)
    names[value] = name.strip() or f"label {value}"
    set_class_names(labels, names)


def set_class_names(labels: Labels, names: dict[int, str]) -> None:
    """Replace all names."""
    names = dict(sorted(names.items()))
    labels.metadata = {**labels.metadata, KEY: {**note(labels), "classes": names}}
    if class_features(names) != labels.features.to_dict(orient="list"):
        labels.features = class_features(names)


def add_class(labels: Labels) -> int:
    """Name the next free label value and select it for painting; returns the value."""
    value = max(class_names(labels), default=0) + 1
    name_class(labels, value, f"label {value}")
    labels.selected_label = value
    return value


def class_colour(labels: Labels, value: int) -> np.ndarray | None:
    """RGBA in [0, 1] in which napari draws a label value."""
    return labels.colormap.map(value)
