"""Table of support slices: one group per painted scan, one row per slice with its picture and its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, QRect, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import (
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
)

from napari_cpclnet.gui.layers.class_names import Color
from napari_cpclnet.gui.layers.support_slices import PaintedSlice, SupportPair
from napari_cpclnet.gui.layers.view import OWN_COUNT

GROUP_HEIGHT, SLICE_HEIGHT, PICTURE = 28, 56, 52
# A dot in a class's colour, and the room behind it.
DOT = 12
MOST_HEIGHT = GROUP_HEIGHT + 4 * SLICE_HEIGHT + 12
ROLE = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class SliceRow:
    """One slice: the classes on it with their colours."""

    entry: PaintedSlice
    classes: tuple[tuple[str, Color], ...]
    picture: np.ndarray | None = None


@dataclass(frozen=True)
class GroupRow:
    """One scan with its labels; ``modality`` as far as it is known; ``filled``: slices that have no rows."""

    pair: SupportPair
    modality: str
    active: bool
    slices: Sequence[SliceRow] = field(default_factory=tuple)
    filled: tuple[PaintedSlice, ...] = ()


class SupportTree(QTreeWidget):
    """Emits what the user asks for; it changes nothing by itself.

    `picked(entry)`: go there; `activated_pair(pair)`: paint there; `ticked(entries, on)`; `remove(entries)`;
    `marked_partial(entries, on)`.
    """

    picked = Signal(object)
    activated_pair = Signal(object)
    ticked = Signal(object, bool)
    remove = Signal(object)
    marked_partial = Signal(object, bool)

    def __init__(self) -> None:
        super().__init__()
        self._shown: Any = None
        self._was_toggled = False
        self.setHeaderHidden(True)
        self.setRootIsDecorated(True)
        self.setIndentation(12)
        self.setUniformRowHeights(False)
        self.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QTreeWidget.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setIconSize(QSize(PICTURE, PICTURE))
        self.setItemDelegate(_Delegate(self))
        self.setToolTip(
            "Slices that teach the network, as it sees them: painted ones and ones marked empty.\n"
            "Untick what it should not learn from. Click a slice to go there, a scan to paint on it."
        )
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._menu)
        self.itemClicked.connect(self._on_item)
        self.itemActivated.connect(self._on_item)
        self.itemChanged.connect(self._on_changed)
        self.itemExpanded.connect(lambda _item: self._fit())
        self.itemCollapsed.connect(lambda _item: self._fit())

    def show_groups(self, groups: Sequence[GroupRow]) -> None:
        """Replace everything; no signal is sent. What is open, selected and scrolled to stays so."""
        shown = [
            (
                g.pair,
                (g.modality, g.filled),
                g.active,
                [(row.entry, row.classes, id(row.picture)) for row in g.slices],
            )
            for g in groups
        ]
        before, self._shown = self._shown, shown
        if shown == before or self._update(groups, before, shown):
            return
        known = {
            (row.pair, row.active): top.isExpanded() for top in self._tops() for row in [top.data(0, ROLE)]
        }
        selected = {_key(entry) for entry in self.chosen()}
        scrolled = self.verticalScrollBar().value()
        with QSignalBlocker(self):
            self.clear()
            for group in groups:
                top = QTreeWidgetItem(self)
                self._fill_group(top, group)
                for row in group.slices:
                    item = QTreeWidgetItem()
                    self._fill_slice(item, row)
                    top.addChild(item)
                    item.setSelected(_key(row.entry) in selected)
                # A group stays open or closed until it becomes the one to paint on, or is it no more.
                top.setExpanded(known.get((group.pair, group.active), group.active))
        self.setVisible(bool(groups))
        self._fit()
        self.verticalScrollBar().setValue(scrolled)

    def _update(self, groups: Sequence[GroupRow], before: Any, shown: Any) -> bool:
        """Change rows in place, which is quick, if they are of the same slices as before."""
        if before is None or _slices_of(before) != _slices_of(shown):
            return False
        with QSignalBlocker(self):
            for top, group, old, new in zip(self._tops(), groups, before, shown, strict=True):
                self._fill_group(top, group)
                for number, row in enumerate(group.slices):
                    if old[3][number] != new[3][number]:
                        self._fill_slice(top.child(number), row)
        self.viewport().update()
        return True

    def entries(self, pair: SupportPair | None = None) -> list[PaintedSlice]:
        """Slices shown, of one pair or of all."""
        return [
            item.data(0, ROLE).entry
            for top in self._tops()
            if pair is None or top.data(0, ROLE).pair == pair
            for item in _children(top)
        ]

    def open_entries(self) -> list[PaintedSlice]:
        """Slices of the groups that are open."""
        return [e for top in self._tops() if top.isExpanded() for e in self.entries(top.data(0, ROLE).pair)]

    def chosen(self) -> list[PaintedSlice]:
        """Selected slices."""
        rows = (item.data(0, ROLE) for item in self.selectedItems())
        return [row.entry for row in rows if isinstance(row, SliceRow)]

    def select(self, entry: PaintedSlice) -> None:
        """Highlight a slice without going there."""
        with QSignalBlocker(self):
            self.clearSelection()
            for top in self._tops():
                for item in _children(top):
                    if _key(item.data(0, ROLE).entry) == _key(entry):
                        top.setExpanded(True)
                        item.setSelected(True)
                        self.scrollToItem(item)
        self._fit()

    def set_picture(self, entry: PaintedSlice, picture: np.ndarray) -> None:
        """Show the picture of a slice."""
        with QSignalBlocker(self):
            for top in self._tops():
                for item in _children(top):
                    if _key(item.data(0, ROLE).entry) == _key(entry):
                        item.setIcon(0, _icon(picture))

    def _fill_group(self, item: QTreeWidgetItem, group: GroupRow) -> None:
        item.setData(0, ROLE, group)
        item.setText(0, group.pair.scan.name)
        font = item.font(0)
        font.setBold(group.active)
        item.setFont(0, font)
        used = sum(row.entry.ticked for row in group.slices)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        states = {0: Qt.CheckState.Unchecked, len(group.slices): Qt.CheckState.Checked}
        item.setCheckState(0, states.get(used, Qt.CheckState.PartiallyChecked))
        item.setToolTip(0, _group_tip(group, used))

    def _fill_slice(self, item: QTreeWidgetItem, row: SliceRow) -> None:
        entry = row.entry
        item.setData(0, ROLE, row)
        item.setText(0, f"Slice {entry.index}" + (" · partial" if entry.partial else ""))
        item.setFlags(
            Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable
        )
        item.setCheckState(0, Qt.CheckState.Checked if entry.ticked else Qt.CheckState.Unchecked)
        item.setIcon(0, _icon(row.picture))
        empty = "background only" if entry.partial else "marked as empty: no class"
        names = ", ".join(name for name, _ in row.classes) or empty
        if entry.partial:
            names += "\nPartial: what is not painted on it is unknown."
        if entry.crossed:
            names += "\nOnly strokes of another view cross it. Tick it if everything on it is painted."
        item.setToolTip(
            0,
            f"{entry.plane} slice {entry.index} of {entry.pair.scan.name} ({entry.pair.labels.name}):\n{names}\n"
            f"{OWN_COUNT}",
        )

    def _tops(self) -> list[QTreeWidgetItem]:
        return [self.topLevelItem(number) for number in range(self.topLevelItemCount())]

    def _fit(self) -> None:
        rows = sum(GROUP_HEIGHT + SLICE_HEIGHT * top.childCount() * top.isExpanded() for top in self._tops())
        self.setFixedHeight(min(rows, MOST_HEIGHT) + 2 * self.frameWidth() + 6)

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Forget the click before, which may have been answered."""
        self._was_toggled = False
        super().mousePressEvent(event)

    def _on_item(self, item: QTreeWidgetItem) -> None:
        if self._was_toggled:  # the click was for the tick box
            return
        row = item.data(0, ROLE)
        if isinstance(row, SliceRow):
            self.picked.emit(row.entry)
        else:
            self.activated_pair.emit(row.pair)

    def _on_changed(self, item: QTreeWidgetItem) -> None:
        self._was_toggled = True
        row, on = item.data(0, ROLE), item.checkState(0) == Qt.CheckState.Checked
        if isinstance(row, SliceRow):
            self.ticked.emit([row.entry], on)
        else:
            self.ticked.emit([*(one.entry for one in row.slices), *row.filled], on)

    def _menu(self, position: QPoint) -> None:
        item = self.itemAt(position)
        if item is None or not isinstance(item.data(0, ROLE), SliceRow):
            return
        entries = self.chosen() or [item.data(0, ROLE).entry]
        menu = QMenu(self)
        menu.addAction("Go there", lambda: self.picked.emit(entries[0]))
        menu.addAction("Learn from it", lambda: self.ticked.emit(entries, True))
        menu.addAction("Do not learn from it", lambda: self.ticked.emit(entries, False))
        if painted := [entry for entry in entries if not entry.absent]:
            menu.addSeparator()
            menu.addAction("Partial: unpainted is unknown", lambda: self.marked_partial.emit(painted, True))
            menu.addAction(
                "Complete: unpainted is background", lambda: self.marked_partial.emit(painted, False)
            )
        menu.addSeparator()
        menu.addAction("Remove (Ctrl+Z brings the paint back)", lambda: self.remove.emit(entries))
        menu.exec(self.viewport().mapToGlobal(position))


