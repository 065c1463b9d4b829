"""What the user has chosen in the Segment tab: plain Python on a viewer model, no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels

from napari_cpclnet.errors import CpclnetError, GeometryError, SupportError
from napari_cpclnet.gui.classes import class_name, set_class_names
from napari_cpclnet.gui.job import Job, Query
from napari_cpclnet.gui.layers import (
    KEY,
    LayerScan,
    copied_transform,
    geometry_of,
    is_calibrated,
    labels_array,
    refusal,
    same_grid,
    slice_axis,
)
from napari_cpclnet.gui.options import Options, SegmenterFactory, SegmenterMaker
from napari_cpclnet.gui.painted import PaintedSlices
from napari_cpclnet.gui.results import is_result
from napari_cpclnet.gui.training_job import TrainFunction, train_for_real
from napari_cpclnet.gui.view import slice_in_view

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_cpclnet.imaging import Segmentation


class Session:
    """Support scan, its labels, the scans to label and the options of the next run.

    Parameters
    ----------
    viewer
        The viewer (a `ViewerModel` is enough).
    make_segmenter
        Builds a Segmenter from options, in the worker thread; default: the network with the options' weights.
    train
        Trains, as `napari_cpclnet.training.train` does, which is the default.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        make_segmenter: SegmenterFactory | None = None,
        train: TrainFunction | None = None,
    ) -> None:
        self.viewer = viewer
        self.make_segmenter: SegmenterFactory = make_segmenter or SegmenterMaker()
        self.train: TrainFunction = train or train_for_real
        self.options = Options()
        # Tabs whose run wants the machine now; training waits for them.
        self.foreground: set[str] = set()
        self.support_scan: Image | None = None
        self.support_labels: Labels | None = None
        self._unticked: set[int] = set()
        self._ticked: set[int] = set()
        self._painted = PaintedSlices()

    def scans(self) -> list[Image]:
        """Image layers, top of the layer list first."""
        return [layer for layer in reversed(self.viewer.layers) if isinstance(layer, Image)]

    def labels_layers(self) -> list[Labels]:
        """Labels layers that can carry painted slices of the support scan, hand-painted ones first."""
        if self.support_scan is None:
            return []
        fitting = [
            layer
            for layer in reversed(self.viewer.layers)
            if isinstance(layer, Labels) and not layer.multiscale and same_grid(layer, self.support_scan)
        ]
        return sorted(fitting, key=is_result)

    def forget_removed(self) -> None:
        """Drop choices whose layers left the viewer; choose something sensible where nothing is chosen."""
        usable = [scan for scan in self.scans() if not refusal(scan)]
        if self.support_scan not in usable:
            labelled = [scan for scan in usable if self._has_labels(scan)]
            self.support_scan = next(iter(labelled or usable), None)
        fitting = self.labels_layers()
        if self.support_labels not in fitting:
            # A result is never taken for a painted layer by itself; the user may choose it.
            self.support_labels = next((layer for layer in fitting if not is_result(layer)), None)

    def is_ticked(self, scan: Image) -> bool:
        """Whether a scan will be labelled: what the user said, else every usable scan but the support."""
        if refusal(scan):
            return False
        if id(scan) in self._ticked or id(scan) in self._unticked:
            return id(scan) in self._ticked
        return scan is not self.support_scan

    def tick(self, scan: Image, ticked: bool) -> None:
        """Remember the user's choice for one scan."""
        (self._ticked if ticked else self._unticked).add(id(scan))
        (self._unticked if ticked else self._ticked).discard(id(scan))

    def forget(self, layer: Layer) -> None:
        """Forget the choice for a layer that is gone: its id may be used again."""
        self._ticked.discard(id(layer))
        self._unticked.discard(id(layer))

    def slice_axis(self) -> int:
        """Array axis of the support scan along which painted slices are counted."""
        if self.support_scan is None:
            return 0
        return slice_axis(geometry_of(self.support_scan), self.options.plane)

    def painted_slices(self) -> dict[int, tuple[int, ...]]:
        """Label values on every painted slice of the chosen labels layer."""
        if self.support_scan is None or self.support_labels is None:
            return {}
        return self._painted.update(labels_array(self.support_labels), self.slice_axis())

    def new_support_labels(self) -> Labels:
        """Add an empty labels layer exactly on the support scan, ready to paint label 1."""
        scan = self._need_scan()
        layer = self._add_labels(
            np.zeros(scan.data.shape, dtype=np.uint8), {1: "label 1"}, f"{scan.name} – painted slices"
        )
        layer.selected_label = 1
        layer.mode = "paint"
        return layer

    def add_mask(self, mask: Segmentation) -> Labels:
        """Add an imported mask, already checked against the support scan's grid, as its labels."""
        scan = self._need_scan()
        return self._add_labels(mask.labels.reshape(scan.data.shape), mask.classes, mask.name)

    def mask_reader(self, path: Path) -> Callable[[], Segmentation]:
        """Function that reads a mask for the support scan: slow, to be called in a worker."""
        geometry = geometry_of(self._need_scan())

        def read() -> Segmentation:
            from napari_cpclnet.imaging import read_segmentation

            return read_segmentation(path, like=geometry)

        return read

    def job(self) -> Job:
        """Check everything and freeze it for a run; later painting does not reach a run that has begun.

        Raises
        ------
        CpclnetError
            With one sentence that says what is missing.
        """
        scan = self._need_scan()
        labels = self.support_labels
        if labels is None:
            raise SupportError("Choose the labels you painted, or press 'New support labels' and paint.")
        if not same_grid(labels, scan):
            msg = f"'{labels.name}' does not lie on the voxels of '{scan.name}': choose a layer that does."
            raise GeometryError(msg)
        painted = self.painted_slices()
        if not painted:
            raise SupportError(
                f"Nothing is painted in '{labels.name}' yet: paint a few slices of '{scan.name}'."
            )
        values = sorted({value for found in painted.values() for value in found})
        if values[0] < 0:
            raise SupportError(f"'{labels.name}' has negative label values ({values[0]}): use positive ones.")
        queries = [layer for layer in self.scans() if self.is_ticked(layer)]
        if not queries:
            raise CpclnetError("Tick at least one scan to label.")
        return Job(
            support=LayerScan.of(scan),
            labels=self._painted_copy(labels_array(labels), painted, np.min_scalar_type(values[-1])),
            slices=tuple(sorted(painted)),
            classes={value: class_name(labels, value) for value in values},
            queries=tuple(self._query(layer) for layer in queries),
            options=self.options,
        )

    def _painted_copy(self, labels: np.ndarray, painted: Iterable[int], dtype: np.dtype) -> np.ndarray:
        """Copy of the painted slices, as painting may go on meanwhile; the rest stays untouched memory."""
        copy, axis = np.zeros(labels.shape, dtype), self.slice_axis()
        for index in painted:
            np.moveaxis(copy, axis, 0)[index] = np.moveaxis(labels, axis, 0)[index]
        return copy

    def _query(self, layer: Image) -> Query:
        scan = LayerScan.of(layer)
        axis = slice_axis(scan.geometry, self.options.plane)
        return Query(layer, scan, axis, slice_in_view(self.viewer, layer, axis), layer is self.support_scan)

    def _need_scan(self) -> Image:
        if self.support_scan is None:
            raise SupportError("Open a scan first and choose it as the support scan.")
        if reason := refusal(self.support_scan):
            raise SupportError(reason)
        return self.support_scan

    def _has_labels(self, scan: Image) -> bool:
        return any(
            isinstance(layer, Labels) and not is_result(layer) and same_grid(layer, scan)
            for layer in self.viewer.layers
        )

    def _add_labels(self, data: np.ndarray, classes: dict[int, str], name: str) -> Labels:
        scan = self._need_scan()
        metadata = {KEY: {"geometry": geometry_of(scan), "calibrated": is_calibrated(scan)}}
        layer = self.viewer.add_labels(data, name=name, metadata=metadata, **copied_transform(scan))
        set_class_names(layer, classes)
        self.support_labels = layer
        return layer
