"""Work in the thread of the window, a piece in each turn of its event loop: what touches layers cannot leave it."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import QObject, QTimer


class Turns(QObject):
    """Goes through an iterator step by step while the window lives."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._steps: Iterator[object] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)

    @property
    def are_left(self) -> bool:
        """Whether there are steps to go."""
        return self._steps is not None

    def start(self, steps: Iterator[object]) -> None:
        """Go through these steps, once those of before are through."""
        self.finish()
        self._steps = steps
        self._timer.start()

    def finish(self) -> None:
        """Go through what is left at once."""
        while self._steps is not None:
            self._step()

    def _step(self) -> None:
        steps, self._steps = (
            self._steps,
            None,
        )  # a step may look whether others are left, and must not be taken twice
        if steps is None:
            self._timer.stop()
            return
        try:
            next(steps)
        except StopIteration:
            self._timer.stop()
        else:
            self._steps = steps
