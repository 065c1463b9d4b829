"""Painted slices of all scans, and what one does with them: go there, copy on, mark absent, remove."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.layers.scan_layers import note
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan, slice_in_view
from napari_cpclnet.gui.segment.crossed_note import CrossedNote
from napari_cpclnet.gui.segment.support_tree import GroupRow, SliceRow, SupportTree
from napari_cpclnet.gui.segment.thumbnail_queue import ThumbnailQueue
from napari_cpclnet.gui.widgets.shortcuts import (
    BACKGROUND_SCRIBBLE,
    COPY_ON,
    MARK_ABSENT,
    MARK_PARTIAL,
    NEXT_PAINTED,
    label,
    printed,
)
from napari_cpclnet.gui.widgets.style import spaced

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_cpclnet.gui.layers.support_slices import PaintedSlice, SupportPair
    from napari_cpclnet.gui.session.session import Session

MODALITIES = {"PT": "PET", "other": ""}


class SlicesBox(QWidget):
    """Emits `changed` when slices, ticks or the active pair changed and `message(text, is_error)` to be shown.

    `plane_wanted(plane)`: the user wants to count slices in another plane.
    """

    changed = Signal()
    message = Signal(str, bool)
    plane_wanted = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.pictures = ThumbnailQueue(session, self)
        self.tree = SupportTree()
        self.pictures.made.connect(self.tree.set_picture)
        self.tree.picked.connect(self.go_to)
        self.tree.ticked.connect(self._tick)
        self.tree.remove.connect(self._remove)
        self.tree.marked_partial.connect(self._mark_partial)
        self.tree.activated_pair.connect(self._activate)
        self.tree.itemExpanded.connect(lambda _item: self._request())
        self.hint = QLabel("No slice is painted yet.")
        self.hint.setObjectName("muted")
        self.hint.setToolTip("The network learns from painted slices and from no other.")
        self.crossed = CrossedNote(session)
        self.crossed.used.connect(self.changed)
        self.crossed.plane_wanted.connect(self.plane_wanted)
        self.next = self._button("Next", NEXT_PAINTED, self.next_painted, "Go to the next painted slice")
        self.copy = self._button(
            "Copy to next slice",
            COPY_ON,
            self.copy_on,
            "Copy the selected class of the slice in view to the next slice, as a start, and go there",
        )
        self.absent = self._button(
            "Mark slice empty",
            MARK_ABSENT,
            self.mark_absent,
            "Mark the slice in view as empty: none of the classes is on it; once more takes it back",
        )
        self.partial = QPushButton("Mark partial")
        self.partial.setToolTip(
            "Mark the slice in view as partial: what is not painted on it is unknown, not background; once more makes "
            f"it complete ({printed(MARK_PARTIAL)})."
        )
        self.partial.clicked.connect(self.mark_partial)
        self.scribble = QPushButton("Scribble background")
        self.scribble.setToolTip(
            f"Paint where no class is, on a slice that is not painted completely ({printed(BACKGROUND_SCRIBBLE)})."
        )
        self.scribble.clicked.connect(self.scribble_background)
        self.removing = QPushButton("Remove")
        self.removing.setToolTip("Erase the selected slices of the list; Ctrl+Z brings the paint back.")
        self.removing.clicked.connect(lambda: self._remove(self.tree.chosen()))
        self.tree.itemSelectionChanged.connect(self._enable)
        self.buttons = QWidget()
        grid = spaced(QGridLayout(self.buttons))
        grid.addWidget(self.next, 0, 0)
        grid.addWidget(self.removing, 0, 1)
        grid.addWidget(self.copy, 1, 0, 1, 2)  # whose words need the width
        grid.addWidget(self.absent, 2, 0, 1, 2)
        grid.addWidget(self.partial, 3, 0)
        grid.addWidget(self.scribble, 3, 1)
        column = spaced(QVBoxLayout(self))
        column.addWidget(self.tree)
        column.addWidget(self.hint)
        column.addWidget(self.crossed)
        column.addWidget(self.buttons)

    def show_slices(self, rescan: Collection[Labels] | None = None) -> dict[int, int]:
        """Show what is painted; returns the number of painted slices of each class."""
        session, active = self.session, self.session.active
        counts: dict[int, int] = {}
        groups: list[tuple[SupportPair, list[PaintedSlice]]] = []
        listed: list[PaintedSlice] = []
        for pair in session.slices.pairs:
            try:
                entries = session.slices.entries(pair, rescan=rescan)
            except CpclnetError as error:
                self.message.emit(str(error), True)
                continue
            if session.slices.is_in_use(pair):
                listed += entries
                for value in (value for entry in entries for value in entry.values):
                    counts[value] = counts.get(value, 0) + 1
            if entries:
                groups.append((pair, entries))
        session.class_actions.settle(listed)
        self.tree.show_groups([self._group(pair, entries, pair == active) for pair, entries in groups])
        self._request()
        self.crossed.show_entries(next((entries for pair, entries in groups if pair == active), ()))
        self.hint.setVisible(active is not None and not groups and not self.crossed.isVisibleTo(self))
        self.buttons.setVisible(active is not None)
        self._enable()
        return counts

    def go_to(self, entry: PaintedSlice) -> None:
        """Show a slice of any scan."""
        viewer, pair = self.session.viewer, entry.pair
        if not pair.scan.visible:
            show_scan(viewer, pair.scan)
        pair.labels.visible = True
        jump_to_slice(viewer, pair.labels, pair.axis(entry.plane), entry.index)
        self.tree.select(entry)

    def show_in_view(self, scan: Image | None) -> None:
        """Highlight the row of the slice in view of a scan, if it is listed."""
        for entry in self.tree.entries():
            if entry.pair.scan is scan and entry.index == self._here(entry.pair):
                self.tree.select(entry)

    def next_painted(self) -> None:
        """Go to the first listed slice of the active pair behind the one on screen, or to the first of all."""
        pair = self.session.active
        entries = self.tree.entries(pair) if pair is not None else []
        if entries:
            here = self._here(pair)
            self.go_to(next((entry for entry in entries if entry.index > here), entries[0]))

    def copy_on(self) -> None:
        """Copy the selected class of the slice in view to the next one, and go there."""
        pair = self.session.active
        if pair is None:
            return
        here, axis = self._here(pair), self.session.slices.slice_axis()
        value = int(pair.labels.selected_label)
        if value not in self.session.slices.painted_slices().get(here, ()):
            name = self.session.classes.name(value)
            self.message.emit(f"There is no {name} on slice {here}: go to a slice where it is painted.", True)
            return
        if self.session.slices.copy_to(here, here + 1):
            jump_to_slice(self.session.viewer, pair.labels, axis, here + 1)
            self.message.emit("", False)
            self.changed.emit()
        else:
            self.message.emit(f"Nothing can be copied from slice {here} to the next one.", True)

    def mark_absent(self) -> None:
        """Say that none of the classes is on the slice in view, or take it back."""
        pair = self.session.active
        if pair is None:
            return
        here = self._here(pair)
        marked = any(
            entry.absent and entry.index == here for entry in self.session.slices.entries(pair, rescan=())
        )
        try:
            self.session.slices.mark_absent(pair, here, not marked)
        except CpclnetError as error:
            self.message.emit(str(error), True)
            return
        self.session.viewer.layers.selection.active = pair.labels  # so that Ctrl+Z takes it back
        self.message.emit("", False)
        self.changed.emit()

    def mark_partial(self) -> None:
        """Say that what is not painted on the slice in view is unknown, or take it back."""
        pair = self.session.active
        if pair is None:
            return
        here = self._here(pair)
        entries = [
            e for e in self.session.slices.entries(pair, rescan=()) if e.index == here and not e.absent
        ]
        if not entries:
            self.message.emit(f"Nothing is painted on slice {here}: go to a painted slice.", True)
            return
        self._mark_partial(entries, not entries[0].partial)

    def scribble_background(self) -> None:
        """Paint scribbles for the background from now on."""
        try:
            self.session.slices.scribble_background()
        except CpclnetError as error:
            self.message.emit(str(error), True)
            return
        self.message.emit("Paint where no class is; choose a class to go on with it.", False)

    def _mark_partial(self, entries: list[PaintedSlice], on: bool) -> None:
        self.session.slices.mark_partial(entries, on)
        for entry in entries:
            self.session.viewer.layers.selection.active = entry.pair.labels  # so that Ctrl+Z takes it back
        self.message.emit("", False)
        self.changed.emit()

    def _group(self, pair: SupportPair, entries: list[PaintedSlice], active: bool) -> GroupRow:
        modality = str(note(pair.scan).get("modality") or "")
        session = self.session
        looks = {
            value: (session.class_actions.name(pair, value), session.class_actions.color(pair, value))
            for value in {value for entry in entries for value in entry.values}
        }
        filled = [entry for entry in entries if entry in session.accepted]
        rows = [
            SliceRow(entry, tuple(looks[value] for value in entry.values), self.pictures.picture(entry))
            for entry in entries
            if entry not in session.accepted
        ]
        return GroupRow(pair, MODALITIES.get(modality, modality), active, tuple(rows), tuple(filled))

    def _request(self) -> None:
        self.pictures.request(self.tree.open_entries())

    def _tick(self, entries: list[PaintedSlice], on: bool) -> None:
        self.session.slices.tick(entries, on)
        self.changed.emit()

    def _remove(self, entries: list[PaintedSlice]) -> None:
        for entry in entries:
            self.session.slices.remove(entry)
        self.changed.emit()

    def _activate(self, pair: SupportPair) -> None:
        self.session.activate(pair)
        show_scan(self.session.viewer, pair.scan)
        self.session.viewer.layers.selection.active = pair.labels
        self.changed.emit()

    def _enable(self) -> None:
        self.next.setEnabled(bool(self.session.active and self.tree.entries(self.session.active)))
        self.removing.setEnabled(bool(self.tree.chosen()))

    def _here(self, pair: SupportPair) -> int:
        return slice_in_view(self.session.viewer, pair.labels, self.session.slices.slice_axis())

    def _button(self, text: str, shortcut: str, action: Any, tip: str) -> QPushButton:
        button = QPushButton()
        label(button, text, shortcut)
        button.setToolTip(f"{tip} ({printed(shortcut)}).")
        button.clicked.connect(action)
        return button
