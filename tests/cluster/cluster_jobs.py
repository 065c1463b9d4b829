"""Jobs for the workers of a cluster, which import this file."""

from __future__ import annotations

import os
import secrets
import signal
import time
from pathlib import Path

from napari_cpclnet.errors import ImageError


def nothing(_common: bytes, _number: int) -> str:
    return "nothing"


def folder(common: bytes, _number: int) -> Path:
    return Path(common.decode())


def log(common: bytes, _number: int) -> Path:
    """Leave a line in a file for each time this is called."""
    path = folder(common, 0)
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return path


def shout(_prepared: object, item: bytes) -> bytes:
    return item.upper()


def say_who_and_wait(place: Path, item: bytes) -> bytes:
    """Say in files which process works on the item, and take a while."""
    (place / f"begun_{item.decode()}_{secrets.token_hex(4)}").touch()
    mine = place / f"at_work_{item.decode()}"
    mine.write_text(str(os.getpid()))
    time.sleep(1.0)
    mine.unlink()
    return item


def die_of_poison(_prepared: object, item: bytes) -> bytes:
    if item == b"poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def refuse(_prepared: object, item: bytes) -> bytes:
    if item == b"no":
        raise ImageError("no.nii.gz: is no image.")
    return bytes(1 // 0)


def fail_at_first(tried: Path, item: bytes) -> bytes:
    if not tried.exists():
        tried.touch()
        raise OSError("the folder is out of reach")
    return item


def new_pages(_prepared: object, _item: bytes) -> bytes:
    """Pages made for an array of 16 MB that is made and freed a hundred times: as it is, and as dask sets it.

    Only this thread is counted.
    """
    import ctypes
    import resource

    import numpy as np

    def pages() -> int:
        np.ones(2**21)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for _ in range(100):
            np.ones(2**21)
        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

    ours = pages()
    trim_threshold = -1  # of mallopt, as in malloc.h
    ctypes.CDLL(None).mallopt(trim_threshold, 65536)
    return f"{ours} {pages()}".encode()
