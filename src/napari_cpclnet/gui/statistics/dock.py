"""The dock of the table of statistics, below the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cpclnet.gui.statistics.statistics_box import StatisticsBox
from napari_cpclnet.gui.widgets.connections import when_destroyed

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cpclnet.gui.session.session import Session

NAME = "Statistics"


class StatisticsDock:
    """Opens the table and closes it again; ``owner``: goes with it."""

    def __init__(self, session: Session, owner: QWidget) -> None:
        self._session = session
        self.box: StatisticsBox | None = None
        when_destroyed(owner, self.close)

    def toggle(self) -> None:
        """Show the table, or close it if it can be seen."""
        if self.box is not None and self.box.isVisible():
            self.close()
        else:
            self.open()

    def open(self) -> StatisticsBox:
        """Show the table: below the canvas of napari's window, or by itself where there is only a viewer model."""
        if self.box is None:
            self.box = StatisticsBox(self._session)
            when_destroyed(self.box, self._forget)
        window = getattr(self._session.viewer, "window", None)
        if (
            window is not None and self.box.parentWidget() is None
        ):  # napari lets go of it when its dock is closed
            window.add_dock_widget(self.box, name=NAME, area="bottom", add_vertical_stretch=False)
        parent = self.box.parentWidget()
        (self.box if parent is None else parent).show()
        self.box.show()
        return self.box

    def close(self) -> None:
        """Take the table away; what it measures is given up."""
        box, self.box = self.box, None
        if box is None:
            return
        box.runner.cancel()
        window = getattr(self._session.viewer, "window", None)
        if window is not None and not hasattr(window, "_qt_window"):
            return  # napari's window is gone, and the table with it
        if window is not None and box.parentWidget() is not None:
            window.remove_dock_widget(box)
        box.deleteLater()

    def _forget(self) -> None:
        self.box = None
