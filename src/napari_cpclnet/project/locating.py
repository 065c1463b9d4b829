"""Locating the scans of a project: where they are now, and whether they changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.formats.pictures import is_picture
from napari_cpclnet.imaging.formats.raw_image import volume_suffix
from napari_cpclnet.imaging.walking import check_open
from napari_cpclnet.project.fingerprints import fingerprint, scan_files
from napari_cpclnet.project.folder import absolute_path
from napari_cpclnet.project.schema import Project, ScanEntry

# A project in a home folder must not have the whole disk read.
DEEPEST = 4
MOST_FILES = 20_000

State = Literal["same", "moved", "changed", "missing"]


@dataclass(frozen=True)
class LocatedScan:
    """What became of a scan: ``path`` is where it is now, where it should be if it is missing."""

    scan: ScanEntry
    path: Path
    state: State

    @property
    def warning(self) -> str:
        """One sentence for the user; empty if all is as it was."""
        return {
            "same": "",
            "moved": f"'{self.scan.name}' was moved to {self.path}.",
            "changed": f"'{self.scan.name}' ({self.path}) was changed since the project was saved; what was painted "
            "may not fit any more.",
            "missing": f"'{self.scan.name}' is not at {self.path} any more, nor near the project.",
        }[self.state]


def locate(project: Project, folder: Path, also: Sequence[Path] = ()) -> Iterator[LocatedScan]:
    """Look at every scan of a project, one after the other; reads all of each.

    Parameters
    ----------
    project, folder
        The project and its folder.
    also
        Further folders in which to look for scans that are not where they were.

    Yields
    ------
    Found
        In the order of the scans.
    """
    for scan in project.scans:
        path = absolute_path(scan.path, folder)
        there = path.exists()
        if there and _is(path, scan):
            yield LocatedScan(scan, path, "same")
            continue
        moved = _search(scan, [*also, folder, folder.parent, path.parent])
        if moved is not None:
            yield LocatedScan(scan, moved, "moved")
        else:
            yield LocatedScan(scan, path, "changed" if there else "missing")


def _is(path: Path, scan: ScanEntry) -> bool:
    try:
        # sizes first: they are known without reading
        size = sum(file.stat().st_size for file in scan_files(path, scan.series))
        return size == scan.size and fingerprint(path, scan.series).sha256 == scan.sha256
    except (ImageError, OSError):
        return False


def _search(scan: ScanEntry, roots: Sequence[Path]) -> Path | None:
    """A file of the same size and content, or a folder that holds the series."""
    seen: set[Path] = set()
    name = Path(scan.path).name
    budget = MOST_FILES
    for root in roots:
        if not root.is_dir():
            continue
        for place, folders, files in os.walk(root):
            here = Path(place)
            budget -= len(files) + 1
            if budget < 0:
                return None
            if len(here.relative_to(root).parts) >= DEEPEST:
                folders.clear()
            if here in seen or not _may_hold_scans(here):
                folders.clear()
                continue
            seen.add(here)
            folders[:] = sorted((f for f in folders if not f.startswith(".")), key=lambda f: (f != name, f))
            sizes = {file: _size(here / file) for file in files if not file.startswith(".")}
            for file in sorted(sizes, key=lambda f: (f != name, f)):
                if (sizes[file] == scan.size or _is_header(file)) and _is(here / file, scan):
                    return here / file
            # a folder of slices: only one of the same name, or that holds as much, is read
            likely = here.name == name or (files and sum(sizes.values()) >= scan.size)
            if likely and not is_file_name(scan.path) and _is(here, scan):
                return here
    return None


def _may_hold_scans(folder: Path) -> bool:
    """Whether a folder can be opened and is none of the system's, whose files may have no end."""
    try:
        check_open(folder)
    except ImageError:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _is_header(name: str) -> bool:
    return name.lower().endswith((".hdr", ".nhdr", ".mhd"))


def is_file_name(name: str) -> bool:
    """Whether a scan of this path is one file, not a folder of slices."""
    path = Path(name)
    return bool(volume_suffix(path)) or is_picture(path) or path.suffix.lower() in (".dcm", ".ima")
