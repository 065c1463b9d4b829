"""Scans that a command is given as files and folders, each with a name of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cpclnet.errors import CpclnetError, ImageError
from napari_cpclnet.imaging import dicom, find_scans

if TYPE_CHECKING:
    from rich.progress import Progress

    from napari_cpclnet.imaging.dicom import SeriesInfo

_RESULT = re.compile(r"(_labels|_uncertainty|_probability_.+)$")
_MOST_FOLDERS = 4
# Bytes; every file system takes 255, of which endings need some.
_LONGEST_NAME = 180


@dataclass(frozen=True)
class Target:
    """One query scan, and the name its results get."""

    path: Path
    series: str | None
    name: str


def series_in(path: Path) -> list[SeriesInfo]:
    """DICOM series of a folder; none if it is a file or holds something else."""
    try:
        return dicom.list_series(path) if path.is_dir() else []
    except ImageError:
        return []


def expand_queries(
    queries: Sequence[Path], leave_out: Sequence[Path]
) -> tuple[list[Target], list[CpclnetError]]:
    """Find the scans behind files and folders, each once, each with a name of its own.

    Parameters
    ----------
    queries
        Files, DICOM folders, folders of scans.
    leave_out
        Masks of the support, and with them results of earlier runs, are no scans where a whole folder is given.

    Returns
    -------
    targets, failures
        What can be read, and why the rest cannot.
    """
    masks = {path.resolve() for path in leave_out}
    found: dict[tuple[Path, str | None], Target] = {}
    failures: list[CpclnetError] = []
    for query in queries:
        try:
            scans = find_scans(query)
        except CpclnetError as error:
            failures.append(error)
            continue
        if query.is_dir():
            scans = [s for s in scans if s.path.resolve() not in masks and not _RESULT.search(s.name)]
            if not scans:
                failures.append(ImageError(f"{query}: the folder holds masks and results, but no scan."))
        for scan in scans:
            found.setdefault((scan.path.resolve(), scan.series), Target(scan.path, scan.series, scan.name))
    return with_own_names(list(found.values())), failures


def with_own_names(targets: list[Target]) -> list[Target]:
    """Scans of one name get the names of their folders in front, or a number where they lie in one folder."""
    groups: dict[str, list[Target]] = {}
    for target in targets:
        groups.setdefault(file_name(target.name).casefold(), []).append(target)
    taken: set[str] = set()
    named = []
    for target in targets:
        group = groups[file_name(target.name).casefold()]
        name = free = _name_in_group(target, group)
        number = 1
        while free.casefold() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.casefold())
        named.append(Target(target.path, target.series, free))
    return named


def _name_in_group(target: Target, group: list[Target]) -> str:
    """Name of a scan with as many folders in front as tell it from the others; none if they lie in one folder."""
    for depth in range(_MOST_FOLDERS + 1):
        names = [file_name("_".join([*_folders(one.path, depth), one.name])) for one in group]
        if len({name.casefold() for name in names}) == len(names):
            return names[group.index(target)]
    return file_name(target.name)


def _folders(path: Path, depth: int) -> list[str]:
    """Names of the nearest ``depth`` folders above a path, outermost first."""
    return [parent.name for parent in path.resolve().parents[:depth] if parent.name][::-1]


def file_name(text: str) -> str:
    """Text that is safe in a file name on every system, and not longer than any of them takes."""
    name = re.sub(r"[^\w.+-]+", "_", text).strip("._")
    while len(name.encode()) > _LONGEST_NAME:
        name = name[:-1]
    return name or "scan"


@contextmanager
def scan_progress(title: str) -> Iterator[Progress]:
    """A progress bar on stderr with one task; gone when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Lines for stdout must not end up on stderr because a bar is shown there.
    hidden = not console.is_terminal
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, disable=hidden
    ) as progress:
        progress.add_task(title, total=None)
        yield progress
