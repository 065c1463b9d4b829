"""Section 'Support': the scan one paints on, its labels, their classes and painted slices."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import QSignalDebouncer

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.fill.fill_box import FillBox
from napari_cpclnet.gui.layers.scan_layers import refusal
from napari_cpclnet.gui.layers.undoing import is_ours
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.segment.class_box import ClassBox
from napari_cpclnet.gui.segment.mask_import import MaskImport
from napari_cpclnet.gui.segment.slices_box import SlicesBox
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.layer_combo import LayerCombo
from napari_cpclnet.gui.widgets.shortcuts import IMPORT_MASK, NEW_LABELS, label
from napari_cpclnet.gui.widgets.style import spaced
from napari_cpclnet.gui.widgets.worker import BackgroundCall

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_cpclnet.gui.session.session import Session

# After the last stroke; long enough not to scan the array during painting.
RESCAN_MS = 120
# Voxels; to look through more would be felt.
LOOK_AT_ONCE = 4_000_000


class SupportBox(QWidget):
    """Emits `changed` when the choice of scan or labels changed and `message(text, is_error)` to be shown.

    `shown` tells that the painted slices are shown anew.
    """

    changed = Signal()
    message = Signal(str, bool)
    shown = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._listening: list[Labels] = []
        self._changed_layers: set[Labels] = set()
        self._looking = False
        self._layer_events = Connections()
        when_destroyed(self, self._layer_events.close)
        self._rescan = QSignalDebouncer(parent=self)
        self._rescan.setTimeout(RESCAN_MS)
        self._rescan.triggered.connect(self._look_again)
        self._build()

    def _build(self) -> None:
        self.scan = LayerCombo("Open a scan first")
        self.scan.setToolTip("The scan you paint on.")
        self.scan.chosen.connect(self._choose_scan)
        self.labels = LayerCombo("None yet: press New")
        self.labels.setToolTip(
            "The layer with your painted slices; only layers on the scan's voxels are listed."
        )
        self.labels.chosen.connect(self._choose_labels)
        form = spaced(QFormLayout())
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Scan", self.scan)
        form.addRow("Annotation", self.labels)

        self.new = QPushButton()
        label(self.new, "New", NEW_LABELS)
        self.new.setToolTip("Add an empty labels layer exactly on the support scan and start painting.")
        self.new.clicked.connect(self.new_labels)
        self.importing = QPushButton()
        label(self.importing, "Import…", IMPORT_MASK)
        self.importing.setToolTip(
            "Read masks of the support scan from files; classes are matched by name, and asked for\n"
            "where the file has no names."
        )
        self.importing.clicked.connect(self.import_mask)
        self.masks = MaskImport(self.session, self)
        self.masks.message.connect(self.message)
        self.masks.busy.connect(lambda busy: self.importing.setEnabled(not busy))
        self.masks.imported.connect(self._imported)
        self.classes = ClassBox(self.session)
        self.classes.added.connect(lambda: self.show_painted(()))
        # Later: the table is still busy with the cell that was changed.
        self.classes.changed.connect(self._rescan.throttle)
        self.classes.message.connect(self.message)
        self.slices = SlicesBox(self.session)
        self.slices.changed.connect(self.changed)
        self.slices.message.connect(self.message)
        self.fill = FillBox(self.session)
        self.fill.control.accepted.connect(self.changed)
        self.fill.control.message.connect(self.message)

        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        layout = spaced(QVBoxLayout(self))
        layout.addLayout(form)
        row = QHBoxLayout()
        row.addWidget(self.new, stretch=1)
        row.addWidget(self.importing, stretch=1)
        layout.addLayout(row)
        layout.addWidget(self.classes)
        layout.addWidget(self.slices)
        layout.addWidget(self.fill)

    def refresh(self) -> None:
        """Show the layers and choices of the session."""
        usable = [scan for scan in self.session.scans() if not refusal(scan)]
        self.scan.show_layers(usable, self.session.support_scan)
        self.labels.show_layers(self.session.labels_layers(), self.session.support_labels)
        for button in (self.new, self.importing):
            button.setEnabled(self.session.support_scan is not None)
        self._listen()
        self._changed_layers.update(self._listening)
        self._look_again()

    def show_painted(self, rescan: Collection[Labels] | None = None) -> None:
        """Look through the labels (``rescan``: those that may have changed) and show what is painted."""
        labels = self.session.support_labels
        painted = self.slices.show_slices(rescan)
        self.classes.show_classes(painted, None if labels is None else int(labels.selected_label))
        self.classes.setVisible(labels is not None or bool(painted))
        self.fill.refresh()
        self.shown.emit()

    def new_labels(self) -> None:
        """Add a labels layer on the support scan, show the two alone and start painting."""
        try:
            layer = self.session.new_support_labels()
        except CpclnetError as error:
            self.message.emit(str(error), True)
            return
        viewer = self.session.viewer
        show_scan(viewer, self.session.support_scan, only=layer)
        viewer.layers.selection.active = layer
        self.message.emit(
            "Paint the organ completely on a few slices over its extent, then press Run.", False
        )
        self.changed.emit()

    def import_mask(self) -> None:
        """Ask for mask files and import them."""
        self.masks.choose()

    def load_mask(self, path: Path) -> None:
        """Import a mask file."""
        self.masks.load(path)

    def _imported(self) -> None:
        show_scan(self.session.viewer, self.session.support_scan, only=self.session.support_labels)
        self.session.viewer.layers.selection.active = self.session.support_labels
        self.changed.emit()

    def _choose_scan(self, scan: Any) -> None:
        self.session.support_scan = scan
        self.session.support_labels = None
        self.changed.emit()

    def _choose_labels(self, labels: Any) -> None:
        self.session.support_labels = labels
        self.changed.emit()

    def _listen(self) -> None:
        layers = [pair.labels for pair in self.session.slices.pairs]
        if layers == self._listening:
            return
        self._layer_events.close()
        self._listening = layers
        for layer in layers:
            # set_data also comes with undo, which has no event of its own.
            for name in ("paint", "labels_update", "data", "set_data", "selected_label"):
                self._layer_events.connect(getattr(layer.events, name), self._on_layer_event)
            self._layer_events.connect(layer.events.colormap, self._on_colors)
            self._layer_events.connect(layer.events.paint, self._on_paint)

    def _on_layer_event(self, event: Any) -> None:
        self._changed_layers.add(event.source)
        self._rescan.throttle()

    def _on_paint(self, event: Any) -> None:
        """Who paints on another layer than the chosen one wants that one."""
        pair = next((pair for pair in self.session.slices.pairs if pair.labels is event.source), None)
        if pair is None or is_ours(event.value):
            return
        shown = self.session.slices.note_stroke(pair)
        if shown is not None:
            text = (
                f"'{pair.labels.name}' belongs to '{pair.scan.name}', which is hidden: to paint on '{shown.name}', "
                "choose it as the support scan and press New."
            )
            self.message.emit(text, True)
        elif event.source is not self.session.support_labels:
            self.session.activate(pair)
            self.changed.emit()

    def _on_colors(self, event: Any) -> None:
        if any(
            pair.labels is event.source and self.session.slices.is_in_use(pair)
            for pair in self.session.slices.pairs
        ):
            self.session.class_actions.adopt_colors(event.source)
        self._rescan.throttle()

    def _look_again(self) -> None:
        """Look at layers that changed, at big ones in the background, and show what is painted."""
        changed, self._changed_layers = self._changed_layers, set()
        slow = {layer for layer in changed if layer.data.size > LOOK_AT_ONCE}
        self.show_painted(changed - slow)
        if self._looking:
            self._changed_layers |= slow
        elif slow:
            self._looking = True
            pairs = [pair for pair in self.session.slices.pairs if pair.labels in slow]
            call = BackgroundCall(self.session.slices.rescanner(pairs), self)
            call.done.connect(lambda _none: self._looked())
            call.failed.connect(self._looked)
            call.start()

    def _looked(self, problem: str = "") -> None:
        self._looking = False
        if problem:
            self.message.emit(problem, True)
        self.show_painted(())
        if self._changed_layers:
            self._rescan.throttle()
