"""Headers of NRRD files, with their voxels in the same file or beside it.

The format is that of https://teem.sourceforge.net/nrrd/format.html. Read here rather than by a library: those in C
trust the length of every line, heed the language of the user's desktop in numbers, and know no unit of length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.formats.header_text import (
    NUMBER,
    damaged,
    data_files,
    header_lines,
    integer,
    integers,
    keep_field,
    reals,
    shown,
)
from napari_cpclnet.imaging.formats.text_image import TextImage, Vector, assumptions, lps_geometry
from napari_cpclnet.imaging.formats.voxel_files import Encoding, Voxels

# Names of a type, some of them with "int" behind or "signed" before.
TYPES = {
    **dict.fromkeys(["signed char", "int8", "int8_t"], "i1"),
    **dict.fromkeys(["uchar", "unsigned char", "uint8", "uint8_t"], "u1"),
    **dict.fromkeys(["short", "short int", "signed short", "signed short int", "int16", "int16_t"], "i2"),
    **dict.fromkeys(["ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"], "u2"),
    **dict.fromkeys(["int", "signed int", "int32", "int32_t"], "i4"),
    **dict.fromkeys(["uint", "unsigned int", "uint32", "uint32_t"], "u4"),
    **dict.fromkeys(["longlong", "long long", "long long int", "signed long long"], "i8"),
    **dict.fromkeys(["signed long long int", "int64", "int64_t"], "i8"),
    **dict.fromkeys(["ulonglong", "unsigned long long", "unsigned long long int"], "u8"),
    **dict.fromkeys(["uint64", "uint64_t"], "u8"),
    "float": "f4",
    "double": "f8",
}
ENCODINGS: dict[str, Encoding] = {
    "raw": "raw",
    **dict.fromkeys(["gz", "gzip"], "deflate"),
    **dict.fromkeys(["bz2", "bzip2"], "bzip2"),
    **dict.fromkeys(["txt", "text", "ascii"], "text"),
    "hex": "hex",
}
SHORT = {
    "datafile": "data file",
    "blocksize": "block size",
    "axismins": "axis mins",
    "axismaxs": "axis maxs",
    "centers": "centerings",
    "oldmin": "old min",
    "oldmax": "old max",
    "lineskip": "line skip",
    "byteskip": "byte skip",
    "sampleunits": "sample units",
}
FIELDS = {
    *SHORT.values(),
    *("content", "number", "type", "dimension", "space", "space dimension", "sizes", "spacings"),
    *("thicknesses", "space directions", "kinds", "labels", "units", "min", "max", "endian", "encoding"),
    *("space units", "space origin", "measurement frame"),
}
# Words of the name of a space along left, posterior, superior: against our axis, or with it.
DIRECTIONS = (
    {"right": -1.0, "left": 1.0},
    {"anterior": -1.0, "posterior": 1.0},
    {"inferior": -1.0, "superior": 1.0},
)
MM = {
    **dict.fromkeys(["", "mm", "millimeter", "millimeters", "millimetre", "millimetres"], 1.0),
    **dict.fromkeys(["um", "µm", "μm", "micron", "microns", "micrometer", "micrometers"], 1e-3),
    **dict.fromkeys(["micrometre", "micrometres"], 1e-3),
    **dict.fromkeys(["nm", "nanometer", "nanometers", "nanometre", "nanometres"], 1e-6),
    **dict.fromkeys(["cm", "centimeter", "centimeters", "centimetre", "centimetres"], 10.0),
    **dict.fromkeys(["m", "meter", "meters", "metre", "metres"], 1000.0),
}
# Kinds of axes along which there is one value after another of the same thing.
PHASE_KINDS = ("list", "time")
SPACE_KINDS = ("domain", "space", "none", "???")
COMPLEX_KIND = "complex"
KIND = re.compile(r"[a-z0-9?-]{1,40}")
NO_ORIGIN = "The file does not say where its first voxel lies; it is placed at 0, 0, 0."


@dataclass(frozen=True)
class _Fields:
    """Fields of a header by their full name, and what other programs added as ``key:=value``."""

    path: Path
    fields: dict[str, str]
    metadata: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "")

    def words(self, name: str, count: int) -> list[str] | None:
        """Words of a field, one per axis; None if it is not there."""
        if name not in self.fields:
            return None
        words = self[name].split()
        if len(words) != count:
            raise damaged(self.path, f"{name} {self[name][:60]}")
        return words

    def numbers(self, name: str, count: int) -> list[float | None]:
        """Numbers of a field, one per axis; None for an axis that has none."""
        words = self.words(name, count) or ["nan"] * count
        return [_number(self.path, name, word) for word in words]

    def quoted(self, name: str, count: int) -> list[str]:
        """Texts in quotation marks, one per axis, empty where nothing is said."""
        if name not in self.fields:
            return [""] * count
        texts = re.findall(r'"((?:[^"\\]|\\.)*)"', self[name])
        if len(texts) != count:
            raise damaged(self.path, f"{name} {self[name][:60]}")
        return [text.strip() for text in texts]


def read_nrrd_header(path: Path) -> TextImage:
    """Header of an NRRD file, checked against what is there of its voxels.

    Raises
    ------
    ImageError
        If it is damaged, names files elsewhere, ends before all voxels are there, or holds something else than grey
        values.
    """
    lines, end = header_lines(path)
    if not lines or not re.fullmatch(rb"NRRD000[1-6]", lines[0].strip()):
        raise ImageError(f"{path}: is no NRRD image, whatever its name says.")
    at = next((n for n, line in enumerate(lines) if _is_list(line)), len(lines))
    header = _fields(path, lines[1 : at + 1])
    sizes = integers(path, "sizes", header["sizes"])
    if [str(len(sizes))] != header["dimension"].split():
        raise damaged(path, f"dimension {header['dimension'] or 'missing'}, sizes {header['sizes']}")
    voxels = _voxels(header, sizes, lines[at + 1 :], end)
    voxels.check()
    _check_detached(header, voxels)
    return _image(header, voxels)


def _is_list(line: bytes) -> bool:
    """Whether the rest of the header is a list of data files."""
    return re.match(rb"data ?file\s*:\s*LIST\b", line, re.IGNORECASE) is not None


def _fields(path: Path, lines: list[bytes]) -> _Fields:
    fields: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for raw in lines:
        if raw.startswith(b"#"):
            continue
        key, colon, value = raw.partition(b":")
        if not colon:
            raise damaged(path, f"a line without a colon: {raw[:40].decode('latin-1')}")
        if value.startswith(b"="):
            _keep(metadata, key, value[1:])
            continue
        name = key.strip().lower().decode("latin-1")
        name = SHORT.get(name, name)
        if name not in FIELDS:
            raise damaged(path, f"unknown field {name[:40]}")
        keep_field(path, fields, name, value)
    return _Fields(path, fields, metadata)


def _keep(metadata: dict[str, str], key: bytes, value: bytes) -> None:
    """Keep a field of another program; one that is not valid UTF-8 is of no use to us."""
    try:
        text = value.decode("utf-8")
        metadata[key.decode("utf-8").strip()] = re.sub(
            r"\\([n\\])", lambda match: "\n" if match[1] == "n" else "\\", text
        )
    except UnicodeDecodeError:
        return


def _voxels(header: _Fields, sizes: tuple[int, ...], names: list[bytes], end: int) -> Voxels:
    path, kind, encoding = header.path, header["type"].lower(), header["encoding"].lower()
    if kind not in TYPES or encoding not in ENCODINGS:
        raise damaged(path, f"type {kind or 'missing'}, encoding {encoding or 'missing'}")
    dtype = np.dtype(TYPES[kind])
    order = {"little": "<", "big": ">"}.get(header["endian"].lower())
    if dtype.itemsize > 1 and ENCODINGS[encoding] != "text":
        if order is None:
            raise damaged(path, f"endian {header['endian'] or 'missing'}")
        dtype = np.dtype(order + TYPES[kind])
    line_skip = integer(path, "line skip", header["line skip"] or "0", lowest=0)
    byte_skip = integer(path, "byte skip", header["byte skip"] or "0", lowest=-1)
    source = header["data file"]
    files = data_files(path, source, names) if source else (path,)
    start = 0 if source else end
    return Voxels(path, files, dtype, sizes, ENCODINGS[encoding], start, line_skip, byte_skip)


def _check_detached(header: _Fields, voxels: Voxels) -> None:
    """Refuse a data file with a header of its own that is not skipped: it would be read as voxels."""
    if not header["data file"] or voxels.byte_skip or voxels.line_skip:
        return
    if voxels.encoding == "raw" and (more := voxels.surplus()) > 0:
        raise ImageError(
            f"{header.path}: its data file holds {more} bytes more than the header says; add 'byte skip: -1' if "
            "they lie before the voxels, or correct the sizes."
        )
    if any(".nii" in file.name.lower() for file in voxels.files):
        msg = "its data file is an image of its own, whose header is not skipped; add 'byte skip: -1'."
        raise ImageError(f"{header.path}: {msg}")


def _image(header: _Fields, voxels: Voxels) -> TextImage:
    n_axes = len(voxels.sizes)
    senses, dimension = _space(header)
    steps = _vectors(header, "space directions", n_axes, dimension)
    kinds = [kind.lower() for kind in header.words("kinds", n_axes) or ["none"] * n_axes]
    components = _components(header.path, voxels.sizes, kinds)
    axes = _axes(header.path, kinds, steps)
    units, notes = _scale(header.quoted("space units", dimension)[:3], "space units")
    factors = [sense * unit for sense, unit in zip(senses or (1.0, 1.0, 1.0), units, strict=False)]
    (corner,) = _vectors(header, "space origin", 1, dimension)
    spacings = header.numbers("spacings", n_axes)
    spaced, origin = True, _lps(corner, factors)
    if any(steps):
        if any(spacings):
            raise damaged(header.path, "spacings and space directions")
        directions = [_lps(steps[axis], factors) for axis in axes]
        if corner is None and senses:
            notes += (NO_ORIGIN,)
    else:
        directions, low, spaced, notes = _along_axes(header, axes, voxels.sizes, spacings)
        origin = low if corner is None else origin
    sizes = [voxels.sizes[axis] for axis in axes]
    geometry = lps_geometry(sizes, directions, origin, str(header.path))
    notes += assumptions(spaced=spaced, placed=bool(senses) and any(steps))
    return TextImage(voxels, axes, geometry, notes, header.metadata, spaced, components)


def _space(header: _Fields) -> tuple[tuple[float, ...], int]:
    """Sense of the axes of the patient's space along ours, empty if it is not the patient's; and its dimension."""
    name = header["space"].lower()
    if not name:
        dimension = header["space dimension"]
        if dimension and not re.fullmatch(r"[1-8]", dimension):
            raise damaged(header.path, f"space dimension {dimension[:40]}")
        return (), int(dimension or 3)
    if header["space dimension"]:
        raise damaged(header.path, "space and space dimension")
    words = name.split("-")
    timed = words[-1] == "time"
    words = words[:-1] if timed else words
    if len(words) == 1 and re.fullmatch(r"[rl][ap][si]t?", name):  # short for the same
        timed = len(name) == 4
        words = [
            next(word for word in sense if word[0] == sign)
            for sign, sense in zip(name, DIRECTIONS, strict=False)
        ]
    if len(words) == 3 and all(word in sense for word, sense in zip(words, DIRECTIONS, strict=True)):
        senses = tuple(sense[word] for word, sense in zip(words, DIRECTIONS, strict=True))
        return senses, 4 if timed else 3
    if "-".join(words) in ("scanner-xyz", "3d-right-handed", "3d-left-handed"):
        return (), 4 if timed else 3
    raise damaged(header.path, f"space {name[:40]}")


def _vectors(header: _Fields, name: str, count: int, dimension: int) -> list[Vector | None]:
    """Vectors of a field, as ``(1,0,0) none (0,1,0)``; None for an axis that has none."""
    text = header[name]
    if not text:
        return [None] * count
    parts = re.findall(r"none|\([^()]*\)", text, re.IGNORECASE)
    if len(parts) != count or re.sub(r"none|\([^()]*\)", "", text, flags=re.IGNORECASE).strip():
        raise damaged(header.path, f"{name} {text[:60]}")
    found: list[Vector | None] = []
    for part in parts:
        words = part.strip("()").replace(",", " ").split()
        if part.lower() == "none" or all(word.lower() == "nan" for word in words):
            found.append(None)
        else:
            found.append(reals(header.path, name, words, dimension))
    return found


def _axes(path: Path, kinds: list[str], steps: list[Vector | None]) -> tuple[int, ...]:
    """Axes of space: those with a direction, else those whose kind does not speak against it; the first three."""
    possible = [axis for axis, kind in enumerate(kinds) if kind in SPACE_KINDS]
    if any(steps):
        possible = [axis for axis in possible if steps[axis] is not None]
    if len(possible) < 2:
        count = f"{len(possible)} dimension{'s' if not possible else ''}"
        raise ImageError(f"{path}: has {count}; a scan needs two or three.")
    return tuple(possible[:3])


def _components(path: Path, sizes: tuple[int, ...], kinds: list[str]) -> int:
    """Values per voxel that are no phases."""
    if strange := next((kind for kind in kinds if not KIND.fullmatch(kind)), ""):
        raise damaged(path, f"kinds {strange[:40]}")
    if any(kind == COMPLEX_KIND and size > 1 for size, kind in zip(sizes, kinds, strict=True)):
        raise ImageError(f"{path}: holds complex numbers; save the magnitude image.")
    known = (*SPACE_KINDS, *PHASE_KINDS)
    return math.prod(size for size, kind in zip(sizes, kinds, strict=True) if kind not in known)


def _scale(units: list[str], name: str) -> tuple[list[float], tuple[str, ...]]:
    """Millimetres of each unit, and a note if one is not known."""
    strange = next((unit for unit in units if unit.lower() not in MM), None)
    if strange is None:
        return [MM[unit.lower()] for unit in units], ()
    note = f"Its {name} ({shown(strange)}) are no known unit of length; millimetres are assumed."
    return [MM.get(unit.lower(), 1.0) for unit in units], (note,)


def _lps(vector: Vector | None, factors: Sequence[float]) -> Vector:
    """A vector of the file's space, of any dimension, in (left, posterior, superior) mm."""
    found = [part * factor + 0.0 for part, factor in zip(vector or (), factors, strict=False)]  # no minus 0
    return tuple([*found, 0.0, 0.0, 0.0][:3])


