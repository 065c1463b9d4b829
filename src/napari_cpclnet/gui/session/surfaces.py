"""Surfaces of the classes of one scan in 3-D, with everything else hidden, and the way back. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.gui.layers.scan_layers import KEY, copied_transform, grid_note, note
from napari_cpclnet.gui.layers.view import fit_all, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_cpclnet.gui.jobs.surface_job import SurfaceMade
    from napari_cpclnet.gui.layers.class_names import Color

SURFACE = "surface"


@dataclass(frozen=True, eq=False)
class Before:
    """What was seen before surfaces were shown."""

    visible: tuple[Layer, ...]
    selected: tuple[Layer, ...]
    center: tuple[float, ...]
    zoom: float
    point: tuple[float, ...]

    @classmethod
    def of(cls, viewer: ViewerModel) -> Before:
        """What is seen now."""
        camera = camera_of(viewer)
        visible = tuple(layer for layer in viewer.layers if layer.visible)
        return cls(
            visible,
            tuple(viewer.layers.selection),
            tuple(camera.center),
            float(camera.zoom),
            tuple(viewer.dims.point),
        )

    def restore(self, viewer: ViewerModel) -> None:
        """Show it again; what the user chose to see meanwhile stays in view instead."""
        if not any(layer.visible for layer in viewer.layers):
            for layer in self.visible:
                if layer in viewer.layers:
                    layer.visible = True
            point = self.point[: viewer.dims.ndim]
            viewer.dims.set_point(range(len(point)), point)
            camera = camera_of(viewer)
            camera.center, camera.zoom = self.center, self.zoom
        if not viewer.layers.selection:
            viewer.layers.selection = {layer for layer in self.selected if layer in viewer.layers}


def showing_surfaces(
    viewer: ViewerModel, labels: Labels, made: Sequence[SurfaceMade], colors: Mapping[int, Color]
) -> Iterator[None]:
    """Hide all layers and show surfaces in their place in 3-D, fitted to the canvas.

    Yields after each surface, so that a window can live meanwhile: napari takes a tenth of a second for each.
    """
    layers = []
    for one in made:
        shade = one.light[:, None] * np.array(colors[one.value], np.float32) / 255
        layers.append(
            viewer.add_surface(
                (one.vertices, one.faces),
                name=one.name,
                vertex_colors=shade,
                shading="none",  # napari's light comes from behind where a view is a mirror image
                blending="opaque",
                visible=False,
                metadata={KEY: {**grid_note(labels), "map": SURFACE}},
                **copied_transform(labels),
            )
        )
        yield
    for layer in viewer.layers:
        if layer.visible:  # napari looks at each anew, even where nothing changes
            layer.visible = False
    yield
    viewer.dims.ndisplay = 3  # before they are seen: napari would cut them into slices
    yield
    layers = [layer for layer in layers if layer in viewer.layers]
    for layer in layers:
        layer.visible = True
    fit_all(viewer, layers)


def hide_surfaces(viewer: ViewerModel) -> None:
    """Show no surface any more, and let none be selected."""
    surfaces = _surfaces(viewer)
    for layer in surfaces:
        if layer.visible:
            layer.visible = False
    viewer.layers.selection.difference_update(surfaces)


def remove_surfaces(viewer: ViewerModel) -> None:
    """Take all surfaces away."""
    with together(viewer):
        for layer in _surfaces(viewer):
            viewer.layers.remove(layer)


def _surfaces(viewer: ViewerModel) -> list[Layer]:
    return [layer for layer in viewer.layers if note(layer).get("map") == SURFACE]


def camera_of(viewer: ViewerModel) -> Any:
    """The camera; it moved in napari 0.9."""
    return getattr(viewer, "scene", viewer).camera
