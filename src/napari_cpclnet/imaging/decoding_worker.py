"""Worker process of the codecs written in C: ``python -m napari_cpclnet.imaging.decoding_worker``.

It reads requests from its input and writes arrays to its output. Each request has limits of time and memory, kept by
the system where it can, so that not even a codec that never returns outlives them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.decoding import READY
from napari_cpclnet.imaging.dicom.codecs import decode_frame
from napari_cpclnet.imaging.formats.pictures import decode_picture
from napari_cpclnet.imaging.formats.size_checks import limit_memory

TASKS: dict[str, Callable[..., NDArray[Any]]] = {"frame": decode_frame, "picture": decode_picture}
# Without work for so long it ends, and its memory is free.
IDLE_SECONDS = 120.0
# A codec needs a few copies of its picture.
COPIES = 8


def main() -> None:
    """Answer requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that asks
    requests, answers = _streams()
    answers.write(READY)
    answers.flush()
    while _is_asked(requests):
        length = requests.read(4)
        if len(length) < 4:
            return
        request = json.loads(requests.read(int.from_bytes(length, "big")))
        answers.write(READY)
        answers.flush()
        _alarm(request["seconds"] + 2)  # its asker is the first to lose patience, unless it is dead
        before = time.process_time()
        answer, values = _answer(request)
        answer["took"] = time.process_time() - before
        _alarm(0)
        data = json.dumps(answer).encode("utf-8")
        answers.write(len(data).to_bytes(4, "big") + data)
        answers.write(values)
        answers.flush()


def _streams() -> tuple[BinaryIO, BinaryIO]:
    """Input, and what was the output: libraries that print must not spoil the answers."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return os.fdopen(os.dup(0), "rb", buffering=0), answers


def _is_asked(requests: BinaryIO) -> bool:
    if sys.platform == "win32":  # pipes cannot be waited for there
        return True
    return bool(select.select([requests], [], [], IDLE_SECONDS)[0])


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    path = Path(request["path"])
    try:
        limit_memory(COPIES * request["size"])
        array = np.ascontiguousarray(TASKS[request["task"]](path, **request["arguments"]))
        return {"dtype": array.dtype.str, "shape": array.shape}, array.reshape(-1).view(np.uint8).data
    except ImageError as error:
        return {"refused": str(error)}, b""
    except MemoryError:
        msg = f"{path}: its pixels need more memory than a picture of its size can; it is damaged."
        return {"refused": msg}, b""
    except Exception as error:  # noqa: BLE001  a codec raises whatever the damaged byte provokes
        msg = f"{path}: its pixels cannot be decoded ({type(error).__name__}); export it uncompressed."
        return {"refused": msg}, b""


def _alarm(seconds: float) -> None:
    """Let the system end this process then, whatever it is doing; 0 for never."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main()
