"""Grey values of the scan in view: presets by modality, and a field to drag for level and width."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtWidgets import QApplication, QHBoxLayout, QLabel, QMenu, QWidget
from superqt.utils import QSignalDebouncer

from napari_cpclnet.gui.layers.scan_layers import note
from napari_cpclnet.gui.session.reuse import scan_in_view
from napari_cpclnet.gui.settings.display_presets import level_and_width, limits_of, presets
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cpclnet.gui.session.session import Session

# Pixels of a drag that make the window wider by a factor of e, or move its level by its width.
WIDER, HIGHER = 120, 250


class DragField(QLabel):
    """Text to drag: emits `dragged(right, up)` in pixels since the last time, and `clicked` without a drag."""

    dragged = Signal(int, int)
    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._first: QPoint | None = None
        self._last: QPoint | None = None
        self.setObjectName("field")
        self.setCursor(Qt.CursorShape.SizeAllCursor)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Begin to drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._first = self._last = event.position().toPoint()

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Tell how far."""
        here = event.position().toPoint()
        if (
            self._first is not None
            and (here - self._first).manhattanLength() >= QApplication.startDragDistance()
        ):
            self._first = None  # from here on it is a drag
        if self._last is not None and self._first is None:
            self.dragged.emit(here.x() - self._last.x(), self._last.y() - here.y())
            self._last = here

    def mouseReleaseEvent(self, _event: Any) -> None:  # noqa: N802
        """End it."""
        clicked = self._first is not None
        self._first = self._last = None
        if clicked:
            self.clicked.emit()


class WindowRow(QWidget):
    """Follows the scan in view, whoever changes its grey values."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._scan: Image | None = None
        self.field = DragField()
        self.field.setToolTip(
            "Grey values of the scan in view. Click for presets: CT windows, SUV ranges, percentiles.\n"
            "Drag to the right for a wider window, up for a higher level."
        )
        self.menu = QMenu(self.field)
        self.field.clicked.connect(self._ask)
        self.field.dragged.connect(self._drag)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.field)
        self._soon = QSignalDebouncer(parent=self)
        self._soon.triggered.connect(self.look)
        self._events, self._own = Connections(), Connections()
        layers = session.viewer.layers
        for emitter in (layers.events.inserted, layers.events.removed, layers.selection.events.active):
            self._events.connect(emitter, self._later)
        self._visible = Connections()
        when_destroyed(self, self._events.close, self._own.close, self._visible.close)
        self.look()

    def look(self) -> None:
        """Follow the scan in view."""
        self._visible.close()
        for layer in self._session.scans():
            self._visible.connect(layer.events.visible, self._later)
        scan = scan_in_view(self._session)
        if scan is not self._scan:
            self._own.close()
            self._scan = scan
            if scan is not None:
                self._own.connect(scan.events.contrast_limits, self._show)
                self._own.connect(scan.events.metadata, self._show)
        self._show()

    def choices(self) -> dict[str, tuple[float, float]]:
        """Presets for the scan in view: name, and the values at the ends of the grey scale."""
        if self._scan is None:
            return {}
        return presets().choices(self._scan.data, *self._meaning())

    def choose(self, name: str) -> None:
        """Show the scan in view in a preset."""
        if self._scan is not None:
            self._scan.contrast_limits = self.choices()[name]

    def _meaning(self) -> tuple[str, str]:
        noted = note(self._scan)
        return str(noted.get("modality", "")), str(noted.get("unit", ""))

    def _ask(self) -> None:
        self.menu.clear()
        for name in self.choices():
            self.menu.addAction(name, lambda name=name: self.choose(name))
        self.menu.popup(self.field.mapToGlobal(self.field.rect().bottomLeft()))

    def _show(self, _event: Any = None) -> None:
        scan = self._scan
        self.field.setEnabled(scan is not None)
        if scan is None:
            self.field.setText("")
            return
        modality, unit = self._meaning()
        if modality == "PT":
            low, high = scan.contrast_limits
            self.field.setText(f"{_short(low)} to {_short(high)}{' SUV' if unit == 'SUVbw' else ''}  ▾")
            return
        level, width = level_and_width(tuple(scan.contrast_limits), unit)
        self.field.setText(f"L {_short(level)}  W {_short(width)}  ▾")

    def _drag(self, right: int, up: int) -> None:
        scan = self._scan
        if scan is None:
            return
        modality, unit = self._meaning()
        level, width = level_and_width(tuple(scan.contrast_limits), unit)
        if modality == "PT":  # it begins at nothing, as uptake does
            low, high = scan.contrast_limits
            scan.contrast_limits = (low, low + (high - low) * math.exp((right + up) / WIDER))
            return
        level += up * width / HIGHER
        width *= math.exp(right / WIDER)
        scan.contrast_limits = limits_of((level, width), unit)

    def _later(self, _event: Any = None) -> None:
        self._soon.throttle()


def _short(value: float) -> str:
    """Number of about three digits."""
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"
