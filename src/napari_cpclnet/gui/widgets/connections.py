"""napari events a widget listens to, taken back together when the widget goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtpy.QtCore import QObject


class Connections:
    """Pairs of emitter and callback."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Callable[..., None]]] = []

    def connect(self, emitter: Any, callback: Callable[..., None]) -> None:
        """Call ``callback`` on each event of ``emitter``."""
        emitter.connect(callback)
        self._pairs.append((emitter, callback))

    def close(self) -> None:
        """Disconnect all."""
        while self._pairs:
            emitter, callback = self._pairs.pop()
            emitter.disconnect(callback)


def when_destroyed(owner: QObject, *actions: Callable[[], object]) -> None:
    """Call actions when Qt deletes ``owner``.

    PyQt does not keep the object of a connected method alive; the function that is connected here does.
    """

    def clean_up() -> None:
        for action in actions:
            action()

    owner.destroyed.connect(clean_up)
