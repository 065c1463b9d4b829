"""napari events a widget listens to, taken back together when the widget goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Connections:
    """Pairs of emitter and callback."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Callable[..., None]]] = []

    def connect(self, emitter: Any, callback: Callable[..., None]) -> None:
        """Call ``callback`` on each event of ``emitter``."""
        emitter.connect(callback)
        self._pairs.append((emitter, callback))

    def close(self, *_: Any) -> None:
        """Disconnect all."""
        while self._pairs:
            emitter, callback = self._pairs.pop()
            emitter.disconnect(callback)
