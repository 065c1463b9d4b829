"""A path to type, and a button that asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QWidget

WEIGHTS = "Weights (*.safetensors)"
"""Filter of file dialogs."""


class PathEdit(QWidget):
    """Emits `changed` with every change of the text; ``pick`` asks the user and returns a path or nothing."""

    changed = Signal()

    def __init__(self, placeholder: str, tip: str, pick: Callable[[], str]) -> None:
        super().__init__()
        self.edit = QLineEdit()
        self.edit.setPlaceholderText(placeholder)
        self.edit.setToolTip(tip)
        self.edit.setMinimumWidth(60)
        self.edit.textChanged.connect(self.changed)
        self.button = QPushButton("…")
        self.button.setToolTip("Choose it.")
        self.button.setMaximumWidth(32)
        self._pick = pick
        self.button.clicked.connect(self._on_clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.edit, stretch=1)
        row.addWidget(self.button)

    def text(self) -> str:
        """The path, without blanks around it."""
        return self.edit.text().strip()

    def path(self) -> Path | None:
        """The path, or None where nothing is typed."""
        return Path(self.text()).expanduser() if self.text() else None

    def set_path(self, path: Path | None) -> None:
        """Show a path as if it were typed."""
        self.edit.setText("" if path is None else str(path))

    def _on_clicked(self) -> None:
        if chosen := self._pick():
            self.edit.setText(chosen)
