"""NIfTI files, version 1 and 2, in one pass and one phase at a time.

Read here rather than by SimpleITK, which fills truncated files with zeros, sets NaN to zero, prefers the qform, and
knows neither NIfTI-2 nor phases.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.files.scratch import Where, finished, gathering
from napari_cpclnet.imaging.deskew import SHEAR, shear_of
from napari_cpclnet.imaging.formats.nifti_header import NiftiHeader, read_nifti_header, unpacked
from napari_cpclnet.imaging.geometry import Geometry

# World axes of NIfTI are right, anterior, superior: the first two point against ours.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNITS_TO_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
BLOCK = 1 << 22


def nifti_phases(path: Path) -> int:
    """Number of phases (or other volumes) in a NIfTI file."""
    return read_nifti_header(path).sizes[3]


def read_nifti(path: Path, phase: int = 0) -> tuple[NDArray[Any], Geometry, tuple[str, ...]]:
    """Read one phase of a NIfTI file.

    Parameters
    ----------
    path
        ``.nii``, ``.nii.gz``, or the ``.hdr`` of a pair.
    phase
        Which of `nifti_phases`.

    Returns
    -------
    tuple
        Array (z, y, x) of the stored type, or of floats if it was rescaled, a large one in a temporary file; geometry,
        which may be sheared; notes.

    Raises
    ------
    ImageError
        If it is no NIfTI file, is truncated or damaged.
    """
    header = read_nifti_header(path)
    geometry, notes = _placement(header)
    kind = header.dtype.newbyteorder("=")
    if (header.slope, header.inter) != (1.0, 0.0):
        # 24 bits of a float32 hold every 16-bit integer; wider ones need more.
        kind = np.dtype(np.float32 if kind.itemsize <= 2 or kind == np.float32 else np.float64)
    array = finished(gathering(geometry.shape, kind, _parts(header, phase, geometry.shape, kind), str(path)))
    return array, geometry, notes


def _parts(
    header: NiftiHeader, phase: int, shape: tuple[int, int, int], kind: np.dtype[Any]
) -> Iterator[tuple[Where, NDArray[Any]]]:
    """Some slices after the other, and where they lie; rescaled in floats of a type, if they are to be."""
    per_slice = shape[1] * shape[2] * header.dtype.itemsize
    at_once = max(1, BLOCK // per_slice)
    with unpacked(header.data) as stream:
        _skip(header, stream, header.offset + phase * header.phase_bytes)
        for first in range(0, shape[0], at_once):
            end = min(first + at_once, shape[0])
            stored = np.frombuffer(_exactly(header, stream, (end - first) * per_slice), header.dtype)
            part = stored.reshape(end - first, *shape[1:])
            yield (slice(first, end), slice(None), slice(None)), _rescaled(header, part, kind)
        if phase == header.sizes[3] - 1:
            stream.read(1)  # at its end, gzip compares the checksum


def _rescaled(header: NiftiHeader, part: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    if (header.slope, header.inter) == (1.0, 0.0):
        return part
    with np.errstate(over="ignore"):  # infinite values are refused by whoever asked for a scan
        scaled: NDArray[Any] = np.multiply(part, kind.type(header.slope), dtype=kind)
        scaled += kind.type(header.inter)
    return scaled


def _exactly(header: NiftiHeader, stream: BinaryIO | gzip.GzipFile, count: int) -> bytearray:
    values = bytearray(count)
    view, done = memoryview(values), 0
    while done < count:
        block = stream.read(min(BLOCK, count - done))
        if not block:
            raise _truncated(header)
        view[done : done + len(block)] = block
        done += len(block)
    return values


def _skip(header: NiftiHeader, stream: BinaryIO | gzip.GzipFile, count: int) -> None:
    if not isinstance(stream, gzip.GzipFile):
        stream.seek(count)
        return
    while count > 0:
        block = stream.read(min(BLOCK, count))
        if not block:
            raise _truncated(header)
        count -= len(block)


def _truncated(header: NiftiHeader) -> ImageError:
    return ImageError(
        f"{header.data}: is truncated: it ends before all voxels are there; copy or export it again."
    )


def _placement(header: NiftiHeader) -> tuple[Geometry, tuple[str, ...]]:
    """Geometry by the sform, else the qform, else the voxel sizes; a sheared sform only if there is no qform."""
    by_sform, sform_damage = _tried(header, "sform")
    by_qform, qform_damage = _tried(header, "qform")
    if by_sform is None and (damage := sform_damage or qform_damage):
        if by_qform is None:
            raise damage
        return by_qform, ("Placed by the qform of the file, because its sform is damaged.",)
    if by_sform is not None and shear_of(by_sform) > SHEAR and by_qform is not None:
        return by_qform, ("Placed by the qform of the file, because its sform is sheared.",)
    if by_sform is not None:
        differs = by_qform is not None and not by_sform.isclose(by_qform)
        note = "Placed by the sform of the file, which differs from its qform."
        return by_sform, (note,) if differs else ()
    if by_qform is not None:
        return by_qform, ()
    note = "The file does not say how the scan lies in the patient; its axes are taken as they come."
    affine = np.diag([*_spacing(header), 1.0])
    return _from_lps(header, affine, "voxel size"), (note,)


def _tried(header: NiftiHeader, name: str) -> tuple[Geometry | None, ImageError | None]:
    """Geometry by the sform or the qform, or what is wrong with it; neither if the file does not use it."""
    if header.fields[f"{name}_code"] <= 0:
        return None, None
    affine = header.fields.get_sform() if name == "sform" else _qform(header)
    try:
        return _from_lps(header, RAS_TO_LPS @ affine, name), None
    except ImageError as error:
        return None, error


def _from_lps(header: NiftiHeader, affine: NDArray[np.float64], name: str) -> Geometry:
    if not np.all(np.isfinite(affine)):
        raise ImageError(f"{header.path}: its {name} contains NaN; export it again.")
    affine[:3] *= UNITS_TO_MM.get(int(header.fields["xyzt_units"]) & 7, 1.0)
    x, y, z, _ = header.sizes
    swap = [2, 1, 0, 3]
    try:
        return Geometry.from_affine((z, y, x), affine[np.ix_(swap, swap)])
    except GeometryError as error:
        raise ImageError(f"{header.path}: its {name} is damaged: {error}") from error


def _spacing(header: NiftiHeader) -> list[float]:
    return [abs(size) or 1.0 for size in header.fields["pixdim"][1:4].tolist()]


def _qform(header: NiftiHeader) -> NDArray[np.float64]:
    """Matrix of the quaternion, whose length may be a little off, as nifti1.h computes it."""
    from nibabel.quaternions import quat2mat

    fields = header.fields
    vector = [float(fields[f"quatern_{axis}"]) for axis in "bcd"]
    rest = 1.0 - sum(part * part for part in vector)
    flip = -1.0 if fields["pixdim"][0] < 0 else 1.0
    affine = np.eye(4)
    real = math.sqrt(rest) if rest >= 1e-7 else 0.0  # 0 of a half turn, up to rounding
    affine[:3, :3] = quat2mat([real, *vector])
    affine[:3, :3] *= np.array(_spacing(header)) * [1.0, 1.0, flip]
    affine[:3, 3] = [fields[f"qoffset_{axis}"] for axis in "xyz"]
    return affine
