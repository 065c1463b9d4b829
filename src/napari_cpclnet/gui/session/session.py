"""Session of the Segment tab: scans, classes, painted slices and options, in plain Python on a viewer model. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal

from napari_cpclnet.errors import CpclnetError, GeometryError, SupportError
from napari_cpclnet.gui.jobs.fill_job import AcceptedSlices
from napari_cpclnet.gui.jobs.segment_job import Job
from napari_cpclnet.gui.jobs.segmenters import SegmenterFactory, SegmenterMaker
from napari_cpclnet.gui.jobs.training_job import TrainFunction, train_for_real
from napari_cpclnet.gui.layers.class_names import (
    class_color,
    class_names,
    renumber,
    renumbered,
    set_class_names,
)
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot
from napari_cpclnet.gui.layers.overlays import ResultDisplay, is_map, scans_of
from napari_cpclnet.gui.layers.painted_slices import PAINTED, label_values
from napari_cpclnet.gui.layers.scan_layers import (
    KEY,
    copied_transform,
    geometry_of,
    grid_note,
    labels_array,
    note,
    refusal,
    same_grid,
)
from napari_cpclnet.gui.layers.scribbles import without_background
from napari_cpclnet.gui.layers.support_slices import PaintedSlice, SupportPair
from napari_cpclnet.gui.layers.undoing import UndoSteps
from napari_cpclnet.gui.session.class_actions import ClassActions
from napari_cpclnet.gui.session.classes import Classes
from napari_cpclnet.gui.session.job_making import make_queries, support_parts
from napari_cpclnet.gui.session.queries import Queries, QuerySource
from napari_cpclnet.gui.session.results import Results
from napari_cpclnet.gui.session.support_slices import SupportSlices
from napari_cpclnet.gui.settings.preferences import preferences
from napari_cpclnet.imaging import read_segmentation

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_cpclnet.imaging import Segmentation


class Session:
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
    classes, class_actions
        Classes of the whole session, and every way to change them, which tells the layers.
    slices
        Painted slices of all scans, and which scan and layer one paints on.
    queries
        Files to label, ticks and states of all scans to label.
    accepted
        Painted slices that were filled, not drawn.
    results, display
        What was found in them, and how it is shown.
    steps
        What belongs to steps of napari's undo besides paint.
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
        self.arranging = False
        self.classes = Classes()
        self.queries = Queries()
        self.results = Results()
        self.display = ResultDisplay()
        self.accepted = AcceptedSlices()
        self._brought: dict[Labels, set[int]] = {}
        self.steps = UndoSteps(lambda: self.class_actions.publish())
        self.slices = SupportSlices(
            viewer, self.classes, self.steps, lambda: self.options.plane, self.changed
        )
        self.class_actions = ClassActions(self.classes, self.slices, self.results)

    @contextmanager
    def arranged(self) -> Iterator[None]:
        """Scans that are added inside are not shown by themselves: who adds them decides what is seen."""
        before, self.arranging = self.arranging, True
        try:
            yield
        finally:
            self.arranging = before

    # Layers ----------------------------------------------------------------------------------------------------

    def scans(self) -> list[Image]:
        """Image layers, top of the layer list first."""
        return scans_of(self.viewer)

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
    def support_scan(self) -> Image | None:
        """The scan one paints on."""
        return self.slices.scan

    @support_scan.setter
    def support_scan(self, scan: Image | None) -> None:
        self.slices.scan = scan

    @property
    def support_labels(self) -> Labels | None:
        """The layer one paints on; to choose one means that its slices are used."""
        return self.slices.labels

    @support_labels.setter
    def support_labels(self, labels: Labels | None) -> None:
        if labels is self.slices.labels:
            return
        self.slices.labels = labels
        if labels is not None:
            self._take(labels)
        self.changed.emit()

    @property
    def active(self) -> SupportPair | None:
        """The scan and the labels one paints on."""
        return self.slices.active

    def activate(self, pair: SupportPair) -> None:
        """Paint on this pair from now on, and use its slices."""
        self.support_scan = pair.scan
        self.slices.marks.pair_up(pair)
        self.support_labels = pair.labels

    def forget_removed(self) -> None:
        """Drop choices whose layers left the viewer; choose something sensible where nothing is chosen."""
        usable = [scan for scan in self.scans() if not refusal(scan)]
        if self.support_scan not in usable:
            pairs = self.slices.pairs
            self.support_scan = pairs[0].scan if pairs else next(iter(usable), None)
        fitting = self.labels_layers()
        if self.support_labels not in fitting:
            # A result is never taken for a painted layer by itself; the user may choose it.
            self.support_labels = next(
                (x for x in fitting if not is_result(x) and not self.slices.marks.is_declined(x)), None
            )

    def forget(self, layer: Layer) -> None:
        """Forget what was said about a layer that is gone, and the classes that came with it and are in no other."""
        self.queries.remove(layer)
        self.slices.marks.forget(layer)
        self.steps.forget(layer)
        if brought := self._brought.pop(layer, None):
            used = {value for entry in self.slices.entries() for value in entry.values}
            for value in brought - used:
                self.classes.remove(value)
            self.class_actions.publish()

    # Labels to paint on ----------------------------------------------------------------------------------------

    def new_support_labels(self) -> Labels:
        """Add an empty labels layer exactly on the active scan, ready to paint the first class."""
        scan = self._need_scan()
        value = next(iter(self.classes), None) or self.classes.add()
        layer = self._add_labels(np.zeros(scan.data.shape, dtype=np.uint8), f"{scan.name} – painted slices")
        layer.selected_label = value
        layer.mode = "paint"
        return layer

    def support_labels_of(self, scan: Image) -> Labels:
        """Labels with painted slices of a scan, new ones if it has none; what one paints on stays what it is."""
        own = [pair for pair in self.slices.pairs if pair.scan is scan and not is_result(pair.labels)]
        pair = next((one for one in own if one == self.active), None)
        pair = pair or next((one for one in own if self.slices.is_in_use(one)), None)
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

    def add_mask(self, mask: Segmentation, classes: Mapping[int, str] | None = None) -> Labels:
        """Add an imported mask, already checked against the active scan's grid, as its labels.

        ``classes``: names of its values where the user said what they are; else those of the file count. Ctrl+Z on the
        new layer takes the mask off it, and the classes that came with it.
        """
        scan, before = self._need_scan(), dict(self.classes.items())
        names, values = without_background(
            label_values(mask.labels), mask.classes if classes is None else classes
        )
        moved = self.class_actions.join(names, mask.colors, values)
        layer = self._add_labels(renumbered(mask.labels, moved).reshape(scan.data.shape), mask.name)
        after, kept = dict(self.classes.items()), LabelSnapshot.of(labels_array(layer))
        self._brought[layer] = {*after} - {*before}

        def undo() -> None:
            layer.data[...] = 0
            self.class_actions.restore(before, after)
            layer.refresh()

        def redo() -> None:
            labels_array(layer)[...] = kept.labels()
            self.class_actions.restore(after, before)
            layer.refresh()

        self.steps.add(layer, undo, redo)
        return layer

    def mask_reader(self, path: Path, *, by_voxel: bool = False) -> Callable[[], Segmentation]:
        """Function that reads a mask for the active scan: slow, to be called in a worker.

        ``by_voxel``: put it on the scan voxel by voxel, wherever its file places it.
        """
        geometry = geometry_of(self._need_scan())

        def read() -> Segmentation:
            return read_segmentation(path, like=geometry, by_voxel=by_voxel)

        return read

    # Run -------------------------------------------------------------------------------------------------------

    @property
    def run_segmenter(self) -> SegmenterFactory:
        """Factory for runs of the Segment tab, of which there is one at a time: what one encoded the next finds."""
        return getattr(self.make_segmenter, "same", self.make_segmenter)

    def is_ticked(self, source: QuerySource) -> bool:
        """Whether a scan will be labelled: what the user said, else every usable scan without painted slices."""
        painted = isinstance(source, Image) and source in self.slices.painted_scans()
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
        self.classes.ensure(values)
        self.class_actions.publish()
        parts = support_parts(used, np.min_scalar_type(values[-1]))
        sources = [source for source in (*self.scans(), *self.queries.files) if self.is_ticked(source)]
        if not sources:
            raise CpclnetError("Tick at least one scan to label.")
        return Job(
            supports=tuple(part for _, part in parts),
            classes={value: self.classes.name(value) for value in values},
            queries=make_queries(
                sources,
                [scan for scan, _ in parts],
                self.viewer,
                lambda scan: self.slices.plane_for(scan, used),
                self.queries,
                keep=[pair.labels for pair in self.slices.pairs],
            ),
            options=self.options,
            colors=self.classes.colors(),
            terms=self.classes.terms(),
            maps=self.display.maps,
        )

    def _used_entries(self) -> list[PaintedSlice]:
        scan, active = self._need_scan(), self.active
        if active is not None and not same_grid(active.labels, scan):
            msg = f"'{active.labels.name}' does not lie on the voxels of '{scan.name}': choose a layer that does."
            raise GeometryError(msg)
        entries = self.slices.entries()
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
        """Use the slices of a layer, whose classes join those of the session; a result keeps what it says."""
        if not self.slices.marks.take(labels):
            return
        if "geometry" not in note(labels) and self.support_scan is not None:
            # napari's own new layer knows nothing of the place of a scan that is shown elsewhere
            labels.metadata = {**labels.metadata, KEY: {**note(labels), **grid_note(self.support_scan)}}
        found, before = class_names(labels), dict(self.classes.items())
        names, painted = without_background(label_values(labels_array(labels)) if found else [], found)
        own = isinstance(labels.colormap, DirectLabelColormap)  # else napari's, which say nothing
        colors = {value: class_color(labels, value) for value in names} if own else {}
        moved = self.class_actions.join(names, colors, painted)
        after, colormap = dict(self.classes.items()), labels.colormap
        self._brought[labels] = {*after} - {*before}

        def undo() -> None:
            self.slices.marks.decline(labels)
            if self.slices.labels is labels:
                self.slices.labels = None
            self.class_actions.restore(before, after)
            set_class_names(labels, found)
            labels.colormap = colormap

        def redo() -> None:
            self.slices.marks.take(labels)
            self.slices.labels = labels
            self.class_actions.restore(after, before)

        if moved:
            renumber(labels, moved, lambda: self.steps.one_step(labels, undo, redo))
        self.class_actions.publish()

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
        *,
        scan: Image | None = None,
    ) -> Labels:
        scan = scan or self._need_scan()
        noted = {**grid_note(scan), PAINTED: not data.any()}
        layer = self.viewer.add_labels(data, name=name, metadata={KEY: noted}, **copied_transform(scan))
        self.activate(SupportPair(scan, layer))
        return layer
