"""Result layers: made on their scan, filled slice by slice, and never over anything a user made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_cpclnet.gui.classes import set_class_colors, set_class_names
from napari_cpclnet.gui.job import checksum
from napari_cpclnet.gui.layers import KEY, copied_transform, note, same_grid

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_cpclnet.gui.job import Job, Query, ScanDone, SliceDone

SUFFIX = " – CPCLNet"


def is_result(layer: Layer) -> bool:
    """Whether a layer was made by a run."""
    return "result_checksum" in note(layer)


def is_edited(layer: Labels) -> bool:
    """Whether anyone changed a result since the run wrote it, by brush or by any other way."""
    return note(layer).get("result_checksum") != checksum(np.asarray(layer.data))


class ResultLayers:
    """The result layers of one run (GUI thread only).

    Slices are written into the layer's array in place, which is cheap; `refresh` redraws only what is on
    screen and is called by a timer.
    """

    def __init__(self, viewer: ViewerModel, job: Job, keep: Collection[Labels] = ()) -> None:
        self.viewer = viewer
        self.job = job
        self._keep = keep
        self._layers: dict[int, Labels] = {}
        self._stale: set[int] = set()

    def layer(self, number: int) -> Labels | None:
        """Result layer of query ``number`` while it is in the viewer."""
        layer = self._layers.get(number)
        return layer if layer is not None and layer in self.viewer.layers else None

    def begin(self, number: int) -> Labels:
        """Layer for query ``number``: an earlier result nobody edited, emptied, or else a new one."""
        query = self.job.queries[number]
        dtype = self.job.dtype
        layer = self._earlier(query, dtype)
        if layer is None:
            layer = self._new(query, dtype)
        else:
            layer.data[...] = 0
        set_class_names(layer, self.job.classes, self.job.terms)
        # A label value looks the same on the supports and on every result.
        set_class_colors(layer, self.job.colors)
        layer.editable = False  # a stroke would be overwritten by the slices that still come
        self._layers[number] = layer
        layer.refresh()
        return layer

    def write(self, report: SliceDone) -> bool:
        """Write one slice; False if the user removed the layer meanwhile."""
        if report.query not in self._layers:
            self.begin(report.query)
        layer = self.layer(report.query)
        if layer is None:
            return False
        query = self.job.queries[report.query]
        place: list[slice | int] = [slice(None)] * 3
        place[query.axis] = report.index
        # A view: the layer's array is ours and contiguous, and a 2-D image is one slice.
        np.asarray(layer.data).reshape(query.scan.geometry.shape)[tuple(place)] = report.labels
        self._stale.add(report.query)
        return True

    def refresh(self) -> None:
        """Redraw result layers that changed and are visible."""
        stale, self._stale = self._stale, set()
        for number in stale:
            layer = self.layer(number)
            if layer is None:
                continue
            if layer.visible:
                layer.refresh(thumbnail=False, highlight=False, extent=False)
            else:
                self._stale.add(number)

    def finish(self, report: ScanDone) -> bool:
        """Put the final labels in place; False if the user removed the layer meanwhile."""
        if report.query not in self._layers:
            self.begin(report.query)
        layer = self.layer(report.query)
        if layer is None:
            return False
        layer.data[...] = report.labels.reshape(layer.data.shape)
        self.seal(report.query, report.checksum)
        return True

    def seal(self, number: int, written: int | None = None) -> None:
        """Free a layer for editing and remember what the run wrote; also for a run that was cancelled."""
        layer = self.layer(number)
        if layer is None:
            return
        self._stale.discard(number)
        layer.editable = True
        _remember(layer, checksum(np.asarray(layer.data)) if written is None else written)
        layer.refresh()

    def seal_all(self) -> None:
        """Seal whatever is still open."""
        for number, layer in self._layers.items():
            if not layer.editable:
                self.seal(number)

    def _earlier(self, query: Query, dtype: np.dtype) -> Labels | None:
        for layer in self.viewer.layers:
            if (
                isinstance(layer, Labels)
                and layer not in self._keep
                and is_result(layer)
                and layer.name.startswith(query.scan.name + SUFFIX)
                and layer.data.dtype == dtype
                and same_grid(layer, query.layer)
                and not is_edited(layer)
            ):
                return layer
        return None

    def _new(self, query: Query, dtype: np.dtype) -> Labels:
        scan = query.scan
        metadata = {"geometry": scan.geometry, "calibrated": scan.calibrated, "result_checksum": 0}
        return self.viewer.add_labels(
            np.zeros(query.layer.data.shape, dtype=dtype),
            name=scan.name + SUFFIX,
            metadata={KEY: metadata},
            opacity=0.6,
            visible=query.layer.visible,
            **copied_transform(query.layer),
        )


def _remember(layer: Labels, written: int) -> None:
    layer.metadata = {**layer.metadata, KEY: {**note(layer), "result_checksum": written}}
