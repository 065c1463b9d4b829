"""Voxels of NRRD and MetaImage files: plain, packed or as text, in one file or in several.

Never more is unpacked than the header promises, and what it promises is compared with the size of the files first.
"""

from __future__ import annotations

import bz2
import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import ImageError
from napari_cpclnet.files.scratch import Where, finished, gathering
from napari_cpclnet.imaging.formats.header_text import LONGEST_HEADER, damaged
from napari_cpclnet.imaging.formats.size_checks import DEFLATE_RATIO, check_memory

Encoding = Literal["raw", "deflate", "bzip2", "text", "hex"]

BLOCK = 1 << 22
PACKED_BLOCK = 1 << 16
TEXT_BLOCK = 1 << 18
# What may stand before packed or written-out values is at most the header of another format.
LONGEST_SKIP = 1 << 24
LONGEST_WORD = 400
WORD_SIGNS = b"0123456789+-.,eEnNaAiIfFtTyY \t\r\n\v\f"
TRUNCATED = "is truncated: it ends before all voxels are there; copy or export it again."


@dataclass(frozen=True)
class Voxels:
    """Where and how the values of an image are stored.

    Parameters
    ----------
    path
        The header, which names the image in messages.
    files
        One file, or several of the same size in the order of the slowest axis.
    dtype
        Type and byte order.
    sizes
        Values along each axis, the fastest first.
    encoding
        ``"raw"``, packed by ``"deflate"`` (gzip or zlib) or ``"bzip2"``, or written out as ``"text"`` or ``"hex"``.
    start
        Bytes of each file before its data.
    line_skip
        Lines to skip after that.
    byte_skip
        Bytes to skip after that, once unpacked; -1 if the values are the last bytes of the file.
    """

    path: Path
    files: tuple[Path, ...]
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]
    encoding: Encoding
    start: int = 0
    line_skip: int = 0
    byte_skip: int = 0

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.sizes)

    @property
    def per_file(self) -> int:
        """Number of values in each file."""
        return self.count // len(self.files)

    def check(self) -> None:
        """Refuse what does not fit into memory, or cannot be in the files.

        Raises
        ------
        ImageError
            If the files are too small, or their number or what is skipped of them makes no sense.
        """
        check_memory(self.path, self.sizes, self.dtype.itemsize)
        if not _divides(self.sizes, len(self.files)):
            raise damaged(self.path, f"{len(self.files)} data files for {self.sizes[-1]} slices")
        if self.byte_skip == -1 and self.encoding in ("text", "hex"):
            raise damaged(self.path, f"byte skip {self.byte_skip}")
        if (self.encoding != "raw" and self.byte_skip > LONGEST_SKIP) or self.line_skip > LONGEST_SKIP:
            raise damaged(self.path, f"line skip {self.line_skip}, byte skip {self.byte_skip}")
        needed = self.per_file * self.dtype.itemsize
        least = {
            "raw": needed + max(self.byte_skip, 0),
            "deflate": needed / DEFLATE_RATIO,
            "bzip2": 1,
            "text": 2 * self.per_file - 1,
            "hex": 2 * needed,
        }[self.encoding]
        for file in self.files:
            if file.stat().st_size - self.start < least:
                raise ImageError(f"{self.path}: {TRUNCATED}")

    def surplus(self) -> int:
        """Bytes of plain files that no value takes."""
        needed = self.count * self.dtype.itemsize
        return sum(file.stat().st_size - self.start for file in self.files) - needed

    def values(self, first: int, count: int) -> NDArray[Any]:
        """Some of the values, in one row and in the byte order of this machine; many of them in a temporary file.

        Parameters
        ----------
        first, count
            Which.

        Raises
        ------
        ImageError
            If the files end too early or are damaged.
        """
        try:
            parts = self._parts(first, count)
            return finished(gathering((count,), self.dtype.newbyteorder("="), parts, str(self.path)))
        except (zlib.error, EOFError, ValueError) as error:
            raise ImageError(
                f"{self.path}: its packed voxels are damaged; copy or export it again."
            ) from error
        except MemoryError as error:
            raise ImageError(f"{self.path}: does not fit into memory; close other programs.") from error
        except OSError as error:
            # bz2 tells damage this way, without an error number.
            reason = error.strerror or "its packed voxels are damaged"
            raise ImageError(f"{self.path}: cannot be read ({reason}).") from error

    def _parts(self, first: int, count: int) -> Iterator[tuple[Where, NDArray[Any]]]:
        """Some values after the other, and where they lie in the row."""
        done = 0
        for number, file in enumerate(self.files):
            before = number * self.per_file
            low = max(first - before, 0)
            high = min(first + count - before, self.per_file)
            if low < high:
                for part in self._read(file, low, high - low):
                    yield (slice(done, done + len(part)),), part
                    done += len(part)

    def _read(self, file: Path, low: int, count: int) -> Iterator[NDArray[Any]]:
        with file.open("rb") as stream:
            stream.seek(self.start)
            for _ in range(self.line_skip):
                if not stream.readline(LONGEST_HEADER).endswith(b"\n"):
                    raise damaged(self.path, f"line skip {self.line_skip}")
            if self.encoding == "raw":
                yield from self._read_plain(stream, file.stat().st_size, low, count)
            elif self.encoding == "text":
                yield from self._read_text(stream, low, count)
            else:
                yield from self._read_packed(stream, low, count)

    def _read_plain(self, stream: BinaryIO, size: int, low: int, count: int) -> Iterator[NDArray[Any]]:
        if self.byte_skip == -1:
            position = max(size - self.per_file * self.dtype.itemsize, stream.tell())
        else:
            position = stream.tell() + self.byte_skip
        stream.seek(position + low * self.dtype.itemsize)
        at_once = BLOCK // self.dtype.itemsize
        for first in range(0, count, at_once):
            wanted = min(at_once, count - first) * self.dtype.itemsize
            block = stream.read(wanted)
            if len(block) < wanted:
                raise ImageError(f"{self.path}: {TRUNCATED}")
            yield np.frombuffer(block, self.dtype)

    def _read_packed(self, stream: BinaryIO, low: int, count: int) -> Iterator[NDArray[Any]]:
        blocks = UNPACKING[self.encoding](stream)
        size = self.dtype.itemsize
        if self.byte_skip == -1:
            blocks = iter([self._end(blocks, self.per_file * size)])
        skip, left = max(self.byte_skip, 0) + low * size, count * size
        kept = b""  # the beginning of a value whose rest is in the next block
        for block in blocks:
            if skip >= len(block):
                skip -= len(block)
                continue
            kept += block[skip : skip + left - len(kept)]
            skip, whole = 0, len(kept) // size
            if whole:
                yield np.frombuffer(kept, self.dtype, whole)
            kept, left = kept[whole * size :], left - whole * size
            if not left:
                break
        if left:
            raise ImageError(f"{self.path}: {TRUNCATED}")
        if low + count == self.per_file:
            next(blocks, None)  # at its end, the checksum is compared

    def _end(self, blocks: Iterator[bytes], total: int) -> bytes:
        """The last ``total`` bytes, behind a header of another format at most."""
        kept = bytearray()
        for block in blocks:
            kept += block
            if len(kept) > total + LONGEST_SKIP:
                raise damaged(self.path, "byte skip -1, but far more than the voxels is there")
        return bytes(kept[len(kept) - total :]) if len(kept) >= total else b""

    def _read_text(self, stream: BinaryIO, low: int, count: int) -> Iterator[NDArray[Any]]:
        stream.seek(max(self.byte_skip, 0), 1)
        number = float if self.dtype.kind == "f" else int
        words = itertools.islice(_words(self.path, stream), low, low + count)
        done = 0
        while chunk := list(itertools.islice(words, TEXT_BLOCK)):
            part = np.empty(len(chunk), self.dtype)
            try:
                part[:] = [number(word) for word in chunk]
            except (ValueError, OverflowError) as error:
                raise ImageError(
                    f"{self.path}: one of its voxels is no number of the type in its header."
                ) from error
            yield part
            done += len(chunk)
        if done < count:
            raise ImageError(f"{self.path}: {TRUNCATED}")


