"""Painted slices of a session: which there are, which are used, and every change a step of undo. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.layers.editing import copy_class, erase_slice, set_slice
from napari_cpclnet.gui.layers.overlays import scans_of
from napari_cpclnet.gui.layers.scan_layers import geometry_of, labels_array, slice_axis
from napari_cpclnet.gui.layers.support_slices import PaintedSlice, SupportPair
from napari_cpclnet.gui.session.job_making import answering_plane
from napari_cpclnet.gui.session.supports import Said, Supports
from napari_cpclnet.imaging import BACKGROUND
from napari_cpclnet.imaging.planes import axis_plane

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from psygnal import SignalInstance

    from napari_cpclnet.gui.layers.undoing import UndoSteps
    from napari_cpclnet.gui.session.classes import Classes
    from napari_cpclnet.imaging import Plane


class SupportSlices:
    """Painted slices of all supports of a session.

    Parameters
    ----------
    viewer
        The viewer.
    classes
        Classes of the session.
    steps
        What belongs to steps of napari's undo besides paint.
    plane
        The plane that the options ask for, ``auto`` included.
    changed
        Emitted when ticks, marks or slices changed.

    Attributes
    ----------
    scan, labels
        The scan and the layer one paints on.
    marks
        What is known and was said of each layer and its slices.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        classes: Classes,
        steps: UndoSteps,
        plane: Callable[[], Plane],
        changed: SignalInstance,
    ) -> None:
        self.viewer, self.classes, self.steps, self.changed = viewer, classes, steps, changed
        self._plane = plane
        self.scan: Image | None = None
        self.labels: Labels | None = None
        self.marks = Supports(viewer, lambda: self.background)

    @property
    def active(self) -> SupportPair | None:
        """The scan and the labels one paints on."""
        return None if self.scan is None or self.labels is None else SupportPair(self.scan, self.labels)

    @property
    def pairs(self) -> list[SupportPair]:
        """Scans with labels on their voxels, results left out, top of the layer list first."""
        return self.marks.pairs(self.active)

    def is_in_use(self, pair: SupportPair) -> bool:
        """Whether the slices of a pair are used unless unticked: it was painted on, imported or chosen here."""
        return self.marks.is_in_use(pair.labels)

    def painted_scans(self) -> set[Image]:
        """The active scan and all whose labels are used."""
        scans = {pair.scan for pair in self.pairs if self.is_in_use(pair)}
        return scans if self.scan is None else {*scans, self.scan}

    def entries(
        self, pair: SupportPair | None = None, *, rescan: Collection[Labels] | None = None
    ) -> list[PaintedSlice]:
        """Rows of the support table, of one pair or of all.

        ``rescan``: the layers that may have changed since the last time, as scanning takes time; by default all.
        """
        self.steps.sync()
        return [
            entry
            for one in (self.pairs if pair is None else [pair])
            for entry in self.marks.entries(one, self._plane(), rescan=rescan is None or one.labels in rescan)
        ]

    def note_stroke(self, pair: SupportPair) -> Image | None:
        """Somebody painted on a pair by hand: the scan that was in sight instead of the pair's own, if one was."""
        shown = next((scan for scan in scans_of(self.viewer) if scan.visible), None)
        if pair.scan.visible or shown is None:
            return None
        self.marks.note_blind(pair, shown)
        return shown

    def painted_blindly(self) -> list[tuple[SupportPair, Image]]:
        """Pairs that were painted on while their scan was hidden, and the scan that was in sight."""
        found = [(pair, self.marks.blind(pair.labels)) for pair in self.pairs]
        return [(pair, shown) for pair, shown in found if shown is not None and shown in self.viewer.layers]

    def forget_blindness(self, pair: SupportPair) -> None:
        """Forget that a pair was painted on while its scan was hidden; the user has said what to do."""
        self.marks.forget_blindness(pair.labels)

    def rescanner(self, pairs: Collection[SupportPair]) -> Callable[[], None]:
        """Function that looks through big layers: slow, to be called in a worker; then `entries` knows without."""
        plane = self._plane()

        def scan() -> None:
            for pair in pairs:
                self.marks.painted(pair, plane)

        return scan

    def slice_axis(self) -> int:
        """Array axis of the active scan along which painted slices are counted."""
        if self.scan is None:
            return 0
        pair = self.active
        plane = self._plane() if pair is None else self.plane_of(pair)
        return slice_axis(geometry_of(self.scan), plane)

    def plane_of(self, pair: SupportPair) -> str:
        """The plane in which slices of a pair are counted; never ``auto``."""
        return self.marks.plane(pair, self._plane())

    def plane_for(self, scan: Image, used: Iterable[PaintedSlice] | None = None) -> str:
        """The plane in which a scan is labelled from painted slices, by default the ticked ones; never ``auto``."""
        if self._plane() != "auto":
            return self._plane()
        if used is None:
            used = [entry for entry in self.entries(rescan=()) if entry.ticked]
        return answering_plane(geometry_of(scan), used)

    def slice_along(self, pair: SupportPair, axis: int) -> None:
        """Count the slices of a pair along this axis until it is painted along another."""
        self.marks.slice_along(pair, axis)

    def painted_slices(self) -> dict[int, tuple[int, ...]]:
        """Label values on every painted slice of the active pair."""
        pair = self.active
        return {} if pair is None else self.marks.painted(pair, self._plane())

    def tick(self, entries: PaintedSlice | Iterable[PaintedSlice], on: bool) -> None:
        """Learn from slices, or not."""
        self.marks.tick([entries] if isinstance(entries, PaintedSlice) else entries, on)
        self.changed.emit()

    def mark_absent(self, pair: SupportPair, index: int, on: bool) -> None:
        """Say that none of the classes is on a slice, or take it back, in one step of undo.

        Raises
        ------
        SupportError
            If the slice is painted or does not exist.
        """
        plane = self.plane_of(pair)
        if on == self.marks.said(pair.labels, plane, index)[0]:
            return
        if on:
            self.marks.check_free(pair, plane, index)
        with self._saying(pair.labels, plane, index, Said(on, True if on else None)):
            pass
        self.changed.emit()

    def mark_partial(self, entries: Iterable[PaintedSlice], on: bool) -> None:
        """Say that what is not painted on slices is unknown, or that it is background; a step of undo for each."""
        for entry in entries:
            labels = entry.pair.labels
            said = self.marks.said(labels, entry.plane, entry.index)
            if entry.partial != on and not entry.absent:
                with self._saying(labels, entry.plane, entry.index, said._replace(partial=on)):
                    pass
        self.changed.emit()

    def restore_partial(self, pair: SupportPair, plane: str, slices: Collection[int]) -> None:
        """Make slices of a plane partial that were so once, and all others that are painted complete."""
        for entry in self.entries(pair):
            if entry.plane == plane and not entry.absent:
                said = self.marks.said(pair.labels, plane, entry.index)
                partial = entry.index in slices
                self.marks.say(pair.labels, plane, entry.index, said._replace(partial=partial))

    def scribble_background(self) -> None:
        """Paint scribbles for the background from now on, on the layer one paints on.

        Raises
        ------
        SupportError
            If there is no such layer, or a class has their label value.
        """
        pair = self.active
        if pair is None:
            raise SupportError(
                "Choose the labels you paint on, or press 'New', to scribble on the background."
            )
        if self.background is None:
            name = self.classes.name(BACKGROUND)
            raise SupportError(f"'{name}' has label {BACKGROUND}, which stands for background: renumber it.")
        pair.labels.selected_label = self.background
        pair.labels.mode = "paint"
        self.viewer.layers.selection.active = pair.labels

    @property
    def background(self) -> int | None:
        """Label value of scribbles for the background; None while a class has it."""
        return None if BACKGROUND in self.classes else BACKGROUND

    def absent_elsewhere(self, pair: SupportPair) -> dict[str, tuple[int, ...]]:
        """Slices that were marked absent in other planes than the one in use."""
        marks = self.marks.absent(pair.labels)
        return {plane: slices for plane, slices in marks.items() if plane != self.plane_of(pair)}

    def restore_absent(self, pair: SupportPair, marks: Mapping[str, Iterable[int]]) -> None:
        """Mark slices of any plane absent as they were once; those that are painted or do not exist are left out."""
        for plane, slices in marks.items():
            self.marks.restore_absent(pair, plane, slices)
        self.changed.emit()

    def remove(self, entry: PaintedSlice) -> None:
        """Take a slice off the table: erase its paint, or its mark *absent*; Ctrl+Z brings it back as it was."""
        labels = entry.pair.labels
        with self._saying(labels, entry.plane, entry.index, Said(False)):
            erase_slice(labels, entry.pair.axis(entry.plane), entry.index)
        self.changed.emit()

    def replace_slice(self, pair: SupportPair, axis: int, index: int, labels: np.ndarray) -> None:
        """Paint a slice (h, w) along an array axis as a whole and learn from it; an empty one is marked absent.

        One step of undo.
        """
        plane = self.plane_of(pair)
        if pair.axis(plane) != axis:
            plane = axis_plane(geometry_of(pair.scan), axis)
        with self._saying(pair.labels, plane, index, Said(not labels.any(), True, False)):
            set_slice(pair.labels, axis, index, labels)
        self.changed.emit()

    @contextmanager
    def _saying(self, labels: Labels, plane: str, index: int, said: Said) -> Iterator[None]:
        """Say something of a slice, in one step of undo with what is painted inside."""
        marks, before = self.marks, self.marks.said(labels, plane, index)

        def undo() -> None:
            marks.say(labels, plane, index, before)

        def redo() -> None:
            marks.say(labels, plane, index, said)

        with self.steps.one_step(labels, undo, redo):
            redo()
            yield

    def copy_to(self, index: int, to: int) -> bool:
        """Copy the selected class from one slice of the active pair to another; False if nothing came of it."""
        pair = self.active
        if pair is None or not 0 <= to < labels_array(pair.labels).shape[self.slice_axis()]:
            return False
        return copy_class(pair.labels, self.slice_axis(), index, to, int(pair.labels.selected_label))
