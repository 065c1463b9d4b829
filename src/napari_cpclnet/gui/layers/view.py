"""Move the viewer to a slice or to one scan; plain napari, no Qt."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_cpclnet.gui.layers.overlays import belongs_to, is_map
from napari_cpclnet.gui.layers.scan_layers import note, same_grid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from napari.components import ViewerModel
    from napari.layers import Layer

OWN_COUNT = (
    "Slices count from 0 in each scan; napari's slider counts in the finest steps\n"
    "of all open scans, and may say another number."
)
"""Said wherever slices have numbers: the viewer's steps are no slices of any one scan."""


def viewer_axis(viewer: ViewerModel, layer: Layer, axis: int) -> int:
    """Axis of the viewer that shows array axis ``axis`` (z, y, x) of a 2-D or 3-D layer."""
    return viewer.dims.ndim - 3 + axis


def slice_in_view(viewer: ViewerModel, layer: Layer, axis: int) -> int:
    """Index along array axis ``axis`` of the slice of ``layer`` nearest to the one on screen."""
    if layer.ndim == 2:
        return 0
    index = layer.world_to_data(viewer.dims.point[-layer.ndim :])[axis]
    return int(np.clip(np.rint(index), 0, layer.data.shape[axis] - 1))


def slice_words(viewer: ViewerModel, layer: Layer, axis: int, index: int) -> str:
    """``slice 5``, and where that is on napari's slider if it counts otherwise, as beside a scan of thinner slices."""
    across = viewer_axis(viewer, layer, axis)
    position = [(n - 1) / 2 for n in layer.data.shape]
    position[axis] = index
    start, _, step = viewer.dims.range[across]
    on_slider = round((layer.data_to_world(position)[axis] - start) / step)
    return f"slice {index}" if on_slider == index else f"slice {index} ({on_slider} on the slider)"


def jump_to_slice(viewer: ViewerModel, layer: Layer, axis: int, index: int) -> None:
    """Show slice ``index`` along array axis ``axis`` of ``layer``, turning the view if need be."""
    if layer.ndim == 2:
        return
    across = viewer_axis(viewer, layer, axis)
    viewer.dims.ndisplay = 2
    if across in viewer.dims.displayed:
        viewer.dims.order = (across, *(a for a in range(viewer.dims.ndim) if a != across))
        fit(viewer, layer)
    position = [(n - 1) / 2 for n in layer.data.shape]
    position[axis] = index
    viewer.dims.set_point(across, float(layer.data_to_world(position)[axis]))


def show_scan(viewer: ViewerModel, scan: Layer, *, only: Labels | None = None) -> None:
    """Show one scan with the labels on its grid and hide the others; go to its middle if it is out of sight.

    Scans of several patients lie on top of each other in patient coordinates, and one cannot paint on a heap. ``only``:
    the one labels layer to show. The scan is fitted to the canvas unless it was the one in view already.
    """
    before = [
        layer for layer in viewer.layers if isinstance(layer, Image) and layer.visible and not is_map(layer)
    ]
    for layer in viewer.layers:
        visible = layer.visible
        if is_map(layer):  # it follows its scan
            continue
        if isinstance(layer, Labels):
            own = belongs_to(layer, scan) if "of" in note(layer) else same_grid(layer, scan)
            visible = layer is only if only is not None else own
        elif isinstance(layer, Image):
            visible = layer is scan
        if visible != layer.visible:  # napari drops the paint mode even where nothing changes
            layer.visible = visible
    if scan.ndim != 3:
        fit(viewer, scan)
        return
    inside = np.asarray(scan.world_to_data(viewer.dims.point[-3:]))
    middle = (np.array(scan.data.shape) - 1) / 2
    for axis, (index, size) in enumerate(zip(inside, scan.data.shape, strict=True)):
        if not -0.5 <= index <= size - 0.5:
            viewer.dims.set_point(viewer_axis(viewer, scan, axis), float(scan.data_to_world(middle)[axis]))
    if before != [scan]:
        fit(viewer, scan)


def fit(viewer: ViewerModel, layer: Layer) -> None:
    """Fit one layer to the canvas, wherever other ones lie."""
    fit_all(viewer, [layer])


def fit_all(viewer: ViewerModel, layers: Sequence[Layer]) -> None:
    """Fit some layers to the canvas, wherever other ones lie."""
    if hasattr(viewer, "fit_to_view"):
        viewer.fit_to_view(layers=list(layers))
    else:  # an older napari can only fit all of them
        viewer.reset_view()


def together(viewer: ViewerModel) -> AbstractContextManager[Any]:
    """Several layers taken away inside: napari looks for garbage once, not after each, which takes it long."""
    batched = getattr(viewer.layers, "batched_update", None)  # an older napari knows none
    return nullcontext() if batched is None else batched()
