"""Note under the painted slices: there is paint that only crosses them, and what one can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_cpclnet.gui.widgets.style import SPACING, spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.layers.support_slices import PaintedSlice
    from napari_cpclnet.gui.session.session import Session


class CrossedNote(QWidget):
    """Emits `used` when such slices are learned from now on, and `plane_wanted(plane)`."""

    used = Signal()
    plane_wanted = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._entries: list[PaintedSlice] = []
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setToolTip(
            "On a slice one learns from, everything without paint teaches the network that no organ is there."
        )
        self.turn = QPushButton("Use the plane of the strokes")
        self.turn.setToolTip(
            "Count slices in the plane in which they were painted (Options, Plane: Automatic)."
        )
        self.turn.clicked.connect(lambda: self.plane_wanted.emit("auto"))
        self.use = QPushButton("Use these slices")
        self.use.setToolTip("These slices are painted completely: learn from them.")
        self.use.clicked.connect(self._use)
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        row.addWidget(self.turn, stretch=1)
        row.addWidget(self.use, stretch=1)
        column = spaced(QVBoxLayout(self))
        column.addWidget(self.text)
        column.addLayout(row)
        self.hide()

    def show_entries(self, entries: Sequence[PaintedSlice]) -> None:
        """Say how many of the slices of a pair are only crossed and not used; hidden where none is."""
        self._entries = [one for one in entries if one.crossed and one.values and not one.ticked]
        count = len(self._entries)
        slices = "1 slice is" if count == 1 else f"{count} slices are"
        self.text.setText(f"{slices} only crossed by strokes of another view, and not learned from.")
        self.turn.setVisible(self.session.options.plane != "auto")
        self.setVisible(bool(count))

    def _use(self) -> None:
        self.session.slices.tick(self._entries, True)
        self.used.emit()
