"""DICOM files that are packed as a whole: refuse those that unpack into more memory than any scan would."""

from __future__ import annotations

import zlib
from pathlib import Path

from pydicom.uid import DeflatedExplicitVRLittleEndian

from napari_cpclnet.errors import ImageError

# Nothing but emptiness shrinks to less than this part, and so much may unpack whatever it is.
MOST_SHRUNK, ALWAYS_ALLOWED = 100, 64 << 20
MOST_BYTES = 512 << 20
_START = 132  # of the first element: the preamble and DICM
# So far into a file its transfer syntax is named.
_HEAD = 4096
_LONG = (b"OB", b"OW", b"UN", b"UT", b"SQ", b"OF", b"UC", b"UR")


def check_deflated(path: Path) -> None:
    """Refuse a packed file that unpacks to too much; any other file is left to whoever reads it.

    Raises
    ------
    ImageError
        With what to do.
    OSError
        If the file cannot be opened.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        if DeflatedExplicitVRLittleEndian.encode() not in head or head[128:_START] != b"DICM":
            return
        packed = head[_end_of_meta(head) :] + stream.read()
    most = min(max(ALWAYS_ALLOWED, MOST_SHRUNK * len(packed)), MOST_BYTES)
    unpacker, found = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        while packed and not unpacker.eof:
            found += len(unpacker.decompress(packed, 1 << 20))
            packed = unpacker.unconsumed_tail
            if found > most:
                raise ImageError(
                    f"{path}: is a packed DICOM file of {path.stat().st_size} bytes that unpacks to more than "
                    f"{most >> 20} MB, which no scan does; save it unpacked (Explicit VR Little Endian)."
                )
    except zlib.error:
        return


def _end_of_meta(head: bytes) -> int:
    """Where the elements of group 2 end, which are never packed."""
    place = _START
    while place + 12 <= len(head) and head[place : place + 2] == b"\x02\x00":
        if head[place + 4 : place + 6] in _LONG:
            place += 12 + int.from_bytes(head[place + 8 : place + 12], "little")
        else:
            place += 8 + int.from_bytes(head[place + 6 : place + 8], "little")
    return place
