"""Worker processes compute in one thread, and end with the process that started them, however that ended."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from multiprocessing import connection

from napari_cpclnet.threads import one_thread

_LOOK_EVERY = 1.0


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
