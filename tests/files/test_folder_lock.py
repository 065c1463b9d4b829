"""A folder belongs to one process at a time, and workers end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_cpclnet.errors import OutputError
from napari_cpclnet.files.folder_lock import only_here

HOLD = """
import sys, time
from pathlib import Path
from napari_cpclnet.files.folder_lock import only_here
with only_here(Path(sys.argv[1]), "a test"):
    print("held", flush=True)
    time.sleep(120)
"""
WORKERS = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from napari_cpclnet.worker_process import end_with_parent
import os
if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(120)
"""


def test_what_is_made_for_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(ValueError), only_here(tmp_path / "a" / "b", "a test"):
        raise ValueError
    assert list(tmp_path.iterdir()) == []
    with only_here(tmp_path / "a" / "b", "a test"):
        (tmp_path / "a" / "b" / "x").write_text("")
    assert (tmp_path / "a" / "b" / "x").exists()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another process"), only_here(tmp_path, "a test"):
            pass
    finally:
        other.kill()
        other.communicate()
    with only_here(tmp_path, "a test"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(WORKERS)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _runs(worker):
        time.sleep(0.1)
    assert not _runs(worker)


def _runs(process: int) -> bool:
    """Whether a process is there and has not ended; one that nobody asked for its end still has a number."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
