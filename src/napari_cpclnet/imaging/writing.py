"""Write scans and label maps: whole, or not at all."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import ImageError, OutputError
from napari_cpclnet.files.atomic import sweep, temporary_beside
from napari_cpclnet.imaging import dicom
from napari_cpclnet.imaging.formats.nifti_header import read_nifti_header, unpacked
from napari_cpclnet.imaging.formats.ome_zarr import SUFFIX as OME_ZARR
from napari_cpclnet.imaging.formats.ome_zarr import replace_ome_zarr, save_ome_zarr
from napari_cpclnet.imaging.formats.picture_writing import save_pictures
from napari_cpclnet.imaging.formats.raw_image import last_line, quiet
from napari_cpclnet.imaging.formats.seg_nrrd import header_fields
from napari_cpclnet.imaging.formats.voxel_writing import save_metaimage, save_nrrd
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.terminology import Terminology
from napari_cpclnet.imaging.volume import ScanRef, Segmentation, Volume

DICOM, PICTURE = ".dcm", ".png"
_NIFTI_HEADER = 352
_NIFTI_SIZES = slice(40, 48)
_LONGEST_AXIS = 32767
_COMPRESSION = 6
OUTPUTS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", DICOM, PICTURE, OME_ZARR)


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
        folder of pictures of that name; ``.ome.zarr``, a folder of compressed blocks, with names and colours.
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

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, Segmentation, write_segmentation
    >>> segmentation = Segmentation(np.ones((4, 8, 8), np.uint8), {1: "liver"}, Geometry((4, 8, 8)))
    >>> write_segmentation(segmentation, "labels.seg.nrrd").name
    'labels.seg.nrrd'
    """
    path = Path(path)
    suffix = output_suffix(path)
    if suffix == PICTURE:
        return _write_pictures(segmentation.labels, path)
    if suffix == OME_ZARR:
        with _whole(path, suffix) as temporary:
            save_ome_zarr(
                segmentation.labels,
                segmentation.geometry,
                temporary,
                labels=segmentation.classes,
                colors=segmentation.colors,
            )
        return path
    if suffix == DICOM:
        if source is None:
            msg = f"{path}: a DICOM segmentation refers to the series of its scan; give that DICOM series."
            raise OutputError(msg)
        codes = Terminology(terminology)
        with _whole(path, suffix) as temporary:
            dicom.save_dicom_seg(segmentation, temporary, source, codes, algorithm)
        return path
    is_nrrd = suffix.endswith(".nrrd")
    fields = tuple(header_fields(segmentation, Terminology(terminology))) if is_nrrd else ()
    _write(segmentation.labels, segmentation.geometry, path, fields)
    return path


def write_volume(volume: Volume, path: str | Path) -> Path:
    """Write the grey values of a scan on its own grid; formats and errors as in `write_segmentation`, but no DICOM.

    An array of dask is written to ``.ome.zarr`` block by block, without being whole in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, Volume, write_volume
    >>> volume = Volume(np.zeros((4, 8, 8), np.int16), Geometry((4, 8, 8)))
    >>> write_volume(volume, "scan.nii.gz").name
    'scan.nii.gz'
    """
    path = Path(path)
    suffix = output_suffix(path)
    if suffix in (DICOM, ".seg.nrrd"):
        raise OutputError(
            f"{path}: a scan cannot be written as {suffix}; choose .nii.gz, .nrrd, .mha or .ome.zarr."
        )
    if suffix == PICTURE:
        return _write_pictures(volume.array, path)
    if suffix == OME_ZARR:
        with _whole(path, suffix) as temporary:
            meaning = (volume.modality, volume.unit)
            save_ome_zarr(volume.array, volume.geometry, temporary, meaning=meaning)
        return path
    _write(volume.array, volume.geometry, path)
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
        if temporary.is_dir():
            replace_ome_zarr(temporary, path, temporary_beside(path, ""))
        else:
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
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)


def _write(
    array: NDArray[Any], geometry: Geometry, path: Path, fields: Iterable[tuple[str, str]] = ()
) -> None:
    suffix = output_suffix(path)
    with _whole(path, suffix) as temporary:
        if suffix.endswith(".nrrd"):
            save_nrrd(array, geometry, temporary, fields)
        elif suffix == ".mha":
            save_metaimage(array, geometry, temporary)
        else:
            _write_nifti(array, geometry, temporary)
            # ITK does not tell a full disk in every format, so what was written is read once.
            if not _holds(temporary, array):
                raise OutputError(f"{path}: {_reason(path)}.")


def _write_nifti(array: NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Write plane by plane below a header that ITK made of one voxel: ITK itself needs the whole array once more."""
    import SimpleITK as sitk

    if max(array.shape) > _LONGEST_AXIS:
        raise OutputError(f"{path}: NIfTI holds at most {_LONGEST_AXIS} voxels along an axis; choose .nrrd.")
    corner = array[:1, :1, :1]
    one = replace(geometry, shape=corner.shape).to_sitk(corner)
    kind = sitk.GetArrayViewFromImage(one).dtype
    small = path.with_name(f"{path.name.removesuffix('.gz').removesuffix('.nii')}.one.nii")
    try:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("NiftiImageIO")
        writer.SetFileName(os.fspath(small))
        with quiet():
            writer.Execute(one)
        header = bytearray(small.read_bytes()[:_NIFTI_HEADER])
    finally:
        small.unlink(missing_ok=True)
    header[_NIFTI_SIZES] = struct.pack("=4h", array.ndim, *array.shape[::-1])
    with ExitStack() as files:
        file: BinaryIO | gzip.GzipFile = files.enter_context(path.open("wb"))
        if path.suffix == ".gz":  # without name and time, so that the same scan gives the same file
            file = files.enter_context(gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0))
        file.write(header)
        for plane in array:
            file.write(np.ascontiguousarray(plane, kind).data)


def _holds(path: Path, array: NDArray[Any]) -> bool:
    """Whether a NIfTI file holds an array (z, y, x); a plane at a time, as the array may fill half the memory."""
    try:
        header = read_nifti_header(path)
        with unpacked(header.data) as stream:
            stream.read(header.offset)
            for plane in array:
                stored = stream.read(plane.size * header.dtype.itemsize)
                if not np.array_equal(np.frombuffer(stored, header.dtype), plane.ravel()):
                    return False
            return not stream.read(1)  # at its end, gzip compares the checksum
    except (ImageError, ValueError):  # it ends within a plane, or within a value
        return False


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
