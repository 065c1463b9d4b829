"""One plane of the scan in view, to look at, to move the cross-hair in, and to paint in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QWidget

from napari_cpclnet.gui.layers.overlays import is_map
from napari_cpclnet.gui.layers.scan_layers import geometry_of, same_grid
from napari_cpclnet.gui.layers.view import slice_in_view, viewer_axis
from napari_cpclnet.gui.mend.stroke_overlay import paint_stroke
from napari_cpclnet.gui.viewing.plane_picture import PlaneOfScan, disc, draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_cpclnet.gui.mend.mend_control import MendControl
    from napari_cpclnet.imaging.planes import Plane

CROSS, LETTERS, SHADOW = QColor(255, 220, 80, 170), QColor(255, 255, 255), QColor(0, 0, 0)
EDGE = 5
PAINTING = ("paint", "erase")


class PlaneView(QWidget):
    """Shows a plane through the viewer's point.

    Parameters
    ----------
    viewer
        Its point is the cross-hair.
    linked
        Where it shows another scan than the one in view: the slice of that scan, along its array axis, that belongs to
        the viewer's point. Its labels are shown though they are hidden in the viewer, and the wheel shifts it by some
        slices against the point.
    mend
        Has the mouse while one of its tools is chosen.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        linked: Callable[[Image, int], int] | None = None,
        mend: MendControl | None = None,
    ) -> None:
        super().__init__()
        self._viewer, self._linked, self._beside = viewer, linked, linked is not None
        self._mend = mend
        self._drawn: list[tuple[float, float]] = []
        self.shift = 0
        self._scan: Image | None = None
        self._plane: PlaneOfScan | None = None
        self._name = ""
        self._picture: QImage | None = None
        self._last: tuple[float, float] | None = None
        self._stroke: Any = None
        self.setMinimumSize(120, 120)
        self.setMouseTracking(False)
        self.setToolTip(
            "Click or drag to move the cross-hair, turn the wheel for other slices.\n"
            "Brush and eraser of the annotation layer or the result, and the tools that mend, draw here, too."
            if linked is None
            else "Another scan at the same level or place. Turn the wheel to shift it against the scan in view:\n"
            "both move together from then on."
        )

    def show_plane(self, scan: Image | None, name: Plane | None) -> None:
        """Show an anatomical plane of a scan, or nothing."""
        if scan is not self._scan:
            self.shift = 0
        self._scan, self._name = scan, name or ""
        self._plane = None if scan is None or name is None else PlaneOfScan.of(geometry_of(scan), name)
        self.redraw()

    @property
    def index(self) -> tuple[float, float, float]:
        """Place (z, y, x) of the cross-hair in the scan."""
        z, y, x = self._scan.world_to_data(self._viewer.dims.point[-3:])
        return float(z), float(y), float(x)

    @property
    def slice(self) -> int:
        """Number of the slice that is shown."""
        axis = self._plane.view.axes[0]
        find = self._linked or partial(slice_in_view, self._viewer)
        return int(np.clip(find(self._scan, axis) + self.shift, 0, self._scan.data.shape[axis] - 1))

    def redraw(self) -> None:
        """Draw the slice anew."""
        self._picture = None
        if self._plane is not None and isinstance(self._scan.data, np.ndarray):
            labels = [
                layer for layer in self._viewer.layers if isinstance(layer, Labels) and self._shows(layer)
            ]
            array = draw(self._scan, labels, self._plane, self.slice)
            rows, columns, _ = array.shape
            self._picture = QImage(array.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
        self.update()

    def _shows(self, layer: Labels) -> bool:
        if not same_grid(layer, self._scan) or is_map(layer):
            return False
        return layer.visible or self._beside

    def paintEvent(self, _event: Any) -> None:  # noqa: N802
        """Draw picture, cross-hair and letters."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        if self._plane is None:
            painter.end()
            return
        place = self._place()
        if self._picture is not None:
            painter.drawImage(place, self._picture)
            if not self._beside:
                self._draw_cross(painter, place)
            if len(self._drawn) > 1:
                painter.save()
                paint_stroke(painter, [self._on_widget(pixel) for pixel in self._drawn], self._mend.shown_as)
                painter.restore()
        words = (
            f"{self._name} {self.slice}"
            if self._picture is not None
            else "read slice by slice: not shown here"
        )
        if self._beside:
            words = f"{self._scan.name}, {words}"
        draw_letters(painter, QRectF(self.rect()), self._plane.letters, words)
        painter.end()

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Begin to paint, or move the cross-hair."""
        if event.button() != Qt.MouseButton.LeftButton or self._picture is None or self._beside:
            return
        here = self._pixel(event.position())
        layer = self._painted()
        if self._mend is not None and self._mend.tool is not None:
            self._drawn = [here]
        elif layer is not None:
            self._stroke = (layer, layer.block_history())
            self._stroke[1].__enter__()
            self._paint(here, here)
        else:
            self._move(here)
        self._last = here

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Go on with it."""
        if self._last is None:
            return
        here = self._pixel(event.position())
        if self._drawn:
            self._drawn.append(here)
            self.update()
        elif self._stroke is not None:
            self._paint(self._last, here)
        else:
            self._move(here)
        self._last = here

    def mouseReleaseEvent(self, event: Any) -> None:  # noqa: N802
        """End the stroke, which is one step of undo."""
        stroke, self._stroke, self._last = self._stroke, None, None
        if stroke is not None:
            stroke[1].__exit__(None, None, None)
        drawn, self._drawn = self._drawn, []
        if drawn:
            self.update()
            add = self._mend.add != bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            places = [np.array(self._plane.in_array(*pixel, self._slice_index())) for pixel in drawn]
            self._mend.draw_through(places, self._plane.view.axes[0], add=add)

    def wheelEvent(self, event: Any) -> None:  # noqa: N802
        """Go to the next slice."""
        if self._plane is None:
            return
        axis = self._plane.view.axes[0]
        if self._beside:
            self.shift += 1 if event.angleDelta().y() > 0 else -1
            self.redraw()
            return
        place = list(self.index)
        step = 1 if event.angleDelta().y() > 0 else -1
        place[axis] = float(np.clip(self.slice + step, 0, self._scan.data.shape[axis] - 1))
        self._go_to(place)

    def _place(self) -> QRectF:
        """Where the picture is, as large as it fits and with true proportions."""
        (rows, columns), (down, right) = self._plane.shape, self._plane.spacing
        height, width = rows * down, columns * right
        scale = min(self.width() / width, self.height() / height)
        size = (width * scale, height * scale)
        return QRectF((self.width() - size[0]) / 2, (self.height() - size[1]) / 2, *size)

    def _pixel(self, position: QPointF) -> tuple[float, float]:
        """Row and column under the pointer."""
        place, (rows, columns) = self._place(), self._plane.shape
        row = (position.y() - place.top()) / place.height() * rows - 0.5
        column = (position.x() - place.left()) / place.width() * columns - 0.5
        return float(np.clip(row, 0, rows - 1)), float(np.clip(column, 0, columns - 1))

    def _on_widget(self, pixel: tuple[float, float]) -> QPointF:
        """Where the middle of a row and a column is."""
        place, (rows, columns) = self._place(), self._plane.shape
        x = place.left() + (pixel[1] + 0.5) / columns * place.width()
        return QPointF(x, place.top() + (pixel[0] + 0.5) / rows * place.height())

    def _draw_cross(self, painter: QPainter, place: QRectF) -> None:
        row, column = self._plane.on_screen(self.index)
        at = self._on_widget((row, column))
        painter.setPen(QPen(CROSS, 1))
        painter.drawLine(QPointF(at.x(), place.top()), QPointF(at.x(), place.bottom()))
        painter.drawLine(QPointF(place.left(), at.y()), QPointF(place.right(), at.y()))

    def _painted(self) -> Labels | None:
        """The layer one paints on, if brush or eraser is chosen."""
        layer = self._viewer.layers.selection.active
        if not isinstance(layer, Labels) or str(layer.mode) not in PAINTING:
            return None
        return layer if layer.editable and layer.visible and same_grid(layer, self._scan) else None

    def _paint(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        layer = self._stroke[0]
        value = 0 if str(layer.mode) == "erase" else int(layer.selected_label)
        places = disc(self._plane, start, end, layer.brush_size)
        index = self._slice_index()
        found = np.rint([self._plane.in_array(row, column, index) for row, column in places]).astype(int)
        if not len(found):
            return
        where = tuple(found.T)
        old = np.asarray(layer.data)[where]
        kept = old != value
        if layer.preserve_labels:
            kept &= (old == layer.selected_label) if value == 0 else (old == 0)
        if kept.any():
            layer.data_setitem(tuple(axis[kept] for axis in where), value)

    def _slice_index(self) -> list[float]:
        """The cross-hair, on the slice that is shown."""
        index = [float(value) for value in self.index]
        index[self._plane.view.axes[0]] = self.slice
        return index

    def _move(self, pixel: tuple[float, float]) -> None:
        self._go_to(self._plane.in_array(*pixel, self.index))

    def _go_to(self, index: Any) -> None:
        world = self._scan.data_to_world(np.rint(index))
        axes = [viewer_axis(self._viewer, self._scan, axis) for axis in range(3)]
        self._viewer.dims.set_point(axes, [float(value) for value in world])


def draw_letters(
    painter: QPainter, area: QRectF, letters: tuple[str, str, str, str], words: str = ""
) -> None:
    """Letters at the top, right, bottom and left of an area, and words in its corner."""
    flag = Qt.AlignmentFlag
    inner = area.adjusted(EDGE, EDGE, -EDGE, -EDGE)
    upright, level = flag.AlignHCenter, flag.AlignVCenter
    sides = (
        flag.AlignTop | upright,
        flag.AlignRight | level,
        flag.AlignBottom | upright,
        flag.AlignLeft | level,
    )
    font = painter.font()
    for text, side, bold in (
        *((letter, side, True) for letter, side in zip(letters, sides, strict=True)),
        (words, flag.AlignTop | flag.AlignLeft, False),
    ):
        font.setBold(bold)
        painter.setFont(font)
        painter.setPen(SHADOW)  # so that they are read on bone, too
        for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            painter.drawText(inner.translated(right, down), side, text)
        painter.setPen(LETTERS)
        painter.drawText(inner, side, text)
