"""Output files of the command line: their names, and that none replaces a file that is read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cpclnet.cli.files import file_name
from napari_cpclnet.errors import CpclnetError, OutputError
from napari_cpclnet.files.atomic import sweep, temporary_beside
from napari_cpclnet.imaging import (
    Volume,
    is_ome_zarr,
    replace_ome_zarr,
    replace_pictures,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.project.fingerprints import scan_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cpclnet.imaging import ScanRef, Segmentation


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


def output_paths(
    folder: Path, name: str, classes: dict[int, str], suffix: str, *, uncertainty: bool = False
) -> OutputPaths:
    """Names of the files of one query; ``classes`` are those whose probabilities are written.

    Probabilities and uncertainty are grey values, so formats for labels only give way to one that holds them. Classes
    whose names are one and the same in a file name get their label values behind.
    """
    grey = {"seg.nrrd": "nrrd", "dcm": "nii.gz", "png": "nii.gz"}.get(suffix, suffix)
    plain = {label: file_name(title) for label, title in classes.items()}
    folded = [title.casefold() for title in plain.values()]
    taken = {title for title in folded if folded.count(title) == 1}
    titles = {}
    for label, title in plain.items():
        if folded.count(title.casefold()) > 1:
            title = f"{title}_{label}"
            while title.casefold() in taken:  # another class may be called just that
                title = f"{title}_{label}"
            taken.add(title.casefold())
        titles[label] = title
    return OutputPaths(
        folder / f"{name}_labels.{suffix}",
        {label: folder / f"{name}_probability_{title}.{grey}" for label, title in titles.items()},
        folder / f"{name}_uncertainty.{grey}" if uncertainty else None,
    )


def check_folder(folder: Path) -> None:
    """Check that results can be written to a folder, before any work is done; makes nothing.

    Raises
    ------
    OutputError
        If the folder is a file, or it or the nearest folder above it cannot be written.
    """
    try:
        nearest = folder
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        if not nearest.is_dir():
            raise OutputError(f"{folder}: cannot be the output folder, because {nearest} is a file.")
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{folder}: cannot write to the output folder ({reason}).") from error


def protect(written: Iterable[Path], read: Iterable[Path | ScanRef]) -> None:
    """Refuse to write what is read: nothing that a command reads is replaced by it, whatever the options.

    Parameters
    ----------
    written
        Files to be written; a picture of several slices becomes a folder of its name.
    read
        Files and folders that are read, and scans in folders, of which all files are.

    Raises
    ------
    OutputError
        If a file to be written is one that is read, or a folder in whose place it would come.
    """
    there = [path for path in written if _places(path)]
    if not there:
        return
    known = {key for one in read for file in _files_of(one) for key in _keys(file)}
    for path in there:
        if any(key in known for place in _places(path) for key in _keys(place)):
            raise OutputError(
                f"{path}: is read by this command and will not be replaced; choose another place for what is written."
            )


def keep_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse to write a file that is there, or a folder of pictures, unless it may be replaced.

    Raises
    ------
    OutputError
        If it is there.
    """
    there = _places(path)
    if there and not overwrite:
        raise OutputError(f"{there[0]}: exists already; use --overwrite to replace it.")


def _places(path: Path) -> list[Path]:
    """What is there already of what would be replaced."""
    candidates = [path, path.with_suffix("")] if path.suffix.lower() == ".png" else [path]
    try:
        return [place for place in candidates if os.path.lexists(place)]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{path}: cannot be written ({reason}).") from error


def _keys(path: Path) -> list[object]:
    """By what a file is known again under any of its names: its place without links, and its number on the disk."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return [os.path.realpath(path)]
    return [os.path.realpath(path), (status.st_dev, status.st_ino)]


def _files_of(read: Path | ScanRef) -> list[Path]:
    """Files and folders behind what is read: those of a scan, with the voxels beside a header."""
    path, series = (read, None) if isinstance(read, Path) else (read.path, read.series)
    try:
        return [path, *scan_files(path, series)]
    except (CpclnetError, OSError, ValueError):  # whoever reads it says what is wrong with it
        return [path]


def prepare_outputs(paths: OutputPaths, *, overwrite: bool) -> None:
    """Make the folder, and keep what is finished: a query is when its labels are there.

    Probabilities without labels are those of a run that was killed before it was finished with this query.

    Raises
    ------
    OutputError
        If the labels exist and may not be replaced, or the folder cannot be made.
    """
    folder = paths.labels.parent
    sweep(folder)  # also where everything was finished but for that
    if _places(paths.labels) and not overwrite:
        raise OutputError(
            f"{paths.labels}: exists already; use --overwrite to replace it, or choose another --out."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{folder}: cannot make the output folder ({reason}).") from error


def write_results(
    paths: OutputPaths,
    segmentation: Segmentation,
    maps: Sequence[NDArray[Any]],
    *,
    source: ScanRef | None = None,
    terminology: Path | None = None,
) -> Path:
    """Write the files of one query, all or none; the labels come last and so mark a finished query.

    All are written in a hidden folder beside their places and then moved, so that labels and probabilities of two runs
    are never found together.

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

    folder = paths.labels.parent
    making = temporary_beside(folder / "results", "")
    try:
        making.mkdir()
        written: list[Path] = []
        for values, path in zip(maps, paths.maps, strict=True):
            grey = Volume(values / np.float32(255), segmentation.geometry, name=path.name)
            written.append(write_volume(grey, making / path.name))
            del grey  # floats of a whole scan, of which there must never be two
        labels = making / paths.labels.name
        written.append(write_segmentation(segmentation, labels, source=source, terminology=terminology))
        return [_moved(file, folder) for file in written][-1]
    except CpclnetError as error:  # the hidden folder is none of the user's business
        raise type(error)(str(error).replace(str(making), str(folder))) from error
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _moved(file: Path, folder: Path) -> Path:
    target = folder / file.name
    if is_ome_zarr(file):
        replace_ome_zarr(file, target, temporary_beside(target, ""))
    elif file.is_dir():
        replace_pictures(file, target)
    else:
        os.replace(file, target)
    return target
