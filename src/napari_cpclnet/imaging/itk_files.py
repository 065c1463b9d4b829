"""NIfTI, NRRD and MetaImage files.

NRRD and MetaImage are read through SimpleITK, whose libraries print to the error stream behind Python's back; a
user gets one sentence instead.
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.itk_headers import TRUNCATED, check_metaimage, check_nrrd
from napari_cpclnet.imaging.nifti import nifti_phases, read_nifti

READERS = {
    ".nii.gz": "NiftiImageIO",
    ".nii": "NiftiImageIO",
    ".hdr": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}

_error_stream = threading.Lock()


@dataclass
class RawImage:
    """What a file holds, before it is known to be a scan or a label map."""

    array: NDArray[Any]
    geometry: Geometry
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def volume_suffix(path: Path) -> str:
    """Suffix of a volume file this module reads, ``".nii.gz"`` included, or an empty string."""
    name = path.name.lower()
    return next((suffix for suffix in READERS if name.endswith(suffix)), "")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what C and C++ libraries print on the error stream from the user; the exceptions tell."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with _error_stream:
        try:
            saved = os.dup(2)
        except OSError:  # a windowed application has no error stream
            yield
            return
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def last_line(error: BaseException) -> str:
    """Last line of a library's message, without its full stop and the address of an object."""
    lines = str(error).strip().splitlines()
    line = re.sub(r"^ITK ERROR: (\w+\(0x[0-9a-f]+\): )?", "", lines[-1].strip()) if lines else ""
    return line.rstrip(".") or type(error).__name__


def phases_in(path: Path) -> int:
    """Number of phases (time points, echoes, directions) in a NIfTI, NRRD or MetaImage file; 1 for most.

    Raises
    ------
    ImageError
        If the file is empty, damaged, or of another format than its name says.
    """
    suffix = volume_suffix(path)
    _check_content(path, suffix)
    if READERS[suffix] == "NiftiImageIO":
        return nifti_phases(path)
    return _information(path, suffix)[1]


def read_itk(path: Path, phase: int | None = None) -> RawImage:
    """Read one NIfTI, NRRD or MetaImage file.

    Parameters
    ----------
    path
        The file.
    phase
        Which phase, from 0, of a file that holds several.

    Returns
    -------
    RawImage
        Its geometry may be sheared.

    Raises
    ------
    ImageError
        If the file is empty, damaged, of another format than its name says, holds colours or vectors, or several
        phases of which none was chosen.
    """
    suffix = volume_suffix(path)
    _check_content(path, suffix)
    if READERS[suffix] == "NiftiImageIO":
        chosen = _chosen(path, nifti_phases(path), phase)
        array, geometry, notes = read_nifti(path, chosen)
        return RawImage(array, geometry, notes=notes)
    reader, n_phases, as_vector = _information(path, suffix)
    chosen = _chosen(path, n_phases, phase)
    size = reader.GetSize()
    if len(size) > 3:
        reader.SetExtractSize([*size[:3], *([0] * (len(size) - 3))])
        reader.SetExtractIndex([0, 0, 0, *_trailing_index(size[3:], chosen)])
    try:
        with quiet():
            image = reader.Execute()
        array = _array_of(image)
        geometry = Geometry.from_sitk(image)
    except RuntimeError as error:
        raise ImageError(f"{path}: {_damage(last_line(error))}") from error
    except GeometryError as error:
        raise ImageError(f"{path}: {error}") from error
    if as_vector:
        array = np.ascontiguousarray(array[..., chosen])
    return RawImage(array.reshape(geometry.shape), geometry, header_fields_of(image))


