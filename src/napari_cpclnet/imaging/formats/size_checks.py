"""Size checks: files whose sizes cannot be true or do not fit are refused before memory is taken."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from napari_cpclnet.errors import ImageError
from napari_cpclnet.files.bounded import shown

# Deflate (gzip, zlib) cannot pack better than 1032 to 1.
DEFLATE_RATIO = 1032
# Address space for the libraries of codecs and their threads.
LIBRARIES = 1 << 30
# Assumed where the system does not tell its memory.
USUAL_MEMORY = 32 << 30

# Where Linux says what a container may take, of the newer and the older kind.
CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

_limited = False


def check_file(path: Path) -> None:
    """Refuse what cannot be read to its end: pipes, devices, the system's files of no size, names out of bounds.

    Folders and missing files pass; whoever reads says more about them.

    Raises
    ------
    ImageError
        With the reason.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:  # a zero byte in a name is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{shown(path, 200)}: cannot be opened ({reason}).") from error
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path}: is no ordinary file (a pipe or a device); give a file or a folder.")
    if status.st_size == 0:
        raise ImageError(f"{path}: is empty (0 bytes); copy or export it again.")


def machine_memory() -> int:
    """Bytes of memory of this machine or of the container that holds us; a usual amount where no system tells."""
    try:
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        most = USUAL_MEMORY
    for file in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # "max" where there is no limit
            most = min(most, int(file.read_text(encoding="ascii")))
    return most


def check_memory(path: str | Path, shape: Sequence[int], itemsize: int) -> None:
    """Refuse an image that does not fit into the memory of the machine.

    Parameters
    ----------
    path
        Names the file in the message.
    shape
        Number of values along each axis; Python integers, which do not overflow.
    itemsize
        Bytes per value.

    Raises
    ------
    ImageError
        If the image is larger than the memory.
    """
    needed, there = math.prod(int(n) for n in shape) * itemsize, machine_memory()
    if needed > there:
        size = " x ".join(str(int(n)) for n in shape)
        raise ImageError(
            f"{path}: says it has {size} voxels ({needed / 2**30:.3g} GiB), more than this machine's memory "
            f"({there / 2**30:.3g} GiB); the header is damaged, or a smaller part must be saved."
        )


def limit_memory(needed: int) -> None:
    """Let this process take so many bytes more than it has, and what libraries need besides; no limit on some systems.

    For the process that decodes pixels: a program with a window or a network must not be limited so.
    """
    global _limited
    _limited = True
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + LIBRARIES + needed
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
    except (ImportError, OSError, ValueError):
        return


def grant_memory(needed: int) -> None:
    """Tell how many bytes a picture needs whose header was checked, in a process whose memory is limited."""
    if _limited:
        limit_memory(needed)
