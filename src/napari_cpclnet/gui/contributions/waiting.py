"""Blocking calls in a thread while the window stays alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# A dialog that comes and goes at once would only flicker.
SHOW_AFTER_MS = 400


class GivenUpError(Exception):
    """The user did not want to wait any longer."""


def wait_for(function: Callable[[], T], text: str) -> T:
    """Call a function in a thread while the window lives; without a window, just call it.

    Parameters
    ----------
    function
        Slow, and touches no widget and no layer.
    text
        What the dialog says, which comes if it takes long.

    Raises
    ------
    GivenUpError
        If the user pressed *Cancel*; the function goes on to its end, and nobody hears of it.
    Exception
        What the function raised.
    """
    window = _window()
    return function() if window is None else _wait_in(window, function, text)


def _window() -> object | None:
    """Napari's visible window, if this is the thread that may show a dialog in it."""
    from threading import current_thread, main_thread

    from napari import current_viewer

    viewer = current_viewer()
    window = getattr(viewer, "window", None)  # a viewer model has none
    if window is None or current_thread() is not main_thread():
        return None
    return window._qt_window if window._qt_window.isVisible() else None


def _wait_in(window: object, function: Callable[[], T], text: str) -> T:
    from napari.qt.threading import create_worker
    from qtpy.QtCore import QEventLoop, Qt
    from qtpy.QtWidgets import QProgressDialog

    loop = QEventLoop()
    found: list[T] = []
    failed: list[Exception] = []

    def call() -> None:
        try:
            found.append(function())
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            failed.append(error)

    dialog = QProgressDialog(text, "Cancel", 0, 0, window)
    dialog.setWindowTitle("Few-shot segmentation")
    # No second file is opened meanwhile, and no layer changes under the reader's feet.
    dialog.setWindowModality(Qt.WindowModality.WindowModal)
    dialog.setMinimumDuration(SHOW_AFTER_MS)
    dialog.setMinimumWidth(360)
    dialog.canceled.connect(loop.quit)
    worker = create_worker(call, _start_thread=False)
    worker.finished.connect(loop.quit)
    worker.start()
    dialog.setValue(0)
    loop.exec()
    dialog.canceled.disconnect(loop.quit)
    dialog.close()
    dialog.deleteLater()
    if failed:
        raise failed[0]
    if not found:
        raise GivenUpError
    return found[0]
