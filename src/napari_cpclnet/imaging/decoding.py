"""Decoding of compressed pixels by C libraries in a process of its own, with limits of time and memory.

A damaged or hostile file can make such a codec crash, hang or ask for all memory. Here that costs one sentence about
one file, and the next file gets a new process. The process is started once, stays warm, ends when it has nothing to
do, and does not outlive this one. What a file took too long is added up over its frames and over the calls that look at
it, so that many slow frames are no longer a wait than one that hangs.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
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
# How long all frames of a file may take beyond what is due to them: far more than any takes while the machine is busy.
LEAST_SECONDS = 8.0
# Work of the processor that counts as too much is more than is due by this.
SLACK_SECONDS = 0.25
# After so long a file is tried anew, as if nobody had looked at it.
FORGIVEN_AFTER = 60.0
# Said by the process when it has started, and of each request when it has read it.
READY = b"\1"
# A slice of a usual scan passes through a pipe of so many bytes in one piece, where the system makes it so wide.
PIPE = 1 << 20

_lock = threading.Lock()
_worker: _Worker | None = None
# Files that took too long, for how long, and when that was.
_late: dict[str, tuple[float, float]] = {}


def decoded(task: str, path: Path, size: int, due: float, **arguments: Any) -> NDArray[Any]:
    """Array that a task of `decoding_worker` makes of a file.

    Parameters
    ----------
    task
        Name of the task.
    path
        The file.
    size
        Bytes that its array should have.
    due
        Seconds that decoding takes at most if nothing is wrong with it.
    arguments
        What the task needs to know besides, as it can stand in JSON.

    Raises
    ------
    ImageError
        If the file is damaged, or the codec crashes, hangs or asks for too much memory.
    """
    global _worker
    # The other process stays in the folder in which it was started.
    request = {"task": task, "path": os.path.abspath(path), "size": size, "arguments": arguments}
    with _lock:
        request["seconds"] = seconds = max(_left(path), due)
        for _ in range(2):  # it may have gone to rest just now
            if _worker is not None and _worker.process.poll() is not None:
                _worker.kill()  # it has ended already; its pipes have not
                _worker = None
            if _worker is None:
                _worker = _Worker(path)
            asked = _worker
            try:
                return asked.ask(request, path, seconds)
            except _RestingError:
                _worker = None
            except ImageError:
                if asked.process.poll() is not None:
                    _worker = None
                raise
            except BaseException:  # an interrupted answer would be taken for the next one's
                asked.kill()
                _worker = None
                raise
            finally:
                _count(path, asked.took, due)
        raise ImageError(f"{path}: the process that decodes pixels does not start; restart the program.")


def rest() -> None:
    """End the process, if there is one; the next file starts another."""
    global _worker
    with _lock:
        if _worker is not None:
            _worker.kill()
        _worker = None


def _left(path: Path) -> float:
    """Seconds that a file may still take beyond what is due; ImageError if there are none."""
    now = time.monotonic()
    for one in [one for one, (_, last) in _late.items() if now - last > FORGIVEN_AFTER]:
        del _late[one]
    spent, _ = _late.get(os.path.abspath(path), (0.0, now))
    if spent >= LEAST_SECONDS:
        raise ImageError(_too_slow(path, LEAST_SECONDS))
    return LEAST_SECONDS - spent


def _count(path: Path, took: float, due: float) -> None:
    if took - due > SLACK_SECONDS:
        spent, _ = _late.get(os.path.abspath(path), (0.0, 0.0))
        _late[os.path.abspath(path)] = spent + took - due, time.monotonic()


def _too_slow(path: Path, seconds: float) -> str:
    return _damaged(path, f"were not decoded within {seconds:.2g} s")


def _damaged(path: Path, what: str) -> str:
    return f"{path}: its pixels {what}, so they are damaged; export it again without compression, or leave it out."


def _forget() -> None:
    """In a process that was forked from this one: it needs one of its own, and nobody holds the lock there."""
    global _lock, _worker
    _lock, _worker = threading.Lock(), None


class _RestingError(Exception):
    """The process ended before it read what it was asked: it had nothing to do for long, or was killed."""


class _Worker:
    def __init__(self, path: Path) -> None:
        self.took = 0.0
        # The same packages as here, and none from the folder that the user happens to be in.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=environment,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            msg = f"{path}: the process that decodes pixels cannot be started ({error.strerror})."
            raise ImageError(msg) from error
        _widen(self.process.stdout)
        try:
            with self._deadline(START_SECONDS):
                self._read(len(READY))
        except (OSError, EOFError) as error:
            self.kill()
            msg = f"{path}: the process that decodes pixels does not start; restart the program."
            raise ImageError(msg) from error

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def ask(self, request: dict[str, Any], path: Path, seconds: float) -> NDArray[Any]:
        """Array that it makes of a file; _RestingError if it ended before it read the request.

        ``took`` has the seconds of the processor for that, or those that were waited for nothing; infinite if it was
        too late.
        """
        data = json.dumps(request).encode("utf-8")
        has_begun, self.took, began = False, 0.0, time.monotonic()
        with self._deadline(seconds):
            try:
                self._write(len(data).to_bytes(4, "big") + data)
                has_begun = bool(self._read(len(READY)))
                answer = json.loads(self._read(int.from_bytes(self._read(4), "big")))
                self.took = answer["took"]
                if "refused" in answer:
                    self.took = time.monotonic() - began
                    raise ImageError(answer["refused"].replace(request["path"], str(path)))
                dtype, shape = np.dtype(answer["dtype"]), tuple(answer["shape"])
                values = self._read(math.prod(shape) * dtype.itemsize)
            except (OSError, EOFError, ValueError) as error:
                self.kill()
                if not has_begun and not self.late:  # no fault of the file
                    raise _RestingError from error
                self.took = math.inf if self.late else time.monotonic() - began
                raise ImageError(self._end(path, seconds)) from error
        return np.frombuffer(values, dtype).reshape(shape)

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        """Kill it if the block takes longer."""
        self.until, self.late = time.monotonic() + seconds, False
        if os.name != "nt":  # there one can wait for a pipe and the time at once
            yield
            return

        timer = threading.Timer(seconds, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self.late = True
        self.process.kill()

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)  # shorter than what a pipe takes at once
        self.process.stdin.flush()

    def _read(self, count: int) -> bytearray:
        """So many bytes of its answer; EOFError if it ends before."""
        assert self.process.stdout is not None
        found = bytearray(count)
        view, done = memoryview(found), 0
        while done < count:
            if os.name != "nt":
                left = max(self.until - time.monotonic(), 0)
                if not select.select([self.process.stdout], [], [], left)[0]:
                    self._give_up()
            got = self.process.stdout.readinto(view[done:])  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            done += got
        return found

    def _end(self, path: Path, seconds: float) -> str:
        code = self.process.returncode
        if self.late:
            return _too_slow(path, seconds)
        reason = f"exit code {code}"
        if code < 0:
            with suppress(ValueError):
                reason = signal.Signals(-code).name
        return _damaged(path, f"made their decoder crash ({reason})")


def _widen(pipe: Any) -> None:
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)


atexit.register(rest)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
