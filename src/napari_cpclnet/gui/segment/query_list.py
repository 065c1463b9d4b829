"""List of the scans to label, open ones and files, with tick boxes and how far each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from qtpy.QtCore import QPoint, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import (
    QListWidget,
    QListWidgetItem,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from napari_cpclnet.gui.layers.scan_layers import FileScan
from napari_cpclnet.gui.session.meaning import MEANINGS, Meaning, words
from napari_cpclnet.gui.session.queries import QuerySource, QueryState, QueryStatus
from napari_cpclnet.gui.widgets.fit_rows import fit_rows

ROLE = Qt.ItemDataRole.UserRole
# On a dark background, and on a light one.
FAILED = QColor(236, 106, 108), QColor(178, 34, 40)
DONE = QColor(98, 190, 130), QColor(20, 110, 60)


@dataclass(frozen=True, eq=False)
class QueryRow:
    """One scan; ``reason`` says why it cannot be used, if so."""

    source: QuerySource
    ticked: bool
    remark: str = ""
    reason: str = ""
    status: QueryStatus = field(default_factory=QueryStatus)
    meaning: Meaning | None = None


class QueryList(QListWidget):
    """Emits what the user asks for.

    `ticked(source, bool)`, `picked(source)` at a click on a name, `opened(source)` at a double click, and
    `said(source, meaning)` where the user says what modality and unit a scan has.
    """

    ticked = Signal(object, bool)
    picked = Signal(object)
    opened = Signal(object)
    said = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[QueryRow] = []
        self.setToolTip(
            "Tick the scans to label; they run in turn. Click a name to see that scan alone,\n"
            "double-click a file to open it with its result. A right click sets modality and unit."
        )
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.setItemDelegate(_Delegate(self))
        self.itemChanged.connect(self._on_changed)
        self.itemClicked.connect(lambda item: self._send(self.picked, item))
        self.itemActivated.connect(lambda item: self._send(self.picked, item))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.itemDoubleClicked.connect(lambda item: self._send(self.opened, item))

    def show_rows(self, rows: Sequence[QueryRow]) -> None:
        """Replace the rows; no signal is sent."""
        selected, current = self.chosen(), self.currentRow()
        scrolled = self.verticalScrollBar().value()
        self._rows = list(rows)
        with QSignalBlocker(self):
            self.clear()
            for row in self._rows:
                item = QListWidgetItem(f"{row.source.name}  {row.remark}".rstrip())
                item.setData(ROLE, row)
                item.setCheckState(Qt.CheckState.Checked if row.ticked else Qt.CheckState.Unchecked)
                if row.reason:
                    item.setFlags(Qt.ItemFlag.NoItemFlags)
                item.setToolTip(row.reason or _tip(row))
                self.addItem(item)
                item.setSelected(row.source in selected)
            if not selected:
                self.setCurrentRow(min(current, self.count() - 1))
        fit_rows(self, len(rows), least=1, most=6)
        self.verticalScrollBar().setValue(scrolled)

    def chosen(self) -> list[QuerySource]:
        """Selected scans."""
        return [item.data(ROLE).source for item in self.selectedItems()]

    def _on_changed(self, item: QListWidgetItem) -> None:
        self.ticked.emit(item.data(ROLE).source, item.checkState() == Qt.CheckState.Checked)

    def _menu(self, position: QPoint) -> None:
        item = self.itemAt(position)
        if item is None or item.data(ROLE).reason:
            return
        row, menu = item.data(ROLE), QMenu(self)
        for meaning, text in MEANINGS.items():
            action = menu.addAction(text, lambda meaning=meaning: self.said.emit(row.source, meaning))
            action.setCheckable(True)
            action.setChecked(meaning == row.meaning)
        menu.exec(self.viewport().mapToGlobal(position))

    def _send(self, signal: Any, item: QListWidgetItem) -> None:
        row = item.data(ROLE)
        if not row.reason:
            signal.emit(row.source)


class _Delegate(QStyledItemDelegate):
    """Writes the state of a scan at the right end of its row."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Any) -> None:
        row, widget = index.data(ROLE), self.parent()
        style = QStyleOptionViewItem(option)
        self.initStyleOption(style, index)
        text, style.text = style.text, ""
        widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, style, painter, widget)
        style.text = text
        place = widget.style().subElementRect(QStyle.SubElement.SE_ItemViewItemText, style, widget)
        place.setRight(option.rect.right() - 6)
        tail, color = _tail(row, widget.palette().color(widget.foregroundRole()))
        metrics = painter.fontMetrics()
        painter.save()
        painter.setPen(color)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, tail)
        if tail:
            place.setRight(place.right() - metrics.horizontalAdvance(tail) - 8)
        plain = widget.palette().color(widget.foregroundRole())
        plain.setAlphaF(0.45 if row.reason else 1.0)
        painter.setPen(plain)
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, place.width())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()


def _tail(row: QueryRow, plain: QColor) -> tuple[str, QColor]:
    muted = QColor(plain)
    muted.setAlphaF(0.65)
    status = row.status
    light = int(plain.lightness() < 128)  # dark writing
    state, color = status.state.value, muted
    if row.reason:
        return "cannot be used", muted
    if status.state is QueryState.FAILED:
        state, color = "failed", FAILED[light]
    elif status.state is QueryState.DONE:
        state, color = ("saved" if status.saved else "done"), DONE[light]
    elif status.state is QueryState.IDLE and isinstance(row.source, FileScan):
        state = "file"
    return " · ".join(part for part in (words(row.meaning), state) if part), color


def _tip(row: QueryRow) -> str:
    lines = [row.source.name]
    if known := words(row.meaning):
        lines.append(known)
    if isinstance(row.source, FileScan):
        lines.append(str(row.source.ref.path))
    if row.status.text:
        lines.append(row.status.text)
    if row.status.saved is not None:
        lines.append(f"Saved as {row.status.saved}")
    return "\n".join(lines)
