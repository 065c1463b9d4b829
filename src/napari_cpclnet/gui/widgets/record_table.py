"""Table of records, one a row, which stay together however the table is sorted."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

ROW_HEIGHT = 24
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
ROLE = Qt.ItemDataRole.UserRole


class RecordTable(QTableWidget):
    """Table whose rows stand for a record each and are selected one at a time; its cells are not edited as a rule.

    Parameters
    ----------
    columns
        Heads of the columns, and their tooltips.
    left
        Columns whose heads stand at the left.
    editable
        Whether cells may be edited.
    """

    def __init__(
        self, columns: Mapping[str, str], left: Collection[int] = (), *, editable: bool = False
    ) -> None:
        super().__init__(0, len(columns))
        self.setHorizontalHeaderLabels(list(columns))
        for column, tip in enumerate(columns.values()):
            self.horizontalHeaderItem(column).setToolTip(tip)
        for column in left:
            self.horizontalHeaderItem(column).setTextAlignment(LEFT)
        self.horizontalHeader().setHighlightSections(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        if not editable:
            self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)

    def sort_when_asked(self) -> None:
        """Sort by a column once its head is clicked; until then rows stay as they come."""
        self.setSortingEnabled(True)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)

    def clear_rows(self) -> None:
        """Take everything out."""
        self.setRowCount(0)

    def add_rows(self, rows: Iterable[tuple[Any, Iterable[QTableWidgetItem]]]) -> None:
        """Append records with their cells; they go where the sorting puts them."""
        sorted_ = self.isSortingEnabled()
        self.setSortingEnabled(False)  # an item that is set would move the row at once
        for record, items in rows:
            number = self.rowCount()
            self.insertRow(number)
            for column, item in enumerate(items):
                self.setItem(number, column, item)
            self.item(number, 0).setData(ROLE, record)
        self.setSortingEnabled(sorted_)

    def row_of(self, number: int) -> Any:
        """The record in a row, as the table is sorted now."""
        return self.item(number, 0).data(ROLE)

    def rows(self) -> list[Any]:
        """All records from top to bottom."""
        return [self.row_of(number) for number in range(self.rowCount())]


class Number(QTableWidgetItem):
    """Cell that is sorted by its number, not by its text; what has none comes first from below."""

    def __init__(self, value: float, text: str) -> None:
        super().__init__(text)
        self.value = -math.inf if math.isnan(value) else value
        self.setTextAlignment(RIGHT)

    def __lt__(self, other: Any) -> bool:
        return self.value < other.value


def words(text: str, tip: str = "", icon: QIcon | None = None) -> QTableWidgetItem:
    """Cell with a text, which is its tooltip where there is no other."""
    item = QTableWidgetItem(text)
    item.setToolTip(tip or text)
    if icon is not None:
        item.setIcon(icon)
    return item
