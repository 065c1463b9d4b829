"""The line that follows the mouse while somebody draws to mend: a layer of its own that is gone with the tool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Shapes

NAME = "stroke"
COLOR = "#ffd24d"


class StrokeOverlay:
    """Shows one stroke at a time."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layer: Shapes | None = None

    def show(self, layer: Labels, axis: int, path: Sequence[np.ndarray], *, closed: bool, box: bool) -> None:
        """Show a path through places (z, y, x) of a layer's slice along an axis, or the box around its ends."""
        places = np.array(path)
        if box:
            first, last = places[0], places[-1]
            one, other = (a for a in range(3) if a != axis)
            corners = np.repeat(first[None], 4, 0)
            corners[1:3, one] = last[one]
            corners[2:, other] = last[other]
            places, closed = corners, True
        if closed:
            places = np.concatenate([places, places[:1]])
        world = np.array([layer.data_to_world(p[3 - layer.ndim :]) for p in places])
        shapes = self._shapes(world.shape[1])
        shapes.data = []
        width = 1.5 / self._viewer.camera.zoom if self._viewer.camera.zoom else 1.0
        shapes.add_paths([world], edge_color=COLOR, edge_width=width)

    def clear(self) -> None:
        """Show nothing."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self.layer.data = []

    def remove(self) -> None:
        """Take the layer away."""
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _shapes(self, ndim: int) -> Shapes:
        if self.layer is None or self.layer not in self._viewer.layers or self.layer.ndim != ndim:
            self.remove()
            layers = self._viewer.layers
            selected, active = set(layers.selection), layers.selection.active
            self.layer = self._viewer.add_shapes(ndim=ndim, name=NAME)
            layers.selection = selected
            layers.selection.active = active
        return self.layer
