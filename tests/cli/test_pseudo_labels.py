"""``napari-cpclnet pseudo-labels`` as a user meets it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from napari_cpclnet import cli


def save(path: Path, slices: int = 2) -> Path:
    array = np.full((slices, 40, 48), -1000, np.int16)
    array[:, 4:-4, 4:-4] = 0
    array[:, 10:22, 12:26] = 150
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((4.0, 4.0, 5.0))
    sitk.WriteImage(image, str(path))
    return path


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(["pseudo-labels", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_files_are_written_once(tmp_path, capsys):
    save(tmp_path / "ct.nii.gz")
    Image.fromarray(np.full((32, 32), 90, np.uint8)).save(tmp_path / "MRI_002.png")
    code, out, err = run(capsys, "--data-root", tmp_path, "--workers", 1)
    assert code == 0, err
    assert out == "2 scans: 16 files written.\n"
    assert len(list(tmp_path.iterdir())) == 18
    code, out, err = run(capsys, "--data-root", tmp_path, "--workers", 1)
    assert code == 0, err
    assert out.startswith("2 scans: 0 files written, 16 kept")
    code, out, err = run(capsys, "--data-root", tmp_path, "--workers", 1, "--overwrite")
    assert out == "2 scans: 16 files written.\n"


def test_a_damaged_scan_is_said_once_and_the_others_are_done(tmp_path, capsys):
    save(tmp_path / "good.nii.gz")
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    code, out, err = run(capsys, "--data-root", tmp_path, "--workers", 1)
    assert code == 2
    assert err.count("Error: ") == 1 and "bad.nii.gz" in err
    assert "8 files written" in out
    assert "Traceback" not in err


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_folder_without_scans_is_refused(tmp_path, capsys, folder):
    (tmp_path / "empty").mkdir()
    code, out, err = run(capsys, "--data-root", tmp_path / folder)
    assert code == 2
    assert err.startswith("Error: ") and folder in err and out == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
def test_ctrl_c_ends_all_processes_quietly_and_leaves_whole_files(tmp_path):
    import os

    for k in range(3):
        save(tmp_path / f"ct_{k}.nii.gz", 300)
    command = [sys.executable, "-m", "napari_cpclnet", "pseudo-labels", "--workers", "2", "--data-root"]
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [*command, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("*_mask.nii.gz")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, err = process.communicate(timeout=150)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.strip() == "Interrupted."
    made = [path for path in tmp_path.iterdir() if path.name.count("_") > 1 or path.name.startswith(".")]
    assert 1 <= len(made) < 24
    for path in made:
        assert sitk.ReadImage(str(path)).GetSize() == (48, 40, 300)
