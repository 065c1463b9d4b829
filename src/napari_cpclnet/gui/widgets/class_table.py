"""Table of classes: colour and label value, a name and a code to edit, number of painted slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QPoint, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableWidgetItem

from napari_cpclnet.gui.layers.class_names import Color
from napari_cpclnet.gui.widgets.fit_rows import fit_rows
from napari_cpclnet.gui.widgets.record_table import RIGHT, RecordTable, words

VALUE, NAME, CODE, SLICES = range(4)


@dataclass(frozen=True)
class ClassRow:
    """One row of the table; ``code`` and what it means, both empty where the terminology has none."""

    value: int
    name: str
    slices: int
    color: Color
    code: str = ""
    meaning: str = ""


class ClassTable(RecordTable):
    """Emits what the user asks for and changes nothing by itself.

    `renamed(value, name)`, `coded(value, term)`, `picked(value)`: paint with it, `color_asked(value)`,
    `remove_asked(value)`.
    """

    renamed = Signal(int, str)
    coded = Signal(int, str)
    picked = Signal(int)
    color_asked = Signal(int)
    remove_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__(
            {
                "": "Colour and label value",
                "Class": "Name",
                "Code": "SNOMED CT code, written to DICOM and 3D Slicer files",
                "Slices": "Painted slices",
            },
            (NAME, CODE),
            editable=True,
        )
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setToolTip(
            "Classes of all painted layers. Click one to paint with it;\n"
            "double-click its name, its colour or its code to change them."
        )
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in ((VALUE, 48), (CODE, 78), (SLICES, 48)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, width)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.itemChanged.connect(self._on_changed)
        self.cellClicked.connect(lambda row, _column: self.picked.emit(self._value(row)))
        self.cellDoubleClicked.connect(self._on_double_click)

    def show_rows(self, rows: Sequence[ClassRow], selected: int | None) -> None:
        """Replace the rows; no signal is sent. An open editor is left alone."""
        if self.state() == QAbstractItemView.State.EditingState:
            return
        with QSignalBlocker(self):
            self.setRowCount(len(rows))
            for number, row in enumerate(rows):
                self.setItem(number, VALUE, _fixed(str(row.value), swatch(row.color), row.value))
                self.setItem(number, NAME, words(row.name))
                tip = (
                    f"{row.meaning}. Double-click and type another organ to change it."
                    if row.meaning
                    else "The terminology has no such name. Double-click and type the organ, e.g. liver."
                )
                self.setItem(number, CODE, words(row.code or "–", tip))
                slices = _fixed(str(row.slices) if row.slices else "–")
                slices.setTextAlignment(RIGHT)
                self.setItem(number, SLICES, slices)
                if row.value == selected:
                    self.selectRow(number)
        fit_rows(self, self.rowCount(), least=1, most=5)

    def edit_name(self, value: int) -> None:
        """Open the editor of a class's name."""
        for row in range(self.rowCount()):
            if self._value(row) == value:
                self.scrollToItem(self.item(row, NAME))
                self.editItem(self.item(row, NAME))

    def _value(self, row: int) -> int:
        return int(self.item(row, VALUE).data(Qt.ItemDataRole.UserRole))

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if item.column() == NAME:
            self.renamed.emit(self._value(item.row()), item.text())
        elif item.column() == CODE:
            self.coded.emit(self._value(item.row()), item.text())

    def _on_double_click(self, row: int, column: int) -> None:
        if column == VALUE:
            self.color_asked.emit(self._value(row))

    def _menu(self, position: QPoint) -> None:
        item = self.itemAt(position)
        if item is None:
            return
        value = self._value(item.row())
        menu = QMenu(self)
        menu.addAction("Paint with it", lambda: self.picked.emit(value))
        menu.addAction("Rename", lambda: self.edit_name(value))
        menu.addAction("Colour…", lambda: self.color_asked.emit(value))
        menu.addSeparator()
        menu.addAction("Remove", lambda: self.remove_asked.emit(value))
        menu.exec(self.viewport().mapToGlobal(position))


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
