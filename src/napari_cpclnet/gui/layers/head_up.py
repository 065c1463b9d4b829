"""Turns views so that the head is on top, as in a reading room; plain napari, no Qt.

Axes of the viewer go to superior, posterior and left (z, y, x). napari draws rows downwards, which is right for an
axial view and upside down for the others; in 3-D it looks from below, and at a mirror image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_cpclnet.gui.layers.scan_layers import note

if TYPE_CHECKING:
    from napari.components import ViewerModel

SUPERIOR, POSTERIOR, _LEFT = range(3)


class HeadUp:
    """Keeps the views of a viewer upright as long as a scan with a place in the patient is open."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._turned = False
        self._emitters = (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.layers.events.inserted,
        )
        for emitter in self._emitters:
            emitter.connect(self._turn)
        self._turn()

    def close(self) -> None:
        """Let go of the viewer."""
        for emitter in self._emitters:
            emitter.disconnect(self._turn)

    def _turn(self, _event: Any = None) -> None:
        viewer = self._viewer
        dims, camera = viewer.dims, getattr(viewer, "scene", viewer).camera  # it moved in napari 0.9
        if not hasattr(camera, "orientation") or not any(_is_placed(layer) for layer in viewer.layers):
            return
        shown = [axis - (dims.ndim - 3) for axis in dims.displayed]
        if dims.ndisplay == 3:
            # The camera knows the axes in the order in which they are shown; an odd order is a mirror image.
            is_odd = shown not in ([0, 1, 2], [1, 2, 0], [2, 0, 1])
            camera.orientation = ("towards" if is_odd else "away", "down", "right")
            if not self._turned:  # once, as the user turns the camera from then on
                self._turned = True
                camera.set_view_direction(
                    [float(axis == POSTERIOR) for axis in shown], [float(axis == SUPERIOR) for axis in shown]
                )
        else:
            camera.orientation = ("towards", "up" if shown[0] == SUPERIOR else "down", "right")


def _is_placed(layer: Any) -> bool:
    return isinstance(layer, Image) and layer.ndim == 3 and "geometry" in note(layer)
