"""The header of a NIfTI file, version 1 or 2, checked against what the file can hold.

nibabel knows the fields. It believes them; here a file that cannot hold what its header promises is refused before
memory is asked for.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.formats.size_checks import DEFLATE_RATIO, check_memory

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

VECTOR_INTENTS = (1005, 1006, 1007, 2003, 2004)
CIFTI_INTENTS = range(3000, 3100)
LONGEST = 540


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
    fields
        All fields as they stand in the file.
    """

    path: Path
    data: Path
    sizes: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    fields: Nifti1Header

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
    fields, single = _fields(path)
    dims = fields["dim"].tolist()
    sizes = [max(n, 1) for n in dims[1 : dims[0] + 1]] if 1 <= dims[0] <= 7 else []
    if not sizes or any(n < 0 for n in dims[1 : len(sizes) + 1]):
        raise ImageError(f"{path}: has a damaged NIfTI header (dimensions {dims}).")
    dtype = _type_of_values(path, fields, sizes)
    if len(sizes) < 2:
        raise ImageError(f"{path}: has 1 dimension; a scan needs two or three.")
    offset = float(fields["vox_offset"])
    # Some programs write 0 into the first file of a pair; a single file cannot begin inside its own header.
    if not math.isfinite(offset) or offset < (fields.sizeof_hdr if single else 0):
        raise ImageError(f"{path}: has a damaged NIfTI header (voxels begin at {offset:g}).")
    slope, inter = float(fields["scl_slope"]), float(fields["scl_inter"])
    if not math.isfinite(slope) or slope == 0 or not math.isfinite(inter):
        slope, inter = 1.0, 0.0  # the standard's way to say that values are as stored
    x, y, z = [*sizes, 1][:3]
    data = path if single else _partner(path)
    header = NiftiHeader(
        path, data, (x, y, z, math.prod(sizes[3:])), dtype, int(offset), slope, inter, fields
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


def _fields(path: Path) -> tuple[Nifti1Header, bool]:
    """Fields of the header, and whether the voxels are in the same file."""
    from nibabel.nifti1 import Nifti1Header  # brings what takes a second to import
    from nibabel.nifti2 import Nifti2Header

    # Headers of the two versions begin with their length.
    kinds: dict[int, type[Nifti1Header]] = {348: Nifti1Header, LONGEST: Nifti2Header}
    with unpacked(path) as stream:
        raw = bytes(stream.read(LONGEST))
    for size, kind in kinds.items():
        order = {size.to_bytes(4, "little"): "<", size.to_bytes(4, "big"): ">"}.get(raw[:4])
        if order is None or len(raw) < size:
            continue
        fields = kind(raw[:size], order, check=False)
        magic = fields["magic"].item()[:4].rstrip(b"\0")
        if magic in (kind.single_magic, kind.pair_magic):
            return fields, magic == kind.single_magic
        if kind is Nifti1Header and path.suffix.lower() == ".hdr":
            msg = f"{path}: is an Analyze file, which does not tell left from right; convert it to NIfTI."
            raise ImageError(msg)
    raise ImageError(f"{path}: is no NIfTI image, whatever its name says.")


def _type_of_values(path: Path, fields: Nifti1Header, sizes: list[int]) -> np.dtype[Any]:
    intent, code = int(fields["intent_code"]), int(fields["datatype"])
    if intent in CIFTI_INTENTS:
        raise ImageError(f"{path}: is a CIFTI file (values on a brain surface), not a scan.")
    dtype: np.dtype[Any] = np.dtype("V")
    with suppress(KeyError):
        dtype = np.dtype(fields.get_data_dtype())
    components = sizes[4] if len(sizes) > 4 and intent in VECTOR_INTENTS else 1
    if dtype.names or components > 1:
        n = len(dtype.names or ()) or components
        raise ImageError(
            f"{path}: holds {n} values per voxel (colours or vectors), not grey values; save one of them."
        )
    if dtype.kind == "c":
        raise ImageError(f"{path}: holds complex numbers; save the magnitude image.")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ImageError(f"{path}: has a damaged NIfTI header (type of values {code}).")
    return dtype


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
