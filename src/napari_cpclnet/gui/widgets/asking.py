"""Questions to the user in a box with a button for each answer."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QMessageBox, QWidget

CANCEL = "Cancel"


def ask(parent: QWidget | None, text: str, choices: Sequence[str]) -> str:
    """Text of the button that was pressed, `CANCEL` where the user wants none of the choices."""
    box = QMessageBox(parent)
    box.setWindowTitle("Few-shot segmentation")
    box.setIcon(QMessageBox.Icon.Question)
    box.setText(text)
    buttons = {choice: box.addButton(choice, QMessageBox.ButtonRole.AcceptRole) for choice in choices}
    box.addButton(CANCEL, QMessageBox.ButtonRole.RejectRole)
    box.exec()
    pressed = next((choice for choice, button in buttons.items() if button is box.clickedButton()), CANCEL)
    box.deleteLater()
    return pressed
