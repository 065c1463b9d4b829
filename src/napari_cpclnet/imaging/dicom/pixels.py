"""Pixels of DICOM frames as grey values, one frame at a time, and slices of a volume made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import DeflatedExplicitVRLittleEndian

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.decoding import decoded
from napari_cpclnet.imaging.dicom.codecs import damaged_pixels, stored_by_pydicom
from napari_cpclnet.imaging.dicom.frames import NATIVE, Frame
from napari_cpclnet.imaging.dicom.geometry import Stack
from napari_cpclnet.imaging.formats.raw_image import last_line

Picture = NDArray[np.float32]

# Beyond this no rescaled value means anything, and some do not fit in 32 bits.
LARGEST_SCALE = 1e15
# Bytes of a pixel at most, and how much a codec packs: what a header says beyond that is not believed.
LARGEST_PIXEL = 4
BEST_RATIO = 200
# How much a slice with content is packed, and how fast the slowest codec unpacks it on a slow machine.
USUAL_RATIO = 20
BYTES_PER_SECOND = 20_000_000


def rescaled(frame: Frame) -> Picture:
    """Grey values (rows, columns) of a frame: stored value x slope + intercept, in float32; NaN for padding.

    Raises
    ------
    ImageError
        If the pixels are truncated, damaged or in a compression nothing here decodes.
    """
    stored = _stored(frame)
    if stored.shape != frame.size:
        raise ImageError(
            f"{frame.path}: its pixels have shape {stored.shape}, but its header says {frame.size}."
        )
    scale = max(abs(frame.slope or 0.0), abs(frame.intercept or 0.0))
    if scale > LARGEST_SCALE:
        raise ImageError(f"{frame.path}: says its values are scaled by {scale:.3g}, which is damage.")
    with np.errstate(over="ignore"):  # of doubles only; infinite values are refused as such
        values = stored.astype(np.float32)
    if frame.mirror is not None:
        values = np.float32(frame.mirror) - values
    # A slope of 0 would erase the picture: it is a tag nobody filled in.
    if frame.slope not in (None, 0.0, 1.0):
        values *= np.float32(frame.slope)
    if frame.intercept:
        values += np.float32(frame.intercept)
    if frame.padding is not None:
        values[_padded(stored, *frame.padding)] = np.nan
    return values


def _padded(stored: NDArray[Any], low: float, high: float) -> NDArray[np.bool_]:
    """Pixels of the padding value; none if measured ones lie on both sides of it, so that it cannot be padding."""
    padded = (stored >= low) & (stored <= high)
    beside = stored[~padded]
    if beside.size and beside.min() < low and beside.max() > high:
        padded[:] = False
    return padded


def slice_of(stack: Stack, index: int, load: Callable[[Frame], Picture], fill: float) -> Picture:
    """One slice of the volume: the frames it is made of, moved to where they lie, and blended.

    Parameters
    ----------
    stack
        From `dicom_geometry.stack_of`.
    index
        Slice of the volume.
    load
        Decodes a frame.
    fill
        Value where nothing was scanned.
    """
    blend = stack.blends[index]

    def part(number: int) -> Picture:
        picture = load(stack.frames[number])
        if stack.shifts is None:
            return picture
        return moved(picture, stack.shifts[number], stack.geometry.shape[1:])

    if blend.weight == 0.0 or blend.lower == blend.upper:
        made = part(blend.lower)
    elif blend.weight == 1.0:
        made = part(blend.upper)
    else:
        weight = np.float32(blend.weight)
        made = (1 - weight) * part(blend.lower) + weight * part(blend.upper)
    used = (stack.frames[blend.lower], stack.frames[blend.upper])
    if stack.shifts is None and all(frame.padding is None for frame in used):
        return made
    return np.where(np.isnan(made), np.float32(fill), made)


def moved(picture: Picture, shift: NDArray[np.float64], size: tuple[int, int]) -> Picture:
    """Picture in a larger one, its corner at ``shift`` (row, column) pixels, linearly interpolated; NaN around it.

    A pixel at the edge that lies less than half in the picture is outside.
    """
    shift = np.round(shift, 3)
    whole = np.floor(shift).astype(int)
    for axis, part in enumerate(shift - whole):
        if part > 0:
            before = np.pad(picture, [(1, 0) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            after = np.pad(picture, [(0, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            picture = np.float32(1 - part) * after + np.float32(part) * before
            np.moveaxis(picture, axis, 0)[0 if part > 0.5 else -1] = np.nan
    out = np.full(size, np.nan, np.float32)
    rows, columns = picture.shape
    out[whole[0] : whole[0] + rows, whole[1] : whole[1] + columns] = picture
    return out


def recent(load: Callable[[Frame], Picture]) -> Callable[[Frame], Picture]:
    """Decoder that remembers the last two frames: a blended slice needs the one its neighbour was made of."""
    kept: dict[tuple[Path, int], Picture] = {}

    def remembering(frame: Frame) -> Picture:
        key = (frame.path, frame.index)
        if key not in kept:
            if len(kept) == 2:
                del kept[next(iter(kept))]
            kept[key] = load(frame)
        return kept[key]

    return remembering


def _stored(frame: Frame) -> NDArray[Any]:
    """Values as stored: native ones are at a known place of the file; compressed ones need a codec."""
    if frame.syntax not in (*NATIVE, DeflatedExplicitVRLittleEndian):
        rows, columns = frame.size
        promised, packed = rows * columns * LARGEST_PIXEL, frame.path.stat().st_size
        return decoded(
            "frame",
            frame.path,
            min(promised, packed * BEST_RATIO),
            min(promised, packed * USUAL_RATIO // frame.n_frames) / BYTES_PER_SECOND,
            index=frame.index,
            n_frames=frame.n_frames,
            syntax=frame.syntax,
        )
    try:
        return stored_by_pydicom(frame.path, frame.index, frame.syntax)
    except MemoryError:
        raise
    except Exception as error:  # damaged pixels can fail anywhere inside pydicom
        native = isinstance(error, ValueError) and frame.syntax in NATIVE
        reason = "fewer values than the header says" if native else last_line(error)
        raise ImageError(damaged_pixels(frame.path, reason)) from error
