"""Large arrays in temporary files: read a few chunks at a time, gone with the process, refused in one sentence."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import namedtuple
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.errors import OutputError
from napari_cpclnet.files import scratch
from napari_cpclnet.files.scratch import finished, gathering, scratch_folder, settling

da = pytest.importorskip("dask.array")

SHAPE = (24, 30, 40)
linux = pytest.mark.skipif(sys.platform != "linux", reason="what a process has open is told by Linux only")

HOLD = """
import time
import numpy as np
from napari_cpclnet.files import scratch
scratch.IN_MEMORY = 0
everything = (slice(None),) * 3
found = scratch.finished(scratch.gathering((8, 64, 64), "i2", [(everything, np.ones((8, 64, 64), "i2"))], "x"))
print(int(found.sum()), flush=True)
time.sleep(120)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for the temporary files of arrays, all of which count as large."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    monkeypatch.setattr(scratch, "BLOCK", 10_000)
    return tmp_path


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 3000, SHAPE).astype(np.int16)


def held(folder: Path, process: int | str = "self") -> list[str]:
    """Files in a folder that a process has open or mapped, those without a name, too."""
    opened = [os.readlink(one.path) for one in os.scandir(f"/proc/{process}/fd") if os.path.lexists(one.path)]
    mapped = Path(f"/proc/{process}/maps").read_text().splitlines()
    return [one for one in (*opened, *mapped) if str(folder) in one]


@pytest.mark.parametrize(
    "chunks",
    [(1, 30, 40), (7, 30, 40), (24, 30, 3), (24, 7, 9), (24, 30, 40), ((5, 19), (30,), (11, 29)), (5, 6, 7)],
    ids=str,
)
@pytest.mark.parametrize("kind", ["i2", "u1", ">i2", "f4", "f8", "?"])
def test_an_array_comes_out_as_it_is_however_it_is_cut(
    folder: Path, values: np.ndarray, chunks: tuple, kind: str
) -> None:
    values = values.astype(kind)
    work, shares = settling(da.from_array(values, chunks=chunks), "x"), []

    def watched() -> Generator[None, None, np.ndarray]:
        while True:
            try:
                shares.append(next(work))
            except StopIteration as end:
                return end.value
            yield

    found = finished(watched())
    np.testing.assert_array_equal(found, values)
    assert found.dtype == values.dtype and type(found) is np.ndarray
    assert isinstance(found.base, np.memmap) and not found.flags.writeable
    assert shares == sorted(shares) and shares[-1] == 1
    assert not list(folder.iterdir())


def test_what_has_no_chunks_is_read_slice_by_slice(values: np.ndarray) -> None:
    class Foreign:
        shape, dtype, asked = SHAPE, values.dtype, 0

        def __getitem__(self, where: tuple[slice, ...]) -> np.ndarray:
            assert where[1:] == (slice(0, 30), slice(0, 40)) and where[0].stop - where[0].start <= 4
            return values[where]

    np.testing.assert_array_equal(finished(settling(Foreign(), "x")), values)


def test_values_are_changed_block_by_block(values: np.ndarray) -> None:
    sizes = []

    def halved(part: np.ndarray) -> np.ndarray:
        sizes.append(part.size)
        return part / 2

    found = finished(settling(da.from_array(values, chunks=(1, 30, 40)), "x", halved, np.float32))
    np.testing.assert_array_equal(found, (values / 2).astype(np.float32))
    assert max(sizes) <= 10_000 // 2 and sum(sizes) == values.size


def test_small_arrays_and_those_in_memory_stay_there(
    values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finished(settling(values, "x")) is values
    monkeypatch.setattr(scratch, "IN_MEMORY", values.nbytes)
    for work in (
        settling(da.from_array(values), "x"),
        gathering(SHAPE, "i2", [((slice(None),) * 3, values)], "x"),
    ):
        found = finished(work)
        assert not isinstance(found.base, np.memmap)
        np.testing.assert_array_equal(found, values)


def test_few_chunks_are_there_at_a_time_and_each_is_computed_once() -> None:
    alive, most, computed, lock = 0, 0, [], threading.Lock()

    def gone() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def block(block_info: dict) -> np.ndarray:
        nonlocal alive, most
        made = np.full((1, 30, 40), block_info[None]["chunk-location"][0], np.int16)
        with lock:
            alive += 1
            most = max(most, alive)
            computed.append(made[0, 0, 0])
        weakref.finalize(made, gone)
        return made

    source = da.map_blocks(
        block, chunks=((1,) * 240, (30,), (40,)), dtype=np.int16, meta=np.empty((0, 0, 0), "i2")
    )
    found = finished(settling(source, "x"))
    assert sorted(computed) == list(range(240)) and (found[:, 3, 4] == np.arange(240)).all()
    # 4 make a block; one block may still be held while the next is computed
    assert most <= 8


@linux
def test_closing_between_two_blocks_leaves_nothing(folder: Path, values: np.ndarray) -> None:
    work = settling(da.from_array(values, chunks=(1, 30, 40)), "x")
    next(work)
    assert held(folder) and not list(folder.iterdir()), "it is written here, and has no name"
    work.close()
    assert not held(folder)


@linux
def test_the_file_goes_with_the_array(folder: Path, values: np.ndarray) -> None:
    found = finished(settling(da.from_array(values), "x"))
    part = found[3:5]
    del found
    assert held(folder)
    np.testing.assert_array_equal(part, values[3:5])
    del part
    assert not held(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_nobody_else_can_open_it_and_a_killed_process_leaves_nothing(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == f"{8 * 64 * 64}\n"
        assert not list(folder.iterdir())
        if sys.platform == "linux":
            assert held(folder, other.pid)
        other.send_signal(signal.SIGKILL)
    assert not list(folder.iterdir())


def test_a_disk_without_room_is_one_sentence_before_anything_is_written(
    folder: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _folder: usage(10**6, 10**6 - 5, 5))
    with pytest.raises(OutputError, match=r"^long scan: takes .* GiB .* has 4.66e-09 GiB left; .*TMPDIR"):
        finished(settling(da.from_array(values), "long scan"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk that is always full")
def test_a_disk_that_fills_up_is_one_sentence(values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: io.FileIO("/dev/full", "r+"))
    with pytest.raises(OutputError, match=f"^long scan: .*{os.strerror(errno.ENOSPC)}.*TMPDIR"):
        finished(settling(da.from_array(values), "long scan"))


def test_a_folder_that_cannot_be_written_is_one_sentence(
    folder: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "missing"))
    with pytest.raises(OutputError, match=r"^long scan: cannot be written to a temporary file in .*missing"):
        finished(settling(da.from_array(values), "long scan"))


def test_no_folder_at_all_is_one_sentence(values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tempfile, "_get_default_tempdir", lambda: (_ for _ in ()).throw(FileNotFoundError(2, "none"))
    )
    with pytest.raises(OutputError, match="set TMPDIR"):
        finished(settling(da.from_array(values), "long scan"))


def test_errors_of_the_source_are_its_own(folder: Path, values: np.ndarray) -> None:
    def broken(part: np.ndarray) -> np.ndarray:
        raise OSError(errno.EIO, "the archive is away")

    with pytest.raises(OSError, match="the archive is away"):
        finished(settling(da.from_array(values), "x", broken))


def test_the_folder_is_on_a_disk_unless_one_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scratch_folder() == folder
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    lasting = Path("/var/tmp")
    wanted = lasting if os.access(lasting, os.W_OK) else Path(tempfile.gettempdir())
    assert scratch_folder() == wanted
