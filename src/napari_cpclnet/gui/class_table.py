"""Table of classes: colour and label value as in the layer, a name to edit, number of painted slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_cpclnet.gui.class_book import Color
from napari_cpclnet.gui.fit_rows import fit_rows

VALUE, NAME, SLICES = range(3)
ROW_HEIGHT = 24


@dataclass(frozen=True)
class ClassRow:
    """One row of the table."""

    value: int
    name: str
    slices: int
    color: Color


class ClassTable(QTableWidget):
    """Emits `renamed(value, name)` when a name was edited and `picked(value)` when a row was chosen."""

    renamed = Signal(int, str)
    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setHorizontalHeaderLabels(["Label", "Class", "Slices"])
        self.setToolTip(
            "Classes painted in the labels layer. Double-click a name to change it;\n"
            "click a row to paint with that label."
        )
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.setShowGrid(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in ((VALUE, 64), (SLICES, 56)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, width)
        self.itemChanged.connect(self._on_changed)
        self.cellClicked.connect(lambda row, _column: self.picked.emit(self._value(row)))

    def show_rows(self, rows: Sequence[ClassRow], selected: int | None) -> None:
        """Replace the rows; no signal is sent. An open editor is left alone."""
        if self.state() == QAbstractItemView.State.EditingState:
            return
        with QSignalBlocker(self):
            self.setRowCount(len(rows))
            for number, row in enumerate(rows):
                self.setItem(number, VALUE, _fixed(str(row.value), swatch(row.color), row.value))
                self.setItem(number, NAME, QTableWidgetItem(row.name))
                self.setItem(number, SLICES, _fixed(str(row.slices) if row.slices else "–"))
                if row.value == selected:
                    self.selectRow(number)
        fit_rows(self, self.rowCount(), least=2, most=6)

    def _value(self, row: int) -> int:
        return int(self.item(row, VALUE).data(Qt.ItemDataRole.UserRole))

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == NAME:
            self.renamed.emit(self._value(item.row()), item.text())


def swatch(color: Color) -> QIcon:
    """Small square in a label's colour."""
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor(*color))
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # Qt would tint it, and a wrong colour is worse than none
    return icon


def _fixed(text: str, icon: QIcon | None = None, value: int | None = None) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
    if icon is not None:
        item.setIcon(icon)
    if value is not None:
        item.setData(Qt.ItemDataRole.UserRole, value)
    return item
