"""List of painted slices."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_cpclnet.gui.fit_rows import fit_rows


class SliceList(QListWidget):
    """Emits `picked(index)` when a slice was clicked or chosen by keyboard."""

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip("Slices that carry paint: only these teach the network.\nClick one to go there.")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.itemClicked.connect(self._on_item)
        self.itemActivated.connect(self._on_item)

    def show_slices(self, slices: Mapping[int, str]) -> None:
        """Replace the rows: slice index and its classes; no signal is sent."""
        current = self.currentItem()
        selected = None if current is None else current.data(Qt.ItemDataRole.UserRole)
        with QSignalBlocker(self):
            self.clear()
            for index, classes in sorted(slices.items()):
                item = QListWidgetItem(f"{index:>4}   {classes}")
                item.setData(Qt.ItemDataRole.UserRole, index)
                self.addItem(item)
                if index == selected:
                    self.setCurrentItem(item)
        self.setVisible(bool(slices))
        fit_rows(self, len(slices), least=1, most=5)

    def indices(self) -> list[int]:
        """Slices in the list."""
        return [self.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.count())]

    def select(self, index: int) -> None:
        """Highlight a slice without going there."""
        with QSignalBlocker(self):
            self.setCurrentRow(self.indices().index(index))

    def _on_item(self, item: QListWidgetItem) -> None:
        self.picked.emit(int(item.data(Qt.ItemDataRole.UserRole)))
