"""Worker processes compute in one thread, know nothing of the script that started them, and end with its process."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, context
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from napari_cpclnet.threads import one_thread

_LOOK_EVERY = 1.0
_starting = threading.Lock()


def fresh_context() -> context.SpawnContext:
    """How to start processes: as fresh interpreters, in which nothing of the main script is run.

    Python otherwise runs that script once more in each, which opens a second window where a script without
    ``if __name__ == "__main__"`` has opened one. Functions of the main script cannot be called in such processes.
    Forking a process that has used torch's threads may hang.
    """
    return _FreshContext()


class _FreshProcess(context.SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - as multiprocessing calls it
        with _main_hidden():
            return context.SpawnProcess._Popen(process_obj)


class _FreshContext(context.SpawnContext):
    Process = _FreshProcess


@contextmanager
def _main_hidden() -> Iterator[None]:
    """What multiprocessing asks for the file of the main script has none to tell."""
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def work_beside_others(first: Callable[[], None] = lambda: None) -> None:
    """Begin as one of as many workers as there are cores: in one thread, and watching the parent.

    Parameters
    ----------
    first
        As in :func:`end_with_parent`.
    """
    one_thread()
    end_with_parent(first)


def end_with_parent(first: Callable[[], None] = lambda: None) -> None:
    """Watch the parent of this process from a thread of its own, and end when it is gone.

    A parent that was killed cannot say stop: its workers would wait for work for ever, and keep their memory.

    Parameters
    ----------
    first
        Called when the parent is gone, before this process ends.
    """
    started_by = os.getppid()
    threading.Thread(target=_watch, args=(started_by, first), daemon=True).start()


def _watch(started_by: int, first: Callable[[], None]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    else:
        while os.getppid() == started_by:
            time.sleep(_LOOK_EVERY)
    first()
    os._exit(1)
