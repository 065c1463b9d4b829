"""Atomic writes: a file appears whole or not at all, and what a killed writer left is removed."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError

from napari_cpclnet.errors import OutputError

_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
_TEMPORARY = re.compile(r"\.cpclnet-(?P<machine>[0-9a-f]{6})-(?P<process>\d+)-[0-9a-f]{8}(\..*)?")
_LONGEST_SUFFIX = 16


@contextmanager
def atomic_write(path: Path, what: str) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it to `path` if the block ends well.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing.
    what : str
        What is written, for the sentence to the user: "the weights".

    Raises
    ------
    OutputError
        If the folder or the file cannot be written; nothing is left behind, an older file stays.
    """
    # in a folder of its own: libraries write under further names, and a killed one leaves them
    making = temporary_beside(path, "")
    temporary = making / f"part{_suffix(path)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        try:
            making.mkdir()
            yield temporary
            os.replace(temporary, path)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    except (OSError, SafetensorError) as error:  # safetensors wraps errors of the disk in its own
        msg = f"Cannot write {what} to '{path}': {getattr(error, 'strerror', None) or error}."
        raise OutputError(msg) from error


def temporary_beside(path: Path, suffix: str | None = None) -> Path:
    """Hidden path in the folder of a file to be written; its name says which process writes it (see `sweep`)."""
    suffix = _suffix(path) if suffix is None else suffix
    return path.with_name(f".cpclnet-{_MACHINE}-{os.getpid()}-{secrets.token_hex(4)}{suffix}")


def _suffix(path: Path) -> str:
    """Suffix by which libraries choose a format; without the name, which may be near the longest allowed."""
    two = "".join(path.suffixes[-2:])
    return next((one for one in (two, path.suffix) if len(one) <= _LONGEST_SUFFIX), "")


@lru_cache(maxsize=256)
def sweep(folder: Path) -> None:
    """Remove temporary files of processes of this machine that are gone; once per folder and process."""
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            found = _TEMPORARY.fullmatch(entry.name)
            if found is None or found["machine"] != _MACHINE or _lives(int(found["process"])):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    """Whether a process of this machine is there; where the system does not tell, it is taken to be."""
    if os.name != "posix":  # elsewhere, to ask is to end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
