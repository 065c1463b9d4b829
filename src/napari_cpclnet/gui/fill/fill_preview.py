"""The preview of what would be filled between painted slices: a layer over the scan that nobody edits. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.gui.layers.class_names import class_color
from napari_cpclnet.gui.layers.scan_layers import (
    KEY,
    class_features,
    copied_transform,
    geometry_of,
    is_calibrated,
    label_colormap,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_cpclnet.gui.jobs.fill_job import Filled

KIND = "fill"
OPACITY = 0.4


class FillPreview:
    """The one preview of a panel; it is never saved, painted on or taken for a result."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Labels | None = None

    def show(self, filled: Filled) -> None:
        """Show labels on their scan, in the colours of the painted layer."""
        scan, painted = filled.order.pair.scan, filled.order.pair.labels
        data = filled.labels.reshape(scan.data.shape)
        if self.layer is not None and self.layer.metadata[KEY]["of"] != str(scan.unique_id):
            self.remove()
        colors = {value: class_color(painted, value) for value in filled.order.classes}
        if self.layer is None:
            self.layer = self._new(filled, data)
        else:
            self.layer.data = data
        looks = (colors, dict(filled.order.classes))
        if self.layer.metadata[KEY].get("looks") != looks:
            self.layer.colormap = label_colormap(colors)
            self.layer.features = class_features(filled.order.classes)
            self.layer.metadata[KEY]["looks"] = looks

    def clear(self) -> None:
        """Show nothing, but keep the layer for what comes next."""
        if self.layer is not None:
            self.layer.data = np.zeros(
                self.layer.data.shape, self.layer.data.dtype
            )  # untouched memory is quick

    def remove(self) -> None:
        """Take the layer away."""
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _new(self, filled: Filled, data: np.ndarray) -> Labels:
        scan, painted = filled.order.pair.scan, filled.order.pair.labels
        selected, active = set(self._viewer.layers.selection), self._viewer.layers.selection.active
        note = {
            "geometry": geometry_of(scan),
            "calibrated": is_calibrated(scan),
            "map": KIND,
            "value": None,
            "of": str(scan.unique_id),
        }
        layer = self._viewer.add_labels(
            data,
            name=f"{scan.name} {KIND}",
            opacity=OPACITY,
            visible=scan.visible,
            metadata={KEY: note},
            **copied_transform(scan),
        )
        layer.editable = False
        layers = self._viewer.layers
        if painted in layers and layers.index(layer) > layers.index(painted):
            layers.move(layers.index(layer), layers.index(painted))  # strokes stay in sight
        layers.selection = selected
        layers.selection.active = active
        return layer
