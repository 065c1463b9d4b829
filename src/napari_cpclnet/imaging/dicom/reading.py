"""Read a DICOM series, or one DICOM file, as a Volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from napari_cpclnet.errors import ImageError
from napari_cpclnet.files.scratch import Where, finished, gathering
from napari_cpclnet.imaging.dicom.frames import Frame
from napari_cpclnet.imaging.dicom.geometry import Stack, stack_of
from napari_cpclnet.imaging.dicom.headers import code, is_image, read_header
from napari_cpclnet.imaging.dicom.meaning import Meaning, meaning_of, padding_note
from napari_cpclnet.imaging.dicom.pixels import Picture, recent, rescaled, slice_of
from napari_cpclnet.imaging.dicom.series import SeriesInfo, survey
from napari_cpclnet.imaging.formats.raw_image import open_image
from napari_cpclnet.imaging.volume import Volume

# Of a folder of hundreds of series an error names the first ones; `info` lists them all.
MOST_NAMED = 12


def read_dicom_folder(folder: Path, series: str | None, lazy_above: int | None = None) -> Volume | None:
    """Read one series of a folder, to be chosen if there are several; None if the folder has no DICOM.

    ``lazy_above``: bytes of voxels from which on they stay in the files (see `read_series`).
    """
    listing = survey(folder)
    found = listing.series
    if not found:
        return None
    if series is not None:
        known = (*found, *listing.localisers)
        found = tuple(one for one in known if series in (one.id, one.id.partition("#")[0]))
        if not found:
            raise ImageError(f"{folder}: holds no DICOM series {series}, only {_named(known, brief=True)}.")
    if len(found) > 1:
        raise ImageError(f"{folder}: holds {len(found)} {_kind(found)}, choose one of: {_named(found)}.")
    (chosen,) = found
    where = f"{folder} (series {chosen.description or chosen.id})" if len(listing.series) > 1 else str(folder)
    return read_series(chosen, lazy=_is_large(chosen, lazy_above), where=where, source=folder)


def read_dicom_file(path: Path, lazy_above: int | None = None) -> Volume:
    """Read one DICOM file: a slice, or the frames of an enhanced image; ``lazy_above`` as of `read_dicom_folder`."""
    with open_image(path):
        pass
    if path.name.upper() == "DICOMDIR":
        raise ImageError(f"{path}: is the index of a DICOM disc; open the folder in which the slices lie.")
    header = read_header(path)
    if header is None:
        raise ImageError(f"{path}: is no DICOM file, or its header is damaged.")
    if not is_image(header):
        kind = code(header, "Modality") or "a DICOM object"
        raise ImageError(f"{path}: is {kind} without grey values, not a scan; open the images it belongs to.")
    listing = survey(path)
    found = listing.series or listing.localisers
    if len(found) > 1:
        where = f"open its folder {path.parent} and choose one"
        raise ImageError(f"{path}: holds {len(found)} {_kind(found)}, {where}: {_named(found)}.")
    if not found:
        raise ImageError(f"{path}: is no DICOM file, or its header is damaged.")
    lazy = _is_large(found[0], lazy_above)
    return read_series(found[0], lazy=lazy, where=str(path), source=path, name=path.stem)


def read_series(
    info: SeriesInfo,
    *,
    lazy: bool = False,
    where: str | None = None,
    source: Path | None = None,
    name: str | None = None,
) -> Volume:
    """Read a series as `list_series` found it.

    Parameters
    ----------
    info
        The series.
    lazy
        Leave the pixels in the files: the array of the volume is one of dask, which decodes a slice when it is looked
        at.
    where
        Names the series in error messages; default: its folder.
    source, name
        Of the volume; default: folder and description of the series.

    Raises
    ------
    ImageError
        If its slices form no volume, or their pixels cannot be decoded.
    """
    where = where or str(info.folder)
    stack = stack_of(where, info.frames)
    if info.problem:
        raise ImageError(f"{where}: {info.problem}")
    meaning = _meaning(where, info, stack)
    factor, is_padded = np.float32(meaning.factor), None
    if lazy:
        array = _lazy_array(stack, factor, meaning.fill)
    else:
        array, is_padded = _array(stack, factor, meaning.fill, where)
    return Volume(
        array,
        stack.geometry,
        meaning.modality,
        meaning.unit,
        name or info.name,
        source or info.folder,
        calibrated=stack.frames[0].pixel is not None,
        notes=(*meaning.notes, *padding_note(stack.frames, meaning, is_padded)),
        series=_series_of(info, source),
    )


def unit_and_notes(info: SeriesInfo) -> tuple[str, tuple[str, ...]]:
    """Unit of a series, and all that `read_series` would note, from its headers and at most a few of its slices.

    Raises
    ------
    ImageError
        If its slices form no volume, or their values do not fit together.
    """
    where = str(info.folder)
    stack = stack_of(where, info.frames)
    meaning = _meaning(where, info, stack)
    return meaning.unit, (*meaning.notes, *padding_note(stack.frames, meaning))


def _is_large(info: SeriesInfo, lazy_above: int | None) -> bool:
    return lazy_above is not None and info.n_bytes > lazy_above


def _meaning(where: str, info: SeriesInfo, stack: Stack) -> Meaning:
    meaning = meaning_of(where, stack)
    left_out = info.notes[: len(info.notes) - len(stack.notes)]
    return replace(meaning, notes=(*left_out, *stack.notes, *meaning.notes))


def _series_of(info: SeriesInfo, source: Path | None) -> str | None:
    """By which `read_volume` finds the series in its source."""
    if source is None or source == info.folder:
        return info.id_in_folder
    return info.id if source.is_dir() else None


def _array(stack: Stack, factor: np.float32, fill: float, where: str) -> tuple[Any, bool]:
    """Array (z, y, x), one that is large in a temporary file, and whether there were voxels of the padding value."""
    padded: set[Path] = set()

    def watched(frame: Frame) -> Picture:
        picture = rescaled(frame)
        if frame.padding is not None and np.isnan(picture).any():
            padded.add(frame.path)
        return picture

    load = recent(watched)
    shape = stack.geometry.shape

    def slices() -> Iterator[tuple[Where, Picture]]:
        for index in range(shape[0]):
            picture = slice_of(stack, index, load, fill)[np.newaxis]
            yield (
                (slice(index, index + 1), slice(None), slice(None)),
                picture if factor == 1 else picture * factor,
            )

    array = finished(gathering(shape, np.float32, slices(), where))
    return array, bool(padded)


def _lazy_array(stack: Stack, factor: np.float32, fill: float) -> Any:
    try:
        da: Any = import_module("dask.array")
    except ImportError as error:
        msg = "Opening a large series slice by slice needs the package dask: pip install 'dask[array]'."
        raise ImageError(msg) from error

    def block(block_info: Any = None) -> Any:
        index = block_info[None]["array-location"][0][0]
        return slice_of(stack, index, rescaled, fill)[np.newaxis] * factor

    shape = stack.geometry.shape
    chunks = ((1,) * shape[0], (shape[1],), (shape[2],))
    return da.map_blocks(block, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))


def _kind(found: Sequence[SeriesInfo]) -> str:
    if len({one.id.partition("#")[0] for one in found}) > 1:
        return "DICOM series"
    if all(one.part.startswith("phase") for one in found):
        return "phases"
    if all(one.part.startswith("pass") for one in found):
        return "passes whose slices lie between each other"
    if any("frame of reference" in one.part for one in found):
        return "stacks of slices in different frames of reference"
    return "stacks of slices of different orientations or sizes"


def _named(found: Sequence[SeriesInfo], *, brief: bool = False) -> str:
    said = []
    for one in found[:MOST_NAMED]:
        described = ", ".join(filter(None, (one.description, one.part)))
        said.append(one.id if brief else f"{one.id} ({one.modality}, {one.n_files} files, {described})")
    more = f"and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return (", " if brief else "; ").join([*said, *filter(None, [more])])
