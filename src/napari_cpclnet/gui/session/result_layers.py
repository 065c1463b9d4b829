"""Result layers: made on their scan, filled slice by slice, and never over anything a user made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_cpclnet.gui.layers.class_names import class_names, set_class_colors, set_class_names
from napari_cpclnet.gui.layers.corrections import changes, is_result, remember, result_note
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot, PackedMask
from napari_cpclnet.gui.layers.scan_layers import (
    KEY,
    LayerScan,
    copied_transform,
    grid_note,
    labels_array,
    note,
    same_grid,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_cpclnet.gui.jobs.segment_job import Job, Query, ScanDone, SliceDone

SUFFIX = " – CPCLNet"
CONTOUR = 2
"""Width of the outlines in which results are drawn, in pixels of the screen."""


def earlier_result(viewer: ViewerModel, scan: Image, keep: Collection[Labels] = ()) -> Labels | None:
    """Result of an earlier run of a scan, which the next run may fill again: not one of ``keep``.

    A layer with another name is somebody's own.
    """
    ours = re.compile(re.escape(scan.name + SUFFIX) + r"( \[\d+\])?")
    found = [
        layer
        for layer in viewer.layers
        if isinstance(layer, Labels)
        and layer not in keep
        and is_result(layer)
        and note(layer)["written"] is not None
        and ours.fullmatch(layer.name)
        and same_grid(layer, scan)
    ]
    return min(found, key=lambda layer: layer.name, default=None)


class ResultLayers:
    """The result layers of one run (GUI thread only).

    Slices are written into the layer's array in place, which is cheap; `refresh` redraws only what is on
    screen and is called by a timer.
    """

    def __init__(self, viewer: ViewerModel, job: Job, *, contour: bool = False) -> None:
        self.viewer = viewer
        self.job = job
        self.contour = contour
        self._layers: dict[int, Labels] = {}
        self._late: dict[int, np.ndarray] = {}
        self._stale: set[int] = set()

    def layer(self, number: int) -> Labels | None:
        """Result layer of query ``number`` while it is in the viewer."""
        layer = self._layers.get(number)
        return layer if layer is not None and layer in self.viewer.layers else None

    def begin(self, number: int) -> Labels:
        """Layer for query ``number``: the earlier result, to be filled again slice by slice, or else a new one."""
        query = self.job.queries[number]
        dtype = self.job.dtype
        layer = query.result
        if layer is None or layer not in self.viewer.layers or not same_grid(layer, query.layer):
            layer = self._new(query, dtype)
        else:
            late = _late(layer, query)
            if late is not None:
                self._late[number] = late
            if layer.data.dtype != dtype:
                layer.data = layer.data.astype(np.promote_types(layer.data.dtype, dtype))
        set_class_names(layer, {**class_names(layer), **self.job.classes}, self.job.terms)
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
        axis = self.job.queries[report.query].axis
        place = np.moveaxis(labels_array(layer), axis, 0)[report.index]
        late = self._late.get(report.query)
        if late is None:
            place[...] = report.labels
        else:
            free = ~np.moveaxis(late, axis, 0)[report.index]
            np.copyto(place, report.labels, where=free, casting="unsafe")
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
        labels, late = labels_array(layer), self._late.get(report.query)
        np.copyto(labels, report.labels, where=True if late is None else ~late, casting="unsafe")
        self.seal(report.query, report.written)
        return True

    def seal(self, number: int, written: LabelSnapshot | None = None) -> None:
        """Free a layer for editing and remember what the run wrote; also for a run that was cancelled."""
        layer = self.layer(number)
        if layer is None:
            return
        self._stale.discard(number)
        query = self.job.queries[number]
        corrected = None if query.locked is None else PackedMask.of(query.locked.mask)
        if written is None:
            written = self._half_done(layer, number)
        remember(layer, written, corrected)
        layer.editable = True
        layer.refresh()

    def seal_all(self) -> None:
        """Seal whatever is still open."""
        for number, layer in self._layers.items():
            if not layer.editable:
                self.seal(number)

    def _half_done(self, layer: Labels, number: int) -> LabelSnapshot:
        """What a cancelled run leaves: the layer as it is, but for strokes that came late, which are corrections."""
        labels, late = labels_array(layer), self._late.get(number)
        if late is not None:
            labels = np.where(late, note(layer)["written"].labels(), labels)
        return LabelSnapshot.of(labels)

    def _new(self, query: Query, dtype: np.dtype) -> Labels:
        scan = query.scan
        assert isinstance(scan, LayerScan) and query.layer is not None, "results of files have no layer"
        written = LabelSnapshot.empty(scan.geometry.shape, dtype)
        metadata = {
            **grid_note(query.layer),
            "of": str(query.layer.unique_id),
            **result_note(written),
        }
        layer = self.viewer.add_labels(
            np.zeros(query.layer.data.shape, dtype=dtype),
            name=scan.name + SUFFIX,
            metadata={KEY: metadata},
            opacity=0.6,
            visible=query.layer.visible,
            **copied_transform(query.layer),
        )
        layer.contour = CONTOUR if self.contour else 0
        return layer


def _late(layer: Labels, query: Query) -> np.ndarray | None:
    """Corrections (z, y, x) that were painted after the run was started, of which it knows nothing."""
    found = changes(layer)
    if not found:
        return None
    assert isinstance(query.scan, LayerScan), "results of files have no layer"
    mask = found.mask(query.scan.geometry.shape)
    if query.locked is not None:
        mask &= ~query.locked.mask
    return mask if mask.any() else None
