"""A codec that crashes, hangs or takes all memory costs one sentence about one file."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import decoding, read_volume

ROOT = Path(__file__).parents[2]
# Codecs in C that misbehave: ctypes' PyDLL keeps Python's lock, as some true ones do.
WORKER = """
import ctypes, os, sys, time
import numpy as np
from napari_cpclnet.imaging import decoding_worker as worker

def number(path, answer=7):
    print("codecs may print")
    os.write(2, b"and complain")
    return np.full((2, 3), answer, np.int16)

def slow(path):
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    return np.zeros(3)

def is_asked(requests, true=worker._is_asked):
    asked, mark = true(requests), os.path.join(os.path.dirname(__file__), "to rest")
    if os.path.exists(mark):
        os.remove(mark)
        os._exit(0)
    return asked

worker._is_asked = is_asked
worker.TASKS |= {
    "number": number,
    "pid": lambda path: np.array([os.getpid()]),
    "crash": lambda path: ctypes.string_at(0),
    "exit": lambda path: os._exit(3),
    "hang": lambda path: ctypes.PyDLL(None).sleep(1000),
    "hungry": lambda path: np.ones(1 << 40, np.uint8),
    "slow": slow,
    "raise": lambda path: {}["what no codec should raise"],
}
worker.IDLE_SECONDS = 60.0
worker.main()
"""
unix = pytest.mark.skipif(sys.platform == "win32", reason="these limits and signals are a matter of Unix")


@pytest.fixture
def codecs(tmp_path: Path, monkeypatch):
    """Asks the misbehaving codecs, each of which gets half a second."""
    (tmp_path / "odd_worker.py").write_text(WORKER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(decoding, "WORKER", "odd_worker")
    monkeypatch.setattr(decoding, "LEAST_SECONDS", 0.5)
    monkeypatch.setattr(decoding, "_late", {})
    decoding.rest()
    yield lambda task, path=Path("scan.dcm"), **arguments: decoding.decoded(task, path, 1000, 0, **arguments)
    decoding.rest()


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def ends(pid: int, within: float) -> bool:
    until = time.monotonic() + within
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not is_alive(pid)


def test_an_array_comes_back_and_the_process_stays(codecs) -> None:
    pid = codecs("pid")
    found = codecs("number", answer=-3)
    np.testing.assert_array_equal(found, np.full((2, 3), -3, np.int16))
    assert found.dtype == np.int16
    assert codecs("pid") == pid != os.getpid()


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        pytest.param("crash", r"made their decoder crash \(SIGSEGV\)", marks=unix),
        ("exit", r"made their decoder crash \(exit code 3\)"),
        pytest.param("hang", "were not decoded within", marks=unix),
        pytest.param("hungry", "need more memory", marks=unix),
        ("raise", r"cannot be decoded \(KeyError\)"),
    ],
)
def test_the_next_file_is_read_after_one_that_breaks_a_codec(codecs, task: str, sentence: str) -> None:
    assert codecs("number").sum() == 42
    started = time.monotonic()
    with pytest.raises(ImageError, match=sentence) as caught:
        codecs(task)
    assert time.monotonic() - started < 60  # the task hangs for 1000
    assert str(caught.value).startswith("scan.dcm: ")
    assert "\n" not in str(caught.value)
    assert codecs("number", Path("next.dcm")).sum() == 42


def test_many_slow_frames_are_waited_for_no_longer_than_one_that_hangs(codecs, monkeypatch) -> None:
    monkeypatch.setattr(decoding, "LEAST_SECONDS", 1.0)
    frames = itertools.count()
    with pytest.raises(ImageError, match=r"^scan\.dcm: its pixels were not decoded within"):
        [codecs("slow") for _ in zip(range(20), frames, strict=False)]
    assert next(frames) <= 6  # on a busy machine the first is too slow already
    with pytest.raises(ImageError, match="were not decoded within 1 s"):  # nobody waits for it again
        codecs("number")
    assert codecs("number", Path("other.dcm")).sum() == 42
    monkeypatch.setattr(decoding, "FORGIVEN_AFTER", 0.0)
    assert codecs("number").sum() == 42


def test_frames_that_take_what_is_due_to_their_size_may_be_many(codecs, monkeypatch) -> None:
    for _ in range(5):
        decoding.decoded("slow", Path("scan.dcm"), 1000, 10.0)


@unix
def test_a_process_that_went_to_rest_or_was_killed_is_replaced(codecs) -> None:
    first = int(codecs("pid")[0])
    os.kill(first, signal.SIGKILL)
    assert ends(first, 5)
    second = int(codecs("pid")[0])
    assert second != first
    decoding.rest()
    assert ends(second, 60)


@unix
def test_a_process_that_ends_for_want_of_work_just_when_it_is_asked_is_replaced(
    codecs, tmp_path: Path
) -> None:
    first = int(codecs("pid")[0])
    (tmp_path / "to rest").touch()
    assert codecs("number").sum() == 42
    assert not (tmp_path / "to rest").exists()
    assert not is_alive(first)
    # If it ends when it has begun, that is the file's fault, however cleanly it ends.
    with pytest.raises(ImageError, match="crash"):
        codecs("exit")


ASKER = """
import sys
from pathlib import Path
from napari_cpclnet.imaging import decoding
decoding.WORKER, decoding.LEAST_SECONDS = "odd_worker", 0.5
print(int(decoding.decoded("pid", Path("a"), 0, 0)[0]), flush=True)
if sys.argv[1] == "busy":
    decoding._Worker._read = lambda self, *_: __import__("time").sleep(1000)  # it waits for ever
    decoding.decoded("hang", Path("a"), 0, 0)
