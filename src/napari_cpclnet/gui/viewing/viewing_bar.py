"""Row of buttons above the panel's sections: how scans are looked at, and the table of statistics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_cpclnet.gui.statistics.statistics_box import StatisticsBox
from napari_cpclnet.gui.viewing.canvas_overlay import CanvasOverlay
from napari_cpclnet.gui.viewing.planes_box import PlanesBox
from napari_cpclnet.gui.viewing.surface_control import SurfaceControl
from napari_cpclnet.gui.viewing.window_row import WindowRow
from napari_cpclnet.gui.widgets.bottom_dock import BottomDock
from napari_cpclnet.gui.widgets.connections import when_destroyed
from napari_cpclnet.gui.widgets.style import MARGIN, SPACING, spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.mend.mend_control import MendControl
    from napari_cpclnet.gui.session.session import Session


class ViewingBar(QWidget):
    """Always in sight, however far the sections are scrolled; emits `message(text, is_error)`."""

    message = Signal(str, bool)

    def __init__(self, session: Session, mend: MendControl) -> None:
        super().__init__()
        viewer = session.viewer
        self.statistics_dock = BottomDock(viewer, "Statistics", lambda: StatisticsBox(session), self)
        self.planes_dock = BottomDock(viewer, "Other planes", lambda: PlanesBox(session, mend), self)
        self.surfaces = SurfaceControl(session, self)
        self.surfaces.message.connect(self.message)
        self.window_row = WindowRow(session)
        self._row = spaced(QHBoxLayout(self), MARGIN, SPACING, MARGIN, 0)
        self.in_3d = self._button(
            "3-D",
            "Show the result of the scan in view as smooth surfaces in the colours of its classes, without the scan;\n"
            "press it again for the slices as they were. Drag to turn.",
            self.surfaces.toggle,
        )
        self.in_3d.setCheckable(True)
        self.surfaces.changed.connect(self.in_3d.setChecked)
        self.planes = self._button(
            "3 planes",
            "Show the two other planes of the scan in view below the canvas, with a cross-hair for all three;\n"
            "one can paint and mend in each of them.",
            self.planes_dock.toggle,
        )
        self.statistics = self._button(
            "Statistics",
            "Show volume, grey values, SUVpeak, axial diameters and components of each class below the canvas;\n"
            "for the scan in view or all scans, to be copied or saved.",
            self.statistics_dock.toggle,
        )

        self._row.addWidget(self.window_row, stretch=2)
        for button, dock in ((self.planes, self.planes_dock), (self.statistics, self.statistics_dock)):
            button.setCheckable(True)
            dock.changed.connect(button.setChecked)
        self.overlay = None
        window = getattr(viewer, "window", None)
        if window is not None:
            self.overlay = CanvasOverlay(session, window._qt_viewer.canvas.native)
            self.planes_dock.changed.connect(self.overlay.set_cross)
            when_destroyed(self, self._drop_overlay)

    def _drop_overlay(self) -> None:
        with suppress(RuntimeError):  # it went with the canvas
            self.overlay.deleteLater()

    def _button(self, text: str, tip: str, action: Callable[[], object]) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName("small")
        button.setToolTip(tip)
        button.clicked.connect(lambda: action())
        self._row.addWidget(button, stretch=1)
        return button
