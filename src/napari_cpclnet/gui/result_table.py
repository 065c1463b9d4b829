"""Table of what a run found: millilitres per class and scan."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_cpclnet.gui.class_table import ROW_HEIGHT
from napari_cpclnet.gui.fit_rows import fit_rows

SCAN, CLASS, VOLUME = range(3)


class ResultTable(QTableWidget):
    """One row per scan and class; hidden while empty."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setHorizontalHeaderLabels(["Scan", "Class", "ml"])
        self.setToolTip("Volume of every class in the finished scans.")
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(SCAN, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(CLASS, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(VOLUME, QHeaderView.ResizeMode.Fixed)
        self.setColumnWidth(VOLUME, 76)
        self.clear_rows()

    def clear_rows(self) -> None:
        """Take everything out."""
        self.setRowCount(0)
        self.hide()

    def add_scan(self, scan: str, millilitres: Mapping[str, float]) -> None:
        """Append the volumes of one finished scan."""
        for name, volume in millilitres.items():
            row = self.rowCount()
            self.insertRow(row)
            for column, text in ((SCAN, scan), (CLASS, name), (VOLUME, f"{volume:.1f}")):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.setItem(row, column, item)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            self.item(row, VOLUME).setTextAlignment(right)
        self.show()
        fit_rows(self, self.rowCount(), least=1, most=8)
