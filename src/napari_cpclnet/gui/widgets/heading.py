"""Titles of the sections of a tab, and those that fold."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QPushButton, QWidget


def heading(text: str, tip: str) -> QLabel:
    """Label in the heading's style."""
    label = QLabel(text)
    label.setObjectName("heading")
    label.setToolTip(tip)
    return label


class FoldHeading(QPushButton):
    """Title of a section that folds at a click: its widgets are hidden, and shown again."""

    def __init__(self, text: str, tip: str, *widgets: QWidget) -> None:
        super().__init__()
        self._text, self._widgets = text, widgets
        self.setObjectName("fold")
        self.setToolTip(f"{tip} Click to fold or unfold.")
        self.setCheckable(True)
        self.setFlat(True)
        self.toggled.connect(self._show)
        self.setChecked(True)

    def _show(self, opened: bool) -> None:
        self.setText(f"{'▾' if opened else '▸'}  {self._text}")
        for widget in self._widgets:
            widget.setVisible(opened)
