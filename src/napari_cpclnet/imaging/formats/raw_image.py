"""NIfTI, NRRD and MetaImage files as arrays with a geometry, read in Python: readers in C die of damaged headers."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.formats.metaimage import read_metaimage_header
from napari_cpclnet.imaging.formats.nifti import nifti_phases, read_nifti
from napari_cpclnet.imaging.formats.nrrd import read_nrrd_header
from napari_cpclnet.imaging.formats.text_image import TextImage
from napari_cpclnet.imaging.geometry import Geometry

FORMATS = {
    ".nii.gz": "NIfTI",
    ".nii": "NIfTI",
    ".hdr": "NIfTI",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}

_error_stream = threading.Lock()


@dataclass
class RawImage:
    """What a file holds, before it is known to be a scan or a label map."""

    array: NDArray[Any]
    geometry: Geometry
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    calibrated: bool = True


def volume_suffix(path: Path) -> str:
    """Suffix of a volume file this module reads, ``".nii.gz"`` included, or an empty string."""
    name = path.name.lower()
    return next((suffix for suffix in FORMATS if name.endswith(suffix)), "")


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
    if FORMATS[suffix] == "NIfTI":
        return nifti_phases(path)
    return _grey(path).n_phases


def read_raw(path: Path, phase: int | None = None) -> RawImage:
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
    if FORMATS[suffix] == "NIfTI":
        chosen = _chosen(path, nifti_phases(path), phase)
        array, geometry, notes = read_nifti(path, chosen)
        return RawImage(array, geometry, notes=notes)
    image = _grey(path)
    array = image.phase(_chosen(path, image.n_phases, phase))
    return RawImage(array, image.geometry, image.metadata, image.notes, image.calibrated)


def read_header(path: Path) -> TextImage:
    """Header of an NRRD or MetaImage file.

    Raises
    ------
    ImageError
        If the file is empty, damaged, or of another format than its name says.
    """
    suffix = volume_suffix(path)
    _check_content(path, suffix)
    return read_nrrd_header(path) if FORMATS[suffix] == "NRRD" else read_metaimage_header(path)


def _grey(path: Path) -> TextImage:
    image = read_header(path)
    if image.components > 1:
        what = f"{image.components} values per voxel (colours or vectors)"
        raise ImageError(f"{path}: holds {what}, not grey values; save one of them.")
    return image


def _chosen(path: Path, n_phases: int, phase: int | None) -> int:
    if phase is None and n_phases > 1:
        raise ImageError(f"{path}: holds {n_phases} phases; choose one of the series 0 to {n_phases - 1}.")
    if phase is not None and not 0 <= phase < n_phases:
        have = f"only the series 0 to {n_phases - 1}" if n_phases > 1 else "one scan only"
        raise ImageError(f"{path}: holds no series {phase}, {have}.")
    return phase or 0


def _check_content(path: Path, suffix: str) -> None:
    with open_image(path) as stream:
        start = stream.read(512)
    if start.startswith(b"\xff\xd8\xff"):
        raise ImageError(f"{path}: is a JPEG picture with the wrong suffix; rename it to .jpg.")
    if start.startswith(b"\x89PNG"):
        raise ImageError(f"{path}: is a PNG picture with the wrong suffix; rename it to .png.")
    if start[128:132] == b"DICM":
        raise ImageError(f"{path}: is a DICOM file with the wrong suffix; rename it to .dcm.")
    if FORMATS[suffix] == "NRRD" and not start.startswith(b"NRRD"):
        raise ImageError(f"{path}: is no NRRD image, whatever its name says.")
    if FORMATS[suffix] == "MetaImage" and b"NDims" not in start:
        raise ImageError(f"{path}: is no MetaImage, whatever its name says.")


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
