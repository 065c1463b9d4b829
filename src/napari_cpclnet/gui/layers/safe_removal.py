"""Keeps napari from crashing when layers are taken out; plain napari, no Qt.

napari deletes what OpenGL holds of a layer at once, in whatever OpenGL context happens to be current. If that is not
the context of the canvas, software OpenGL crashes with the next picture.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari.layers import Labels

if TYPE_CHECKING:
    from napari.components import ViewerModel


def make_removal_safe(viewer: ViewerModel) -> Callable[[], None]:
    """Make the removal of layers safe in a viewer; returns a function that lets go of it."""

    def on_removing(event: Any) -> None:
        layer = viewer.layers[event.index]
        if isinstance(layer, Labels) and layer.mode != "pan_zoom":
            layer.mode = "pan_zoom"  # the circle of its brush goes with it
        with suppress(AttributeError):  # of a viewer model, or of a napari that calls it otherwise
            viewer.window._qt_viewer.canvas._scene_canvas.set_current()

    def let_go() -> None:
        viewer.layers.events.removing.disconnect(on_removing)

    viewer.layers.events.removing.connect(on_removing)
    return let_go
