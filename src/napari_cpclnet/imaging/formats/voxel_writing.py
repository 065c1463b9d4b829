"""Write NRRD and MetaImage files. What is written in numbers is the same in every language of the desktop."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cpclnet.errors import OutputError
from napari_cpclnet.imaging.geometry import Geometry

# Packs masks well and scans fast, as ITK chooses.
LEVEL = 2
GZIP, ZLIB = 31, 15
BLOCK = 1 << 22
NRRD_TYPES = {
    "i1": "signed char",
    "u1": "unsigned char",
    "i2": "short",
    "u2": "unsigned short",
    "i4": "int",
    "u4": "unsigned int",
    "i8": "long long",
    "u8": "unsigned long long",
    "f4": "float",
    "f8": "double",
}
META_TYPES = {
    "i1": "MET_CHAR",
    "u1": "MET_UCHAR",
    "i2": "MET_SHORT",
    "u2": "MET_USHORT",
    "i4": "MET_INT",
    "u4": "MET_UINT",
    "i8": "MET_LONG_LONG",
    "u8": "MET_ULONG_LONG",
    "f4": "MET_FLOAT",
    "f8": "MET_DOUBLE",
}
# Letters of MetaImage for axes that begin on this side: inferior, anterior, right; and for those that run backwards.
SIDES = ("IS", "AP", "RL")


def save_nrrd(
    array: ArrayLike, geometry: Geometry, path: Path, fields: Iterable[tuple[str, str]] = ()
) -> None:
    """Write an NRRD file packed by gzip.

    Parameters
    ----------
    array
        Values (z, y, x) on the grid.
    geometry
        The grid.
    path
        The file, which is replaced.
    fields
        Keys and values of other programs.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    values = _plain(array, geometry, path)
    columns = geometry.affine[:3, :3][::-1, ::-1].T
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {NRRD_TYPES[values.dtype.str[1:]]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {_joined(geometry.shape[::-1])}",
        f"space directions: {' '.join(_vector(column) for column in columns)}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(geometry.origin[::-1])}",
        *(f"{key}:={_escaped(text)}" for key, text in fields),
    ]
    with path.open("wb") as stream:
        stream.write("\n".join([*lines, "", ""]).encode("utf-8"))
        for block in _packed(values, GZIP):
            stream.write(block)


def save_metaimage(array: ArrayLike, geometry: Geometry, path: Path) -> None:
    """Write a MetaImage file (``.mha``) packed by zlib; parameters and errors as of `save_nrrd`."""
    values = _plain(array, geometry, path)
    packed = list(_packed(values, ZLIB))
    directions = np.array(geometry.direction)[::-1, ::-1].T
    sides = [""] * 3
    for (axis, backwards), letters in zip(geometry.anatomical_axes, SIDES, strict=True):
        sides[2 - axis] = letters[backwards]
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {sum(map(len, packed))}",
        f"TransformMatrix = {_joined(directions.ravel())}",
        f"Offset = {_joined(geometry.origin[::-1])}",
        "CenterOfRotation = 0 0 0",
        f"AnatomicalOrientation = {''.join(sides)}",
        f"ElementSpacing = {_joined(geometry.spacing[::-1])}",
        f"DimSize = {_joined(geometry.shape[::-1])}",
        f"ElementType = {META_TYPES[values.dtype.str[1:]]}",
        "ElementDataFile = LOCAL",
    ]
    with path.open("wb") as stream:
        stream.write("\n".join([*lines, ""]).encode("ascii"))
        stream.writelines(packed)


def _plain(array: ArrayLike, geometry: Geometry, path: Path) -> NDArray[np.generic]:
    """Values in one piece, in a type that files have, the lowest byte first."""
    values = np.asarray(array)
    if values.shape != geometry.shape:
        raise OutputError(f"{path}: {values.shape} voxels do not fit a grid of {geometry.shape}.")
    kind = {"b1": "u1", "f2": "f4"}.get(values.dtype.str[1:], values.dtype.str[1:])
    if kind not in NRRD_TYPES:
        raise OutputError(f"{path}: values of type {values.dtype} cannot be written.")
    return np.ascontiguousarray(values, dtype=np.dtype(f"<{kind}"))


def _packed(values: NDArray[np.generic], window: int) -> Iterator[bytes]:
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, window)
    data = values.reshape(-1).view(np.uint8).data
    for start in range(0, len(data), BLOCK):
        yield packer.compress(data[start : start + BLOCK])
    yield packer.flush()


def _joined(numbers: Iterable[float]) -> str:
    return " ".join(_text(number) for number in numbers)


def _vector(numbers: Iterable[float]) -> str:
    return f"({','.join(_text(number) for number in numbers)})"


def _text(number: float) -> str:
    """Shortest text of a number from which the same number is read again; a minus before zero is left out."""
    return repr(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "")
