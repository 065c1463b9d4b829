"""PNG, TIFF, JPEG and BMP pictures, one by one or as a stack. They carry no place in the patient."""

from __future__ import annotations

import logging
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.decoding import decoded
from napari_cpclnet.imaging.formats.raw_image import open_image
from napari_cpclnet.imaging.formats.size_checks import check_memory, grant_memory

# Deflate packs 1032 to 1 at best; the rarer encodings of TIFF more, but never a real scan.
BEST_TIFF_RATIO = 5000
USUAL_RATIO = 20
BYTES_PER_SECOND = 20_000_000
# Bytes of a pixel in its mode, in red, green, blue and opacity, and as an array.
MOST_BYTES = 24
PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")


def is_picture(path: Path) -> bool:
    """Whether the suffix is that of a picture."""
    return path.suffix.lower() in PICTURES


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``slice_10`` after ``slice_9``."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts if part]


def read_picture(path: Path, *, as_labels: bool = False) -> NDArray[Any]:
    """Read a picture as (z, y, x); z is 1 but for TIFF files of several pages.

    Parameters
    ----------
    path
        The file.
    as_labels
        Take the indices of a picture with a palette, not its colours.

    Raises
    ------
    ImageError
        If the file is no picture, is damaged, or its colours are not grey.
    """
    with open_image(path):
        pass
    # What it unpacks to is not known yet; the size of a file tells how long it may take.
    size = path.stat().st_size * USUAL_RATIO
    return decoded("picture", path, size, size / BYTES_PER_SECOND, as_labels=as_labels)


def decode_picture(path: Path, *, as_labels: bool = False) -> NDArray[Any]:
    """What `read_picture` does, in the process it is called in."""
    try:
        with warnings.catch_warnings(), _unlogged("tifffile"):
            warnings.simplefilter("ignore")
            array = _tiff(path) if path.suffix.lower() in (".tif", ".tiff") else _pillow(path, as_labels)
    except ImageError:
        raise
    except Exception as error:  # both libraries raise whatever the damaged byte provokes
        raise ImageError(f"{path}: is no {path.suffix[1:].upper()} picture, or it is damaged.") from error
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.ndim != 3 or array.size == 0 or array.dtype.kind not in "uif":
        raise ImageError(
            f"{path}: holds an array of shape {array.shape}; a scan has two or three dimensions."
        )
    return array


def read_stack(paths: Sequence[Path], *, as_labels: bool = False) -> NDArray[Any]:
    """Read pictures of one size as the slices (z, y, x) of a scan, in the order given."""
    slices = [read_picture(path, as_labels=as_labels) for path in paths]
    shape = slices[0].shape[1:]
    for path, picture in zip(paths, slices, strict=True):
        if picture.shape[0] > 1 and len(paths) > 1:
            raise ImageError(
                f"{path}: has {picture.shape[0]} pages; open it by itself, not as one slice of a folder."
            )
        if picture.shape[1:] != shape:
            size, other = " x ".join(map(str, picture.shape[1:])), " x ".join(map(str, shape))
            raise ImageError(
                f"{path}: is {size} pixels, but {paths[0].name} is {other}; a stack needs one size."
            )
    return np.concatenate(slices)


@contextmanager
def _unlogged(name: str) -> Iterator[None]:
    """Keep what a library logs about damaged files from the user's error stream; the exceptions tell."""
    logger = logging.getLogger(name)
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _pillow(path: Path, as_labels: bool) -> NDArray[Any]:
    from PIL import Image

    with Image.open(path) as image:
        check_memory(path, image.size, 4)
        grant_memory(image.size[0] * image.size[1] * MOST_BYTES)
        if image.mode in ("P", "PA") and not as_labels:
            array = np.asarray(image.convert("RGBA"))
        else:
            array = np.asarray(image.convert("RGB") if image.mode == "CMYK" else image)
    return (_grey(path, array) if array.ndim == 3 else array)[np.newaxis]


def _tiff(path: Path) -> NDArray[Any]:
    import tifffile

    _check_pages(path)
    with tifffile.TiffFile(path) as tiff:
        if len(tiff.series) > 1:
            raise ImageError(f"{path}: holds {len(tiff.series)} images of different kinds; save one of them.")
        series = tiff.series[0]
        plain = series.keyframe.compression == 1
        if series.nbytes > path.stat().st_size * (1 if plain else BEST_TIFF_RATIO):
            raise ImageError(f"{path}: is truncated: it ends before all pixels are there; export it again.")
        check_memory(path, series.shape, series.dtype.itemsize)
        grant_memory(series.nbytes * 3)
        array, axes = np.asarray(series.asarray()), str(series.axes)
    if "S" in axes:
        array = _grey(path, np.moveaxis(array, axes.index("S"), -1))
    array = array.reshape([n for n in array.shape if n > 1][:-2] + list(array.shape[-2:]))
    return array[np.newaxis] if array.ndim == 2 else array


def _check_pages(path: Path) -> None:
    """Refuse a TIFF file whose pages follow each other in a circle: tifffile would turn for ever."""
    with path.open("rb") as stream:
        start = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 16:
            return  # tifffile says what it is instead
        big = struct.unpack_from(f"{order}H", start, 2)[0] == 43
        count, entry, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
        (at,) = struct.unpack_from(order + pointer, start, 8 if big else 4)
        seen: set[int] = set()
        while at:
            if at in seen:
                raise ImageError(f"{path}: is damaged: its pages follow each other in a circle.")
            seen.add(at)
            stream.seek(at)
            head = stream.read(struct.calcsize(count))
            if len(head) < struct.calcsize(count):
                return
            stream.seek(struct.unpack(order + count, head)[0] * entry, 1)
            link = stream.read(struct.calcsize(pointer))
            if len(link) < struct.calcsize(pointer):
                return
            (at,) = struct.unpack(order + pointer, link)


def _grey(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Grey values (...) of colours (..., 1 to 4) whose channels are equal; alpha is ignored."""
    colours = array[..., :1] if array.shape[-1] <= 2 else array[..., :3]
    if not np.all(colours == colours[..., :1]):
        raise ImageError(f"{path}: is a colour picture; save it in grey values.")
    return np.ascontiguousarray(colours[..., 0])
