"""Painted slices of all open scans, and what the user said about each: used or not, organ absent. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from napari.layers import Image, Labels

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.overlays import is_map
from napari_cpclnet.gui.layers.painted_slices import PaintedSlices
from napari_cpclnet.gui.layers.scan_layers import geometry_of, labels_array, refusal, same_grid
from napari_cpclnet.gui.layers.scribbles import strokes_on
from napari_cpclnet.gui.layers.support_slices import PaintedSlice, SupportPair
from napari_cpclnet.imaging.paint import chosen_axis, crossed_slices, single_slice_shares
from napari_cpclnet.imaging.planes import axis_plane, named_plane

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


@dataclass
class _Marks:
    """What is known of one labels layer."""

    scan: Image | None = None
    taken: bool = False
    declined: bool = False
    ticks: dict[tuple[str, int], bool] = field(default_factory=dict)
    absent: set[tuple[str, int]] = field(default_factory=set)
    partial: dict[tuple[str, int], bool] = field(default_factory=dict)
    painted: PaintedSlices = field(default_factory=PaintedSlices)
    found: tuple[str, dict[int, tuple[int, ...]]] | None = None
    axis: int | None = None
    blind: Image | None = None
    crossed: frozenset[int] = frozenset()


class Said(NamedTuple):
    """What was said of a slice: that it is free of the classes; that it is used, or not; partial, or complete."""

    absent: bool
    ticked: bool | None = None
    partial: bool | None = None


class Supports:
    """Pairs of scan and labels in a viewer, and their slices.

    A labels layer somebody only opened (a truth, say) is listed with its slices unticked; once it was painted on,
    imported or chosen it is *taken*, and its slices are used unless the user says otherwise. ``background``: label
    value of scribbles for the background, while it is no class.
    """

    def __init__(self, viewer: ViewerModel, background: Callable[[], int | None]) -> None:
        self._viewer, self._background = viewer, background
        self._marks: dict[Labels, _Marks] = {}

    def pairs(self, active: SupportPair | None = None) -> list[SupportPair]:
        """Every labels layer on a scan's voxels that is no result, top of the layer list first; and the active pair."""
        layers = [x for x in reversed(self._viewer.layers) if not is_map(x)]
        scans = [x for x in layers if isinstance(x, Image) and not refusal(x)]
        found = []
        for layer in layers:
            if not isinstance(layer, Labels) or layer.multiscale or layer.ndim not in (2, 3):
                continue
            if active is not None and layer is active.labels:
                if active.scan in scans and same_grid(layer, active.scan):
                    found.append(active)
            elif not is_result(layer) and (scan := self._scan_of(layer, scans)) is not None:
                found.append(SupportPair(scan, layer))
        return found

    def pair_up(self, pair: SupportPair) -> None:
        """Remember that these labels belong to this scan, as others may have the same voxels."""
        self._of(pair.labels).scan = pair.scan

    def take(self, labels: Labels) -> bool:
        """Use the slices of a layer from now on; False if that is so already."""
        marks = self._of(labels)
        new, marks.taken, marks.declined = not marks.taken, True, False
        return new

    def decline(self, labels: Labels) -> None:
        """Do not use the slices of a layer any more, until it is chosen again."""
        marks = self._of(labels)
        marks.taken, marks.declined = False, True

    def is_declined(self, labels: Labels) -> bool:
        """Whether the user took back that the slices of a layer are used."""
        return labels in self._marks and self._marks[labels].declined

    def is_in_use(self, labels: Labels) -> bool:
        """Whether the slices of a layer are used unless unticked."""
        return labels in self._marks and self._marks[labels].taken

    def plane(self, pair: SupportPair, choice: str) -> str:
        """The plane of a pair's slices: the chosen one or, with ``auto``, that of the paint as it was seen last."""
        if choice != "auto":
            return choice
        geometry, axis = geometry_of(pair.scan), self._of(pair.labels).axis
        return named_plane(geometry, "auto") if axis is None else axis_plane(geometry, axis)

    def slice_along(self, pair: SupportPair, axis: int) -> None:
        """Count slices of a pair along this axis while its paint says nothing else; see `plane`."""
        self._of(pair.labels).axis = axis

    def note_blind(self, pair: SupportPair, shown: Image) -> None:
        """Remember that somebody painted on a pair whose scan was hidden, on the picture of another one."""
        self._of(pair.labels).blind = shown

    def blind(self, labels: Labels) -> Image | None:
        """The scan that was shown when these labels were painted on, if it was not their own."""
        return self._of(labels).blind

    def forget_blindness(self, labels: Labels) -> None:
        """Forget that labels were painted on while their scan was hidden."""
        self._of(labels).blind = None

    def painted(self, pair: SupportPair, choice: str, *, rescan: bool = True) -> dict[int, tuple[int, ...]]:
        """Label values on every painted slice; ``rescan=False``: as found last time, nothing before the first.

        Looking may be done in another thread.
        """
        marks = self._of(pair.labels)
        if rescan:
            labels = labels_array(pair.labels)
            shares = single_slice_shares(labels)
            if choice == "auto" and (axis := chosen_axis(shares, marks.axis)) is not None:
                marks.axis = axis  # what is erased, or painted on all slices, keeps its plane
            plane = self.plane(pair, choice)
            axis = pair.axis(plane)
            painted = marks.painted.update(labels, axis, lambda index: strokes_on(pair.labels, axis, index))
            marks.crossed = frozenset(crossed_slices(labels, pair.axis(plane), tuple(painted), shares))
            marks.found = (plane, painted)
        plane = self.plane(pair, choice)
        return marks.found[1] if marks.found is not None and marks.found[0] == plane else {}

    def entries(self, pair: SupportPair, choice: str, *, rescan: bool = True) -> list[PaintedSlice]:
        """Painted and absent slices of a pair in order; while a slice is painted it is not absent."""
        marks, painted = self._of(pair.labels), self.painted(pair, choice, rescan=rescan)
        plane = self.plane(pair, choice)
        absent = {index for where, index in marks.absent if where == plane} - {*painted}
        if rescan:  # what is said of a slice without paint does not wait for other paint
            marks.ticks = {
                key: on for key, on in marks.ticks.items() if key[0] != plane or key[1] in {*painted, *absent}
            }
        return [
            PaintedSlice(
                pair,
                index,
                plane,
                tuple(value for value in painted.get(index, ()) if value != self._background()),
                marks.ticks.get((plane, index), marks.taken and index not in marks.crossed),
                index in absent,
                marks.painted.stamp(index),
                index in marks.crossed,
                index in painted and self._is_partial(marks, (plane, index), painted[index]),
            )
            for index in sorted({*painted, *absent})
        ]

    def _is_partial(self, marks: _Marks, key: tuple[str, int], values: tuple[int, ...]) -> bool:
        """What was said of a painted slice; else whether background is scribbled on it, or all is one stroke."""
        said = marks.partial.get(key)
        return self._background() in values or marks.painted.scribbled(key[1]) if said is None else said

    def tick(self, entries: Iterable[PaintedSlice], on: bool) -> None:
        """Use slices, or not."""
        for entry in entries:
            self._of(entry.pair.labels).ticks[entry.key] = on

    def check_free(self, pair: SupportPair, plane: str, index: int) -> None:
        """SupportError if a slice is painted, which cannot be marked as free of the classes, or does not exist."""
        if not 0 <= index < labels_array(pair.labels).shape[pair.axis(plane)]:
            raise SupportError(f"'{pair.scan.name}' has no {plane} slice {index}.")
        if index in self.painted(pair, plane):
            raise SupportError(
                f"Slice {index} of '{pair.scan.name}' is painted: remove the paint to mark it empty."
            )

    def said(self, labels: Labels, plane: str, index: int) -> Said:
        """What was said of a slice."""
        marks, key = self._of(labels), (plane, index)
        return Said(key in marks.absent, marks.ticks.get(key), marks.partial.get(key))

    def say(self, labels: Labels, plane: str, index: int, said: Said) -> None:
        """Say something of a slice, instead of what was said before."""
        marks, key = self._of(labels), (plane, index)
        marks.absent.discard(key)
        marks.ticks.pop(key, None)
        marks.partial.pop(key, None)
        if said.absent:
            marks.absent.add(key)
        if said.ticked is not None:
            marks.ticks[key] = said.ticked
        if said.partial is not None:
            marks.partial[key] = said.partial

    def absent(self, labels: Labels) -> dict[str, tuple[int, ...]]:
        """Slices of each plane that teach as absent; whether one was painted since only `entries` sees."""
        marks, found = self._of(labels), dict[str, list[int]]()
        for plane, index in sorted(marks.absent):
            if marks.ticks.get((plane, index), marks.taken):
                found.setdefault(plane, []).append(index)
        return {plane: tuple(slices) for plane, slices in found.items()}

    def restore_absent(self, pair: SupportPair, plane: str, slices: Iterable[int]) -> None:
        """Mark slices absent that were so once, and that exist; paint goes before (see `entries`)."""
        marks, count = self._of(pair.labels), labels_array(pair.labels).shape[pair.axis(plane)]
        there = [(plane, index) for index in slices if 0 <= index < count]
        marks.absent.update(there)
        marks.ticks.update(dict.fromkeys(there, True))

    def forget(self, layer: Layer) -> None:
        """Drop what is known of a layer that is gone."""
        self._marks.pop(layer, None)
        for marks in self._marks.values():
            if marks.scan is layer:
                marks.scan = None

    def _of(self, labels: Labels) -> _Marks:
        return self._marks.setdefault(labels, _Marks())

    def _scan_of(self, labels: Labels, scans: list[Image]) -> Image | None:
        marks = self._of(labels)
        if marks.scan in scans and same_grid(labels, marks.scan):
            return marks.scan
        fitting = [scan for scan in scans if same_grid(labels, scan)]
        named = [scan for scan in fitting if labels.name.startswith(scan.name)]
        marks.scan = next(iter(named or fitting), None)
        return marks.scan