sys.stdin.read()
"""


@unix
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_process_does_not_outlive_the_one_that_asks(codecs, tmp_path: Path, state: str) -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(tmp_path)])
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER, state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    pid = int(asker.stdout.readline())
    time.sleep(0.5)
    assert is_alive(pid)
    asker.kill()
    asker.wait()
    assert ends(pid, 60)


FORKED = """
import os
from pathlib import Path
from napari_cpclnet.imaging import decoding
decoding.WORKER = "odd_worker"
pids = [int(decoding.decoded("pid", Path("a"), 0, 0)[0])]
child = os.fork()
pids.append(int(decoding.decoded("pid", Path("a"), 0, 0)[0]))
if child == 0:
    assert pids[0] != pids[1]
    decoding.rest()
    os._exit(7)
assert pids[0] == pids[1]
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert int(decoding.decoded("pid", Path("a"), 0, 0)[0]) == pids[0]
"""


@unix
def test_a_forked_process_has_codecs_of_its_own(codecs, tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(tmp_path)])
    subprocess.run([sys.executable, "-c", FORKED], env={**os.environ, "PYTHONPATH": path}, check=True)


def test_a_picture_is_decoded_in_the_other_process(tmp_path: Path, monkeypatch) -> None:
    grey = np.arange(120, dtype=np.uint8).reshape(10, 12)
    Image.fromarray(grey).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", None)  # here nobody opens it
    np.testing.assert_array_equal(read_volume(tmp_path / "a.png").array[0], grey)


def test_a_picture_is_found_from_whatever_folder_one_works_in(tmp_path: Path, monkeypatch) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((10, 12), np.uint8)).save(tmp_path / name / f"{name}.png")
        (tmp_path / name / "text.png").write_text("no picture")
        monkeypatch.chdir(tmp_path / name)
        assert read_volume(Path(f"{name}.png")).array.shape == (1, 10, 12)
        with pytest.raises(ImageError, match=r"^text\.png: is no PNG"):
            read_volume(Path("text.png"))


def test_modules_in_the_folder_one_works_in_are_not_run(tmp_path: Path, monkeypatch) -> None:
    for name in ("json", "numpy", "napari_cpclnet", "select"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(tmp_path / "a.png")
    decoding.rest()
    monkeypatch.chdir(tmp_path)
    assert read_volume(Path("a.png")).array.shape == (1, 10, 12)
    assert not (tmp_path / "ran").exists()