def _along_axes(
    header: _Fields, axes: tuple[int, ...], sizes: tuple[int, ...], spacings: list[float | None]
) -> tuple[list[Vector], Vector, bool, tuple[str, ...]]:
    """Directions and origin of axes without a place in the patient; whether their spacing is known; notes."""
    n_axes = len(sizes)
    low, high = header.numbers("axis mins", n_axes), header.numbers("axis maxs", n_axes)
    centers = header.words("centerings", n_axes) or ["cell"] * n_axes
    units = header.quoted("units", n_axes)
    scale, notes = _scale([units[axis] for axis in axes], "units")
    spaced, directions, origin = True, [], [0.0, 0.0, 0.0]
    for place, (axis, unit) in enumerate(zip(axes, scale, strict=True)):
        node, step = centers[axis].lower() == "node", spacings[axis]
        first, last = low[axis], high[axis]
        if step is None and first is not None and last is not None:
            step = (last - first) / max(sizes[axis] - node, 1)
        if step is None:
            spaced, step = False, 1.0
        if first is not None:
            origin[place] = unit * (first if node else first + step / 2)
        directions.append(tuple(unit * step if p == place else 0.0 for p in range(3)))
    return directions, tuple(origin), spaced, notes


def _number(path: Path, name: str, word: str) -> float | None:
    if word.lower().lstrip("+-") == "nan":
        return None
    if not NUMBER.fullmatch(word):
        raise damaged(path, f"{name} {word[:60]}")
    (number,) = reals(path, name, [word], 1)
    if name == "spacings" and number == 0:
        raise damaged(path, f"{name} {word[:60]}")
    return number
