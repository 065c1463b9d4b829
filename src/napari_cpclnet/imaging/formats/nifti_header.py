"""The header of a NIfTI file, version 1 or 2, as a few plain numbers.

The layouts are those of the standards (nifti1.h, nifti2.h). Nothing here trusts a size: a file that cannot hold
what its header promises is refused before memory is asked for.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.formats.size_checks import DEFLATE_RATIO, check_memory

# Type codes of grey values; RGB, complex and 128-bit values have others.
DTYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
COLOURS, COMPLEX = (128, 2304), (32, 1792, 2048)
VECTOR_INTENTS = (1005, 1006, 1007, 2003, 2004)
CIFTI_INTENTS = range(3000, 3100)
# Position and type of each field in the two versions.
LAYOUTS = {
    1: {
        "dims": (40, "8h"),
        "intent": (68, "h"),
        "code": (70, "h"),
        "pixdim": (76, "8f"),
        "offset": (108, "f"),
        "scale": (112, "2f"),
        "units": (123, "B"),
        "codes": (252, "2h"),
        "quatern": (256, "6f"),
        "srow": (280, "12f"),
    },
    2: {
        "dims": (16, "8q"),
        "intent": (504, "i"),
        "code": (12, "h"),
        "pixdim": (104, "8d"),
        "offset": (168, "q"),
        "scale": (176, "2d"),
        "units": (500, "i"),
        "codes": (344, "2i"),
        "quatern": (352, "6d"),
        "srow": (400, "12d"),
    },
}
MAGIC = {1: {b"n+1\0": True, b"ni1\0": False}, 2: {b"n+2\0": True, b"ni2\0": False}}
HEADER = {1: 348, 2: 540}


@dataclass(frozen=True)
class NiftiHeader:
    """What matters of a NIfTI header.

    Parameters
    ----------
    path, data
        The file, and the one in which the voxels lie (``.img`` beside a ``.hdr``).
    sizes
        Number of voxels along x, y, z and of phases.
    dtype, offset
        Type of the stored values, and where they begin in ``data``.
    slope, inter
        Value = slope x stored + inter; 1 and 0 if nothing is to be rescaled.
    pixdim, quatern, srow
        Fields of the two placements, as they stand in the file.
    qform, sform
        Codes of the two placements; 0 if one is not used.
    units
        Code of the unit of length (1 m, 2 mm, 3 micrometres).
    """

    path: Path
    data: Path
    sizes: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    pixdim: tuple[float, ...]
    quatern: tuple[float, ...]
    srow: tuple[float, ...]
    qform: int
    sform: int
    units: int

    @property
    def phase_bytes(self) -> int:
        """Bytes of one phase."""
        return math.prod(self.sizes[:3]) * self.dtype.itemsize


def read_nifti_header(path: Path) -> NiftiHeader:
    """Header of a NIfTI file, checked against the size of the file.

    Raises
    ------
    ImageError
        If it is no NIfTI file, its header is damaged, it ends before all voxels are there, or it holds something
        else than grey values.
    """
    raw, version, order = _bytes(path)

    def field(name: str) -> tuple[Any, ...]:
        position, kind = LAYOUTS[version][name]
        return struct.unpack_from(order + kind, raw, position)

    dims, code = field("dims"), int(field("code")[0])
    sizes = [max(int(n), 1) for n in dims[1 : dims[0] + 1]] if 1 <= dims[0] <= 7 else []
    if not sizes or any(n < 0 for n in dims[1 : len(sizes) + 1]):
        raise ImageError(f"{path}: has a damaged NIfTI header (dimensions {list(dims)}).")
    _check_content(path, code, int(field("intent")[0]), sizes)
    if len(sizes) < 2:
        raise ImageError(f"{path}: has 1 dimension; a scan needs two or three.")
    offset = float(field("offset")[0])
    magic = raw[4:8] if version == 2 else raw[344:348]
    single = MAGIC[version][bytes(magic)]
    # Some programs write 0 into the first file of a pair; a single file cannot begin inside its own header.
    if not math.isfinite(offset) or offset < (HEADER[version] if single else 0):
        raise ImageError(f"{path}: has a damaged NIfTI header (voxels begin at {offset:g}).")
    slope, inter = (float(v) for v in field("scale"))
    if not math.isfinite(slope) or slope == 0 or not math.isfinite(inter):
        slope, inter = 1.0, 0.0  # the standard's way to say that values are as stored
    x, y, z = [*sizes, 1][:3]
    header = NiftiHeader(
        path=path,
        data=path if single else _partner(path),
        sizes=(x, y, z, math.prod(sizes[3:])),
        dtype=np.dtype(order + DTYPES[code]),
        offset=int(offset),
        slope=slope,
        inter=inter,
        pixdim=tuple(float(v) for v in field("pixdim")),
        quatern=tuple(float(v) for v in field("quatern")),
        srow=tuple(float(v) for v in field("srow")),
        qform=int(field("codes")[0]),
        sform=int(field("codes")[1]),
        units=int(field("units")[0]) & 7,
    )
    _check_size(header)
    return header


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """Bytes of a file that may be packed by gzip, whatever its suffix says.

    Raises
    ------
    ImageError
        If the packed data are damaged or end too early, while they are read.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.open(raw, "rb") as stream:
                    yield stream
            else:
                yield raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ImageError(f"{path}: is truncated or damaged gzip data; copy or export it again.") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _bytes(path: Path) -> tuple[bytes, int, str]:
    """First bytes of the file, version and byte order."""
    with unpacked(path) as stream:
        raw = bytes(stream.read(HEADER[2]))
    for version, size in HEADER.items():
        for order in "<>":
            if len(raw) >= size and struct.unpack_from(order + "i", raw)[0] == size:
                magic = raw[4:8] if version == 2 else raw[344:348]
                if magic in MAGIC[version]:
                    return raw, version, order
                if version == 1 and path.suffix.lower() == ".hdr":
                    msg = f"{path}: is an Analyze file, which does not tell left from right; convert it to NIfTI."
                    raise ImageError(msg)
    raise ImageError(f"{path}: is no NIfTI image, whatever its name says.")


