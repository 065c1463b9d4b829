"""How long the window stood still, and whose code it was: the event loop watched from within and from beside.

Shared by tests and by ``benchmarks/speed/responsiveness.py``; knows nothing of pytest.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from qtpy.QtCore import Qt, QTimer

BEAT_MS = 5
LOOK_S = 0.02
# A block that is looked into.
LONG_S = 0.05
_WAITING = ("threading.py", "queue.py", "subprocess.py", "selectors.py", "connection.py")


@dataclass
class Block:
    """The event loop did not turn for so many seconds; ``places``: (whose code, place) of the stacks seen meanwhile."""

    seconds: float
    places: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def place(self) -> tuple[str, str]:
        """Whose code was seen most often, and where."""
        return self.places.most_common(1)[0][0] if self.places else ("", "")


class EventLoopWatch:
    """Longest time for which the window's thread was busy without a turn of the event loop.

    Its own time, not that of the clock: another program that wants the processor, or another thread that holds Python's
    lock, is not its fault. What it waits for in ``threading`` and the like counts by the clock.
    """

    def __init__(self) -> None:
        self._main = threading.main_thread().ident
        self._clock = time.pthread_getcpuclockid(self._main)
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.beat)
        self._timer.start(BEAT_MS)
        self._ended = threading.Event()
        self._looker = threading.Thread(target=self._look, daemon=True)
        self.begin()
        self._looker.start()

    def begin(self) -> None:
        """Forget what was."""
        self.blocks: list[Block] = []
        self._begin_turn()

    def end(self) -> None:
        """Watch no more."""
        self._timer.stop()
        self._ended.set()
        self._looker.join()

    @property
    def longest(self) -> float:
        """Seconds."""
        return max((block.seconds for block in self.blocks), default=0.0)

    def beat(self) -> None:
        """The loop turns."""
        seconds = time.thread_time() - self._since + self._waited
        if seconds > LONG_S or not self.blocks:
            self.blocks.append(Block(seconds, self._places))
        self._begin_turn()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is computed inside does not count: it is the script's, which a user does not have."""
        self.beat()
        yield
        self._begin_turn()

    def _begin_turn(self) -> None:
        self._places: Counter[tuple[str, str]] = Counter()
        self._waited = 0.0
        self._since = time.thread_time()

    def _look(self) -> None:
        """Look at the stack of the window's thread now and then while the loop does not turn."""
        before = time.monotonic()
        while not self._ended.wait(LOOK_S):
            now, places = time.monotonic(), self._places
            frame = sys._current_frames().get(self._main)
            if frame is None:
                continue
            if frame.f_code.co_filename.endswith(_WAITING):
                self._waited += now - before
            if time.clock_gettime(self._clock) - self._since > LOOK_S:
                places[place_of(frame)] += 1
            before = now


def place_of(frame: FrameType | None) -> tuple[str, str]:
    """Whose code a stack is in, and where: ours as ``module.function``, with what it calls."""
    owner, called = "", ""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        package = _package(path)
        if package and not owner:
            owner = package
        if package == "napari_cpclnet":
            ours = f"{path.stem}.{frame.f_code.co_qualname}"
            return owner, ours if not called else f"{ours} > {called}"
        if package:
            called = f"{package}: {path.stem}.{frame.f_code.co_qualname}"
        frame = frame.f_back
    return owner or "Qt", called


def _package(path: Path) -> str:
    parts = path.parts
    for name in ("napari_cpclnet", "napari", "vispy", "app_model", "psygnal", "npe2", "superqt", "magicgui"):
        if name in parts:
            return name
    return ""


__all__ = ["Block", "EventLoopWatch"]
_ = Any
