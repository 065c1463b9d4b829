"""Large arrays in temporary files without a name, which the system pages in and out and which end with the process."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import OutputError

IN_MEMORY = 256 << 20
"""Bytes of an array up to which it is held in memory."""

BLOCK = 32 << 20
"""Bytes that are read of a source at a time, or one of its chunks if that is larger."""

Where = tuple[slice, ...]
T = TypeVar("T")


def scratch_folder() -> Path:
    """Folder of the temporary files: that of ``TMPDIR``, else one that is on a disk rather than in memory.

    Raises
    ------
    OutputError
        If there is none.
    """
    named = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    lasting = Path("/var/tmp")  # where /tmp often lies in memory itself
    try:
        return lasting if not named and os.access(lasting, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    except OSError as error:
        raise OutputError(
            "There is no folder for temporary files; set TMPDIR to one that can be written."
        ) from error


def settling(
    source: Any,
    what: str,
    each: Callable[[NDArray[Any]], NDArray[Any]] = lambda part: part,
    dtype: Any = None,
) -> Generator[float, None, NDArray[Any]]:
    """Array of a source that may lie in files, of dask, zarr or the like, of which a few chunks are read at a time.

    Reports the share that is done. Closing it leaves nothing behind.

    Parameters
    ----------
    source
        With a shape and a type; ``chunks``, if it has them, say what is read at once.
    what
        Names it in messages.
    each
        Checks or changes values: the whole array, or one block after the other.
    dtype
        Type of the values after that, if it is another.

    Returns
    -------
    ndarray
        Read-only and in a temporary file if it takes more than `IN_MEMORY`.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    shape, stored = tuple(int(n) for n in source.shape), np.dtype(source.dtype)
    if isinstance(source, np.ndarray) or math.prod(shape) * stored.itemsize <= IN_MEMORY:
        return each(np.asarray(source))
    places = _places(shape, stored.itemsize, getattr(source, "chunks", None))
    parts = ((where, each(_read(source, where))) for where in places)
    return (yield from gathering(shape, stored if dtype is None else dtype, parts, what))


def gathering(
    shape: tuple[int, ...], dtype: Any, parts: Iterable[tuple[Where, NDArray[Any]]], what: str
) -> Generator[float, None, NDArray[Any]]:
    """Array made of parts that come one after the other and fill it; as `settling` otherwise.

    The first part is there before room is taken for all: a damaged header may promise any size.
    """
    kind, total, done = np.dtype(dtype), math.prod(shape), 0
    if total * kind.itemsize <= IN_MEMORY:
        array: NDArray[Any] | None = None
        for where, part in parts:
            array = np.empty(shape, kind) if array is None else array
            array[where] = part
            done += part.size
            yield done / total
        return np.empty(shape, kind) if array is None else array
    folder, coming = scratch_folder(), iter(parts)
    where, part = next(coming)
    _check_room(folder, total * kind.itemsize, what)
    with _opened(folder, what) as file:
        while True:
            _write(file, shape, where, np.ascontiguousarray(part, kind), folder, what)
            done += part.size
            yield done / total
            following = next(coming, None)
            if following is None:
                break
            where, part = following
        # a mapping that could be written would count as memory that may be needed
        return np.memmap(file, kind, "r", shape=shape).view(np.ndarray)


def finished(work: Generator[Any, None, T]) -> T:
    """What a generator returns, when it is at its end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def _places(shape: tuple[int, ...], itemsize: int, chunks: Any) -> Iterator[Where]:
    """Where blocks of whole chunks lie, as many along the last axes as `BLOCK` holds, and at least one."""
    if chunks is None:
        chunks = (1, *shape[1:])
    sizes = [
        tuple(chunk) if isinstance(chunk, Iterable) else _cut(n, int(chunk))
        for n, chunk in zip(shape, chunks, strict=True)
    ]
    room = BLOCK // (itemsize * max(1, math.prod(max(along, default=1) for along in sizes)))
    taken = [1] * len(sizes)
    for axis in reversed(range(len(sizes))):
        taken[axis] = max(1, min(len(sizes[axis]), room))
        room //= taken[axis]
    cuts = []
    for along, together in zip(sizes, taken, strict=True):
        ends = np.cumsum((0, *along))
        starts = range(0, len(along), together)
        cuts.append([slice(int(ends[s]), int(ends[min(s + together, len(along))])) for s in starts])
    for index in np.ndindex(*(len(cut) for cut in cuts)):
        yield tuple(cut[i] for cut, i in zip(cuts, index, strict=True))


def _cut(length: int, chunk: int) -> tuple[int, ...]:
    return tuple(min(chunk, length - first) for first in range(0, length, chunk))


def _read(source: Any, where: Where) -> NDArray[Any]:
    part = source[where]
    if hasattr(part, "dask"):
        # dask's callbacks are those of all threads: napari's would keep each block while it draws a slice
        part = part.compute(callbacks=())
    return np.asarray(part)


def _check_room(folder: Path, needed: int, what: str) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _unwritable(folder, what, error) from error
    if needed > free:
        raise OutputError(
            f"{what}: takes {needed / 2**30:.3g} GiB in a temporary file while it is worked on, and {folder} has "
            f"{free / 2**30:.3g} GiB left; make room there, or set TMPDIR to a folder on a larger disk."
        )


def _opened(folder: Path, what: str) -> IO[bytes]:
    """File that nobody else can open, and that is gone when nobody here uses it any more, however the process ends."""
    try:
        return tempfile.TemporaryFile(prefix="cpclnet-", dir=folder)
    except OSError as error:
        raise _unwritable(folder, what, error) from error


def _write(
    file: IO[bytes], shape: tuple[int, ...], where: Where, part: NDArray[Any], folder: Path, what: str
) -> None:
    """Write a block to where its values lie in the file, each run of neighbours at once.

    A full disk is an error of a write; of a write to mapped memory it would end the process.
    """
    split = len(shape) - 1
    while split > 0 and part.shape[split] == shape[split]:
        split -= 1
    strides = [math.prod(shape[axis + 1 :]) * part.itemsize for axis in range(len(shape))]
    corner = sum((one.start or 0) * stride for one, stride in zip(where, strides, strict=True))
    try:
        for index in np.ndindex(*part.shape[:split]):
            file.seek(corner + sum(i * stride for i, stride in zip(index, strides, strict=False)))
            file.write(part[index].data)
        file.flush()
    except OSError as error:
        raise _unwritable(folder, what, error) from error


def _unwritable(folder: Path, what: str, error: OSError) -> OutputError:
    return OutputError(
        f"{what}: cannot be written to a temporary file in {folder} ({error.strerror or error}); make room there, or "
        "set TMPDIR to another folder."
    )
