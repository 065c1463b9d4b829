"""Worker processes: nothing of the script that starts them runs in them, and they end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NO_GUARD = """
import os, sys
from pathlib import Path
with open(sys.argv[1], "a") as file:
    file.write("begun\\n")
from napari_cpclnet.episodes.phantom_dataset import make_stack
print(len(make_stack(2, 0, Path(sys.argv[2]), workers=2).labels))
"""

SLEEPERS = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from napari_cpclnet.worker_process import fresh_context, work_beside_others
pool = ProcessPoolExecutor(2, fresh_context(), work_beside_others)
print(*(pool.submit(os.getpid).result() for _ in range(2)), flush=True)
print(*(one.pid for one in pool._processes.values()), flush=True)
[pool.submit(time.sleep, 600) for _ in range(4)]
time.sleep(600)
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(NO_GUARD)
    done = subprocess.run(
        [sys.executable, str(script), str(log), str(tmp_path / "stack")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2"]
    assert log.read_text() == "begun\n"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are looked up in /proc")
def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SLEEPERS)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    parent.stdout.readline()
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers
    assert all(_lives(pid) for pid in workers)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 20
    while any(_lives(pid) for pid in workers):
        assert time.monotonic() < end, "workers outlived their parent"
        time.sleep(0.1)


def _lives(pid: int) -> bool:
    """Whether a process is there and not only its exit status."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
