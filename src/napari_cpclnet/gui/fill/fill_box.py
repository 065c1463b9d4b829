"""The tick box *Fill between slices*, what it says, and *Accept*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton, QWidget

from napari_cpclnet.gui.fill.fill_control import FillControl
from napari_cpclnet.gui.widgets.style import spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session


class FillBox(QWidget):
    """Shown while there is something to paint on."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.control = FillControl(session, self)
        self.tick = QCheckBox("Fill between slices")
        self.tick.setToolTip(
            "Show, while you paint, what lies between the painted slices, by their shapes and the grey values."
        )
        self.tick.toggled.connect(self.control.set_on)
        self.accept = QPushButton("Accept")
        self.accept.setToolTip(
            "Take all filled slices as painted ones, marked as accepted. Ctrl+Z on the labels takes that back."
        )
        self.accept.clicked.connect(self.control.accept)
        self.state = QLabel()
        self.state.setObjectName("muted")
        self.state.setWordWrap(True)
        grid = spaced(QGridLayout(self))
        grid.addWidget(self.tick, 0, 0)
        grid.addWidget(self.accept, 0, 1)
        grid.addWidget(self.state, 1, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        self.control.changed.connect(self.show_state)
        self.show_state()

    def refresh(self) -> None:
        """The painted slices were looked at."""
        self.setVisible(self.session.active is not None)
        self.control.refresh()

    def show_state(self) -> None:
        """Say what the preview shows."""
        control = self.control
        with QSignalBlocker(self.tick):
            self.tick.setChecked(control.on)
        self.accept.setVisible(control.on)
        self.accept.setEnabled(control.can_accept)
        self.state.setText(self._words())
        self.state.setVisible(bool(self.state.text()))

    def _words(self) -> str:
        control, shown = self.control, self.control.shown
        if not control.on:
            return ""
        if control.is_writing:
            return "Accepting…"
        if control.is_settled:
            return "Accepted. What you paint now fills anew."
        if shown is None:
            return "Filling…" if control.is_filling else "Paint on a few slices: what lies between is shown."
        said = f"{len(shown.slices)} slices filled from {len(shown.order.painted)} painted ones."
        return f"{said} Made finer…" if control.is_filling else said
