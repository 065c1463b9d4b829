"""A picture file as wide as the panel; a click shows it whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QPainter, QPixmap
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

TIP = "The last validation: painted support, truth and prediction of a held-out episode.\nClick to see it whole."


class Preview(QWidget):
    """Hidden as long as there is no picture."""

    def __init__(self) -> None:
        super().__init__()
        self.path: Path | None = None
        self._picture = QPixmap()
        self._dialog: QDialog | None = None
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.hide()

    def show_file(self, path: Path | None) -> None:
        """Show another picture, or none; one that cannot be read counts as none."""
        self._picture = QPixmap() if path is None else QPixmap(str(path))
        self.path = None if self._picture.isNull() else path
        self.setToolTip(f"{TIP}\n{path}")
        self.setVisible(self.path is not None)
        self._fit()
        self.update()

    def enlarge(self) -> None:
        """Show the picture in a window of its own, in its own size."""
        if self.path is None:
            return
        if self._dialog is None:
            self._dialog = QDialog(self)
            self._dialog.setWindowTitle("Last validation")
            column = QVBoxLayout(self._dialog)
            column.setContentsMargins(0, 0, 0, 0)
            self._large = QLabel()
            column.addWidget(self._large)
        self._large.setPixmap(self._picture)
        self._dialog.adjustSize()
        self._dialog.show()
        self._dialog.raise_()

    def paintEvent(self, _event: Any) -> None:  # noqa: N802
        """Draw the picture in the widget's width."""
        if not self._picture.isNull():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(QRect(0, 0, self.width(), self.height()), self._picture)
            painter.end()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Keep the picture's shape."""
        super().resizeEvent(event)
        self._fit()

    def mouseReleaseEvent(self, _event: Any) -> None:  # noqa: N802
        """A click."""
        self.enlarge()

    def _fit(self) -> None:
        if not self._picture.isNull():
            self.setFixedHeight(max(1, round(self.width() * self._picture.height() / self._picture.width())))
