"""Foot of the panel, always in sight: message, progress, Run or Cancel, status line."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_cpclnet.gui.widgets.column_scroll import ElidedLabel
from napari_cpclnet.gui.widgets.memory_use import memory_words
from napari_cpclnet.gui.widgets.shortcuts import RUN, label
from napari_cpclnet.gui.widgets.style import spaced

# Between two looks at the memory in use.
MEMORY_MS = 2000
# An error is read in this time.
STALE_S = 4.0


class RunState(Enum):
    """What the button does."""

    READY = "ready"
    RUNNING = "running"
    CANCELLING = "cancelling"


@dataclass(frozen=True)
class RunWords:
    """Tooltips of a bar, the texts of its button, what it counts, and its shortcut if it has one."""

    run: str = "Label the ticked scans from the painted slices."
    cancel: str = "Stop after the slice in work; finished slices stay."
    cancelling: str = "The slice in work is finished first."
    progress: str = "Slices labelled so far."
    texts: tuple[str, str, str] = ("Run", "Cancel", "Cancelling…")
    unit: str = "slices"
    shortcut: str | None = RUN


class RunBar(QWidget):
    """Emits `run_requested` and `cancel_requested`."""

    run_requested = Signal()
    cancel_requested = Signal()

    def __init__(self, words: RunWords | None = None) -> None:
        super().__init__()
        self._words = words or RunWords()
        self.state = RunState.READY
        self._device, self._weights = "automatic", "bundled weights"
        self._said = 0.0
        self._doing, self._memory = "", memory_words()
        self.message = QLabel()
        self.message.setObjectName("message")
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.message.setToolTip("What went wrong, or what to do next.")
        self.message.hide()
        self.progress = QProgressBar()
        self.progress.setToolTip(self._words.progress)
        self.progress.hide()
        self.button = QPushButton()
        self.button.setObjectName("run")
        self.button.clicked.connect(self.press)
        self.status = ElidedLabel()
        self.status.setObjectName("status")
        layout = spaced(QVBoxLayout(self))
        self.buttons = QHBoxLayout()
        self.buttons.addWidget(self.button, stretch=1)
        layout.addWidget(self.message)
        layout.addWidget(self.progress)
        layout.addLayout(self.buttons)
        layout.addWidget(self.status)
        self._looks = QTimer(self)
        self._looks.setInterval(MEMORY_MS)
        self._looks.timeout.connect(self._look_at_memory)
        self.set_state(RunState.READY)

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Look at the memory from now on."""
        super().showEvent(event)
        self._look_at_memory()
        self._looks.start()

    def hideEvent(self, event: Any) -> None:  # noqa: N802
        """Nobody sees the memory."""
        super().hideEvent(event)
        self._looks.stop()

    def press(self) -> None:
        """Do what the button says."""
        if self.state is RunState.READY:
            self.run_requested.emit()
        elif self.state is RunState.RUNNING:
            self.cancel_requested.emit()

    def set_state(self, state: RunState) -> None:
        """Show what the button does now."""
        self.state = state
        if state is RunState.CANCELLING:
            self.button.setText(self._words.texts[2])
            self.button.setToolTip(self._words.cancelling)
        elif state is RunState.RUNNING:
            self._label(self._words.texts[1])
            self.button.setToolTip(self._words.cancel)
        else:
            self._label(self._words.texts[0])
            self.button.setToolTip(self._words.run)
        self.button.setEnabled(state is not RunState.CANCELLING)
        self.progress.setVisible(state is not RunState.READY)
        self._show_status()

    def set_network(self, device: str, weights: str) -> None:
        """Show where the network runs and which weights it has."""
        self._device, self._weights = device, weights
        self._show_status()

    def set_weights(self, weights: str) -> None:
        """Show which weights the next run takes."""
        self.set_network(self._device, weights)

    def show_stage(self, text: str) -> None:
        """Show work whose length is not known."""
        self.progress.setRange(0, 0)
        self.progress.setFormat(text)
        self.progress.setToolTip(text)
        self._show_status(text)

    def show_slices(self, done: int, total: int, scan: str, unit: str | None = None) -> None:
        """Show the slices of the scan in work (or whatever this bar counts)."""
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)
        unit = unit or self._words.unit
        self.progress.setFormat(f"{done} / {total} {unit}")
        self.progress.setToolTip(f"{scan}: {done} of {total} {unit}")
        self._show_status(scan)

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a sentence; an empty one hides the box."""
        self._said = time.monotonic()
        self.message.setProperty("kind", "error" if error else "hint")
        self.message.style().unpolish(self.message)
        self.message.style().polish(self.message)
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def settle(self) -> None:
        """The user went on: an error that stood there for a while is history."""
        if self.message.property("kind") == "error" and time.monotonic() - self._said > STALE_S:
            self.show_message("")

    def _label(self, text: str) -> None:
        if self._words.shortcut is None:
            self.button.setText(text)
        else:
            label(self.button, text, self._words.shortcut)

    def _look_at_memory(self) -> None:
        self._memory = memory_words()
        self._show_status(self._doing)

    def _show_status(self, doing: str = "") -> None:
        if self.state is RunState.CANCELLING:
            doing = ""
        self._doing = doing
        # The dock is narrow: what is cut is the end.
        parts = (self._device, doing or self.state.value, self._memory, self._weights)
        text = " · ".join(part for part in parts if part)
        self.status.setText(text)
        self.status.setToolTip(f"Device, state, memory in use and weights:\n{text}")
