"""Sortable table of an evaluation's results; a row leads to its case."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_cpclnet.gui.widgets.class_table import ROW_HEIGHT

if TYPE_CHECKING:
    from napari_cpclnet.evaluation import CaseResult

ORGAN, PAIR, METHOD, DICE, SURFACE, HD95, FALSE_ML, SECONDS = range(8)
HEADERS = {
    "Organ": ("Class name, as in the truth.", 82),
    "From → to": ("Painted scan, and the scan that was labelled after it.", 72),
    "Method": ("The network, or a baseline.", 68),
    "Dice": ("Overlap with the truth, 0 to 1.", 52),
    "NSD (2 mm)": ("Normalised surface Dice at 2 mm: part of the two surfaces that agree, 0 to 1.", 52),
    "HD95": ("95th percentile of the surface distance in mm.", 52),
    "FP volume (ml)": ("False positive volume: predicted ml in slices without the organ.", 84),
    "s": ("Seconds of the prediction.", 48),
}
RESULT = Qt.ItemDataRole.UserRole
NUMBER = Qt.ItemDataRole.UserRole + 1


class ScoreTable(QTableWidget):
    """Emits `picked(CaseResult)` when a row is clicked or chosen by Enter."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__(0, len(HEADERS))
        self.setHorizontalHeaderLabels(list(HEADERS))
        self.setToolTip("Click a row to see its errors on the scan; click a heading to sort.")
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setMinimumSectionSize(30)
        for column, (tip, width) in enumerate(HEADERS.values()):
            self.horizontalHeaderItem(column).setToolTip(tip)
            self.setColumnWidth(column, width)
        self.setSortingEnabled(True)
        header.setSortIndicator(
            -1, Qt.SortOrder.AscendingOrder
        )  # in the order of arrival until one is clicked
        self.cellClicked.connect(lambda row, _column: self._pick(row))
        self.cellActivated.connect(lambda row, _column: self._pick(row))

    def clear_rows(self) -> None:
        """Take everything out."""
        self.setRowCount(0)

    def add(self, results: Iterable[CaseResult]) -> None:
        """Append results; they go where the sorting puts them."""
        self.setSortingEnabled(False)  # an item that is set would move the row at once
        for result in results:
            row = self.rowCount()
            self.insertRow(row)
            for column, item in enumerate(_items(result)):
                item.setData(RESULT, result)
                self.setItem(row, column, item)
        self.setSortingEnabled(True)

    def results(self) -> tuple[CaseResult, ...]:
        """All results in the order of the rows."""
        return tuple(self.item(row, ORGAN).data(RESULT) for row in range(self.rowCount()))

    def _pick(self, row: int) -> None:
        self.picked.emit(self.item(row, ORGAN).data(RESULT))


class _Number(QTableWidgetItem):
    """Sorted by value; what has no meaning comes first from below, as a value below all."""

    def __init__(self, value: float, form: str, absent: bool) -> None:
        known = math.isfinite(value)
        super().__init__(format(value, form) if known else "–")
        self.setData(NUMBER, value if known else -math.inf)
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if not known:
            why = "the scan does not show the organ" if absent else "nothing was predicted"
            self.setToolTip(f"Without meaning here: {why}.")

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return bool(self.data(NUMBER) < other.data(NUMBER))


def _items(result: CaseResult) -> list[QTableWidgetItem]:
    modalities = f"{result.support_modality} → {result.query_modality}"
    patients = f"{result.support_patient} → {result.query_patient}"
    pair = f"{modalities}, {patients}"
    tip = f"{modalities}\n{patients}\n{result.protocol}, {result.shots} painted slices"
    items = [QTableWidgetItem(text) for text in (result.organ, pair, result.method)]
    for item in items:
        item.setToolTip(f"{result.organ}, {result.method}\n{tip}")
    numbers = (
        (result.dice, ".3f"),
        (result.surface_dice, ".3f"),
        (result.hd95_mm, ".1f"),
        (result.false_ml, ".1f"),
        (result.seconds, ".1f"),
    )
    return [*items, *(_Number(value, form, result.absent) for value, form in numbers)]
