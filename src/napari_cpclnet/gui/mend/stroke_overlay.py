"""The line that follows the mouse while somebody draws to mend: drawn over the canvas, and no layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel

COLOR = "#ffd24d"
WIDTH = 2


class StrokeOverlay(QWidget):
    """Shows one stroke at a time, over the canvas of a viewer; nothing where there is no window.

    Parameters
    ----------
    home
        The widget to which it belongs while nothing is drawn.
    """

    def __init__(self, home: QWidget) -> None:
        super().__init__(home)
        self._home = home
        self._points: list[QPointF] = []
        self._kind = "line"
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.hide()

    def show_stroke(self, viewer: ViewerModel, places: Sequence[Sequence[float]], kind: str) -> None:
        """Show a stroke through places (x, y) of the canvas: as a ``line``, an ``area``, or the ``box`` of its ends."""
        canvas = _canvas(viewer)
        if canvas is None:
            return
        if self.parent() is not canvas:
            self.setParent(canvas)
        self._points, self._kind = [QPointF(float(x), float(y)) for x, y in places], kind
        self.setGeometry(canvas.rect())
        self.show()
        self.update()

    def clear(self) -> None:
        """Show nothing, and belong to no canvas, which may go before this does."""
        if self.parent() is self._home:
            return
        self._points = []
        self.hide()
        self.setParent(self._home)

    def paintEvent(self, _event: Any) -> None:  # noqa: N802
        """Draw the stroke."""
        if not self._points:
            return
        painter = QPainter(self)
        paint_stroke(painter, self._points, self._kind)
        painter.end()


def paint_stroke(painter: QPainter, points: Sequence[QPointF], kind: str) -> None:
    """Draw a stroke as a ``line``, an ``area``, or the ``box`` of its ends."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(COLOR), WIDTH))
    if kind == "box":
        painter.drawRect(QRectF(points[0], points[-1]).normalized())
    elif kind == "area":
        painter.drawPolygon(QPolygonF(points))
    else:
        painter.drawPolyline(QPolygonF(points))


def _canvas(viewer: Any) -> QWidget | None:
    """The widget on which napari draws; None of a viewer without a window, or of a napari that keeps it elsewhere."""
    inside = getattr(getattr(viewer, "window", None), "_qt_viewer", None)
    native = getattr(getattr(inside, "canvas", None), "native", None)
    return native if isinstance(native, QWidget) else None
