"""Tables to read: one record a row, picked as a whole."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QTableWidget

from napari_cpclnet.gui.widgets.class_table import ROW_HEIGHT


class RowTable(QTableWidget):
    """Table whose cells are not edited and whose rows are selected one at a time.

    Parameters
    ----------
    columns : int
    """

    def __init__(self, columns: int) -> None:
        super().__init__(0, columns)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
