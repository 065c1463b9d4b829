"""``segment --scheduler``: a cluster finds what this process finds, and each scan is written once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import SimpleITK as sitk

from .test_segment import Case, Run, case, run, save, scan  # noqa: F401

SLICES = 5


def queries(case: Case, count: int, slices: int = SLICES) -> list[Path]:  # noqa: F811
    shape = (slices, 36, 44)
    return [save(case.folder / "scans" / f"q{number}.nii.gz", scan(number, shape)) for number in range(count)]


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """A scheduler and a worker as somebody would start them by hand."""
    import distributed

    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as empty:
        words = [
            "-m",
            "distributed.cli.dask_worker",
            empty.scheduler_address,
            "--nthreads",
            "2",
            "--no-dashboard",
        ]
        words += ["--local-directory", str(tmp_path / "dask")]
        worker = subprocess.Popen(
            [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        yield empty.scheduler_address
        worker.terminate()
        worker.wait(30)


@pytest.mark.slow
def test_a_cluster_finds_what_this_process_finds(case: Case, run: Run, scheduler: str) -> None:  # noqa: F811
    scans = [*queries(case, 3), case.image]
    options = ("--probabilities", "--uncertainty", "--statistics", "--classes", "6=liver,1=spleen")
    code, said, _ = run(case.arguments(*options, query=scans))
    assert code == 0
    here = {path.name: path for path in shutil.move(case.out, case.folder / "here").iterdir()}
    code, said_there, err = run(case.arguments(*options, "--scheduler", scheduler, query=scans))
    assert code == 0, err
    assert case.written() == sorted(here)
    for name, path in here.items():
        other = case.out / name
        if name.endswith(".csv"):
            assert sorted(path.read_text().splitlines()) == sorted(other.read_text().splitlines())
        else:
            one, two = sitk.ReadImage(str(path)), sitk.ReadImage(str(other))
            assert one.GetOrigin() == two.GetOrigin() and one.GetSpacing() == two.GetSpacing()
            assert np.array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(two)), name
    # the same lines, but for the seconds and the order
    plain = [
        {line.split(" s, ")[1] for line in text.splitlines() if " s, " in line} for text in (said, said_there)
    ]
    assert plain[0] == plain[1] and len(plain[0]) == 4


@pytest.mark.slow
def test_what_cannot_be_labelled_is_said_and_the_rest_is_labelled(case: Case, run: Run) -> None:  # noqa: F811
    scans = queries(case, 2)
    broken = case.folder / "scans" / "broken.nii.gz"
    broken.write_bytes(b"nothing of use")
    case.out.mkdir()
    (case.out / "q0_labels.nii.gz").write_bytes(b"of yesterday")
    code, out, err = run(case.arguments("--scheduler", "local", query=[broken, *scans]))
    assert code == 2
    assert "broken" in err and "q0_labels.nii.gz: exists already" in err and "Traceback" not in err
    assert case.written() == ["q0_labels.nii.gz", "q1_labels.nii.gz"]
    assert (case.out / "q0_labels.nii.gz").read_bytes() == b"of yesterday"
    assert len(out.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_worker_killed_in_the_middle_loses_no_scan_and_none_is_written_twice(case: Case) -> None:  # noqa: F811
    scans = queries(case, 5, slices=12)
    words = case.arguments("--scheduler", "local", query=scans)
    command = subprocess.Popen(
        [sys.executable, "-u", "-m", "napari_cpclnet", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None and command.stderr is not None
    first = command.stdout.readline()  # one scan is there, others are being worked on
    victims = busy_workers(command.pid)
    assert victims, first
    killed = victims[0]
    os.kill(killed.pid, signal.SIGKILL)
    written = {path.name: path.stat().st_mtime_ns for path in case.out.glob("*_labels.nii.gz")}
    rest, err = command.communicate(timeout=500)
    assert command.returncode == 0, err
    lines = [first, *rest.splitlines()]
    assert sorted(line.split(":")[0] for line in lines) == [f"q{number}" for number in range(5)]
    assert case.written() == [f"q{number}_labels.nii.gz" for number in range(5)]
    assert all((case.out / name).stat().st_mtime_ns == then for name, then in written.items())
    assert not killed.is_running() and "Traceback" not in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing on Windows")
def test_ctrl_c_ends_a_local_cluster_quietly_and_keeps_what_is_written(case: Case) -> None:  # noqa: F811
    words = case.arguments("--scheduler", "local", query=queries(case, 20))
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
    try:
        command = subprocess.Popen(
            [sys.executable, "-u", "-m", "napari_cpclnet", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    assert command.stdout is not None
    assert command.stdout.readline()
    workers = psutil.Process(command.pid).children(recursive=True)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does it: the workers, too
    _, err = command.communicate(timeout=200)
    assert command.returncode == 130
    assert "Traceback" not in err and err.rstrip().endswith("Interrupted.")
    assert 1 <= len(case.written()) < 20
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def busy_workers(pid: int, megabytes: int = 300) -> list[psutil.Process]:
    """Processes started by another that hold so much memory: dask's workers, not its helpers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = [
            p for p in psutil.Process(pid).children(recursive=True) if p.memory_info().rss > 1e6 * megabytes
        ]
        if found:
            return sorted(found, key=lambda p: -p.cpu_times().user)
        time.sleep(0.1)
    return []


def test_a_wrong_scheduler_is_one_sentence(case: Case, run: Run) -> None:  # noqa: F811
    code, _, err = run(case.arguments("--scheduler", "cluster"))
    assert code == 2 and "use local, tcp://HOST:PORT" in err and "Traceback" not in err
    assert not case.out.exists() or case.written() == []
