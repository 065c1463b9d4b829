"""``evaluate --scheduler``: a cluster measures what this process measures, and each case is counted once."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.evaluation import CaseResult, read_results

from .test_evaluate import Run, run, table, weights  # noqa: F401
from .test_scheduler import busy_workers, scheduler  # noqa: F401


def compared(rows: tuple[CaseResult, ...]) -> dict[tuple[str, str], list[float]]:
    """Scores by task and method; what depends on the machine is left out."""
    names = ("dice", "surface_dice", "hd95_mm", "false_ml", "truth_ml", "predicted_ml", "confidence")
    return {(row.key, row.method): [getattr(row, name) for name in names] for row in rows}


@pytest.mark.slow
def test_a_cluster_measures_what_this_process_measures(run: Run, tmp_path: Path, scheduler: str) -> None:  # noqa: F811
    words = (
        "--baselines",
        "copy,prototype",
        "--shots",
        "2",
        "--protocol",
        "honest",
        "legacy",
        "--predictions",
    )
    assert run(*words)[0] == 0
    here = Path(shutil.move(tmp_path / "out", tmp_path / "here"))
    code, out, err = run(*words, "--scheduler", scheduler)
    assert code == 0, err
    there = tmp_path / "out"
    one, other = (compared(read_results(folder / "cases.csv")) for folder in (here, there))
    assert one.keys() == other.keys()
    for key, scores in one.items():
        assert np.allclose(scores, other[key], rtol=1e-4, equal_nan=True), key
    files = [sorted(p.relative_to(f) for p in f.rglob("*") if p.is_file()) for f in (here, there)]
    assert files[0] == files[1] and "[10/10]" in err and "mean Dice" in out
    assert {row.device for row in read_results(there / "cases.csv")} == {"cpu"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_worker_killed_in_the_middle_loses_no_case_and_none_is_counted_twice(
    table: Path,  # noqa: F811
    weights: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    words = ["evaluate", "--cases", table, "--out", tmp_path / "out", "--device", "cpu", "--quick"]
    words += ["--weights", weights / "fold_0.safetensors", "--baselines", "none", "--shots", "1", "2"]
    command = subprocess.Popen(
        [sys.executable, "-u", "-m", "napari_cpclnet", *map(str, words), "--scheduler", "local"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stderr is not None
    lines = iter(command.stderr.readline, "")
    first = next(line for line in lines if line.startswith("[1/"))  # others are being worked on
    killed = busy_workers(command.pid)[0]
    os.kill(killed.pid, signal.SIGKILL)
    _, err = command.communicate(timeout=800)
    assert command.returncode == 0, err
    rows = read_results(tmp_path / "out/cases.csv")
    assert first.startswith("[1/10]") and len(rows) == 10
    assert len({row.key for row in rows}) == 10 and not any(math.isnan(row.dice) for row in rows)
    assert not killed.is_running() and "Traceback" not in err


@pytest.mark.slow
def test_each_fold_travels_with_its_own_weights_and_what_is_finished_stays(
    run: Run,  # noqa: F811
    table: Path,  # noqa: F811
    weights: Path,  # noqa: F811
    tmp_path: Path,
    scheduler: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("--folds", "2", "--weights", weights, "--baselines", "none", "--shots", "1")
    results = tmp_path / "out/cases.csv"
    # a scan that a worker cannot read, though this machine could
    monkeypatch.setattr("napari_cpclnet.cli.evaluate.check_labels", lambda cases: None)
    image, kept = tmp_path / "cid_image.nii.gz", (tmp_path / "cid_image.nii.gz").read_bytes()
    image.write_bytes(b"nothing of use")
    code, _, err = run(*words, "--scheduler", scheduler, bare=True)
    assert code == 2 and "could not be measured" in err and "Traceback" not in err
    assert read_results(results)
    image.write_bytes(kept)
    code, _, err = run(*words, "--scheduler", scheduler, "--resume", bare=True)
    assert code == 0, err
    rows = read_results(results)
    of_patient = {p: {r.weights for r in rows if r.query_patient == p} for p in ("ann", "bob", "cid")}
    assert all(len(found) == 1 for found in of_patient.values())
    assert len(set.union(*of_patient.values())) == 2
    assert len({row.key for row in rows}) == len(rows)
