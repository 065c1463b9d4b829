"""``pseudo-labels --scheduler``: a cluster makes the files that this machine makes, each once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from .test_pseudo_labels import run, save
from .test_scheduler import busy_workers, scheduler  # noqa: F401


def contents(folder: Path) -> dict[str, np.ndarray]:
    made = [
        path for path in folder.iterdir() if path.name.endswith(("_label.nii.gz", "_mask.nii.gz", ".png"))
    ]
    return {path.name: sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in made}


@pytest.mark.slow
def test_a_cluster_makes_what_this_machine_makes(tmp_path, capsys, scheduler):  # noqa: F811
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        save(folder / "ct.nii.gz")
        Image.fromarray(np.full((32, 32), 90, np.uint8)).save(folder / "MRI_002.png")
        (folder / "bad.nii.gz").write_bytes(b"no image")
    assert run(capsys, "--data-root", folders[0], "--workers", 1)[0] == 2
    code, out, err = run(capsys, "--data-root", folders[1], "--scheduler", scheduler)
    assert code == 2 and err.count("Error: ") == 1 and "bad.nii.gz" in err
    assert out == "3 scans: 16 files written.\n"
    here, there = (contents(folder) for folder in folders)
    assert here.keys() == there.keys()
    assert all(np.array_equal(one, there[name]) for name, one in here.items())
    code, out, _ = run(capsys, "--data-root", folders[1], "--scheduler", scheduler)
    assert out.startswith("3 scans: 0 files written, 16 kept")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_worker_killed_in_the_middle_loses_no_file_and_none_is_written_twice(tmp_path):
    for k in range(2):
        save(tmp_path / f"ct_{k}.nii.gz", 60)
    words = ["pseudo-labels", "--scheduler", "local", "--data-root", str(tmp_path)]
    command = subprocess.Popen(
        [sys.executable, "-u", "-m", "napari_cpclnet", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    made: list[Path] = []
    while not made and command.poll() is None:
        made = list(tmp_path.glob("ct_?_*.nii.gz"))
    killed = busy_workers(command.pid, megabytes=100)[0]
    os.kill(killed.pid, signal.SIGKILL)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("ct_?_*.nii.gz")}
    out, err = command.communicate(timeout=800)
    assert command.returncode == 0, err
    assert out == "2 scans: 16 files written.\n" and "Traceback" not in err
    files = list(tmp_path.glob("ct_?_*.nii.gz"))
    assert len(files) == 16 and all(sitk.ReadImage(str(path)).GetSize() == (48, 40, 60) for path in files)
    assert all(path.stat().st_mtime_ns == then for path, then in written.items())
    assert len(written) < 16 and not killed.is_running()
