"""Section 'Support': the scan one paints on, its labels, their classes and painted slices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.class_table import ClassRow, ClassTable
from napari_cpclnet.gui.connections import Connections, when_destroyed
from napari_cpclnet.gui.layer_combo import LayerCombo
from napari_cpclnet.gui.layers import refusal
from napari_cpclnet.gui.shortcuts import IMPORT_MASK, NEW_LABELS, NEXT_PAINTED, label, printed
from napari_cpclnet.gui.slice_list import SliceList
from napari_cpclnet.gui.style import SPACING
from napari_cpclnet.gui.view import jump_to_slice, show_scan, slice_in_view
from napari_cpclnet.gui.worker import BackgroundCall

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_cpclnet.gui.session import Session

MASK_FILES = "Masks (*.nii *.nii.gz *.nrrd *.mha *.mhd *.png *.tif *.tiff *.dcm);;All files (*)"
# After the last stroke; long enough not to scan the array during painting.
RESCAN_MS = 200


class SupportBox(QWidget):
    """Emits `changed` when the choice of scan or labels changed and `message(text, is_error)` to be shown."""

    changed = Signal()
    message = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._listening: Labels | None = None
        self._layer_events = Connections()
        when_destroyed(self, self._layer_events.close)
        self._rescan = QTimer(self)
        self._rescan.setSingleShot(True)
        self._rescan.setInterval(RESCAN_MS)
        self._rescan.timeout.connect(self.show_painted)
        self._build()

    def _build(self) -> None:
        self.scan = LayerCombo("Open a scan first")
        self.scan.setToolTip("The scan you paint on.")
        self.scan.chosen.connect(self._choose_scan)
        self.labels = LayerCombo("No labels on this scan yet")
        self.labels.setToolTip(
            "The layer with your painted slices; only layers on the scan's voxels are listed."
        )
        self.labels.chosen.connect(self._choose_labels)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(SPACING)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Scan", self.scan)
        form.addRow("Labels", self.labels)

        self.new = QPushButton()
        label(self.new, "New support labels", NEW_LABELS)
        self.new.setToolTip("Add an empty labels layer exactly on the support scan and start painting.")
        self.new.clicked.connect(self.new_labels)
        self.importing = QPushButton()
        label(self.importing, "Import mask…", IMPORT_MASK)
        self.importing.setToolTip("Read a mask of the support scan; it must have the scan's voxels.")
        self.importing.clicked.connect(self.import_mask)

        self.classes = ClassTable()
        self.classes.renamed.connect(self._rename)
        self.classes.picked.connect(self._pick_class)
        self.add = QPushButton("Add class")
        self.add.setToolTip("Name the next label and select it for painting.")
        self.add.clicked.connect(self._add_class)
        self.hint = QLabel("No slice is painted yet.")
        self.hint.setObjectName("muted")
        self.hint.setToolTip("The network learns from painted slices and from no other.")
        self.next = QPushButton()
        label(self.next, "Next slice", NEXT_PAINTED)
        self.next.setToolTip(f"Go to the next painted slice ({printed(NEXT_PAINTED)}).")
        self.next.clicked.connect(self.next_painted)
        self.slices = SliceList()
        self.slices.picked.connect(self._jump)

        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        layout.addLayout(form)
        layout.addWidget(self.new)
        layout.addWidget(self.importing)
        layout.addWidget(self.classes)
        row = QHBoxLayout()
        row.addWidget(self.add, stretch=1)
        row.addWidget(self.next, stretch=1)
        layout.addLayout(row)
        layout.addWidget(self.slices)
        layout.addWidget(self.hint)

    def refresh(self) -> None:
        """Show the layers and choices of the session."""
        usable = [scan for scan in self.session.scans() if not refusal(scan)]
        self.scan.show_layers(usable, self.session.support_scan)
        self.labels.show_layers(self.session.labels_layers(), self.session.support_labels)
        for button in (self.new, self.importing):
            button.setEnabled(self.session.support_scan is not None)
        self._listen()
        self.show_painted()

    def show_painted(self) -> None:
        """Look through the labels and show what is painted."""
        labels = self.session.support_labels
        try:
            painted = self.session.painted_slices()
        except CpclnetError as error:
            self.message.emit(str(error), True)
            painted = {}
        counts: dict[int, int] = {}
        for values in painted.values():
            for value in values:
                counts[value] = counts.get(value, 0) + 1
        for widget in (self.classes, self.add, self.next):
            widget.setVisible(labels is not None)
        self.next.setEnabled(bool(painted))
        self.hint.setVisible(labels is not None and not painted)
        if labels is None:
            self.slices.show_slices({})
            return
        book = self.session.book
        book.ensure(counts)
        rows = [
            ClassRow(value, info.name, counts.get(value, 0), book.color(value))
            for value, info in book.items()
        ]
        self.classes.show_rows(rows, int(labels.selected_label))
        self.slices.show_slices(
            {index: ", ".join(book.name(v) for v in values) for index, values in painted.items()}
        )

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
        """Ask for a mask file and read it in the background."""
        if self.session.support_scan is None:
            return
        chosen, _ = QFileDialog.getOpenFileName(self, "Import a mask of the support scan", "", MASK_FILES)
        if chosen:
            self.load_mask(Path(chosen))

    def load_mask(self, path: Path) -> None:
        """Read a mask file in the background and take it as the support labels."""
        self.message.emit(f"Reading {path.name}…", False)
        self.importing.setEnabled(False)
        scan = self.session.support_scan
        call = BackgroundCall(self.session.mask_reader(path), self)
        call.done.connect(lambda mask: self._mask_read(mask, scan))
        call.failed.connect(self._mask_failed)
        call.start()

    def next_painted(self) -> None:
        """Go to the first painted slice behind the one on screen, or to the first of all."""
        labels = self.session.support_labels
        if labels is None or not self.slices.indices():
            return
        here = slice_in_view(self.session.viewer, labels, self.session.slice_axis())
        later = [index for index in self.slices.indices() if index > here]
        self._jump((later or self.slices.indices())[0])

    def _mask_read(self, mask: Any, scan: Any) -> None:
        self.importing.setEnabled(True)
        if self.session.support_scan is not scan:
            self.message.emit("The support scan was changed while the mask was read: import it again.", True)
            return
        if mask.notes and not mask.labels.any():  # it lies elsewhere, so there is nothing to take
            self.message.emit(f"{mask.name}: {' '.join(mask.notes)}", True)
            return
        self.session.add_mask(mask)
        self.message.emit(" ".join(mask.notes), False)
        self.changed.emit()

    def _mask_failed(self, text: str) -> None:
        self.importing.setEnabled(True)
        self.message.emit(text, True)

    def _choose_scan(self, scan: Any) -> None:
        self.session.support_scan = scan
        self.session.support_labels = None
        self.changed.emit()

    def _choose_labels(self, labels: Any) -> None:
        self.session.support_labels = labels
        self.changed.emit()

    def _add_class(self) -> None:
        if self.session.support_labels is not None:
            self.session.add_class()
            self.show_painted()

    def _rename(self, value: int, name: str) -> None:
        try:
            self.session.rename_class(value, name)
        except CpclnetError as error:
            self.message.emit(str(error), True)
        self._rescan.start()

    def _pick_class(self, value: int) -> None:
        labels = self.session.support_labels
        if labels is not None:
            labels.selected_label = value
            self.session.viewer.layers.selection.active = labels

    def _jump(self, index: int) -> None:
        labels = self.session.support_labels
        if labels is None:
            return
        if not labels.visible:
            labels.visible = True
        jump_to_slice(self.session.viewer, labels, self.session.slice_axis(), index)
        self.slices.select(index)

    def _listen(self) -> None:
        labels = self.session.support_labels
        if labels is self._listening:
            return
        self._layer_events.close()
        self._listening = labels
        if labels is None:
            return
        # set_data also comes with undo, which has no event of its own.
        for name in ("paint", "labels_update", "data", "set_data", "colormap", "selected_label"):
            self._layer_events.connect(getattr(labels.events, name), self._on_layer_event)

    def _on_layer_event(self, _event: Any = None) -> None:
        self._rescan.start()
