"""Items of a job go to the workers of a cluster, and each answer comes back once, whoever dies on the way."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import distributed
import pytest
from distributed.core import Status

from napari_cpclnet import worker_process
from napari_cpclnet.cluster import Job, open_cluster
from napari_cpclnet.cluster.client import _local_cluster
from napari_cpclnet.cluster.worker import worker_number
from napari_cpclnet.errors import ClusterError

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that workers of this machine can import."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("cluster_jobs")


def answers(scheduler: str, job: Job, items: list[bytes], **options: int) -> list[tuple[int, bytes, str]]:
    with open_cluster(scheduler, **options) as cluster:
        return [(one.number, one.content, one.problem) for one in cluster.answers(job, items)]


def test_all_items_come_back_and_what_they_share_is_made_once_in_each_worker(
    jobs: ModuleType, tmp_path: Path
) -> None:
    log = tmp_path / "prepared"
    job = Job(str(log).encode(), jobs.log, jobs.shout)
    found = answers("local", job, [b"a", b"b", b"c", b"d", b"e"], most=2)
    assert sorted(number for number, _, _ in found) == [0, 1, 2, 3, 4]
    assert {content for _, content, _ in found} == {b"A", b"B", b"C", b"D", b"E"}
    assert len(log.read_text().splitlines()) <= 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_worker_that_is_killed_loses_no_item_and_none_comes_twice(jobs: ModuleType, tmp_path: Path) -> None:
    job = Job(str(tmp_path).encode(), jobs.folder, jobs.say_who_and_wait)
    items = [str(number).encode() for number in range(8)]
    found = []
    with open_cluster("local", most=2) as cluster:
        for answer in cluster.answers(job, items):
            assert not answer.problem
            found.append(answer.number)
            if len(found) == 2:  # in the middle of others
                victims = {path.read_text() for path in tmp_path.glob("at_work_*")}
                assert victims
                for victim in victims:
                    os.kill(int(victim), signal.SIGKILL)
    assert sorted(found) == list(range(8))
    # what was being worked on was begun again by another process
    begun = [path.name for path in tmp_path.glob("begun_*")]
    assert len(begun) > len(items)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_an_item_that_kills_every_worker_is_given_up_and_the_others_arrive(jobs: ModuleType) -> None:
    job = Job(b"", jobs.nothing, jobs.die_of_poison)
    found = answers("local", job, [b"good", b"poison", b"fine"], most=1)
    assert sorted(number for number, _, _ in found) == [0, 1, 2]
    problems = {number: problem for number, _, problem in found if problem}
    assert problems.keys() == {1} and "memory" in problems[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("taken_for_running", [False, True])
def test_a_cluster_is_closed_while_a_worker_is_started_in_place_of_one_that_died(
    *, taken_for_running: bool
) -> None:
    with _local_cluster(1) as cluster:
        (nanny,) = cluster.workers.values()
        worker_process._starting.acquire()  # the next process starts when this is released
        release = threading.Timer(0.5, worker_process._starting.release)
        try:
            os.kill(nanny.process.pid, signal.SIGKILL)
            until = time.monotonic() + 60
            while nanny.process.status != Status.starting and time.monotonic() < until:
                time.sleep(0.01)
            assert nanny.process.status == Status.starting and nanny.process.pid is None
            if taken_for_running:  # so dask does where it reads the message of the worker before now
                nanny.process.status = Status.running
        finally:
            release.start()
    release.join()
    assert nanny.status == Status.closed and not nanny.is_alive()


def test_refusals_come_as_they_are_and_bugs_with_their_last_line(jobs: ModuleType) -> None:
    job = Job(b"", jobs.nothing, jobs.refuse)
    problems = {number: problem for number, _, problem in answers("local", job, [b"no", b"bug"], most=1)}
    assert problems[0] == "no.nii.gz: is no image."
    assert problems[1] == "failed on a worker: ZeroDivisionError: integer division or modulo by zero"


def test_what_fails_once_is_tried_again(jobs: ModuleType, tmp_path: Path) -> None:
    job = Job(str(tmp_path / "tried").encode(), jobs.folder, jobs.fail_at_first)
    assert answers("local", job, [b"x"], most=1) == [(0, b"x", "")]


def test_nobody_else_can_speak_to_a_local_cluster() -> None:
    with open_cluster("local", most=1) as cluster:
        address = cluster._client.scheduler.address
        host, port = address.removeprefix("tls://").rsplit(":", 1)
        assert address.startswith("tls://") and host == "127.0.0.1"
        with pytest.raises((OSError, RuntimeError)):
            distributed.Client(f"tcp://{host}:{port}", timeout=2, set_as_default=False)


@pytest.mark.slow
def test_a_script_that_has_no_guard_is_not_run_again_in_the_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
print("the script runs", flush=True)
import cluster_jobs
from napari_cpclnet.cluster import Job, open_cluster
with open_cluster("local", most=1) as cluster:
    job = Job(b"", cluster_jobs.nothing, cluster_jobs.shout)
    print([one.content for one in cluster.answers(job, [b"done"])])
"""
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["the script runs", "[b'DONE']"]


def test_who_looks_in_now_and_then_can_end_the_work(jobs: ModuleType, tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    looks = []

    def check() -> None:
        looks.append(time.monotonic())
        if len(looks) > 3:
            raise EnoughError

    job = Job(str(tmp_path).encode(), jobs.folder, jobs.say_who_and_wait)
    with open_cluster("local", most=1) as cluster, pytest.raises(EnoughError):
        for _ in cluster.answers(job, [b"a", b"b", b"c", b"d", b"e", b"f"], check):
            pass
    assert len(list(tmp_path.glob("begun_*"))) < 6


@pytest.mark.parametrize("address", ["", "nonsense", "http://a:1", "tcp://a", "tcp://:1", "local:1"])
def test_what_is_no_scheduler_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match=r"use local, tcp://HOST:PORT"), open_cluster(address):
        pass


def test_a_scheduler_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cpclnet.cluster.client._CONNECT_SECONDS", 2)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterError, match="no dask scheduler answers"), open_cluster(address):
            pass


def test_a_cluster_without_workers_is_waited_for_and_then_said(jobs: ModuleType) -> None:
    with (
        distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as empty,
        open_cluster(empty.scheduler_address, patience=1.0) as cluster,
        pytest.raises(ClusterError, match="no worker for 1 s"),
    ):
        list(cluster.answers(Job(b"", jobs.nothing, jobs.shout), [b"x"]))


def test_without_the_extra_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"pip install 'napari-cpclnet\[cluster\]'"), open_cluster("local"):
        pass


@pytest.mark.parametrize(
    ("name", "number"), [("3", 3), ("tcp://10.0.0.1:4-2", 2), ("node7-0", 0), ("gpu box", 0)]
)
def test_workers_of_one_machine_are_told_apart_by_their_names(name: str, number: int) -> None:
    assert worker_number(name) == number


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_a_worker_does_not_ask_the_system_for_the_memory_of_each_array_anew(jobs: ModuleType) -> None:
    job = Job(b"", jobs.nothing, jobs.new_pages)
    ((_, content, problem),) = answers("local", job, [b""], most=1)
    assert not problem
    # 4,096 pages or eight huge ones for each array that is made anew
    ours, dasks = map(int, content.split())
    assert 5 * ours < dasks
