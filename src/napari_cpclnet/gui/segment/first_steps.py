"""Hint on top of the panel for those who open it for the first time, with an example to try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from napari_cpclnet.gui.contributions.sample_data import painted_ct_and_mr
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan
from napari_cpclnet.gui.settings.preferences import forget_hint, preferences
from napari_cpclnet.gui.widgets.shortcuts import RUN, printed
from napari_cpclnet.gui.widgets.style import SPACING, spaced
from napari_cpclnet.gui.widgets.worker import BackgroundCall

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session

TEXT = "New here? Open a scan, paint an organ on a few slices, open another scan, press Run."
MAKING = "Making a painted CT and an MR of phantoms…"
MADE = "The CT is painted on five slices and the MR is ticked: press Run ({})."


class FirstSteps(QFrame):
    """Emits `help_requested`, and `message(text, is_error)` to be shown."""

    help_requested = Signal()
    message = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.setObjectName("hint")
        text = QLabel(TEXT)
        text.setWordWrap(True)
        self.example = _button("Open example", "Add phantoms to try it on: a painted CT, and an MR to label.")
        self.example.clicked.connect(self.open_example)
        self.help = _button("Help", "Show the page with the first steps and the shortcuts.")
        self.help.clicked.connect(self.help_requested)
        self.close_button = _button("Got it", "Hide this hint for good; the preferences bring it back.")
        self.close_button.clicked.connect(self.dismiss)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        for button in (self.example, self.help, self.close_button):
            row.addWidget(button, stretch=1)
        column = spaced(QVBoxLayout(self), 10, 8, 8, 8)
        column.addWidget(text)
        column.addLayout(row)
        self.setVisible(preferences().hint)

    def dismiss(self) -> None:
        """Hide the hint, now and in future."""
        self.hide()
        forget_hint()

    def open_example(self) -> None:
        """Make phantoms in the background and add them to the viewer."""
        if not self.example.isEnabled():  # it is being made
            return
        self.example.setEnabled(False)
        self.message.emit(MAKING, False)
        call = BackgroundCall(painted_ct_and_mr, self)
        call.done.connect(self._show)
        call.failed.connect(self._fail)
        call.start()

    def _show(self, layers: Any) -> None:
        viewer = self.session.viewer
        with self.session.arranged():
            mr, ct, painted = (viewer.add_layer(Layer.create(*one)) for one in layers)
        show_scan(viewer, ct, only=painted)
        self.session.support_scan, self.session.support_labels = ct, painted
        self.session.tick_query(mr, True)
        slices = list(self.session.slices.painted_slices())
        jump_to_slice(viewer, painted, self.session.slices.slice_axis(), slices[len(slices) // 2])
        self.example.setEnabled(True)
        self.message.emit(MADE.format(printed(RUN)), False)

    def _fail(self, text: str) -> None:
        self.example.setEnabled(True)
        self.message.emit(text, True)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
