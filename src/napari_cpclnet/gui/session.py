"""What the user has chosen in the Segment tab: plain Python on a viewer model, no Qt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal

from napari_cpclnet.errors import CpclnetError, GeometryError, SupportError
from napari_cpclnet.gui.class_actions import ClassActions
from napari_cpclnet.gui.class_book import ClassBook
from napari_cpclnet.gui.classes import (
    class_color,
    class_names,
    renumber,
)
from napari_cpclnet.gui.corrections import is_result
from napari_cpclnet.gui.editing import copy_class, erase_slice
from napari_cpclnet.gui.fill_job import AcceptedSlices
from napari_cpclnet.gui.job import Job
from napari_cpclnet.gui.job_making import answering_plane, make_queries, support_parts
from napari_cpclnet.gui.layers import (
    KEY,
    copied_transform,
    geometry_of,
    is_calibrated,
    labels_array,
    refusal,
    same_grid,
    slice_axis,
)
from napari_cpclnet.gui.maps import Look, is_map
from napari_cpclnet.gui.options import SegmenterFactory, SegmenterMaker
from napari_cpclnet.gui.painted import label_values
from napari_cpclnet.gui.preferences import preferences
from napari_cpclnet.gui.queries import QueryBook, QuerySource
from napari_cpclnet.gui.result_book import ResultBook
from napari_cpclnet.gui.supports import SupportEntry, SupportPair, Supports
from napari_cpclnet.gui.training_job import TrainFunction, train_for_real

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_cpclnet.imaging import Segmentation


class Session(ClassActions):
    """Classes, painted slices of any number of scans, the scans to label and the options of the next run.

    Parameters
    ----------
    viewer
        The viewer (a `ViewerModel` is enough).
    make_segmenter
        Builds a Segmenter from options, in the worker thread; default: the network with the options' weights.
    train
        Trains, as `napari_cpclnet.training.train` does, which is the default.

    Attributes
    ----------
    book
        Classes of the whole session. Change it through the session, which tells the layers.
    queries
        Files to label, ticks and states of all scans to label.
    accepted
        Painted slices that were filled, not drawn.
    results, look
        What was found in them, and how it is shown.
    changed
        Signal without arguments: classes, ticks, absent marks or the active pair changed. Strokes are not told.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        make_segmenter: SegmenterFactory | None = None,
        train: TrainFunction | None = None,
    ) -> None:
        self.viewer = viewer
        self.make_segmenter: SegmenterFactory = make_segmenter or SegmenterMaker()
        self.train: TrainFunction = train or train_for_real
        self.options = preferences().options()
        # Tabs whose run wants the machine now; training waits for them.
        self.foreground: set[str] = set()
        self.book = ClassBook()
        self.queries = QueryBook()
        self.results = ResultBook()
        self.look = Look()
        self.support_scan: Image | None = None
        self._support_labels: Labels | None = None
        self._supports = Supports(viewer)
        self.accepted = AcceptedSlices()

    # Layers ----------------------------------------------------------------------------------------------------

    def scans(self) -> list[Image]:
        """Image layers, top of the layer list first."""
        return [x for x in reversed(self.viewer.layers) if isinstance(x, Image) and not is_map(x)]

    def labels_layers(self) -> list[Labels]:
        """Labels layers that can carry painted slices of the active scan, hand-painted ones first."""
        if self.support_scan is None:
            return []
        fitting = [
            layer
            for layer in reversed(self.viewer.layers)
            if isinstance(layer, Labels)
            and not layer.multiscale
            and not is_map(layer)
            and same_grid(layer, self.support_scan)
        ]
        return sorted(fitting, key=is_result)

    @property
    def support_labels(self) -> Labels | None:
        """The layer one paints on; to choose one means that its slices are used."""
        return self._support_labels

    @support_labels.setter
    def support_labels(self, labels: Labels | None) -> None:
        if labels is self._support_labels:
            return
        self._support_labels = labels
        if labels is not None:
            self._take(labels)
        self.changed.emit()

    @property
    def active(self) -> SupportPair | None:
        """The scan and the labels one paints on."""
        if self.support_scan is None or self.support_labels is None:
            return None
        return SupportPair(self.support_scan, self.support_labels)

    def activate(self, pair: SupportPair) -> None:
        """Paint on this pair from now on, and use its slices."""
        self.support_scan = pair.scan
        self._supports.pair_up(pair)
        self.support_labels = pair.labels

    def forget_removed(self) -> None:
        """Drop choices whose layers left the viewer; choose something sensible where nothing is chosen."""
        usable = [scan for scan in self.scans() if not refusal(scan)]
        if self.support_scan not in usable:
            pairs = self.supports
            self.support_scan = pairs[0].scan if pairs else next(iter(usable), None)
        fitting = self.labels_layers()
        if self.support_labels not in fitting:
            # A result is never taken for a painted layer by itself; the user may choose it.
            self.support_labels = next((layer for layer in fitting if not is_result(layer)), None)

    def forget(self, layer: Layer) -> None:
        """Forget what was said about a layer that is gone."""
        self.queries.remove(layer)
        self._supports.forget(layer)

    # Painted slices --------------------------------------------------------------------------------------------

    @property
    def supports(self) -> list[SupportPair]:
        """Scans with labels on their voxels, results left out, top of the layer list first."""
        return self._supports.pairs(self.active)

    def is_taken(self, pair: SupportPair) -> bool:
        """Whether the slices of a pair are used unless unticked: it was painted on, imported or chosen here."""
        return self._supports.is_taken(pair.labels)

    def painted_scans(self) -> set[Image]:
        """The active scan and all whose labels are used."""
        scans = {pair.scan for pair in self.supports if self.is_taken(pair)}
        return scans if self.support_scan is None else {*scans, self.support_scan}

    def entries(
        self, pair: SupportPair | None = None, *, look: Collection[Labels] | None = None
    ) -> list[SupportEntry]:
        """Rows of the support table, of one pair or of all.

        ``look``: the layers that may have changed since the last time, as looking takes time; by default all.
        """
        return [
            entry
            for one in (self.supports if pair is None else [pair])
            for entry in self._supports.entries(
                one, self.options.plane, look=look is None or one.labels in look
            )
        ]

    def looker(self, pairs: Collection[SupportPair]) -> Callable[[], None]:
        """Function that looks through big layers: slow, to be called in a worker; then `entries` knows without look."""
        plane = self.options.plane

        def look() -> None:
            for pair in pairs:
                self._supports.painted(pair, plane)

        return look

    def slice_axis(self) -> int:
        """Array axis of the active scan along which painted slices are counted."""
        if self.support_scan is None:
            return 0
        pair = self.active
        plane = self.options.plane if pair is None else self.plane_of(pair)
        return slice_axis(geometry_of(self.support_scan), plane)

    def plane_of(self, pair: SupportPair) -> str:
        """The plane in which slices of a pair are counted; never ``auto``."""
        return self._supports.plane(pair, self.options.plane)

    def plane_for(self, scan: Image, used: Iterable[SupportEntry] | None = None) -> str:
        """The plane in which a scan is labelled from painted slices, by default the ticked ones; never ``auto``."""
        if self.options.plane != "auto":
            return self.options.plane
        if used is None:
            used = [entry for entry in self.entries(look=()) if entry.ticked]
        return answering_plane(geometry_of(scan), used)

    def slice_along(self, pair: SupportPair, axis: int) -> None:
        """Count the slices of a pair along this axis until it is painted along another."""
        self._supports.slice_along(pair, axis)

    def painted_slices(self) -> dict[int, tuple[int, ...]]:
        """Label values on every painted slice of the active pair."""
        pair = self.active
        return {} if pair is None else self._supports.painted(pair, self.options.plane)

    def tick(self, entries: SupportEntry | Iterable[SupportEntry], on: bool) -> None:
        """Learn from slices, or not."""
        self._supports.tick([entries] if isinstance(entries, SupportEntry) else entries, on)
        self.changed.emit()

    def mark_absent(self, pair: SupportPair, index: int, on: bool) -> None:
        """Say that none of the classes is on a slice; SupportError if it is painted."""
        self._supports.mark_absent(pair, self.plane_of(pair), index, on)
        self.changed.emit()

    def absent_elsewhere(self, pair: SupportPair) -> dict[str, tuple[int, ...]]:
        """Slices that were marked absent in other planes than the one in use."""
        marks = self._supports.absent(pair.labels)
        return {plane: slices for plane, slices in marks.items() if plane != self.plane_of(pair)}

    def restore_absent(self, pair: SupportPair, marks: Mapping[str, Iterable[int]]) -> None:
        """Mark slices of any plane absent as they were once; those that are painted or do not exist are left out."""
        for plane, slices in marks.items():
            self._supports.restore_absent(pair, plane, slices)
        self.changed.emit()

    def remove(self, entry: SupportEntry) -> None:
        """Take a slice off the table: erase its paint, which Ctrl+Z brings back, or its mark *absent*."""
        self._supports.mark_absent(entry.pair, entry.plane, entry.index, False)
        erase_slice(entry.pair.labels, entry.pair.axis(entry.plane), entry.index)
        self.changed.emit()

    def copy_to(self, index: int, to: int) -> bool:
        """Copy the selected class from one slice of the active pair to another; False if nothing came of it."""
        pair = self.active
        if pair is None or not 0 <= to < labels_array(pair.labels).shape[self.slice_axis()]:
            return False
        return copy_class(pair.labels, self.slice_axis(), index, to, int(pair.labels.selected_label))

    def new_support_labels(self) -> Labels:
        """Add an empty labels layer exactly on the active scan, ready to paint the first class."""
        scan = self._need_scan()
        value = next(iter(self.book), None) or self.book.add()
        layer = self._add_labels(np.zeros(scan.data.shape, dtype=np.uint8), f"{scan.name} – painted slices")
        layer.selected_label = value
        layer.mode = "paint"
        return layer

    def support_labels_of(self, scan: Image) -> Labels:
        """Labels with painted slices of a scan, new ones if it has none; what one paints on stays what it is."""
        own = [pair for pair in self.supports if pair.scan is scan and not is_result(pair.labels)]
        pair = next((one for one in own if one == self.active), None)
        pair = pair or next((one for one in own if self.is_taken(one)), None)
        if pair is not None:
            return pair.labels
        active, selected = self.active, set(self.viewer.layers.selection)
        layer = self._add_labels(
            np.zeros(scan.data.shape, np.uint8), f"{scan.name} – painted slices", scan=scan
        )
        if active is not None:
            self.activate(active)
        self.viewer.layers.selection = selected
        return layer

    def add_mask(self, mask: Segmentation) -> Labels:
        """Add an imported mask, already checked against the active scan's grid, as its labels."""
        scan = self._need_scan()
        moved = self._join(mask.classes, mask.colors, label_values(mask.labels))
        return self._add_labels(mask.labels.reshape(scan.data.shape), mask.name, moved)

    def mask_reader(self, path: Path) -> Callable[[], Segmentation]:
        """Function that reads a mask for the active scan: slow, to be called in a worker."""
        geometry = geometry_of(self._need_scan())

        def read() -> Segmentation:
            from napari_cpclnet.imaging import read_segmentation

            return read_segmentation(path, like=geometry)

        return read

    # Run -------------------------------------------------------------------------------------------------------

    @property
    def run_segmenter(self) -> SegmenterFactory:
        """Factory for runs of the Segment tab, of which there is one at a time: what one encoded the next finds."""
        return getattr(self.make_segmenter, "same", self.make_segmenter)

    def is_ticked(self, source: QuerySource) -> bool:
        """Whether a scan will be labelled: what the user said, else every usable scan without painted slices."""
        painted = isinstance(source, Image) and source in self.painted_scans()
        return self.queries.is_ticked(source, is_support=painted)

    def tick_query(self, source: QuerySource, ticked: bool) -> None:
        """Remember the user's choice for one scan to label."""
        self.queries.tick(source, ticked)
        self.changed.emit()

    def job(self) -> Job:
        """Check everything and freeze it for a run; later painting does not reach a run that has begun.

        Raises
        ------
        CpclnetError
            With one sentence that says what is missing.
        """
        used = self._used_entries()
        values = sorted({value for entry in used for value in entry.values})
        self.book.ensure(values)
        self.publish_classes()
        parts = support_parts(used, np.min_scalar_type(values[-1]))
        sources = [source for source in (*self.scans(), *self.queries.files) if self.is_ticked(source)]
        if not sources:
            raise CpclnetError("Tick at least one scan to label.")
        return Job(
            supports=tuple(part for _, part in parts),
            classes={value: self.book.name(value) for value in values},
            queries=make_queries(
                sources,
                [scan for scan, _ in parts],
                self.viewer,
                lambda scan: self.plane_for(scan, used),
                self.queries,
                keep=[pair.labels for pair in self.supports],
            ),
            options=self.options,
            colors=self.book.colors(),
            terms=self.book.terms(),
            maps=self.look.maps,
        )

    def _used_entries(self) -> list[SupportEntry]:
        scan, active = self._need_scan(), self.active
        if active is not None and not same_grid(active.labels, scan):
            msg = f"'{active.labels.name}' does not lie on the voxels of '{scan.name}': choose a layer that does."
            raise GeometryError(msg)
        entries = self.entries()
        for entry in entries:
            if entry.ticked and entry.values and entry.values[0] < 0:
                where, value = entry.pair.labels.name, entry.values[0]
                raise SupportError(f"'{where}' has negative label values ({value}): use positive ones.")
        used = [entry for entry in entries if entry.ticked]
        if any(entry.values for entry in used):
            return used
        if any(entry.values for entry in entries):
            raise SupportError("No painted slice is ticked: tick the slices to learn from.")
        if active is None:
            raise SupportError("Choose the labels you painted, or press 'New' and paint.")
        raise SupportError(
            f"Nothing is painted in '{active.labels.name}' yet: paint a few slices of '{scan.name}'."
        )

    def _take(self, labels: Labels) -> None:
        """Use the slices of a layer, whose classes join the book; a result keeps what it says."""
        if not self._supports.take(labels):
            return
        names = class_names(labels)
        own = isinstance(labels.colormap, DirectLabelColormap)  # else napari's, which say nothing
        colors = {value: class_color(labels, value) for value in names} if own else {}
        moved = self._join(names, colors, [] if not names else label_values(labels_array(labels)))
        if moved:
            renumber(labels, moved)
        self.publish_classes()

    def _need_scan(self) -> Image:
        if self.support_scan is None:
            raise SupportError("Open a scan first and choose it as the support scan.")
        if reason := refusal(self.support_scan):
            raise SupportError(reason)
        return self.support_scan

    def _add_labels(
        self,
        data: np.ndarray,
        name: str,
        moved: dict[int, int] | None = None,
        *,
        scan: Image | None = None,
    ) -> Labels:
        scan = scan or self._need_scan()
        metadata = {KEY: {"geometry": geometry_of(scan), "calibrated": is_calibrated(scan)}}
        layer = self.viewer.add_labels(data, name=name, metadata=metadata, **copied_transform(scan))
        if moved:
            renumber(layer, moved)
        self.activate(SupportPair(scan, layer))
        return layer
