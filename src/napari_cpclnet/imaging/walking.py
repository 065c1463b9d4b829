"""Walk through folders: each once, however it is linked, and none in which no scan can lie."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from napari_cpclnet.errors import ImageError

# Files in them are no data: reading some of them waits for ever, and links lead from them to the whole machine.
_SYSTEM = tuple(Path(name) for name in ("/proc", "/sys", "/dev"))
_DATA = Path("/dev/shm")

Complaint = Callable[[Path, str], None]


def walk(folder: Path, complain: Complaint | None = None) -> Iterator[Path]:
    """Files of a folder and its subfolders by name, without hidden ones and what is inside of OME-Zarr.

    Parameters
    ----------
    folder
        Where to look. Links are followed, but not into the folders in which the system keeps what is no data.
    complain
        Called with each folder that cannot be opened and each link that leads nowhere, and why.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [] if _is_system(folder) else [folder]
    while waiting:
        place = waiting.pop()
        if not is_first_visit(place, seen):
            continue
        folders = []
        for path in entries(place, complain):
            # Path.is_dir would raise in a folder whose names may be read and nothing else.
            if os.path.isdir(path):
                if path.suffix.lower() != ".zarr":  # thousands of blocks of one scan
                    folders.append(path)
            elif os.path.isfile(path):
                yield path
            elif complain is not None and not os.path.exists(path):
                complain(path, "it leads nowhere" if os.path.islink(path) else "it may not be opened")
        waiting.extend(reversed(folders))


def entries(folder: Path, complain: Complaint | None = None) -> list[Path]:
    """Visible entries of a folder by name, without links into the system's folders; none if it cannot be opened."""
    try:
        with os.scandir(folder) as found:
            names = [(entry.name, entry.is_symlink()) for entry in found if not entry.name.startswith(".")]
    except OSError as error:
        if complain is not None:
            complain(folder, error.strerror or "unknown reason")
        return []
    paths = [(folder / name, is_link) for name, is_link in sorted(names)]
    return [path for path, is_link in paths if not (_is_system(path) if is_link else path in _SYSTEM)]


def check_open(folder: Path) -> None:
    """Refuse a folder that cannot be opened, or in which the system keeps what is no data.

    Raises
    ------
    ImageError
        With the reason.
    """
    if _is_system(folder):
        raise ImageError(f"{folder}: belongs to the operating system and holds no scans.")
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        raise ImageError(f"{folder}: cannot be opened ({error.strerror}).") from error


def is_first_visit(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether a folder is there and not among those seen, to which it is added."""
    try:
        status = folder.stat()
    except OSError:
        return False
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True


def _is_system(path: Path) -> bool:
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(place) for place in _SYSTEM) and not real.is_relative_to(_DATA)
