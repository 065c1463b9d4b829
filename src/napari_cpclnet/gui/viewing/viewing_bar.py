"""Row of buttons above the panel's sections: how scans are looked at, and the table of statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_cpclnet.gui.statistics.dock import StatisticsDock
from napari_cpclnet.gui.viewing.surface_control import SurfaceControl
from napari_cpclnet.gui.viewing.window_row import WindowRow
from napari_cpclnet.gui.widgets.style import MARGIN, SPACING

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session


class ViewingBar(QWidget):
    """Always in sight, however far the sections are scrolled; emits `message(text, is_error)`."""

    message = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.statistics_dock = StatisticsDock(session, self)
        self.surfaces = SurfaceControl(session, self)
        self.surfaces.message.connect(self.message)
        self.window_row = WindowRow(session)
        self._row = QHBoxLayout()
        self._row.setSpacing(SPACING)
        column = QVBoxLayout(self)
        column.setContentsMargins(MARGIN, SPACING, MARGIN, 0)
        column.setSpacing(SPACING)
        column.addLayout(self._row)
        column.addWidget(self.window_row)
        self.in_3d = self._button(
            "3-D",
            "Show the result of the scan in view as smooth surfaces in the colours of its classes, without the scan;\n"
            "press it again for the slices as they were. Drag to turn.",
            self.surfaces.toggle,
        )
        self.in_3d.setCheckable(True)
        self.surfaces.changed.connect(self.in_3d.setChecked)
        self.statistics = self._button(
            "Statistics",
            "Show volume, grey values, SUVpeak, axial diameters and components of each class below the canvas;\n"
            "for the scan in view or all scans, to be copied or saved.",
            self.statistics_dock.toggle,
        )

    def _button(self, text: str, tip: str, action: Callable[[], object]) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName("small")
        button.setToolTip(tip)
        button.clicked.connect(lambda: action())
        self._row.addWidget(button, stretch=1)
        return button
