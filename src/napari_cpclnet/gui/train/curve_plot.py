"""A small plot of curves over the steps of a training run, drawn by Qt alone."""

from __future__ import annotations

import math
from collections.abc import Iterable

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_cpclnet.gui.widgets.style import PlotColours, plot_colours

HEIGHT = 124
# More points are merged in pairs: a curve of a long run takes no more time to draw than that of a short one.
MOST_POINTS = 4000
# Pixels that one drawn point averages over: single steps are too noisy to see a trend.
BUCKET = 3
# Fewer points than these are seen one by one.
FEW = 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 6, 26, 14


class Curve:
    """Points (step, value) by rising step; what is not a number is left out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.points: list[tuple[float, float]] = []

    def add(self, step: float, value: float) -> None:
        """Append one point."""
        if not math.isfinite(value):
            return
        self.points.append((step, value))
        if len(self.points) > MOST_POINTS:
            self.points = means(self.points, 2)

    def replace(self, points: Iterable[tuple[float, float]]) -> None:
        """Begin again with these points."""
        self.points = []
        for step, value in points:
            self.add(step, value)


class CurvePlot(QWidget):
    """One or two curves with their last values.

    Parameters
    ----------
    names
        Of the curves; each is written with its last value above the plot.
    tip
        Tooltip.
    limits
        Lowest and highest value; by default those of the curves.
    """

    def __init__(self, names: tuple[str, ...], tip: str, limits: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.curves = {name: Curve(name) for name in names}
        self._limits = limits
        self._total = 1.0
        self._colours: PlotColours = plot_colours("dark")
        self.setToolTip(tip)
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_theme(self, name: str) -> None:
        """Follow napari's theme."""
        self._colours = plot_colours(name)
        self.update()

    def set_total(self, steps: int) -> None:
        """Steps of the whole run, the width of the plot."""
        self._total = max(float(steps), 1.0)

    def paintEvent(self, _event: object) -> None:  # noqa: N802
        """Draw frame, ticks, curves and their last values."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._colours.background))
        painter.drawRoundedRect(QRectF(self.rect()), 3, 3)
        font = painter.font()
        font.setPointSizeF(max(7.0, 0.8 * font.pointSizeF()))
        painter.setFont(font)
        area = QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)
        drawn = [self._drawn(curve, area.width()) for curve in self.curves.values()]
        low, high = self._range([value for points in drawn for _, value in points])
        self._draw_ticks(painter, area, low, high)
        self._draw_names(painter)
        colours = (self._colours.first, self._colours.second)
        for curve, points, colour in zip(self.curves.values(), drawn, colours, strict=False):
            where = [_place(area, step / self._total, (v - low) / (high - low)) for step, v in points]
            painter.setPen(QPen(QColor(colour), 1.6))
            painter.drawPolyline(QPolygonF(where))
            if len(points) == len(curve.points) < FEW:
                painter.setBrush(QColor(colour))
                for point in where:
                    painter.drawEllipse(point, 2.0, 2.0)
        painter.end()

    def _drawn(self, curve: Curve, width: float) -> list[tuple[float, float]]:
        """The points of a curve with those averaged that fall on the same few pixels."""
        if not curve.points:
            return []
        pixels = max(1.0, (curve.points[-1][0] - curve.points[0][0]) / self._total * width)
        return means(curve.points, max(1, round(len(curve.points) * BUCKET / pixels)))

    def _range(self, values: list[float]) -> tuple[float, float]:
        if self._limits is not None or not values:
            return self._limits or (0.0, 1.0)
        low, high = min(values), max(values)
        margin = 0.05 * (high - low) or 0.5 * max(abs(high), 1e-3)
        return (max(0.0, low - margin) if low >= 0 else low - margin), high + margin

    def _draw_ticks(self, painter: QPainter, area: QRectF, low: float, high: float) -> None:
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for part in (0.0, 0.5, 1.0):
            y = area.bottom() - part * area.height()
            painter.setPen(QPen(QColor(self._colours.grid), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(self._colours.text))
            value = low + part * (high - low)
            painter.drawText(
                QRectF(0, y - 7, _LEFT - 4, 14), right, f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
            )
        below = QRectF(area.left(), area.bottom() + 1, area.width(), _BOTTOM - 1)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{self._total:.0f} steps")

    def _draw_names(self, painter: QPainter) -> None:
        x = 6.0
        colours = (self._colours.first, self._colours.second)
        for curve, colour in zip(self.curves.values(), colours, strict=False):
            last = means(curve.points[-BUCKET:], BUCKET)
            text = f"{curve.name} {last[0][1]:.2f}" if last else curve.name
            painter.setPen(QColor(colour))
            painter.drawText(QPointF(x, 13), text)
            x += painter.fontMetrics().horizontalAdvance(text) + 8


def _place(area: QRectF, x: float, y: float) -> QPointF:
    """Point at fractions of an area, from its lower left corner; not beyond its borders."""
    x, y = (min(max(part, 0.0), 1.0) for part in (x, y))
    return QPointF(area.left() + x * area.width(), area.bottom() - y * area.height())


def means(points: list[tuple[float, float]], size: int) -> list[tuple[float, float]]:
    """Means of each ``size`` points in a row."""
    found = []
    for begin in range(0, len(points), size):
        group = points[begin : begin + size]
        found.append((sum(step for step, _ in group) / len(group), sum(v for _, v in group) / len(group)))
    return found
