"""The two other planes of the scan in view, with one cross-hair for all three."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt.utils import QSignalThrottler

from napari_cpclnet.gui.layers.scan_layers import geometry_of, refusal
from napari_cpclnet.gui.session.reuse import scan_in_view
from napari_cpclnet.gui.viewing.plane_picture import other_planes
from napari_cpclnet.gui.viewing.plane_view import PlaneView
from napari_cpclnet.gui.viewing.slice_link import SliceLink
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.style import SPACING, spaced, style_sheet
from napari_cpclnet.imaging.planes import NAMES

if TYPE_CHECKING:
    from napari_cpclnet.gui.mend.mend_control import MendControl
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.imaging.planes import Plane

# Longer than a stroke of the brush takes to be drawn.
REDRAW_MS = 30
BY_PLACE, BY_LEVEL = "by place", "by level in the body"
LINK_TIP = (
    "Show the slice at the same level between hips and diaphragm, as the network sees it, or that at the same place\n"
    "of the room, as for scans of one patient."
)
LOOKING = "The levels of the slices in the body are looked for…"
NO_LEVELS = "Levels in the body are known of axial slices of a trunk only."


class PlanesBox(QWidget):
    """Follows the scan in view, the cross-hair, and whatever is painted; ``mend`` draws in its planes, too."""

    def __init__(self, session: Session, mend: MendControl | None = None) -> None:
        super().__init__()
        self._session = session
        self.views = PlaneView(session.viewer, mend=mend), PlaneView(session.viewer, mend=mend)
        self.link = SliceLink(session, self)
        self.link.changed.connect(self.redraw)
        self.beside = PlaneView(session.viewer, linked=self._linked)
        self.other = QComboBox()
        self.other.setToolTip("Show another scan beside the one in view, in the plane of the canvas.")
        self.other.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.other.currentIndexChanged.connect(self._choose)
        self.by = QComboBox()
        self.by.addItems([BY_PLACE, BY_LEVEL])
        self.by.activated.connect(self._choose_link)
        self._others: list[Image] = []
        self._other: Image | None = None
        row = QHBoxLayout()
        row.setSpacing(2)
        for view in (*self.views, self.beside):
            row.addWidget(view, stretch=1)
        self.beside.hide()
        top = QHBoxLayout()
        top.setContentsMargins(SPACING, 0, SPACING, 0)
        top.addStretch(1)
        top.addWidget(QLabel("Beside"))
        top.addWidget(self.other, stretch=1)
        top.addWidget(self.by)
        column = spaced(QVBoxLayout(self), spacing=2)
        column.addLayout(top)
        column.addLayout(row, stretch=1)
        self.setMinimumHeight(235)
        self._shown: Any = None
        self._soon = QSignalThrottler(QSignalThrottler.EmissionPolicy.Trailing, parent=self)
        self._soon.setTimeout(REDRAW_MS)
        self._soon.triggered.connect(self.redraw)
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
        self.setStyleSheet(style_sheet(viewer.theme))
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
        else:
            for view in self.views:
                view.redraw()
        self._redraw_beside(scan)

    def _redraw_beside(self, scan: Image | None) -> None:
        """List the other scans, and show the chosen one in the plane of the canvas."""
        others = [
            one for one in self._session.scans() if one is not scan and one.ndim == 3 and not refusal(one)
        ]
        if others != self._others:
            self._others = others
            with QSignalBlocker(self.other):
                self.other.clear()
                self.other.addItems(["(no other scan)", *(one.name for one in others)])
                self.other.setCurrentIndex(others.index(self._other) + 1 if self._other in others else 0)
        other = self._other if self._other in others else None
        shown = other is not None and self._shown[0] is not None
        self.beside.setVisible(shown)
        self.by.setVisible(shown)
        if not shown:
            return
        (name,) = {*NAMES} - {*self._shown[1:]}
        if name == "axial":
            self.link.ask(self._shown[0], other)
        self._show_link(other, name)
        self.beside.show_plane(other, name)

    def _show_link(self, other: Image, name: Plane) -> None:
        """Say how the slices of both scans are linked, and what else there is."""
        scan = self._shown[0]
        known = name == "axial" and self.link.has_levels(scan, other)
        with QSignalBlocker(self.by):
            self.by.setCurrentText(BY_LEVEL if known and self.link.is_by_level(scan, other) else BY_PLACE)
        self.by.setEnabled(known)
        why = LOOKING if self.link.runner.is_running else NO_LEVELS
        self.by.setToolTip(LINK_TIP if known else why)

    def _linked(self, other: Image, axis: int) -> int:
        return self.link.slice_of(self._shown[0], other, axis)

    def _choose_link(self, _number: int) -> None:
        self.link.by_level = self.by.currentText() == BY_LEVEL
        self.beside.shift = 0
        self.redraw()

    def _choose(self, number: int) -> None:
        self._other = self._others[number - 1] if number > 0 else None
        self.redraw()

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Show what changed while it could not be seen."""
        super().showEvent(event)
        self._soon.throttle()

    def _later(self, _event: Any = None) -> None:
        if self.isVisible():
            self._soon.throttle()

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
