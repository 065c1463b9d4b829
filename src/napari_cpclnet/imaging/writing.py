"""Write scans and label maps: whole, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from napari_cpclnet.errors import OutputError
from napari_cpclnet.imaging.itk_files import last_line, quiet
from napari_cpclnet.imaging.volume import Segmentation, Volume

WRITERS = {".nii.gz": "NiftiImageIO", ".nii": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}


def write_segmentation(segmentation: Segmentation, path: str | Path) -> None:
    """Write a label map on its own grid, as its suffix says: ``.nii.gz``, ``.nii``, ``.nrrd`` or ``.mha``.

    A ``.nrrd`` carries the class names the way 3D Slicer does in its ``.seg.nrrd`` files.

    Raises
    ------
    OutputError
        If the suffix is unknown, the folder is missing or read-only, or the disk is full.
    """
    path = Path(path)
    image = segmentation.geometry.to_sitk(segmentation.labels)
    if path.name.lower().endswith(".nrrd"):
        for key, value in _slicer_keys(segmentation).items():
            image.SetMetaData(key, value)
    _write(image, path)


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write the grey values of a scan on its own grid; formats and errors as in `write_segmentation`."""
    _write(volume.geometry.to_sitk(volume.array), Path(path))


def _write(image: Any, path: Path) -> None:
    import SimpleITK as sitk

    suffix = next((s for s in WRITERS if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise OutputError(f"{path}: the suffix must be one of {', '.join(WRITERS)}.")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: cannot be written, because the folder {path.parent} does not exist.")
    temporary = path.with_name(f".{secrets.token_hex(6)}{suffix}")
    try:
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
            raise OutputError(f"{path}: {_reason(path, image)}.")
        os.replace(temporary, path)
    except OSError as error:
        reason = _reason(path, image) if error.errno == errno.ENOSPC else error.strerror
        raise OutputError(f"{path}: cannot be written ({reason}).") from error
    except RuntimeError as error:
        raise OutputError(
            f"{path}: cannot be written ({_reason(path, image) or last_line(error)})."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _reason(path: Path, image: Any) -> str:
    if not os.access(path.parent, os.W_OK):
        return "the folder is read-only"
    return "the disk is full, or the folder does not take files"


def _slicer_keys(segmentation: Segmentation) -> dict[str, str]:
    """Header fields by which 3D Slicer knows the segments, one per class."""
    # Extent is x, y, z; the whole grid is always right.
    extent = " ".join(f"0 {n - 1}" for n in segmentation.geometry.shape[::-1])
    keys = {"Segmentation_MasterRepresentation": "Binary labelmap"}
    for number, (label, name) in enumerate(sorted(segmentation.classes.items())):
        segment = f"Segment{number}_"
        keys |= {
            f"{segment}ID": f"Segment_{label}",
            f"{segment}Name": name,
            f"{segment}LabelValue": str(label),
            f"{segment}Layer": "0",
            f"{segment}Extent": extent,
        }
    return keys
