"""A widget in a dock below the canvas, opened and closed by a button."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_cpclnet.gui.widgets.connections import when_destroyed

if TYPE_CHECKING:
    from napari.components import ViewerModel


class BottomDock(QObject):
    """Makes its widget when it is opened; emits `changed(on)`.

    Parameters
    ----------
    viewer
        Its window gets the dock; where there is only a viewer model, the widget is a window of its own.
    name
        Title of the dock.
    make
        Makes the widget.
    owner
        Takes the dock with it when it is deleted.
    """

    changed = Signal(bool)

    def __init__(self, viewer: ViewerModel, name: str, make: Callable[[], QWidget], owner: QWidget) -> None:
        super().__init__(owner)
        self._viewer, self._name, self._make = viewer, name, make
        self.box: Any = None
        when_destroyed(owner, self._remove)

    @property
    def on(self) -> bool:
        """Whether the widget can be seen."""
        return self.box is not None and self.box.isVisible()

    def toggle(self) -> None:
        """Show the widget, or take it away."""
        if self.on:
            self.close()
        else:
            self.open()

    def open(self) -> QWidget:
        """Show the widget."""
        if self.box is None:
            self.box = self._make()
            when_destroyed(self.box, self._forget)
        window = getattr(self._viewer, "window", None)
        if (
            window is not None and self.box.parentWidget() is None
        ):  # napari lets go of it when its dock is closed
            # below canvas and panel only: the layer controls need the height of a small screen for themselves
            window._qt_window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
            dock = window.add_dock_widget(
                self.box, name=self._name, area="bottom", add_vertical_stretch=False
            )
            dock.visibilityChanged.connect(self._tell)
        parent = self.box.parentWidget()
        (self.box if parent is None else parent).show()
        self.box.show()
        self.changed.emit(True)
        return self.box

    def close(self) -> None:
        """Take the widget away."""
        self._remove()
        self.changed.emit(False)

    def _remove(self) -> None:
        box, self.box = self.box, None
        if box is None:
            return
        window = getattr(self._viewer, "window", None)
        if window is not None and not hasattr(window, "_qt_window"):
            return  # napari's window is gone, and the dock with it
        if window is not None and box.parentWidget() is not None:
            window.remove_dock_widget(box)
        box.deleteLater()

    def _forget(self) -> None:
        self.box = None

    def _tell(self, _visible: bool) -> None:
        """Say so when napari's own cross closes it."""
        if self.box is not None:
            self.changed.emit(self.box.isVisible())
