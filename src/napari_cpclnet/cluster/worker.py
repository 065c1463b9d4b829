"""Worker processes of a dask cluster: one item at a time, with what all items share at hand."""

from __future__ import annotations

import ctypes
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import distributed

from napari_cpclnet._version import __version__
from napari_cpclnet.errors import CpclnetError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt in malloc.h
_LARGEST = 32 * 2**20

DONE, REFUSED, FAILED = b"d", b"r", b"f"
"""First byte of an answer: the result follows, a sentence to the user, or the traceback of a bug."""


class Shared(distributed.WorkerPlugin):  # type: ignore[misc]
    """What all items of a job need. The scheduler gives it to each worker once, those that come later too.

    Parameters
    ----------
    name : str
        Under which items find it.
    version : str
        Of this package, where the job began.
    content : bytes
    prepare : callable
        Makes of the content and the worker's number what `work` is given; called once in each worker, with its first
        item.
    work : callable
        Makes of the prepared content and an item its answer.
    ours : bool
        Whether the workers belong to the command: Ctrl-C reaches them, too, and the command decides.
    """

    def __init__(
        self,
        name: str,
        version: str,
        content: bytes,
        prepare: Callable[[bytes, int], Any],
        work: Callable[[Any, bytes], bytes],
        *,
        ours: bool = False,
    ) -> None:
        self.name, self._ours = name, ours
        self._version, self._content, self._prepare, self._work = version, content, prepare, work

    def setup(self, worker: distributed.Worker) -> None:
        """Begin in a worker."""
        keep_freed_memory()
        if self._ours:
            with suppress(ValueError):  # a worker that runs in a thread of a process
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._number = worker_number(str(worker.name))
        self._prepared: Any = None
        # a worker of several threads is given several items: one network, and one scan in memory
        self._one_at_a_time = threading.Lock()

    def answer(self, item: bytes) -> bytes:
        """What comes of an item; never an exception, which would travel pickled."""
        try:
            if self._version != __version__:
                raise CpclnetError(
                    f"The worker has version {__version__} of napari-cpclnet, the command {self._version}: install "
                    "the same on all machines."
                )
            with self._one_at_a_time:
                if self._prepared is None:
                    self._prepared = self._prepare(self._content, self._number)
                return DONE + self._work(self._prepared, item)
        except CpclnetError as error:
            return REFUSED + str(error).encode()
        except Exception:  # noqa: BLE001 - goes to the one who asked, and the batch goes on
            return FAILED + traceback.format_exc().encode()


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed arrays for the next ones, as it does by itself in other processes.

    dask tells its workers to give all of it back at once (``MALLOC_TRIM_THRESHOLD_``). Then every large tensor is made
    of new pages that the system has to clear, which takes longer than the computing.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # not in every C library
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)


def work_on(name: str, item: bytes) -> bytes:
    """Answer an item of the job of that name; called by dask in a worker."""
    shared: Shared = distributed.get_worker().plugins[name]
    return shared.answer(item)


def worker_number(name: str) -> int:
    """Number of a worker among those of its machine: that at the end of its name, as dask gives it, else 0."""
    found = re.search(r"(?:^|-)(\d+)$", name)
    return int(found[1]) if found else 0