def _divides(sizes: tuple[int, ...], n_files: int) -> bool:
    """Whether so many files can hold equal parts of an image, cut across its slowest axes."""
    rest = n_files
    for size in reversed(sizes):
        if rest <= size:
            return size % rest == 0
        if rest % size:
            return False
        rest //= size
    return rest == 1


def _words(path: Path, stream: BinaryIO) -> Iterator[bytes]:
    """Numbers of a text, between spaces and commas."""
    left = b""
    while block := stream.read(TEXT_BLOCK):
        if strange := block.translate(None, WORD_SIGNS):
            raise ImageError(f"{path}: holds {strange[:1]!r} among the numbers of its voxels.")
        block = left + block.replace(b",", b" ")
        words = block.split()
        left = b"" if block[-1:].isspace() or not words else words.pop()
        if len(left) > LONGEST_WORD or any(len(word) > LONGEST_WORD for word in words):
            raise ImageError(f"{path}: one of its voxels has more than {LONGEST_WORD} digits.")
        yield from words
    if left:
        yield left


def _inflated(stream: BinaryIO) -> Iterator[bytes]:
    """Blocks of gzip or zlib data; several gzip streams in a row are one."""
    unpacker = zlib.decompressobj(47)
    rest, complete = b"", False
    while rest := rest or stream.read(PACKED_BLOCK):
        if complete:
            if not rest.startswith(b"\x1f\x8b"):
                return
            unpacker, complete = zlib.decompressobj(47), False
        if block := unpacker.decompress(rest, BLOCK):
            yield block
        complete = unpacker.eof
        rest = unpacker.unused_data if complete else unpacker.unconsumed_tail
    while not complete and (block := unpacker.decompress(b"", BLOCK)):
        yield block


def _bunzipped(stream: BinaryIO) -> Iterator[bytes]:
    """Blocks of bzip2 data; several streams in a row are one."""
    unpacker = bz2.BZ2Decompressor()
    raw = b""
    while True:
        if unpacker.eof:
            raw = unpacker.unused_data or stream.read(PACKED_BLOCK)
            if not raw.startswith(b"BZh"):
                return
            unpacker = bz2.BZ2Decompressor()
        elif unpacker.needs_input:
            raw = stream.read(PACKED_BLOCK)
            if not raw:
                return
        if block := unpacker.decompress(raw, BLOCK):
            yield block
        raw = b""


def _unhexed(stream: BinaryIO) -> Iterator[bytes]:
    """Bytes written as two hexadecimal digits each; what stands between the digits is no matter."""
    digits, left = b"0123456789abcdefABCDEF", b""
    others = bytes(set(range(256)) - set(digits))
    while block := stream.read(TEXT_BLOCK):
        found = left + block.translate(None, others)
        even = len(found) // 2 * 2
        left = found[even:]
        if even:
            yield bytes.fromhex(found[:even].decode("ascii"))


UNPACKING: dict[str, Callable[[BinaryIO], Iterator[bytes]]] = {
    "deflate": _inflated,
    "bzip2": _bunzipped,
    "hex": _unhexed,
}
