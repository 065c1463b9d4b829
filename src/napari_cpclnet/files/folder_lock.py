"""Lock on an output folder, which belongs to one process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_cpclnet.errors import OutputError

_LOCK_FILE = ".cpclnet-lock"


@contextmanager
def only_here(folder: Path, what: str) -> Iterator[None]:
    """Keep other processes from writing the same thing to a folder; what was killed keeps nobody out.

    Where the file system knows no locks, nothing is kept from anybody.

    Parameters
    ----------
    folder
        Made if it is missing, and gone again if nothing came into it.
    what
        For the sentence to the user: "an evaluation".

    Raises
    ------
    OutputError
        If another process holds the folder, or it cannot be made.
    """
    made = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror or error}).") from error
    try:
        handle = _locked(folder)
    except (BlockingIOError, PermissionError) as error:
        raise OutputError(
            f"{folder}: another process is writing {what} there; wait until it ends, or choose another folder."
        ) from error
    except OSError:
        handle = None
    try:
        yield
    finally:
        if handle is not None:
            with suppress(OSError):
                os.close(handle)  # the system forgets the lock with the handle
        with suppress(OSError):
            for path in made:
                path.rmdir()


if sys.platform == "win32":

    def _locked(folder: Path) -> int:
        import msvcrt

        handle = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            os.close(handle)
            raise
        return handle

else:

    def _locked(folder: Path) -> int:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)  # the folder itself: nothing is left lying about
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise
        return handle
