"""Pictures beside a result: how sure the network is, and what was corrected. No Qt.

They are ours alone: made, filled again and removed as the user ticks them, and never taken for scans or labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import Colormap, DirectLabelColormap

from napari_cpclnet.gui.layers.scan_layers import (
    KEY,
    class_features,
    copied_transform,
    geometry_of,
    grid_note,
    note,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_cpclnet.gui.layers.class_names import Color
    from napari_cpclnet.gui.layers.corrections import Changes

PROBABILITY, UNCERTAINTY, CORRECTIONS = "probability", "uncertainty", "corrections"
KINDS = (PROBABILITY, UNCERTAINTY)
COLORMAPS = {PROBABILITY: "viridis", UNCERTAINTY: "inferno"}
LABELLED, ERASED = 1, 2
CORRECTED = {LABELLED: (1.0, 1.0, 1.0, 1.0), ERASED: (1.0, 0.2, 0.8, 1.0)}


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture beside a result, (z, y, x), 0 to 255: its kind (of `KINDS`) and the class it is of, if of one."""

    kind: str
    array: np.ndarray
    value: int | None = None


@dataclass(frozen=True)
class ResultDisplay:
    """What is shown of results: pictures beside them, and outlines instead of filled areas."""

    probability: bool = False
    uncertainty: bool = False
    corrections: bool = False
    contour: bool = False

    @property
    def maps(self) -> tuple[str, ...]:
        """Pictures that a run has to make."""
        return tuple(kind for kind in KINDS if getattr(self, kind))


def is_map(layer: Layer) -> bool:
    """Whether a layer is such a picture."""
    return "map" in note(layer)


def scans_of(viewer: ViewerModel) -> list[Image]:
    """Scans among the layers of a viewer, top of the list first."""
    return [x for x in reversed(viewer.layers) if isinstance(x, Image) and not is_map(x)]


def belongs_to(layer: Layer, scan: Layer) -> bool:
    """Whether a result or a picture was made of this scan."""
    return note(layer).get("of") == str(scan.unique_id)


def find_maps(viewer: ViewerModel, scan: Layer, kind: str) -> list[Layer]:
    """Pictures of one kind of a scan: one, or one for each class."""
    return [x for x in viewer.layers if is_map(x) and note(x)["map"] == kind and belongs_to(x, scan)]


def show_maps(
    viewer: ViewerModel,
    scan: Layer,
    result: Layer,
    pictures: Sequence[Picture],
    classes: Mapping[int, tuple[str, Color]] | None = None,
) -> None:
    """Show the pictures a run made of a scan, and take away those of the run before that it made none of.

    ``classes``: name and colour of the classes that have a picture of their own; it goes from black to that colour.
    """
    made = {(one.kind, one.value) for one in pictures}
    for kind in KINDS:
        for layer in find_maps(viewer, scan, kind):
            if (kind, note(layer)["value"]) not in made:
                viewer.layers.remove(layer)
    for one in pictures:
        _show_map(viewer, scan, result, one, None if one.value is None else (classes or {}).get(one.value))


def _show_map(
    viewer: ViewerModel, scan: Layer, result: Layer, picture: Picture, info: tuple[str, Color] | None
) -> None:
    """Show a picture between a scan and its result, in the layer it has or in a new one."""
    data = picture.array.reshape(scan.data.shape)
    name = f"{scan.name} – {picture.kind}" + (f" {info[0]}" if info else "")
    there = [x for x in find_maps(viewer, scan, picture.kind) if note(x)["value"] == picture.value]
    if there:
        there[0].data = data
        there[0].name = name  # the class may have got another
        return
    selected = set(viewer.layers.selection)
    layer = viewer.add_image(
        data,
        name=name,
        colormap=_ramp(*info) if info else COLORMAPS[picture.kind],
        contrast_limits=(0, 255),
        blending="additive",
        opacity=0.6,
        **_kwargs(scan, picture.kind, picture.value),
    )
    _put_below(viewer, layer, result)
    viewer.layers.selection = selected


def _ramp(name: str, color: Color) -> Colormap:
    return Colormap([(0, 0, 0, 1), (*(part / 255 for part in color), 1)], name=f"black to {name} {color}")


def show_corrections(viewer: ViewerModel, scan: Layer, result: Labels, found: Changes) -> None:
    """Show corrected voxels over a result: which have a class now and which have none."""
    shape = geometry_of(scan).shape
    corrected = found.mask(shape)
    labels = np.asarray(result.data).reshape(shape)
    data = np.where(corrected, np.where(labels > 0, LABELLED, ERASED), 0).astype(np.uint8)
    data = data.reshape(scan.data.shape)
    there = find_maps(viewer, scan, CORRECTIONS)
    if there:
        there[0].data = data
        return
    selected = set(viewer.layers.selection)
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    colors |= dict[int | None, Any](CORRECTED.items())
    layer = viewer.add_labels(
        data,
        name=f"{scan.name} – {CORRECTIONS}",
        features=class_features({LABELLED: "corrected", ERASED: "corrected: no class"}),
        colormap=DirectLabelColormap(color_dict=colors),
        opacity=0.9,
        **_kwargs(scan, CORRECTIONS),
    )
    layer.contour = 1
    layer.editable = False
    viewer.layers.selection = selected


def remove_maps(viewer: ViewerModel, scan: Layer, kind: str) -> None:
    """Take the pictures of one kind of a scan away."""
    for layer in find_maps(viewer, scan, kind):
        viewer.layers.remove(layer)


def _kwargs(scan: Layer, kind: str, value: int | None = None) -> dict[str, Any]:
    metadata = {
        **grid_note(scan),
        "map": kind,
        "value": value,
        "of": str(scan.unique_id),
    }
    return {
        "metadata": {KEY: metadata},
        "visible": scan.visible,
        **copied_transform(scan),
    }


def _put_below(viewer: ViewerModel, layer: Layer, result: Layer) -> None:
    layers = viewer.layers
    if result in layers and layers.index(layer) > layers.index(result):
        layers.move(layers.index(layer), layers.index(result))


class FollowScans:
    """Hides results and pictures with their scan, and shows them again with it."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._hidden: set[Layer] = set()
        self._scans: list[Layer] = []
        viewer.layers.events.inserted.connect(self._listen)
        viewer.layers.events.removed.connect(self._listen)
        self._listen()

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.inserted.disconnect(self._listen)
        self._viewer.layers.events.removed.disconnect(self._listen)
        while self._scans:
            self._scans.pop().events.visible.disconnect(self._on_visible)

    def _listen(self, _event: Any = None) -> None:
        scans = [layer for layer in self._viewer.layers if isinstance(layer, Image) and not is_map(layer)]
        for scan in set(self._scans) - set(scans):
            scan.events.visible.disconnect(self._on_visible)
        for scan in set(scans) - set(self._scans):
            scan.events.visible.connect(self._on_visible)
        self._scans = scans
        self._hidden &= set(self._viewer.layers)

    def _on_visible(self, event: Any) -> None:
        scan = event.source
        for layer in self._viewer.layers:
            if not belongs_to(layer, scan):
                continue
            if not scan.visible and layer.visible:
                self._hidden.add(layer)
                layer.visible = False
            elif scan.visible and layer in self._hidden:
                self._hidden.discard(layer)
                layer.visible = True
