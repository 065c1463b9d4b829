"""NIfTI, NRRD and MetaImage files, read through SimpleITK, whose gaps are closed here.

SimpleITK fills a truncated NIfTI file with zeros, and its libraries print to the error stream behind Python's
back; a user gets one sentence instead.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.nifti import check_nifti

READERS = {
    ".nii.gz": "NiftiImageIO",
    ".nii": "NiftiImageIO",
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


def read_itk(path: Path) -> RawImage:
    """Read one NIfTI, NRRD or MetaImage file.

    Raises
    ------
    ImageError
        If the file is empty, damaged, of another format than its name says, has more than three dimensions,
        or holds colours or vectors.
    """
    import SimpleITK as sitk

    suffix = volume_suffix(path)
    _check_content(path, suffix)
    notes: tuple[str, ...] = ()
    override: Geometry | None = None
    if READERS[suffix] == "NiftiImageIO":
        override, notes = check_nifti(path)
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
    _check_kind(path, size, components, pixel)
    # Trailing axes of one voxel carry nothing: a 4-D file of one phase is a 3-D scan.
    if len(size) > 3:
        reader.SetExtractSize([*size[:3], *([0] * (len(size) - 3))])
    try:
        with quiet():
            image = reader.Execute()
    except RuntimeError as error:
        raise ImageError(f"{path}: {_damage(last_line(error))}") from error
    array = sitk.GetArrayFromImage(image)
    try:
        geometry = Geometry.from_sitk(image)
    except GeometryError as error:
        raise ImageError(f"{path}: {error}") from error
    if override is not None and not geometry.isclose(override):
        notes = (*notes, "Placed by the sform of the file, which differs from its qform.")
        geometry = override
    return RawImage(array.reshape(geometry.shape), geometry, header_fields_of(image), notes)


def header_fields_of(image: Any) -> dict[str, str]:
    """Header fields of a SimpleITK image; those that are not valid UTF-8 are of no use to us."""
    fields = {}
    for key in image.GetMetaDataKeys():
        with suppress(UnicodeDecodeError, RuntimeError, TypeError):
            fields[key] = image.GetMetaData(key)
    return fields


def _check_kind(path: Path, size: tuple[int, ...], components: int, pixel: str) -> None:
    if len(size) < 2:
        raise ImageError(f"{path}: has {len(size)} dimension; a scan needs two or three.")
    phases = int(np.prod(size[3:])) if len(size) > 3 else 1
    if phases > 1:
        msg = (
            f"{path}: has {len(size)} dimensions with {phases} phases; save the phase you want as a 3-D file."
        )
        raise ImageError(msg)
    if components > 1:
        what = f"{components} values per voxel (colours or vectors)"
        raise ImageError(f"{path}: holds {what}, not grey values; save one of them.")
    if "complex" in pixel:
        raise ImageError(f"{path}: holds complex numbers; save the magnitude image.")


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


def _damage(reason: str) -> str:
    if "bzip2" in reason:
        return "is a bzip2-compressed NRRD, which cannot be read; save it with gzip or raw encoding."
    if "domain axes" in reason:
        return "has more than three dimensions; save the phase you want as a 3-D file."
    # MetaImage only says "Reason:" and whatever error number the system had last.
    if any(word in reason for word in ("bytes but received", "fread", "Reason:")):
        return "is truncated: it ends before all voxels are there; copy or export it again."
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
