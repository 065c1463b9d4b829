"""Headers of MetaImage files (``.mha``, ``.mhd``), with their voxels in the same file or beside it.

The format is that of https://itk.org/Wiki/MetaIO/Documentation. Read here rather than by its library, which believes
the first of two lines that contradict each other, and never returns from some matrices.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.formats.header_text import (
    LONGEST_HEADER,
    damaged,
    data_files,
    header_lines,
    integer,
    integers,
    keep_field,
    reals,
    shown,
)
from napari_cpclnet.imaging.formats.text_image import TextImage, assumptions, lps_geometry
from napari_cpclnet.imaging.formats.voxel_files import Voxels

# Without the prefix MET_. What is called long has four bytes on every system.
TYPES = {
    "CHAR": "i1",
    "UCHAR": "u1",
    "SHORT": "i2",
    "USHORT": "u2",
    "INT": "i4",
    "UINT": "u4",
    "LONG": "i4",
    "ULONG": "u4",
    "LONG_LONG": "i8",
    "ULONG_LONG": "u8",
    "FLOAT": "f4",
    "DOUBLE": "f8",
}
# Several names of one thing.
OTHER_NAMES = {
    "position": "offset",
    "origin": "offset",
    "rotation": "transformmatrix",
    "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}
# Fields that decide what is read; others are of no use here, and may be said as often as one likes.
USED = {
    *OTHER_NAMES.values(),
    *("objecttype", "ndims", "dimsize", "binarydata", "compresseddata", "compresseddatasize", "headersize"),
    *("elementtype", "elementnumberofchannels", "elementspacing", "elementsize", "distanceunits"),
    *("elementtointensityfunctionslope", "elementtointensityfunctionoffset", "elementdatafile"),
}
MM = {"": 1.0, "?": 1.0, "mm": 1.0, "um": 1e-3, "cm": 10.0}


def read_metaimage_header(path: Path) -> TextImage:
    """Header of a MetaImage file, checked against what is there of its voxels.

    Raises
    ------
    ImageError
        If it is damaged, names files elsewhere, ends before all voxels are there, or holds something else than grey
        values.
    """
    lines, end = header_lines(path, last=b"ElementDataFile")
    fields = _fields(path, lines)
    if "ndims" not in fields or fields.get("objecttype", "Image").lower() != "image":
        raise ImageError(f"{path}: is no MetaImage, whatever its name says.")
    sizes = integers(path, "DimSize", fields.get("dimsize", ""))
    if [str(len(sizes))] != fields["ndims"].split():
        raise damaged(path, f"NDims {fields['ndims'] or 'missing'}, DimSize {fields.get('dimsize')}")
    channels = integer(path, "ElementNumberOfChannels", fields.get("elementnumberofchannels", "1"))
    if len(sizes) < 2:
        raise ImageError(f"{path}: has 1 dimension; a scan needs two or three.")
    voxels = _voxels(path, fields, (channels, *sizes), end)
    voxels.check()
    return _image(path, fields, sizes, voxels)


def _fields(path: Path, lines: list[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition(b"=")
        name = key.strip().lower().decode("latin-1")
        name = OTHER_NAMES.get(name, name)
        if not equals or name not in USED:
            continue
        keep_field(path, fields, name, value)
    return fields


def _voxels(path: Path, fields: dict[str, str], sizes: tuple[int, ...], end: int) -> Voxels:
    kind = fields.get("elementtype", "").upper().removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in TYPES:
        raise damaged(path, f"ElementType {fields.get('elementtype') or 'missing'}")
    big = _is_true(path, fields, "binarydatabyteordermsb", False)
    dtype = np.dtype((">" if big else "<") + TYPES[kind])
    binary = _is_true(path, fields, "binarydata", True)
    packed = binary and _is_true(path, fields, "compresseddata", False)
    source = fields.get("elementdatafile", "")
    if not source:
        raise damaged(path, "ElementDataFile missing")
    local = source.upper() == "LOCAL"
    files = (path,) if local else data_files(path, source, _after(path, end))
    skip = integer(path, "HeaderSize", fields.get("headersize", "0"), lowest=-1)
    start = end if local else 0
    # Bytes from the beginning of the file that holds the voxels.
    if skip > 0:
        if skip < start or any(file.stat().st_size < skip for file in files):
            raise damaged(path, f"HeaderSize {skip}")
        start, skip = skip, 0
    return Voxels(
        path, files, dtype, sizes, "deflate" if packed else "raw" if binary else "text", start, 0, skip
    )


def _after(path: Path, end: int) -> list[bytes]:
    with path.open("rb") as stream:
        stream.seek(end)
        return stream.read(LONGEST_HEADER).splitlines()


def _is_true(path: Path, fields: dict[str, str], name: str, default: bool) -> bool:
    text = fields.get(name, "").lower()
    if text not in ("", "true", "t", "1", "yes", "y", "false", "f", "0", "no", "n"):
        raise damaged(path, f"{name} {text[:40]}")
    return text[:1] in "t1y" if text else default


def _image(path: Path, fields: dict[str, str], sizes: tuple[int, ...], voxels: Voxels) -> TextImage:
    n_axes = len(sizes)
    n_space = min(n_axes, 3)
    matrix = np.eye(n_axes)
    if placed := "transformmatrix" in fields:
        numbers = reals(path, "TransformMatrix", fields["transformmatrix"].split(), n_axes**2)
        matrix = np.reshape(numbers, (n_axes, n_axes))
    spacing_name = next((name for name in ("elementspacing", "elementsize") if name in fields), "")
    spacing = [1.0] * n_axes
    if spacing_name:
        spacing = list(reals(path, spacing_name, fields[spacing_name].split(), n_axes))
    offset = [0.0] * n_axes
    if "offset" in fields:
        offset = list(reals(path, "Offset", fields["offset"].split(), n_axes))
    unit = fields.get("distanceunits", "").lower()
    notes = () if unit in MM else (f"Its DistanceUnits ({shown(unit)}) are not known; mm is assumed.",)
    mm = MM.get(unit, 1.0)
    # A line of the matrix is the direction of an axis.
    steps = matrix[:n_space, :n_space] * np.array(spacing[:n_space])[:, None] * mm
    directions = [tuple([*map(float, step), 0.0][:3]) for step in steps]
    origin = tuple([*(mm * part for part in offset), 0.0][:3])
    geometry = lps_geometry(sizes[:n_space], directions, origin, str(path))
    slope, intercept, rescaled = _scale(path, fields)
    notes = (*notes, *rescaled, *assumptions(spaced=bool(spacing_name), placed=placed))
    return TextImage(
        voxels,
        tuple(range(1, n_space + 1)),  # axis 0 counts the values of a voxel
        geometry,
        notes,
        calibrated=bool(spacing_name),
        components=voxels.sizes[0],
        slope=slope,
        intercept=intercept,
    )


def _scale(path: Path, fields: dict[str, str]) -> tuple[float, float, tuple[str, ...]]:
    found = []
    for name, default in (
        ("elementtointensityfunctionslope", "1"),
        ("elementtointensityfunctionoffset", "0"),
    ):
        found.append(reals(path, name, fields.get(name, default).split(), 1)[0])
    slope, intercept = found
    if slope == 0.0:
        raise damaged(path, "ElementToIntensityFunctionSlope 0")
    if (slope, intercept) == (1.0, 0.0):
        return slope, intercept, ()
    return (
        slope,
        intercept,
        (f"Its values were rescaled as its header says: {slope:g} x stored + {intercept:g}.",),
    )
