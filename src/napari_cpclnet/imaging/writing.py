"""Write scans and label maps: whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from napari_cpclnet.errors import OutputError
from napari_cpclnet.imaging.dicom_seg_writing import save_dicom_seg
from napari_cpclnet.imaging.itk_files import last_line, quiet
from napari_cpclnet.imaging.picture_writing import save_pictures
from napari_cpclnet.imaging.scans import ScanRef
from napari_cpclnet.imaging.slicer import header_fields
from napari_cpclnet.imaging.terminology import Terminology
from napari_cpclnet.imaging.volume import Segmentation, Volume
from napari_cpclnet.whole_file import sweep, temporary_beside

WRITERS = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
DICOM, PICTURE = ".dcm", ".png"
OUTPUTS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", DICOM, PICTURE)


def output_suffix(path: Path) -> str:
    """Suffix by which the format of an output is chosen, or an empty string."""
    return next((suffix for suffix in OUTPUTS if path.name.lower().endswith(suffix)), "")


def write_segmentation(
    segmentation: Segmentation,
    path: str | Path,
    *,
    source: ScanRef | None = None,
    terminology: str | Path | None = None,
    algorithm: str = "CPCLNet",
) -> Path:
    """Write a label map on its own grid, as its suffix says.

    Parameters
    ----------
    segmentation
        The labels.
    path
        ``.nii.gz``, ``.nii``, ``.nrrd``, ``.mha``; ``.seg.nrrd``, with names, colours and codes as 3D Slicer keeps
        them (a ``.nrrd`` has them too); ``.dcm``, a DICOM segmentation; ``.png``, a picture, or for several slices a
        folder of pictures of that name.
    source
        DICOM series that a ``.dcm`` refers to.
    terminology
        File of codes to look class names up in before the bundled one.
    algorithm
        What made the labels, for ``.dcm``.

    Returns
    -------
    Path
        What was written: ``path``, or a folder of pictures.

    Raises
    ------
    OutputError
        If the suffix is unknown, the folder is missing or read-only, the disk is full, or the format cannot hold the
        labels.
    SettingsError
        If the terminology cannot be read.
    """
    path = Path(path)
    suffix = output_suffix(path)
    if suffix == PICTURE:
        return _write_pictures(segmentation.labels, path)
    if suffix == DICOM:
        if source is None:
            msg = f"{path}: a DICOM segmentation refers to the series of its scan; give that DICOM series."
            raise OutputError(msg)
        codes = Terminology(terminology)
        with _whole(path, suffix) as temporary:
            save_dicom_seg(segmentation, temporary, source, codes, algorithm)
        return path
    image = segmentation.geometry.to_sitk(segmentation.labels)
    if suffix.endswith(".nrrd"):
        for key, value in header_fields(segmentation, Terminology(terminology)):
            image.SetMetaData(key, value)
    _write(image, path)
    return path


def write_volume(volume: Volume, path: str | Path) -> Path:
    """Write the grey values of a scan on its own grid; formats and errors as in `write_segmentation`, but no DICOM."""
    path = Path(path)
    suffix = output_suffix(path)
    if suffix in (DICOM, ".seg.nrrd"):
        raise OutputError(f"{path}: a scan cannot be written as {suffix}; choose .nii.gz, .nrrd or .mha.")
    if suffix == PICTURE:
        return _write_pictures(volume.array, path)
    _write(volume.geometry.to_sitk(volume.array), path)
    return path


@contextmanager
def _whole(path: Path, suffix: str) -> Iterator[Path]:
    """Temporary path beside ``path``, moved to it if all went well; errors become a sentence."""
    if suffix not in OUTPUTS:
        raise OutputError(f"{path}: the suffix must be one of {', '.join(OUTPUTS)}.")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: cannot be written, because the folder {path.parent} does not exist.")
    temporary = temporary_beside(path, suffix)
    sweep(path.parent)
    try:
        yield temporary
        os.replace(temporary, path)
    except OutputError as error:
        raise OutputError(str(error).replace(str(temporary), str(path))) from error
    except OSError as error:
        reason = _reason(path) if error.errno == errno.ENOSPC else error.strerror
        raise OutputError(f"{path}: cannot be written ({reason}).") from error
    except RuntimeError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(path) or last_line(error)}).") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write(image: Any, path: Path) -> None:
    import SimpleITK as sitk

    suffix = next((s for s in WRITERS if path.name.lower().endswith(s)), "")
    with _whole(path, suffix) as temporary:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO(WRITERS[suffix])
        writer.SetFileName(os.fspath(temporary))
        writer.SetUseCompression(suffix != ".nii")
        with quiet():
            writer.Execute(image)
            # The libraries do not tell a full disk in every format, so what was written is read once.
            whole = np.array_equal(
                sitk.GetArrayViewFromImage(image),
                sitk.GetArrayFromImage(sitk.ReadImage(os.fspath(temporary))),
            )
        if not whole:
            raise OutputError(f"{path}: {_reason(path)}.")


def _write_pictures(array: Any, path: Path) -> Path:
    if not path.parent.is_dir():
        raise OutputError(f"{path}: cannot be written, because the folder {path.parent} does not exist.")
    try:
        return save_pictures(array, path)
    except OSError as error:
        reason = _reason(path) if error.errno == errno.ENOSPC else error.strerror
        raise OutputError(f"{path}: cannot be written ({reason}).") from error


def _reason(path: Path) -> str:
    if not os.access(path.parent, os.W_OK):
        return "the folder is read-only"
    return "the disk is full, or the folder does not take files"
