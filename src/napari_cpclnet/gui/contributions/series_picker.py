"""Dialog that asks which DICOM series of a folder to open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_cpclnet.gui.contributions.series_choice import COLUMNS, REMARKS, Row, first_choice, headline, rows
from napari_cpclnet.gui.widgets.record_table import RIGHT, RecordTable, words
from napari_cpclnet.gui.widgets.style import MARGIN, spaced, style_sheet

if TYPE_CHECKING:
    from napari_cpclnet.imaging.dicom import Listing, SeriesInfo

NAME_WIDTH = 260
NUMBERS = (2, 3, 4)
HEADER_STYLE = "QHeaderView::section { border: 0px; padding: 5px 4px; background: transparent; }"


class SeriesPicker(QDialog):
    """Table of the series of a folder; several may be chosen.

    Parameters
    ----------
    folder
        Named above the table.
    listing
        What it holds.
    parent
        napari's window.
    theme
        napari's theme.
    """

    def __init__(
        self, folder: Path, listing: Listing, parent: QWidget | None = None, theme: str = "dark"
    ) -> None:
        super().__init__(parent)
        self._rows = rows(listing)
        self.setWindowTitle("Open DICOM series")
        self.setStyleSheet(style_sheet(theme) + HEADER_STYLE)
        title = QLabel(headline(folder, listing))
        title.setObjectName("heading")
        hint = QLabel("Ctrl or Shift chooses several; double-click opens one.")
        hint.setObjectName("muted")
        self.table = self._table()
        skipped = QLabel("\n".join(listing.skipped))
        skipped.setObjectName("muted")
        skipped.setWordWrap(True)
        skipped.setVisible(bool(listing.skipped))
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel
        )
        self.open_button = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        self.open_button.setObjectName("run")
        for button in self.buttons.buttons():
            button.setIcon(QIcon())  # the desktop's coloured signs are no part of napari's looks
        self.open_button.setToolTip("Open each chosen series as a layer of its own.")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.table.cellDoubleClicked.connect(self._on_double_click)
        column = spaced(QVBoxLayout(self), 2 * MARGIN)
        for widget in (title, hint, self.table, skipped, self.buttons):
            column.addWidget(widget, stretch=int(widget is self.table))
        self.resize(1080, min(640, 210 + 30 * len(self._rows)))
        self.table.selectRow(first_choice(self._rows))
        self._on_selection()

    def chosen(self) -> list[SeriesInfo]:
        """Chosen series in the order of the table."""
        lines = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return [self._rows[line].info for line in lines if self._rows[line].usable]

    def _table(self) -> RecordTable:
        table = RecordTable(dict.fromkeys(COLUMNS, ""))
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setTextElideMode(Qt.TextElideMode.ElideRight)
        table.verticalHeader().setDefaultSectionSize(30)
        table.add_rows(
            (row, [self._item(row, place, text) for place, text in enumerate(row.cells)])
            for row in self._rows
        )
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for place in NUMBERS:
            table.horizontalHeaderItem(place).setTextAlignment(RIGHT)
        table.resizeColumnsToContents()
        for place in range(REMARKS):
            wide = table.columnWidth(place) + 2 * MARGIN
            table.setColumnWidth(place, min(wide, NAME_WIDTH) if place == 0 else wide)
        header.setSectionResizeMode(REMARKS, QHeaderView.ResizeMode.Stretch)
        return table

    def _item(self, row: Row, place: int, text: str) -> QTableWidgetItem:
        item = words(text, row.tip)
        if place in NUMBERS:
            item.setTextAlignment(RIGHT)
        if not row.usable:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
        return item

    def _on_selection(self) -> None:
        n = len(self.chosen())
        self.open_button.setEnabled(n > 0)
        self.open_button.setText("Open" if n < 2 else f"Open {n} series")

    def _on_double_click(self, line: int, _place: int) -> None:
        if self._rows[line].usable:
            self.table.clearSelection()
            self.table.selectRow(line)
            self.accept()


def pick_series(
    folder: Path, listing: Listing, parent: QWidget | None = None, theme: str = "dark"
) -> list[SeriesInfo]:
    """Ask; nothing if the user cancels."""
    dialog = SeriesPicker(folder, listing, parent, theme)
    try:
        return dialog.chosen() if dialog.exec() == QDialog.DialogCode.Accepted else []
    finally:
        dialog.deleteLater()
