"""Buttons to go through the slices to review of all scans, and how many are done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from napari_cpclnet.gui.session.reviewing import accept_slice, next_scan_to_review, next_to_review
from napari_cpclnet.gui.widgets.shortcuts import (
    ACCEPT_SLICE,
    NEXT_REVIEW,
    NEXT_SCAN,
    PREVIOUS_REVIEW,
    label,
    printed,
)
from napari_cpclnet.gui.widgets.style import spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.reviewing import Place
    from napari_cpclnet.gui.session.session import Session


class ReviewRow(QWidget):
    """Emits `wanted(source, index)` to show a slice, `changed` when one was accepted, and `message(text, is_error)`."""

    wanted = Signal(object, int)
    changed = Signal()
    message = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.progress = QLabel()
        self.progress.setObjectName("muted")
        self.next = self._button(
            "Next",
            NEXT_REVIEW,
            f"Go to the next slice to review, of all scans; the one before: {printed(PREVIOUS_REVIEW)}",
            self.go_on,
        )
        self.accept = self._button(
            "Accept",
            ACCEPT_SLICE,
            "The slice in view is right as it is now: go to the next one",
            self.accept_slice,
        )
        self.scan = self._button(
            "Next scan", NEXT_SCAN, "Go to the next scan that has slices to review", self.next_scan
        )
        grid = spaced(QGridLayout(self))
        for column, button in enumerate((self.accept, self.next, self.scan)):
            grid.addWidget(button, 0, column)
            grid.setColumnStretch(column, 1)

    def show_progress(self) -> None:
        """Say how many slices are reviewed."""
        done, wanted = self._session.results.progress
        self.progress.setText(f"{done} of {wanted} reviewed" if wanted else "")
        self.setVisible(wanted > 0)

    def go_on(self) -> None:
        """Show the next slice to review."""
        self._show(next_to_review(self._session))

    def go_back(self) -> None:
        """Show the slice to review before the one in view."""
        self._show(next_to_review(self._session, back=True))

    def next_scan(self) -> None:
        """Show the first slice to review of the next scan."""
        self._show(next_scan_to_review(self._session), "There is no other open scan with slices to review.")

    def accept_slice(self) -> None:
        """Accept the slice in view and show the next one."""
        if not accept_slice(self._session):
            self.message.emit(
                "The slice in view is none of the slices to review: go to the next one first.", True
            )
            return
        self.changed.emit()
        self.go_on()

    def _show(self, place: Place | None, nothing: str = "") -> None:
        if place is not None:
            self.message.emit("", False)
            self.wanted.emit(*place)
            return
        done, wanted = self._session.results.progress
        if not nothing and done < wanted:
            nothing = (
                "All open scans are reviewed: double-click one of the others in the list of scans to open it."
            )
        self.message.emit(nothing or f"All {wanted} slices are reviewed.", False)

    def _button(self, text: str, shortcut: str, tip: str, action: object) -> QPushButton:
        button = QPushButton()
        button.setObjectName("small")
        label(button, text, shortcut)
        button.setToolTip(f"{tip} ({printed(shortcut)}).")
        button.clicked.connect(action)
        return button
