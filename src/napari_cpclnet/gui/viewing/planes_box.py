"""The two other planes of the scan in view, with one cross-hair for all three."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_cpclnet.gui.layers.scan_layers import geometry_of, refusal
from napari_cpclnet.gui.session.reuse import scan_in_view
from napari_cpclnet.gui.viewing.plane_picture import other_planes
from napari_cpclnet.gui.viewing.plane_view import PlaneView
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session

# Longer than a stroke of the brush takes to be drawn.
REDRAW_MS = 30


class PlanesBox(QWidget):
    """Follows the scan in view, the cross-hair, and whatever is painted."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.views = PlaneView(session.viewer), PlaneView(session.viewer)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for view in self.views:
            row.addWidget(view, stretch=1)
        self.setMinimumHeight(230)
        self._shown: Any = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(REDRAW_MS)
        self._soon.timeout.connect(self.redraw)
        self._events, self._layers = Connections(), Connections()
        viewer = session.viewer
        for emitter in (
            viewer.dims.events.point,
            viewer.dims.events.order,
            viewer.layers.selection.events.active,
        ):
            self._events.connect(emitter, self._later)
        for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed):
            self._events.connect(emitter, self._listen)
        when_destroyed(self, self._events.close, self._layers.close)
        self._listen()
        self.redraw()

    def redraw(self) -> None:
        """Show the planes through the cross-hair."""
        viewer, scan = self._session.viewer, scan_in_view(self._session)
        if scan is None or scan.ndim != 3 or refusal(scan):
            shown = (None, None, None)
        else:
            sliced = viewer.dims.order[-3] - (viewer.dims.ndim - 3)
            shown = (scan, *other_planes(geometry_of(scan), sliced))
        if shown != self._shown:
            self._shown = shown
            for view, name in zip(self.views, shown[1:], strict=True):
                view.show_plane(shown[0], name)
            return
        for view in self.views:
            view.redraw()

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Show what changed while it could not be seen."""
        super().showEvent(event)
        self._soon.start()

    def _later(self, _event: Any = None) -> None:
        if self.isVisible() and not self._soon.isActive():
            self._soon.start()

    def _listen(self, _event: Any = None) -> None:
        self._layers.close()
        for layer in self._session.viewer.layers:
            names = ["visible", "set_data", "opacity"]
            names += ["contrast_limits", "gamma"] if isinstance(layer, Image) else []
            names += ["colormap"] if isinstance(layer, (Image, Labels)) else []
            names += ["contour", "paint", "labels_update"] if isinstance(layer, Labels) else []
            for name in names:
                self._layers.connect(getattr(layer.events, name), self._later)
        self._later()