class _Delegate(QStyledItemDelegate):
    """Draws, right of the picture, the slice's number over its classes with dots in their colours."""

    def sizeHint(self, _option: Any, index: Any) -> QSize:  # noqa: N802
        return QSize(100, SLICE_HEIGHT if isinstance(index.data(ROLE), SliceRow) else GROUP_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Any) -> None:
        row = index.data(ROLE)
        style = QStyleOptionViewItem(option)
        self.initStyleOption(style, index)
        text, style.text = style.text, ""
        widget = self.parent()
        widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, style, painter, widget)
        style.text = text
        place = widget.style().subElementRect(QStyle.SubElement.SE_ItemViewItemText, style, widget)
        place.setRight(option.rect.right() - 6)
        painter.save()
        painter.setFont(style.font)
        color = widget.palette().color(widget.foregroundRole())
        muted = QColor(color)
        muted.setAlphaF(0.65)
        if isinstance(row, SliceRow):
            self._paint_slice(painter, place, row, text, (color if row.entry.ticked else muted, muted))
        else:
            self._paint_group(painter, place, row, text, (color, muted))
        painter.restore()

    def _paint_slice(
        self, painter: QPainter, place: QRect, row: SliceRow, text: str, colors: tuple[QColor, QColor]
    ) -> None:
        metrics = painter.fontMetrics()
        line = metrics.height() + 3
        top = place.center().y() - line
        painter.setPen(colors[0])
        painter.drawText(QRect(place.left(), top, place.width(), line), Qt.AlignmentFlag.AlignVCenter, text)
        x, middle = place.left(), top + line + line // 2
        if not row.classes:
            where = QRect(x, top + line, place.width(), line)
            painter.setPen(colors[1])
            painter.drawText(
                where, Qt.AlignmentFlag.AlignVCenter, "background only" if row.entry.partial else "∅  empty"
            )
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        named = True
        for number, (name, color) in enumerate(row.classes):
            left = place.right() - x - DOT * (len(row.classes) - number - 1)
            # Names as long as there is room, then dots only.
            named = named and (number == 0 or DOT + metrics.horizontalAdvance(name) <= left)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(*color))
            painter.drawEllipse(QPoint(x + 4, middle), 4, 4)
            x += DOT
            if named:
                painter.setPen(colors[1])
                shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, left - DOT)
                painter.drawText(QRect(x, top + line, left - DOT, line), Qt.AlignmentFlag.AlignVCenter, shown)
                x += metrics.horizontalAdvance(shown) + 8

    def _paint_group(
        self, painter: QPainter, place: QRect, row: GroupRow, text: str, colors: tuple[QColor, QColor]
    ) -> None:
        used, count = sum(one.entry.ticked for one in row.slices), len(row.slices)
        filled = f"{len(row.filled)} filled" if row.filled else ""
        tail = "  ·  ".join(part for part in (row.modality, f"{used} of {count}", filled) if part)
        width = painter.fontMetrics().horizontalAdvance(tail)
        painter.setPen(colors[1])
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.drawText(place, right, tail)
        painter.setPen(colors[0])
        name = painter.fontMetrics().elidedText(
            text, Qt.TextElideMode.ElideMiddle, place.width() - width - 10
        )
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, name)


def _slices_of(shown: Any) -> list[Any]:
    return [(pair, active, [_key(entry) for entry, _, _ in rows]) for pair, _, active, rows in shown]


def _children(top: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    return [top.child(number) for number in range(top.childCount())]


def _key(entry: PaintedSlice) -> tuple[Any, ...]:
    return entry.pair, entry.plane, entry.index


def _group_tip(group: GroupRow, used: int) -> str:
    active = "You paint on this scan." if group.active else "Click to paint on this scan."
    pair, count = group.pair, len(group.slices)
    said = f"{pair.scan.name} with '{pair.labels.name}': {used} of {count} slices used."
    if group.filled:
        filled = sum(entry.ticked for entry in group.filled)
        said += f"\nBetween them {filled} of {len(group.filled)} filled and accepted slices are used."
    return f"{said}\n{active}"


def _icon(picture: np.ndarray | None) -> QIcon:
    pixmap = QPixmap(PICTURE, PICTURE)
    pixmap.fill(QColor(128, 128, 128, 48))  # until there is one
    if picture is not None:
        height, width = picture.shape[:2]
        image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        pixmap = QPixmap.fromImage(image)
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # Qt would tint it
    return icon
