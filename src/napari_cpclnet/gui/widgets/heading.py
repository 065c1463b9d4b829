"""Title of a section of a tab."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel


def heading(text: str, tip: str) -> QLabel:
    """Label in the heading's style."""
    label = QLabel(text)
    label.setObjectName("heading")
    label.setToolTip(tip)
    return label
