"""List of slices to review: those on which the network is least certain."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QHeaderView, QTableWidgetItem

from napari_cpclnet.gui.layers.class_names import Color
from napari_cpclnet.gui.layers.view import OWN_COUNT
from napari_cpclnet.gui.widgets.class_table import swatch
from napari_cpclnet.gui.widgets.fit_rows import fit_rows
from napari_cpclnet.gui.widgets.record_table import Number, RecordTable, words

SLICE, CLASS, UNCERTAINTY, SCAN = range(4)
MUTED = QBrush(QColor(140, 146, 156))
CLASS_WIDTH = 100
# Worst first; nobody works off more.
MOST = 200


@dataclass(frozen=True, eq=False)
class UncertainRow:
    """One class on one slice of a scan; ``key`` tells whose, ``score`` is the uncertain share, 0 to 1.

    ``reviewed``: whether somebody looked at the slice and accepted it.
    """

    key: Any
    scan: str
    index: int
    name: str
    color: Color
    score: float
    reviewed: bool = False


# Letters.
LONG = 6


class UncertainSlices(RecordTable):
    """Emits `picked(key, index)` at a click; sorted by the column whose head was clicked."""

    picked = Signal(object, int)

    def __init__(self) -> None:
        super().__init__({"Slice": OWN_COUNT, "Class": "", "Uncert.": "", "Scan": ""}, (CLASS, SCAN))
        self.setToolTip(
            "Slices on which much of a class may be wrong, the worst first; painted slices never are.\n"
            "Click a row to go there, a column's head to sort."
        )
        header = self.horizontalHeader()
        header.setMinimumSectionSize(30)
        for column in (SLICE, UNCERTAINTY):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(SCAN, QHeaderView.ResizeMode.Stretch)
        self.setSortingEnabled(True)
        self.sortItems(UNCERTAINTY, Qt.SortOrder.DescendingOrder)
        self.currentCellChanged.connect(self._on_current)
        self.cellClicked.connect(lambda row, _column: self._pick(row))

    def show_rows(self, rows: Sequence[UncertainRow]) -> None:
        """Replace everything; the scan's name only where there are several. The order stays as it was chosen."""
        rows = sorted(rows, key=lambda row: -row.score)[:MOST]
        self.blockSignals(True)
        self.clear_rows()
        short = told_apart({row.scan for row in rows})
        self.add_rows((row, _items(row, short[row.scan])) for row in rows)
        self.clearSelection()
        self.setCurrentCell(-1, -1)
        self.blockSignals(False)
        several = len({row.scan for row in rows}) > 1
        self.setColumnHidden(SCAN, not several)
        # the last column takes the width that is left
        self.setColumnWidth(CLASS, CLASS_WIDTH)
        modes = QHeaderView.ResizeMode
        self.horizontalHeader().setSectionResizeMode(CLASS, modes.Interactive if several else modes.Stretch)
        fit_rows(self, self.rowCount(), least=1, most=4)

    def mark(self, key: Any, index: int) -> None:
        """Select the first row of a slice, as it is shown; no signal is sent."""
        rows = (
            row
            for row in range(self.rowCount())
            if self.row_of(row).key is key and self.row_of(row).index == index
        )
        row = next(rows, None)
        if row is not None:
            self.blockSignals(True)
            self.selectRow(row)
            self.blockSignals(False)
            self.scrollToItem(self.item(row, SLICE))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Leave letters to the window, where they are shortcuts; Qt would look for rows that begin so."""
        if event.text().strip():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _on_current(self, row: int, _column: int, before: int, _before: int) -> None:
        if row != before and self.hasFocus():  # by the arrow keys
            self._pick(row)

    def _pick(self, row: int) -> None:
        if 0 <= row < self.rowCount():
            found = self.row_of(row)
            self.picked.emit(found.key, found.index)


def told_apart(names: Collection[str]) -> dict[str, str]:
    """Names without a long beginning that they share, which would be all that is seen of them in a narrow column."""
    columns = zip(*names, strict=False)
    shared = (
        len(list(itertools.takewhile(lambda letters: len({*letters}) == 1, columns))) if len(names) > 1 else 0
    )
    return {name: name if shared < LONG else f"…{name[shared - 2 :]}" for name in names}


def _items(row: UncertainRow, scan: str) -> list[QTableWidgetItem]:
    number = Number(row.index, f"{'✓ ' if row.reviewed else ''}{row.index}")
    number.setToolTip(f"Slice {row.index} of {row.scan}. {OWN_COUNT}")
    score = Number(row.score, f"{100 * row.score:.0f} %")
    items = [number, words(row.name, icon=swatch(row.color)), score, words(scan, row.scan)]
    for item in items if row.reviewed else ():
        item.setForeground(MUTED)
    return items
