"""Compressed pixels of DICOM frames: pydicom's decoders where they can, GDCM (in SimpleITK) where they cannot.

All of them are C underneath, so this runs in the process of `decoding_worker`.
"""

from __future__ import annotations

import os
import tempfile
import warnings
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
from napari_cpclnet.imaging.dicom.headers import has_no_preamble, read_dataset
from napari_cpclnet.imaging.formats.raw_image import last_line, quiet

# JPEG (lossy and lossless), JPEG-LS, JPEG 2000 and run lengths.
KNOWN_TO_GDCM = (
    *JPEGTransferSyntaxes,
    *JPEGLSTransferSyntaxes,
    *(JPEG2000Lossless, JPEG2000, RLELossless),
)
# Compressions that GDCM does not know, and the packages through which pydicom does.
PACKAGES = dict.fromkeys(map(str, (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)), "pylibjpeg pylibjpeg-openjpeg")
_LAYOUT = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation"),
)


def decode_frame(path: Path, *, index: int, n_frames: int, syntax: str) -> NDArray[Any]:
    """Stored values (rows, columns) of a compressed frame.

    Parameters
    ----------
    path, index, n_frames
        File, number of the frame in it, and how many frames it has.
    syntax
        TransferSyntaxUID; empty if missing.

    Raises
    ------
    ImageError
        If the pixels are truncated, damaged or in a compression nothing here decodes.
    """
    if not _pydicom_decodes(syntax):
        return _by_gdcm(path, index, n_frames, syntax)
    try:
        return stored_by_pydicom(path, index, syntax)
    except MemoryError:
        raise
    except Exception as error:  # damaged pixels can fail anywhere inside pydicom and its decoders
        if syntax in KNOWN_TO_GDCM:  # Pillow has no JPEG of 12 bits
            return _by_gdcm(path, index, n_frames, syntax)
        raise ImageError(damaged_pixels(path, last_line(error))) from error


def stored_by_pydicom(path: Path, index: int, syntax: str) -> NDArray[Any]:
    """Stored values of a frame, of which no more is read than the frame; whatever pydicom raises is let through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # In a deflated file there is nowhere to jump to, and one without preamble is not known as DICOM.
        whole = syntax == DeflatedExplicitVRLittleEndian or has_no_preamble(path)
        source: Any = read_dataset(path) if whole else path
        return np.asarray(pixel_array(source, index=index, raw=True))


def damaged_pixels(path: Path, reason: str) -> str:
    """Sentence about pixels that cannot be decoded."""
    return f"{path}: its pixels are truncated, damaged or in an unknown compression ({reason})."


def _pydicom_decodes(syntax: str) -> bool:
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        return False
    return bool(decoder.is_available)


def _by_gdcm(path: Path, index: int, n_frames: int, syntax: str) -> NDArray[Any]:
    """Decode one frame through a file that holds nothing else: GDCM takes the scale of one frame for all."""
    import SimpleITK as sitk

    if syntax in PACKAGES:
        msg = (
            f"{path}: is compressed as {UID(syntax).name}, which needs another decoder: "
            f"pip install {PACKAGES[syntax]}."
        )
        raise ImageError(msg)
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            source = read_dataset(path)
            pixels = get_frame(source.PixelData, index, number_of_frames=n_frames)
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
            msg = f"{path}: is compressed as {name}, which cannot be read; export it uncompressed."
            raise ImageError(msg) from error
        raise ImageError(damaged_pixels(path, last_line(error))) from error
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
