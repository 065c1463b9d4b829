"""Long work in a thread: turns the reports of a generator, or the result of a function, into Qt signals."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator, Iterator
from functools import cache
from threading import Event
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Qt, QThreadPool, Signal
from superqt.utils import WorkerBase

from napari_cpclnet.gui.jobs.segment_job import user_message
from napari_cpclnet.gui.widgets.connections import when_destroyed


class JobRunner(QObject):
    """Runs one job at a time in a `thread_worker`.

    Signals arrive in the GUI thread: `report` with each report, `finished` once at the end of every run,
    however it ended. Deleting the runner cancels the run; its last reports then go nowhere.
    """

    report = Signal(object)
    finished = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cancelled: Event | None = None

    @property
    def is_running(self) -> bool:
        """Whether a run is under way (also while it is being cancelled)."""
        return self._cancelled is not None

    def start_reports(self, reports: Generator[Any, None, None], cancelled: Event) -> None:
        """Start any generator of reports that looks at ``cancelled`` now and then."""
        if self._cancelled is not None:
            raise RuntimeError("a run is under way")
        self._cancelled = cancelled
        # Cancelled by the flag, not by worker.quit(): the generator then ends by itself and says so.
        when_destroyed(self, cancelled.set)
        reports = _beside_others(reports)
        worker = create_worker(_each, reports, _start_thread=False)
        worker.yielded.connect(self.report)
        worker.finished.connect(self._on_finished)
        # napari itself uses quit() when its window closes, and that leaves a generator hanging: close it there
        # and then, in the worker's thread.
        worker.aborted.connect(lambda: reports.close(), Qt.ConnectionType.DirectConnection)
        _wait_at_exit()
        worker.start()

    def cancel(self) -> None:
        """Ask the run to stop; it does so after the slice it is working on."""
        if self._cancelled is not None:
            self._cancelled.set()

    def _on_finished(self) -> None:
        self._cancelled = None
        self.finished.emit()


class BackgroundCall(QObject):
    """One slow call in a thread; `done` with its result or `failed` with a sentence in the GUI thread."""

    done = Signal(object)
    failed = Signal(str)

    def __init__(self, function: Callable[[], Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._function = function

    def start(self) -> None:
        """Start the call; the object deletes itself afterwards."""
        worker = create_worker(_outcome, self._function, _start_thread=False)
        worker.yielded.connect(self._on_outcome)
        _wait_at_exit()
        worker.start()

    def _on_outcome(self, outcome: tuple[Any, str]) -> None:
        result, message = outcome
        if message:
            self.failed.emit(message)
        else:
            self.done.emit(result)
        self.deleteLater()


@cache
def _wait_at_exit() -> None:
    """Let running work end before Python does, in scripts that never entered Qt's event loop, too.

    Its signals would be gone under the thread, which ends the process with a crash.
    """
    atexit.register(WorkerBase.await_workers)


def _each(reports: Iterator[Any]) -> Iterator[Any]:
    yield from reports


def _beside_others(reports: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """The reports, from a thread that does not count: Qt has as many as there are cores.

    A run of hours must not take the only one of a small machine.
    """
    pool = QThreadPool.globalInstance()
    pool.releaseThread()
    try:
        yield from reports
    finally:
        pool.reserveThread()


def _outcome(function: Callable[[], Any]) -> Iterator[tuple[Any, str]]:
    try:
        result = function()
    except Exception as error:  # noqa: BLE001 - shown to the user as a sentence
        yield None, user_message(error)
    else:
        yield result, ""