def _check_content(path: Path, code: int, intent: int, sizes: list[int]) -> None:
    if intent in CIFTI_INTENTS:
        raise ImageError(f"{path}: is a CIFTI file (values on a brain surface), not a scan.")
    components = sizes[4] if len(sizes) > 4 and intent in VECTOR_INTENTS else 1
    if code in COLOURS or components > 1:
        n = {128: 3, 2304: 4}.get(code, components)
        raise ImageError(
            f"{path}: holds {n} values per voxel (colours or vectors), not grey values; save one of them."
        )
    if code in COMPLEX:
        raise ImageError(f"{path}: holds complex numbers; save the magnitude image.")
    if code not in DTYPES:
        raise ImageError(f"{path}: has a damaged NIfTI header (type of values {code}).")


def _partner(path: Path) -> Path:
    stem = path.name[: -len(".hdr")] if path.name.lower().endswith(".hdr") else path.stem
    for suffix in (".img", ".IMG", ".img.gz"):
        partner = path.with_name(stem + suffix)
        if partner.is_file():
            return partner
    raise ImageError(f"{path}: holds only the header; the file {stem}.img with the voxels is missing.")


def _check_size(header: NiftiHeader) -> None:
    promised = header.offset + header.phase_bytes * header.sizes[3]
    with header.data.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    there = header.data.stat().st_size * (DEFLATE_RATIO if packed else 1)
    if promised > there:
        raise ImageError(
            f"{header.data}: is truncated: it ends before all voxels are there; copy or export it again."
        )
    check_memory(header.path, header.sizes[:3], header.dtype.itemsize)
