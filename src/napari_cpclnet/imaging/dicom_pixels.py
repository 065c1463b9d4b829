"""Decode the pixels of DICOM frames, one at a time: pydicom where it can, GDCM (in SimpleITK) where it cannot."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom_frames import NATIVE, Frame
from napari_cpclnet.imaging.dicom_geometry import Stack
from napari_cpclnet.imaging.dicom_headers import has_no_preamble, read_dataset
from napari_cpclnet.imaging.itk_files import last_line, quiet

Picture = NDArray[np.float32]

# JPEG (lossy and lossless), JPEG-LS, JPEG 2000 and run lengths.
KNOWN_TO_GDCM = (
    *JPEGTransferSyntaxes,
    *JPEGLSTransferSyntaxes,
    *(JPEG2000Lossless, JPEG2000, RLELossless),
)
# Compressions that GDCM does not know, and the packages through which pydicom does.
PACKAGES = dict.fromkeys(map(str, (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)), "pylibjpeg pylibjpeg-openjpeg")
# Beyond this no rescaled value means anything, and some do not fit in 32 bits.
LARGEST_SCALE = 1e15
_LAYOUT = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation"),
)


def rescaled(frame: Frame) -> Picture:
    """Grey values (rows, columns) of a frame: stored value x slope + intercept, in float32.

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
    return values


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
    return made if stack.shifts is None else np.nan_to_num(made, nan=fill)


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
    """Values as stored: native ones are at a known place of the file; of compressed ones only their frame is read."""
    is_native = frame.syntax in NATIVE
    if not is_native and not _pydicom_decodes(frame.syntax):
        return _by_gdcm(frame)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # In a deflated file there is nowhere to jump to, and one without preamble is not known as DICOM.
            whole = frame.syntax == DeflatedExplicitVRLittleEndian or has_no_preamble(frame.path)
            source: Any = read_dataset(frame.path) if whole else frame.path
            return np.asarray(pixel_array(source, index=frame.index, raw=True))
    except MemoryError:
        raise
    except Exception as error:  # damaged pixels can fail anywhere inside pydicom and its decoders
        if frame.syntax in KNOWN_TO_GDCM:  # Pillow has no JPEG of 12 bits
            return _by_gdcm(frame)
        native = isinstance(error, ValueError) and is_native
        reason = "fewer values than the header says" if native else last_line(error)
        raise ImageError(_damaged(frame.path, reason)) from error


def _pydicom_decodes(syntax: str) -> bool:
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        return False
    return bool(decoder.is_available)


def _by_gdcm(frame: Frame) -> NDArray[Any]:
    """Decode one frame through a file that holds nothing else: GDCM takes the scale of one frame for all."""
    import SimpleITK as sitk

    syntax = frame.syntax
    if syntax in PACKAGES:
        msg = (
            f"{frame.path}: is compressed as {UID(syntax).name}, which needs another decoder: "
            f"pip install {PACKAGES[syntax]}."
        )
        raise ImageError(msg)
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            source = read_dataset(frame.path)
            pixels = get_frame(source.PixelData, frame.index, number_of_frames=frame.n_frames)
            single = Path(folder, "frame.dcm")
            _single(source, syntax, pixels).save_as(single, enforce_file_format=True)
            reader = sitk.ImageFileReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileName(os.fspath(single))
            with quiet():
                array = np.asarray(sitk.GetArrayFromImage(reader.Execute()))
    except MemoryError:
        raise
    except Exception as error:  # as above, and ITK's own RuntimeError
        if syntax not in KNOWN_TO_GDCM:
            name = UID(syntax).name or "(nothing said)"
            msg = f"{frame.path}: is compressed as {name}, which cannot be read; export it uncompressed."
            raise ImageError(msg) from error
        raise ImageError(_damaged(frame.path, last_line(error))) from error
    return array[0] if array.ndim == 3 else array


def _single(source: Dataset, syntax: str, pixels: bytes) -> Dataset:
    """A secondary capture of one compressed frame, with nothing of the patient."""
    single = Dataset()
    single.file_meta = FileMetaDataset()
    single.file_meta.TransferSyntaxUID = UID(syntax)
    single.file_meta.MediaStorageSOPClassUID = single.SOPClassUID = SecondaryCaptureImageStorage
    single.file_meta.MediaStorageSOPInstanceUID = single.SOPInstanceUID = generate_uid()
    for keyword in _LAYOUT:
        if keyword in source:
            single[keyword] = source[keyword]
    single.PixelData = encapsulate([pixels])
    single["PixelData"].VR = "OB"
    single["PixelData"].is_undefined_length = True
    return single


def _damaged(path: Path, reason: str) -> str:
    return f"{path}: its pixels are truncated, damaged or in an unknown compression ({reason})."
