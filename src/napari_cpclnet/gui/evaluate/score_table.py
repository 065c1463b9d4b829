"""Sortable table of an evaluation's results; a row leads to its case."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QTableWidgetItem

from napari_cpclnet.gui.widgets.record_table import Number, RecordTable, words

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


class ScoreTable(RecordTable):
    """Emits `picked(CaseResult)` when a row is clicked or chosen by Enter."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__({head: tip for head, (tip, _) in HEADERS.items()})
        self.setToolTip("Click a row to see its errors on the scan; click a heading to sort.")
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setMinimumSectionSize(30)
        for column, (_, width) in enumerate(HEADERS.values()):
            self.setColumnWidth(column, width)
        self.sort_when_asked()
        self.cellClicked.connect(lambda row, _column: self.picked.emit(self.row_of(row)))
        self.cellActivated.connect(lambda row, _column: self.picked.emit(self.row_of(row)))

    def add(self, results: Iterable[CaseResult]) -> None:
        """Append results; they go where the sorting puts them."""
        self.add_rows((result, _items(result)) for result in results)

    def results(self) -> tuple[CaseResult, ...]:
        """All results in the order of the rows."""
        return tuple(self.rows())


def _number(value: float, form: str, absent: bool) -> Number:
    """What has no meaning comes first from below, as a value below all."""
    if math.isfinite(value):
        return Number(value, format(value, form))
    item = Number(math.nan, "–")
    why = "the scan does not show the organ" if absent else "nothing was predicted"
    item.setToolTip(f"Without meaning here: {why}.")
    return item


def _items(result: CaseResult) -> list[QTableWidgetItem]:
    modalities = f"{result.support_modality} → {result.query_modality}"
    patients = f"{result.support_patient} → {result.query_patient}"
    pair = f"{modalities}, {patients}"
    tip = f"{modalities}\n{patients}\n{result.protocol}, {result.shots} painted slices"
    tip = f"{result.organ}, {result.method}\n{tip}"
    items = [words(text, tip) for text in (result.organ, pair, result.method)]
    numbers = (
        (result.dice, ".3f"),
        (result.surface_dice, ".3f"),
        (result.hd95_mm, ".1f"),
        (result.false_ml, ".1f"),
        (result.seconds, ".1f"),
    )
    return [*items, *(_number(value, form, result.absent) for value, form in numbers)]
