"""Codecs that are written in C, in a process of their own.

A damaged or hostile file can make such a codec crash, hang or ask for all memory. Here that costs one sentence about
one file, and the next file gets a new process. The process is started once, stays warm, ends when it has nothing to
do, and does not outlive this one.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import ImageError

WORKER = "napari_cpclnet.imaging.decoding_worker"
# For the start of Python and its libraries on a slow machine.
START_SECONDS = 120.0
# Far more than a picture takes, even while the machine is busy; and what it takes by its size.
LEAST_SECONDS = 9.0
BYTES_PER_SECOND = 20_000_000
READY, BEGUN = b"\1", b"\2"

_lock = threading.Lock()
_worker: _Worker | None = None


def decoded(task: str, path: Path, size: int, **arguments: Any) -> NDArray[Any]:
    """Array that a task of `decoding_worker` makes of a file.

    Parameters
    ----------
    task
        Name of the task.
    path
        The file.
    size
        Bytes that its array should have, from which follows how long it may take.
    arguments
        What the task needs to know besides, as it can stand in JSON.

    Raises
    ------
    ImageError
        If the file is damaged, or the codec crashes, hangs or asks for too much memory.
    """
    global _worker
    request = {"task": task, "path": os.fspath(path), "size": size, "arguments": arguments}
    request["seconds"] = seconds = LEAST_SECONDS + size / BYTES_PER_SECOND
    with _lock:
        for _ in range(2):  # it may have gone to rest just now
            if _worker is None or not _worker.is_mine():
                _worker = _Worker(path)
            try:
                return _worker.ask(request, path, seconds)
            except _RestingError:
                _worker = None
            except ImageError:
                if _worker.process.poll() is not None:
                    _worker = None
                raise
            except BaseException:  # an interrupted answer would be taken for the next one's
                _worker.kill()
                _worker = None
                raise
        raise ImageError(f"{path}: the process that decodes pixels does not start; restart the program.")


def rest() -> None:
    """End the process, if there is one; the next file starts another."""
    global _worker
    with _lock:
        if _worker is not None and _worker.is_mine():
            _worker.kill()
        _worker = None


class _RestingError(Exception):
    """The process ended before it began with a request."""


class _Worker:
    def __init__(self, path: Path) -> None:
        self.owner = os.getpid()
        # The same packages as here, and none from the folder that the user happens to be in.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            msg = f"{path}: the process that decodes pixels cannot be started ({error.strerror})."
            raise ImageError(msg) from error
        try:
            with self._deadline(START_SECONDS):
                self._expect(READY)
        except (OSError, EOFError) as error:
            self.kill()
            msg = f"{path}: the process that decodes pixels does not start; restart the program."
            raise ImageError(msg) from error

    def is_mine(self) -> bool:
        """Whether this process started it; one that was forked from it has its own."""
        return self.owner == os.getpid()

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def ask(self, request: dict[str, Any], path: Path, seconds: float) -> NDArray[Any]:
        data = json.dumps(request).encode("utf-8")
        with self._deadline(seconds) as late:
            try:
                self._write(len(data).to_bytes(4, "big") + data)
                self._expect(BEGUN)
            except (OSError, EOFError) as error:
                self.kill()
                if late.is_set():
                    raise ImageError(self._end(path, seconds, late)) from error
                raise _RestingError from error
            try:
                answer = json.loads(self._read(int.from_bytes(self._read(4), "big")))
                if "refused" in answer:
                    raise ImageError(answer["refused"])
                dtype, shape = np.dtype(answer["dtype"]), tuple(answer["shape"])
                values = self._read(math.prod(shape) * dtype.itemsize)
            except (OSError, EOFError, ValueError) as error:
                self.kill()
                raise ImageError(self._end(path, seconds, late)) from error
        return np.frombuffer(values, dtype).reshape(shape)

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[threading.Event]:
        """Kill it if the block takes longer; the event tells that."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def _expect(self, sign: bytes) -> None:
        if self._read(1) != sign:
            raise EOFError

    def _read(self, count: int) -> bytearray:
        """So many bytes of its answer; EOFError if it ends before."""
        assert self.process.stdout is not None
        found = bytearray(count)
        view, done = memoryview(found), 0
        while done < count:
            got = self.process.stdout.readinto(view[done:])  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            done += got
        return found

    def _end(self, path: Path, seconds: float, late: threading.Event) -> str:
        if late.is_set():
            return (
                f"{path}: its pixels were not decoded within {seconds:.0f} s, so they are damaged; export it "
                "uncompressed, or leave it out."
            )
        code = self.process.returncode
        reason = f"exit code {code}"
        if code < 0:
            with suppress(ValueError):
                reason = signal.Signals(-code).name
        return (
            f"{path}: its pixels made their decoder crash ({reason}), so they are damaged; export it uncompressed, or "
            "leave it out."
        )


atexit.register(rest)
