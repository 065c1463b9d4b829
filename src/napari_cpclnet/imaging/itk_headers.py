"""Headers of NRRD and MetaImage files, looked at before a library trusts them.

Both are text. A library asked to read a damaged one takes whatever memory it names, waits on whatever file it
points to, or ends the process; so the sizes, the type and the data files are checked here.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.limits import DEFLATE_RATIO, check_memory

LONGEST_HEADER = 1 << 20
MOST_FILES = 100_000
MOST_DIMENSIONS = 8
TRUNCATED = "is truncated: it ends before all voxels are there; copy or export it again."
# Bytes of the types of NRRD, and of MetaImage without its MET_ prefix.
NRRD_TYPES = {
    **dict.fromkeys(["signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"], 1),
    **dict.fromkeys(["short", "short int", "signed short", "signed short int", "int16", "int16_t"], 2),
    **dict.fromkeys(["ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"], 2),
    **dict.fromkeys(
        ["int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"], 4
    ),
    **dict.fromkeys(["longlong", "long long", "long long int", "signed long long", "int64", "int64_t"], 8),
    **dict.fromkeys(["ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"], 8),
    "signed long long int": 8,
    "float": 4,
    "double": 8,
}
META_TYPES = {
    **dict.fromkeys(["CHAR", "UCHAR"], 1),
    **dict.fromkeys(["SHORT", "USHORT"], 2),
    **dict.fromkeys(["INT", "UINT", "FLOAT"], 4),
    **dict.fromkeys(["LONG", "ULONG", "LONG_LONG", "ULONG_LONG", "DOUBLE"], 8),
}


@dataclass(frozen=True)
class _Promise:
    """What a header says about its voxels: sizes, bytes per value, best packing ratio, and the files they lie in."""

    sizes: tuple[int, ...]
    itemsize: int
    ratio: int
    skip: int
    files: tuple[Path, ...]


def check_nrrd(path: Path) -> None:
    """Check that an NRRD file can hold what its header says.

    Raises
    ------
    ImageError
        If a field is missing or damaged, or the voxels cannot be there.
    """
    lines, end = _lines(path)
    fields = {}
    for line in lines[1:]:
        key, colon, value = line.partition(":")
        if colon and not value.startswith("=") and not line.startswith("#"):
            fields[key.strip().lower()] = value.strip()
    kind, encoding = fields.get("type", "").lower(), fields.get("encoding", "").lower()
    if encoding in ("bz2", "bzip2"):
        raise ImageError(
            f"{path}: is a bzip2-compressed NRRD, which cannot be read; save it with gzip or raw encoding."
        )
    if kind not in NRRD_TYPES or encoding not in ("raw", "gz", "gzip", "txt", "text", "ascii", "hex"):
        raise _damaged(path, f"type {kind or 'missing'}, encoding {encoding or 'missing'}")
    sizes = _integers(path, "sizes", fields.get("sizes", ""))
    if [str(len(sizes))] != fields.get("dimension", "").split():
        raise _damaged(path, f"dimension {fields.get('dimension', 'missing')}, sizes {fields.get('sizes')}")
    detached = fields.get("data file") or fields.get("datafile")
    skip = _integers(
        path, "byte skip", fields.get("byte skip") or fields.get("byteskip") or "0", negative=True
    )
    if skip[0] < -1 or (skip[0] == -1 and encoding == "hex"):
        raise _damaged(path, f"byte skip {skip[0]}")
    files = tuple(_parts(path, detached, lines)) if detached else (path,)
    # A digit and a space of text make one value of up to eight bytes; gzip packs at most so much.
    ratio = {"raw": 1, "gz": DEFLATE_RATIO, "gzip": DEFLATE_RATIO}.get(encoding, 8)
    before = 0 if detached else end
    promise = _Promise(sizes, NRRD_TYPES[kind], ratio, before + max(skip[0], 0) * (ratio == 1), files)
    _check(path, promise)
    if detached and ratio == 1 and skip[0] == 0 and "line skip" not in fields and "lineskip" not in fields:
        _check_rest(path, promise)
    elif detached and skip[0] == 0 and any(".nii" in part.name.lower() for part in files):
        msg = "its data file is an image of its own, whose header is not skipped; add 'byte skip: -1'."
        raise ImageError(f"{path}: {msg}")


def check_metaimage(path: Path) -> None:
    """Check that a MetaImage file can hold what its header says.

    Raises
    ------
    ImageError
        If a field is missing or damaged, or the voxels cannot be there.
    """
    fields: dict[str, str] = {}
    lines, end = _lines(path, last=b"ElementDataFile")
    for line in lines:
        key, equals, value = line.partition("=")
        if equals:
            fields[key.strip().lower()] = value.strip()
    sizes = _integers(path, "DimSize", fields.get("dimsize", ""))
    if [str(len(sizes))] != fields.get("ndims", "").split():
        raise _damaged(path, f"NDims {fields.get('ndims', 'missing')}, DimSize {fields.get('dimsize')}")
    kind = fields.get("elementtype", "").upper().removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in META_TYPES:
        raise _damaged(path, f"ElementType {fields.get('elementtype', 'missing')}")
    channels = _integers(path, "ElementNumberOfChannels", fields.get("elementnumberofchannels", "1"))
    source = fields.get("elementdatafile", "")
    if not source:
        raise _damaged(path, "ElementDataFile missing")
    local = source.upper() == "LOCAL"
    files = (path,) if local else tuple(_parts(path, source, lines))
    packed = fields.get("compresseddata", "").lower() in ("true", "1", "yes")
    ratio = DEFLATE_RATIO if packed else 1 if fields.get("binarydata", "").lower() == "true" else 8
    _check(path, _Promise((*sizes, *channels), META_TYPES[kind], ratio, end if local else 0, files))


def _lines(path: Path, last: bytes | None = None) -> tuple[list[str], int]:
    """Lines of a text header up to the first empty one (or the one that begins with ``last``), and its length."""
    found: list[str] = []
    with path.open("rb") as stream:
        while line := stream.readline(LONGEST_HEADER):
            if stream.tell() >= LONGEST_HEADER:
                raise _damaged(path, "it does not end")
            text = line.strip()
            if not text and last is None:
                return found, stream.tell()
            found.append(text.decode("utf-8", errors="replace"))
            if last is not None and text.startswith(last):
                end = stream.tell()
                if b"LIST" in text.upper():
                    rest = stream.read(LONGEST_HEADER).decode("utf-8", errors="replace")
                    found += [name.strip() for name in rest.splitlines()]
                return found, end
    return found, path.stat().st_size


def _integers(path: Path, name: str, text: str, *, negative: bool = False) -> tuple[int, ...]:
    parts = text.split()
    good = all(re.fullmatch(r"[+-]?\d{1,18}", part) for part in parts)
    numbers = tuple(int(part) for part in parts) if good else ()
    lowest = -(10**18) if negative else 1
    if not numbers or len(numbers) > MOST_DIMENSIONS or min(numbers) < lowest:
        raise _damaged(path, f"{name} {text[:60] or 'missing'}")
    return numbers


def _parts(path: Path, source: str, lines: list[str]) -> Iterator[Path]:
    """Files a header names, each of which must be a plain file."""
    words = source.split()
    if words[0].upper().startswith("LIST"):
        at = next(i for i, line in enumerate(lines) if line.endswith(source))
        names = [line for line in lines[at + 1 :] if line]
    elif "%" in source:
        bounds = words[1:4]
        pattern = re.fullmatch(r"([^%]*)%0?(\d?)d([^%]*)", words[0])
        if pattern is None or len(bounds) < 3 or not all(re.fullmatch(r"-?\d{1,9}", b) for b in bounds):
            raise _damaged(path, f"data file {source[:60]}")
        first, final, step = (int(bound) for bound in bounds)
        numbers = range(first, final + (1 if step > 0 else -1), step or 1)
        if len(numbers) > MOST_FILES:
            raise _damaged(path, f"data file {source[:60]}")
        names = [words[0] % number for number in numbers]
    else:
        names = [source]
    if not names:
        raise _damaged(path, "no data file is named")
    for name in names[:MOST_FILES]:
        part = path.parent / name
        try:
            plain = stat.S_ISREG(part.stat().st_mode)
        except (OSError, ValueError) as error:
            raise ImageError(
                f"{path}: its data file {name[:200]} is missing; put it beside the header."
            ) from error
        if not plain:
            raise ImageError(f"{path}: its data file {name[:200]} is no plain file.")
        yield part


def _check(path: Path, promise: _Promise) -> None:
    # One phase or channel of it may be all that is read, but these libraries read them together.
    check_memory(path, promise.sizes, promise.itemsize)
    there = sum(part.stat().st_size for part in promise.files) - promise.skip
    if math.prod(promise.sizes) * promise.itemsize > max(there, 0) * promise.ratio:
        raise ImageError(f"{path}: {TRUNCATED}")


def _check_rest(path: Path, promise: _Promise) -> None:
    more = sum(part.stat().st_size for part in promise.files) - math.prod(promise.sizes) * promise.itemsize
    if more > 0:
        raise ImageError(
            f"{path}: its data file holds {more} bytes more than the header says; add 'byte skip: -1' if they lie "
            "before the voxels, or correct the sizes."
        )


def _damaged(path: Path, what: str) -> ImageError:
    return ImageError(f"{path}: has a damaged header ({what}).")