def _information(path: Path, suffix: str) -> tuple[Any, int, bool]:
    """Reader that knows the header, number of phases, and whether these are components of its voxels."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(READERS[suffix])
    reader.SetFileName(os.fspath(path))
    try:
        with quiet():
            reader.ReadImageInformation()
            size = reader.GetSize()
            components = reader.GetNumberOfComponents()
            pixel = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    except RuntimeError as error:
        raise ImageError(f"{path}: {_damage(last_line(error))}") from error
    if len(size) < 2:
        raise ImageError(f"{path}: has {len(size)} dimension; a scan needs two or three.")
    if "complex" in pixel:
        raise ImageError(f"{path}: holds complex numbers; save the magnitude image.")
    as_vector = components > 1 and _is_list(reader)
    if components > 1 and not as_vector:
        what = f"{components} values per voxel (colours or vectors)"
        raise ImageError(f"{path}: holds {what}, not grey values; save one of them.")
    return reader, components if as_vector else math.prod(size[3:]), as_vector


def _is_list(reader: Any) -> bool:
    """Whether the values of a voxel are phases: NRRD calls their axis a list or time, 3D Slicer's way."""
    key = "NRRD_kinds[pixel]"
    return reader.HasMetaDataKey(key) and reader.GetMetaData(key) in ("list", "time")


def _chosen(path: Path, n_phases: int, phase: int | None) -> int:
    if phase is None and n_phases > 1:
        raise ImageError(f"{path}: holds {n_phases} phases; choose one of the series 0 to {n_phases - 1}.")
    if phase is not None and not 0 <= phase < n_phases:
        have = f"only the series 0 to {n_phases - 1}" if n_phases > 1 else "one scan only"
        raise ImageError(f"{path}: holds no series {phase}, {have}.")
    return phase or 0


def _trailing_index(sizes: Sequence[int], phase: int) -> list[int]:
    """Position of a phase in the axes behind the third, the first of which runs fastest."""
    index = []
    for size in sizes:
        index.append(phase % size)
        phase //= size
    return index


def _array_of(image: Any) -> NDArray[Any]:
    import SimpleITK as sitk

    return np.asarray(sitk.GetArrayFromImage(image))


def header_fields_of(image: Any) -> dict[str, str]:
    """Header fields of a SimpleITK image; those that are not valid UTF-8 are of no use to us."""
    fields = {}
    for key in image.GetMetaDataKeys():
        with suppress(UnicodeDecodeError, RuntimeError, TypeError):
            fields[key] = image.GetMetaData(key)
    return fields


def _check_content(path: Path, suffix: str) -> None:
    with open_image(path) as stream:
        start = stream.read(512)
    if start.startswith(b"\xff\xd8\xff"):
        raise ImageError(f"{path}: is a JPEG picture with the wrong suffix; rename it to .jpg.")
    if start.startswith(b"\x89PNG"):
        raise ImageError(f"{path}: is a PNG picture with the wrong suffix; rename it to .png.")
    if start[128:132] == b"DICM":
        raise ImageError(f"{path}: is a DICOM file with the wrong suffix; rename it to .dcm.")
    if READERS[suffix] == "NrrdImageIO" and not start.startswith(b"NRRD"):
        raise ImageError(f"{path}: is no NRRD image, whatever its name says.")
    if READERS[suffix] == "MetaImageIO" and b"NDims" not in start:
        raise ImageError(f"{path}: is no MetaImage, whatever its name says.")
    if READERS[suffix] == "NrrdImageIO":
        check_nrrd(path)
    elif READERS[suffix] == "MetaImageIO":
        check_metaimage(path)


def _damage(reason: str) -> str:
    if "domain axes" in reason:
        return "has more than three dimensions; save the phase you want as a 3-D file."
    # MetaImage only says "Reason:" and whatever error number the system had last.
    if any(word in reason for word in ("bytes but received", "fread", "Reason:")):
        return TRUNCATED
    return f"is damaged or cannot be read ({reason})."


def open_image(path: Path) -> Any:
    """Open a file that should be an image, for reading bytes.

    Raises
    ------
    ImageError
        If it does not exist, may not be read, or is empty.
    """
    try:
        if path.stat().st_size == 0:
            raise ImageError(f"{path}: is empty (0 bytes); copy or export it again.")
        return path.open("rb")
    except FileNotFoundError as error:
        raise ImageError(f"{path}: does not exist.") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror}).") from error
