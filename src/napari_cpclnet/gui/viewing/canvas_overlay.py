"""Letters R L A P S I at the edges of napari's canvas, and the cross-hair of the three planes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QPainter, QPen
from qtpy.QtWidgets import QWidget

from napari_cpclnet.gui.layers.scan_layers import geometry_of, note, refusal
from napari_cpclnet.gui.layers.view import slice_in_view
from napari_cpclnet.gui.session.reuse import scan_in_view
from napari_cpclnet.gui.session.surfaces import camera_of
from napari_cpclnet.gui.viewing.plane_picture import direction_letter, opposite
from napari_cpclnet.gui.viewing.plane_view import CROSS, draw_letters
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.imaging.planes import axis_plane

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cpclnet.gui.session.session import Session


class CanvasOverlay(QWidget):
    """Lies on the canvas and lets the mouse through; ``cross``: whether the cross-hair is drawn."""

    def __init__(self, session: Session, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._session = session
        self._canvas = canvas
        self.cross = False
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        canvas.installEventFilter(self)
        self._events = Connections()
        viewer, camera = session.viewer, camera_of(session.viewer)
        emitters = [camera.events.center, camera.events.zoom, viewer.layers.events.inserted]
        emitters += [viewer.layers.events.removed, viewer.layers.selection.events.active]
        emitters += [viewer.dims.events.point, viewer.dims.events.order, viewer.dims.events.ndisplay]
        if hasattr(camera, "orientation"):
            emitters.append(camera.events.orientation)
        for emitter in emitters:
            self._events.connect(emitter, self._again)
        when_destroyed(self, self._events.close)
        self.setGeometry(canvas.rect())
        self.show()

    def set_cross(self, on: bool) -> None:
        """Draw the cross-hair, or leave it out."""
        self.cross = on
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Be as large as the canvas."""
        if watched is self._canvas and event.type() == QEvent.Type.Resize:
            self.setGeometry(self._canvas.rect())
        return False

    def paintEvent(self, _event: Any) -> None:  # noqa: N802
        """Draw the letters of the scan in view, and the cross-hair."""
        viewer = self._session.viewer
        scan = scan_in_view(self._session)
        if viewer.dims.ndisplay != 2 or scan is None or not scan.visible or not is_placed(scan):
            return
        painter = QPainter(self)
        if self.cross:
            self._draw_cross(painter)
        axis = viewer.dims.order[-3] - (viewer.dims.ndim - 3)
        # the number that all lists of the panel name; napari's slider counts the steps of the finest scan
        words = f"{axis_plane(geometry_of(scan), axis)} {slice_in_view(viewer, scan, axis)}"
        draw_letters(painter, QRectF(self.rect()), canvas_letters(self._session, scan), words)
        painter.end()

    def _draw_cross(self, painter: QPainter) -> None:
        viewer, camera = self._session.viewer, camera_of(self._session.viewer)
        row, column = viewer.dims.displayed
        down, right = screen_signs(camera)
        x = self.width() / 2 + right * (viewer.dims.point[column] - camera.center[-1]) * camera.zoom
        y = self.height() / 2 + down * (viewer.dims.point[row] - camera.center[-2]) * camera.zoom
        painter.setPen(QPen(CROSS, 1))
        painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
        painter.drawLine(QPointF(0, y), QPointF(self.width(), y))

    def _again(self, _event: Any = None) -> None:
        self.update()


def is_placed(scan: Image) -> bool:
    """Whether it is known how a scan lies in the patient."""
    return scan.ndim == 3 and not refusal(scan) and "geometry" in note(scan)


def screen_signs(camera: Any) -> tuple[int, int]:
    """Whether rows grow downwards and columns to the right on the canvas: 1, or -1 where they do not."""
    orientation = getattr(camera, "orientation", ("towards", "down", "right"))
    return (1 if str(orientation[1]) == "down" else -1), (1 if str(orientation[2]) == "right" else -1)


def canvas_letters(session: Session, scan: Image) -> tuple[str, str, str, str]:
    """What lies at the top, right, bottom and left of the canvas."""
    viewer = session.viewer
    axes = np.array(geometry_of(scan).direction) * np.array(geometry_of(scan).spacing)
    signs = screen_signs(camera_of(viewer))
    found = []
    for axis, sign in zip(viewer.dims.displayed, signs, strict=True):
        step = np.zeros(3)
        step[axis - (viewer.dims.ndim - 3)] = sign
        # a step on the screen, in steps of the array, and from there in the patient
        there = np.asarray(scan.world_to_data(step)) - np.asarray(scan.world_to_data(np.zeros(3)))
        found.append(direction_letter(axes @ there))
    down, right = found
    return opposite(down), right, down, opposite(right)
