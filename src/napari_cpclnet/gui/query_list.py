"""List of the open scans with tick boxes: which ones to label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_cpclnet.gui.fit_rows import fit_rows

if TYPE_CHECKING:
    from napari.layers import Layer


@dataclass(frozen=True, eq=False)
class QueryRow:
    """One scan; ``reason`` says why it cannot be used, if so."""

    layer: Layer
    ticked: bool
    remark: str = ""
    reason: str = ""


class QueryList(QListWidget):
    """Emits `ticked(layer, bool)` when a box was changed and `picked(layer)` when a name was clicked."""

    ticked = Signal(object, bool)
    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[QueryRow] = []
        self.setToolTip("Tick the scans to label; they run in turn.\nClick a name to see that scan alone.")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.itemChanged.connect(self._on_changed)
        self.itemClicked.connect(lambda item: self._pick(self.row(item)))
        self.itemActivated.connect(lambda item: self._pick(self.row(item)))

    def show_rows(self, rows: Sequence[QueryRow]) -> None:
        """Replace the rows; no signal is sent."""
        current = self.currentRow()
        self._rows = list(rows)
        with QSignalBlocker(self):
            self.clear()
            for row in self._rows:
                item = QListWidgetItem(f"{row.layer.name}  {row.remark}".rstrip())
                item.setCheckState(Qt.CheckState.Checked if row.ticked else Qt.CheckState.Unchecked)
                if row.reason:
                    item.setFlags(Qt.ItemFlag.NoItemFlags)
                    item.setToolTip(row.reason)
                self.addItem(item)
            self.setCurrentRow(min(current, self.count() - 1))
        fit_rows(self, len(rows), least=1, most=6)

    def _on_changed(self, item: QListWidgetItem) -> None:
        row = self._rows[self.row(item)]
        self.ticked.emit(row.layer, item.checkState() == Qt.CheckState.Checked)

    def _pick(self, number: int) -> None:
        if not self._rows[number].reason:
            self.picked.emit(self._rows[number].layer)
