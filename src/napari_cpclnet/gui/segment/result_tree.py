"""Table of results: one group per scan, one row per class with its volume and the Dice to expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QHeaderView, QStyledItemDelegate, QTreeWidget, QTreeWidgetItem

from napari_cpclnet.gui.layers.class_names import Color
from napari_cpclnet.gui.widgets.class_table import swatch
from napari_cpclnet.project.schema import FOUND_BY

NAME, VOLUME, SURE = range(3)
ROW_HEIGHT, MOST_ROWS = 24, 6
ROLE = Qt.ItemDataRole.UserRole
WARNING = QColor(232, 152, 56)
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class ClassResult:
    """One class of a scan; ``volume`` with its unit, ``confidence`` from 0 to 1, None where nothing was found."""

    name: str
    color: Color
    volume: str
    confidence: float | None
    seems_absent: bool
    means: str = ""
    goes_on: bool = False


@dataclass(frozen=True, eq=False)
class ResultRow:
    """One scan: ``key`` tells who it is, ``remark`` what was corrected."""

    key: Any
    name: str
    remark: str
    classes: Sequence[ClassResult]


class ResultTree(QTreeWidget):
    """Emits `picked(key)` when a row of a scan is clicked."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setColumnCount(3)
        self.setHeaderLabels(["Class", "ml", "Confidence"])
        self.headerItem().setToolTip(VOLUME, "Volume, with your corrections.")
        self.headerItem().setToolTip(SURE, "Overlap with the truth (Dice) to expect.")
        for column in (VOLUME, SURE):
            self.headerItem().setTextAlignment(column, RIGHT)
        self.setToolTip(
            "What was found in each scan. Click to look at it.\n"
            "Confidence: the overlap with the truth (Dice) that such results had in scans whose\n"
            "labels are known; 'not found?' where it is low or the scan seems not to show the class."
        )
        self.setRootIsDecorated(False)
        self.setItemsExpandable(False)
        self.setIndentation(12)
        self.setUniformRowHeights(True)
        self.setItemDelegate(_Rows(self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column in (VOLUME, SURE):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.itemClicked.connect(self._on_item)
        self.itemActivated.connect(self._on_item)

    def show_results(self, rows: Sequence[ResultRow]) -> None:
        """Replace everything."""
        scrolled = self.verticalScrollBar().value()
        self.clear()
        count = 0
        for row in rows:
            top = QTreeWidgetItem(self, [row.name])
            top.setFirstColumnSpanned(True)
            font = top.font(NAME)
            font.setBold(True)
            top.setFont(NAME, font)
            top.setToolTip(NAME, row.name)
            for one in row.classes:
                top.addChild(_class_item(one))
            if row.remark:
                remark = QTreeWidgetItem(top, [row.remark])
                remark.setFirstColumnSpanned(True)
                remark.setToolTip(NAME, "These voxels stay as they are when the scan is labelled again.")
                font = remark.font(NAME)
                font.setItalic(True)
                remark.setFont(NAME, font)
            for item in (top, *(top.child(n) for n in range(top.childCount()))):
                item.setData(NAME, ROLE, row.key)
            top.setExpanded(True)
            count += 1 + top.childCount()
        height = self.header().sizeHint().height() + ROW_HEIGHT * min(count, MOST_ROWS)
        self.setFixedHeight(height + 2 * self.frameWidth() + 6)
        self.verticalScrollBar().setValue(scrolled)

    def texts(self) -> list[tuple[str, str, str]]:
        """What is written in all rows, from top to bottom."""
        found = []
        for number in range(self.topLevelItemCount()):
            top = self.topLevelItem(number)
            for item in (top, *(top.child(n) for n in range(top.childCount()))):
                found.append((item.text(NAME), item.text(VOLUME), item.text(SURE)))
        return found

    def _on_item(self, item: QTreeWidgetItem) -> None:
        self.picked.emit(item.data(NAME, ROLE))


def _class_item(row: ClassResult) -> QTreeWidgetItem:
    sure = "–" if row.confidence is None else f"{100 * row.confidence:.0f} %"
    item = QTreeWidgetItem([row.name, row.volume, "not found?" if row.seems_absent else sure])
    item.setIcon(NAME, swatch(row.color))
    for column in (VOLUME, SURE):
        item.setTextAlignment(column, RIGHT)
    tip = f"{row.name}: {row.volume}, expected Dice {sure}"
    if row.seems_absent:
        item.setForeground(SURE, QBrush(WARNING))
        tip = f"{tip}.\nThis scan does not seem to show {row.name}: look before you trust it."
    if row.means:
        tip = f"{tip}.\nFound by {FOUND_BY[row.means]}."
    if row.goes_on:
        tip = (
            f"{tip}\nIt was taken to end at its outermost painted slices: paint it to its ends if it goes on."
        )
    for column in (NAME, VOLUME, SURE):
        item.setToolTip(column, tip)
    return item


class _Rows(QStyledItemDelegate):
    def sizeHint(self, option: Any, index: Any) -> QSize:  # noqa: N802
        return QSize(super().sizeHint(option, index).width() + 6, ROW_HEIGHT)
