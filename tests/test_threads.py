"""Threads: how they wait is settled before torch is loaded, and there are no more than cores that may be used."""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from napari_cpclnet import threads
from napari_cpclnet.threads import cgroup_cores, usable_cores
from napari_cpclnet.worker_process import work_beside_others

SAID_BY_USERS = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

WATCH = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("policy", os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
"""
"""Prints how threads are to wait at the moment when torch is about to be loaded, and ends there."""

SEGMENT = "from napari_cpclnet.cli import main\nmain('segment --support a b --query c --out d'.split())"


def python(code, **environment):
    """The lines that a fresh interpreter prints."""
    clean = {name: value for name, value in os.environ.items() if name not in SAID_BY_USERS}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**clean, **environment},
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "start",
    [
        "from napari_cpclnet import Segmenter",
        SEGMENT,
        "import napari_cpclnet.gui.jobs.segment_job\nfrom napari_cpclnet.model import choose_device",
        # As a worker process does.
        "import pickle\npickle.loads(b'cnapari_cpclnet.episodes.phantom_dataset\\n_one\\n.')",
    ],
)
def test_threads_are_told_to_sleep_before_torch_is_loaded(start):
    assert python(WATCH + start) == ["policy passive"]


def test_what_the_user_said_stays():
    start = "from napari_cpclnet.model import choose_device"
    assert python(WATCH + start, OMP_WAIT_POLICY="active") == ["policy active"]


WINDOW = """
import threading
import torch
alone = torch.get_num_threads()
import napari_cpclnet.model
import napari_cpclnet.threads as threads
assert torch.get_num_threads() == min(alone, threads.usable_cores())
threads.usable_cores = lambda: 2
import napari_cpclnet.gui
print(torch.get_num_threads())
thread = threading.Thread(target=lambda: print(torch.get_num_threads()))
thread.start()
thread.join()
"""


def test_the_command_line_takes_all_cores_and_a_window_has_one_of_two():
    assert python(WINDOW) == ["1", "1"]


class Torch:
    """As much of torch as knows a number of threads."""

    def __init__(self, count):
        self.count = count

    def get_num_threads(self):
        return self.count

    def set_num_threads(self, count):
        self.count = count


@pytest.mark.parametrize(
    ("torchs", "cores", "left", "environment", "expected"),
    [
        (8, 8, 0, {}, 8),
        (8, 3, 0, {}, 3),  # a quota, of which torch knows nothing
        (8, 8, 1, {}, 7),
        (2, 2, 1, {}, 1),
        (1, 1, 1, {}, 1),  # there is none to leave
        (4, 8, 1, {}, 4),  # cores that are two in one, or a smaller number that the user set
        (8, 2, 1, {"OMP_NUM_THREADS": "8"}, 8),
        (8, 2, 1, {"MKL_NUM_THREADS": "8"}, 8),
    ],
)
def test_torch_has_no_more_threads_than_cores_unless_the_user_says_so(
    monkeypatch, torchs, cores, left, environment, expected
):
    for name in SAID_BY_USERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(threads, "usable_cores", lambda: cores)
    monkeypatch.setattr(threads, "_left_free", 0)
    monkeypatch.setitem(sys.modules, "torch", Torch(torchs))
    threads.leave_free(left)
    assert sys.modules["torch"].count == expected
    sys.modules["torch"].set_num_threads(6)  # the user, later
    threads.leave_free(0)
    assert sys.modules["torch"].count == 6 or cores < 6


def test_a_torch_that_is_being_imported_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", object())
    threads.share_cores()


def test_worker_processes_sleep_while_waiting_and_compute_in_one_thread():
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=work_beside_others) as pool:
        assert pool.submit(os.getenv, "OMP_WAIT_POLICY").result(200) == os.environ["OMP_WAIT_POLICY"]
        assert pool.submit(eval, "__import__('torch').get_num_threads()").result(200) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_cores_that_the_process_may_not_use_do_not_count():
    allowed = sorted(os.sched_getaffinity(0))[:1]
    code = f"import os; os.sched_setaffinity(0, {allowed}); import napari_cpclnet.threads as t; print(t.usable_cores())"
    assert python(code) == ["1"]


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (64.0, 8), (3.0, 3), (1.5, 2), (0.25, 1)])
def test_the_fewest_of_machine_and_quota_count(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "cgroup_cores", lambda: quota)
    assert usable_cores() == expected


def groups(folder, own, limits):
    """Control groups as files: what `/proc/self/cgroup` says, and what the files below `/sys/fs/cgroup` hold."""
    (folder / "cgroup").write_text("\n".join(own) + "\n")
    for name, content in limits.items():
        path = folder / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return cgroup_cores(folder / "cgroup", folder / "mounted")


V1 = ["12:memory:/docker/ab", "4:cpu,cpuacct:/docker/ab", "1:name=systemd:/docker/ab", "0::/docker/ab"]


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        # version 2
        (["0::/"], {"cpu.max": "150000 100000"}, 1.5),
        (["0::/"], {"cpu.max": "max 100000"}, None),
        (["0::/a/b"], {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2.0),
        (["0::/a/b"], {"a/b/cpu.max": "100000 50000", "a/cpu.max": "800000 100000"}, 2.0),
        # a container that sees its own group at the top
        (["0::/docker/ab"], {"cpu.max": "50000 100000"}, 0.5),
        (["0::/../other"], {"cpu.max": "300000 100000"}, 3.0),
        # version 1
        (V1, {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 2.5),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        (
            V1,
            {
                "cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/docker/ab/cpu.cfs_period_us": "100000",
            },
            4.0,
        ),
        # nothing that could be understood
        (["0::/"], {}, None),
        (["0::/"], {"cpu.max": ""}, None),
        (["nonsense", ""], {"cpu.max": "100000 100000"}, None),
    ],
)
def test_the_quota_of_a_control_group_is_found(tmp_path, own, limits, expected):
    assert groups(tmp_path, own, limits) == expected


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert cgroup_cores(tmp_path / "none", tmp_path) is None
