"""Which scans the command line reads, and which files it writes under which names."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cpclnet.errors import CpclnetError, ImageError, OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.progress import Progress

    from napari_cpclnet.imaging import ScanRef, Segmentation, SeriesInfo

_RESULT = re.compile(r"(_labels|_uncertainty|_probability_.+)$")
_MOST_FOLDERS = 4


@dataclass(frozen=True)
class Target:
    """One query scan, and the name its results get."""

    path: Path
    series: str | None
    name: str


@dataclass(frozen=True)
class OutputPaths:
    """Files of one query; ``probabilities`` by label value, in the order of the classes."""

    labels: Path
    probabilities: dict[int, Path]
    uncertainty: Path | None = None

    @property
    def all(self) -> list[Path]:
        return [*self.maps, self.labels]

    @property
    def maps(self) -> list[Path]:
        """Those of grey values: probabilities, then uncertainty."""
        return [*self.probabilities.values(), *([self.uncertainty] if self.uncertainty else [])]


def series_in(path: Path) -> list[SeriesInfo]:
    """DICOM series of a folder; none if it is a file or holds something else."""
    from napari_cpclnet.imaging import list_series

    try:
        return list_series(path) if path.is_dir() else []
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
    from napari_cpclnet.imaging import find_scans

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
        groups.setdefault(_file_name(target.name).casefold(), []).append(target)
    taken: set[str] = set()
    named = []
    for target in targets:
        group = groups[_file_name(target.name).casefold()]
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
        names = [_file_name("_".join([*_folders(one.path, depth), one.name])) for one in group]
        if len({name.casefold() for name in names}) == len(names):
            return names[group.index(target)]
    return _file_name(target.name)


def _folders(path: Path, depth: int) -> list[str]:
    """Names of the nearest ``depth`` folders above a path, outermost first."""
    return [parent.name for parent in path.resolve().parents[:depth] if parent.name][::-1]


def _file_name(text: str) -> str:
    """Text that is safe in a file name on every system."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "scan"


def output_paths(
    folder: Path, name: str, classes: dict[int, str], suffix: str, *, uncertainty: bool = False
) -> OutputPaths:
    """Names of the files of one query; ``classes`` are those whose probabilities are written.

    Probabilities and uncertainty are grey values, so formats for labels only give way to one that holds them.
    """
    grey = {"seg.nrrd": "nrrd", "dcm": "nii.gz", "png": "nii.gz"}.get(suffix, suffix)
    labels = folder / f"{name}_labels.{suffix}"
    return OutputPaths(
        labels,
        {
            label: folder / f"{name}_probability_{_file_name(title)}.{grey}"
            for label, title in classes.items()
        },
        folder / f"{name}_uncertainty.{grey}" if uncertainty else None,
    )


def check_folder(folder: Path) -> None:
    """Check that results can be written to a folder, before any work is done; makes nothing.

    Raises
    ------
    OutputError
        If the folder is a file, or it or the nearest folder above it cannot be written.
    """
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise OutputError(f"{folder}: cannot be the output folder, because {nearest} is a file.")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write to the output folder ({error.strerror or error})."
        ) from error


def prepare_outputs(paths: OutputPaths, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Make the folder, and protect what is there.

    Raises
    ------
    OutputError
        If a file exists and may not be replaced, is an input of this run, or the folder cannot be made.
    """
    read = {path.resolve() for path in inputs}
    for path in paths.all:
        if path.resolve() in read:
            raise OutputError(
                f"{path}: is read by this command and will not be replaced; choose another --out."
            )
        # A picture of several slices becomes a folder.
        if (path.exists() or (path.suffix == ".png" and path.with_suffix("").exists())) and not overwrite:
            raise OutputError(
                f"{path}: exists already; use --overwrite to replace it, or choose another --out."
            )
    folder = paths.labels.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot make the output folder ({error.strerror or error}).") from error


def write_results(
    paths: OutputPaths,
    segmentation: Segmentation,
    maps: Sequence[NDArray[Any]],
    *,
    source: ScanRef | None = None,
    terminology: Path | None = None,
) -> Path:
    """Write the files of one query, all or none; the labels come last and so mark a finished query.

    Parameters
    ----------
    maps
        (z, y, x) of uint8, in the order of ``paths.maps``; written as numbers from 0 to 1.
    source, terminology
        As `write_segmentation` takes them.

    Returns
    -------
    Path
        The file of labels, or the folder if they are pictures.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    import numpy as np

    from napari_cpclnet.imaging import Volume, write_segmentation, write_volume

    written: list[Path] = []
    try:
        for values, path in zip(maps, paths.maps, strict=True):
            volume = Volume(values / np.float32(255), segmentation.geometry, name=path.name)
            write_volume(volume, path)
            written.append(path)
        return write_segmentation(segmentation, paths.labels, source=source, terminology=terminology)
    except BaseException:  # Ctrl-C and a full disk alike
        for path in written:
            path.unlink(missing_ok=True)
        raise


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
