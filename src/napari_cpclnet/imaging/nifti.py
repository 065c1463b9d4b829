"""What must be known of a NIfTI file before SimpleITK reads it: is it whole, and which placement counts.

The layout of the header is that of the NIfTI-1.1 standard (nifti1.h).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging.geometry import Geometry

HEADER = 348
# World axes of NIfTI are right, anterior, superior: the first two point against ours.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
FLOATS = {16: "f4", 64: "f8"}
UNITS_TO_MM = {1: 1000.0, 2: 1.0, 3: 0.001}
# Cosine between two axes from which a grid counts as sheared: half a voxel in 500.
SHEAR = 1e-3


def check_nifti(path: Path) -> tuple[Geometry | None, tuple[str, ...]]:
    """Check that a NIfTI-1 file is whole; its sform as geometry (None if it has no usable one), and notes.

    Raises
    ------
    ImageError
        If it is no NIfTI-1 file, is truncated, holds NaN or infinite values, or its voxel grid is sheared.
    """
    header = _header(path)
    order = "<" if struct.unpack("<i", header[:4])[0] == HEADER else ">"
    dims = struct.unpack(order + "8h", header[40:56])
    sizes = [max(n, 1) for n in dims[1 : dims[0] + 1]] if 1 <= dims[0] <= 7 else []
    bits = struct.unpack(order + "h", header[72:74])[0]
    offset = int(struct.unpack(order + "f", header[108:112])[0])
    if not sizes or bits <= 0:
        raise ImageError(f"{path}: has a damaged NIfTI header (dimensions {dims[0]}, bits per voxel {bits}).")
    expected = offset + (int(np.prod(sizes, dtype=np.int64)) * bits + 7) // 8
    if header[344:348] == b"n+1\0" and not _is_whole(path, expected):
        raise ImageError(
            f"{path}: is truncated: it ends before all voxels are there; copy or export it again."
        )
    kind = FLOATS.get(struct.unpack(order + "h", header[70:72])[0])
    if kind and header[344:348] == b"n+1\0":
        _check_finite(path, np.dtype(order + kind), offset, expected)
    return _placement(path, header, order, (*sizes, 1, 1)[:3])


def _header(path: Path) -> bytes:
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as stream:
            header = bytes(stream.read(HEADER))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ImageError(f"{path}: is truncated or damaged gzip data; copy or export it again.") from error
    if len(header) >= 4 and struct.unpack("<i", header[:4])[0] in (540, 469893120):
        raise ImageError(f"{path}: is a NIfTI-2 file, which cannot be read; convert it to NIfTI-1.")
    if len(header) < HEADER or header[344:348] not in (b"n+1\0", b"ni1\0"):
        raise ImageError(f"{path}: is no NIfTI image, whatever its name says.")
    return header


def _is_whole(path: Path, expected: int) -> bool:
    with path.open("rb") as raw:
        if raw.read(2) != b"\x1f\x8b":
            return path.stat().st_size >= expected
        # The trailer of gzip holds the unpacked size modulo 2**32; a truncated file has none.
        raw.seek(-4, 2)
        if struct.unpack("<I", raw.read(4))[0] == expected % 2**32:
            return True
    try:
        with gzip.open(path) as stream:
            total = 0
            while block := stream.read(1 << 22):
                total += len(block)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    return total >= expected


def _check_finite(path: Path, dtype: np.dtype[Any], offset: int, end: int) -> None:
    """Look for NaN and infinite values before the NIfTI library sets them to zero in silence."""
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as stream:
        stream.read(offset)
        left = end - offset
        while left > 0 and (block := stream.read(min(left, 1 << 22))):
            left -= len(block)
            values = np.frombuffer(block[: len(block) // dtype.itemsize * dtype.itemsize], dtype)
            if not np.all(np.isfinite(values)):
                word = "NaN" if np.any(np.isnan(values)) else "infinite values"
                raise ImageError(f"{path}: contains {word}; replace these voxels by a number.")


def _placement(
    path: Path, header: bytes, order: str, sizes: tuple[int, ...]
) -> tuple[Geometry | None, tuple[str, ...]]:
    qform, sform = struct.unpack(order + "2h", header[252:256])
    if qform <= 0 and sform <= 0:
        return None, (
            "The file does not say how the scan lies in the patient; its axes are taken as they come.",
        )
    if sform <= 0:
        return None, ()
    affine = np.eye(4)
    affine[:3] = np.reshape(struct.unpack(order + "12f", header[280:328]), (3, 4))
    if not np.all(np.isfinite(affine)):
        raise ImageError(f"{path}: its sform matrix contains NaN; export it again.")
    affine = RAS_TO_LPS @ affine
    affine[:3] *= UNITS_TO_MM.get(header[123] & 7, 1.0)
    shear = _shear(affine)
    if shear > SHEAR and qform > 0:
        return None, ("Placed by the qform of the file, because its sform is sheared.",)
    if shear > SHEAR:
        msg = f"{path}: its voxel grid is sheared (axes not at right angles); resample it to a regular grid."
        raise ImageError(msg)
    shape = (int(sizes[2]), int(sizes[1]), int(sizes[0]))
    swap = [2, 1, 0, 3]
    try:
        return Geometry.from_affine(shape, affine[np.ix_(swap, swap)]), ()
    except GeometryError as error:
        raise ImageError(f"{path}: {error}") from error


def _shear(affine: NDArray[np.float64]) -> float:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.all(lengths > 0):
        return 1.0
    axes = affine[:3, :3] / lengths
    return float(np.abs(axes.T @ axes - np.eye(3)).max())
