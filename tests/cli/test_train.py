"""``napari-cpclnet train`` with a network of a few thousand weights."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file
from tests.training.labelled_data import write_table

from napari_cpclnet import cli
from napari_cpclnet.cli.train import TrainJob, chosen_settings
from napari_cpclnet.episodes.phantom_dataset import PhantomDataset
from napari_cpclnet.training import TrainingSettings

Run = Callable[..., tuple[int, str, str]]

SETTINGS = {
    "phantoms": 4,
    "held_out": 2,
    "warmup": 2,
    "anatomy_steps": 1,
    "validate_every": 2,
    "validation_batches": 1,
    "episodes": {"size": 64, "episodes": 1, "queries": 2, "classes": 2, "shots": [1], "shot_weights": [1]},
    "preprocessing": {"mm_per_pixel": 4.0, "min_size": 64},
    "network": {"channels": 16, "skip_channels": 8, "latent_channels": 8, "blocks": 1, "heads": 2},
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            cli.main(["train", *(str(word) for word in words), "--device", "cpu"])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture
def out(tmp_path: Path, phantom_stack: PhantomDataset) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    arrays = {name: getattr(phantom_stack, name) for name in ("labels", "levels", "parts")}
    save_file(arrays, folder / "phantoms-1-4.safetensors")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SETTINGS))
    return folder


def job(**changes: object) -> TrainJob:
    given = dict.fromkeys(("data_root", "settings", "steps", "start"), None)
    rest = {"phantoms": False, "out": Path("outputs"), "resume": False, "device": "cpu"}
    return TrainJob(**{**given, **rest, **changes})  # type: ignore[arg-type]


def test_trains_and_goes_on(run: Run, out: Path) -> None:
    code, said, err = run("--phantoms", "--out", out, "--settings", out.parent / "tiny.yaml", "--steps", 2)
    assert code == 0, err
    assert f"Weights: {out / 'models' / 'best_model.safetensors'}" in said
    assert "Step 2: loss" in err
    assert "left" in err
    code, said, err = run("--resume", "--out", out, "--steps", 4)
    assert code == 0, err
    assert "Step 4: loss" in err and "Step 2" not in err
    code, _, err = run("--phantoms", "--out", out)
    assert code == 2
    assert "--resume" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--phantoms"),
        (["--resume"], "holds no run"),
        (["--phantoms", "--settings", "nowhere.yaml"], "nowhere.yaml"),
        (["--phantoms", "--start", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--data-root", "nowhere"], "nowhere"),
        (["--labels", "nowhere.csv"], "nowhere.csv"),
        (["--phantoms", "--fold", "1/5"], "--fold needs --labels"),
        (["--labels", "nowhere.csv", "--fold", "5"], "write for example 1/5"),
        (["--labels", "nowhere.csv", "--fold", "6/5"], "write for example 1/5"),
    ],
)
def test_wrong_input_is_one_sentence(run: Run, tmp_path: Path, words: list[str], said: str) -> None:
    code, _, err = run(*words, "--out", tmp_path / "new")
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("Error: ") and said in line
    assert not (tmp_path / "new").exists()


def test_what_is_read_is_not_written(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out / "models").mkdir(parents=True)
    mine = out / "settings.yaml"
    mine.write_text("steps: 4  # my own words\n")
    code, _, err = run("--phantoms", "--out", out, "--settings", mine)
    assert code == 2
    assert "is written by this command" in err
    assert mine.read_text() == "steps: 4  # my own words\n"
    mine.unlink()
    first = out / "models" / "best_model.safetensors"
    first.write_bytes(b"weights")
    code, _, err = run("--phantoms", "--out", out, "--start", first)
    assert code == 2
    assert "would be replaced by this command" in err
    assert first.read_bytes() == b"weights"


def test_shorter_runs_keep_the_proportions_of_the_recipe(tmp_path: Path) -> None:
    recipe = TrainingSettings()
    short = recipe.steps // 10
    found = chosen_settings(job(phantoms=True, steps=short), going_on=False)
    assert found is not None and found.steps == short
    assert found.anatomy_steps == pytest.approx(recipe.anatomy_steps / 10, abs=1)
    assert found.warmup == pytest.approx(recipe.warmup / 10, abs=1)
    path = tmp_path / "own.yaml"
    path.write_text("anatomy_steps: 7")
    found = chosen_settings(job(phantoms=True, steps=370, settings=path), going_on=False)
    assert found is not None and found.anatomy_steps == 7
    longer = chosen_settings(job(phantoms=True, steps=2 * recipe.steps), going_on=False)
    assert longer is not None and longer.anatomy_steps == recipe.anatomy_steps


def test_a_data_folder_is_the_only_source_unless_phantoms_are_asked_for(tmp_path: Path) -> None:
    def shares(**words: object) -> tuple[float, float]:
        found = chosen_settings(job(**words), going_on=False)
        assert found is not None
        return found.sources.phantoms, found.sources.scans

    assert shares(data_root=tmp_path) == (0.0, 1.0)
    assert shares(data_root=tmp_path, phantoms=True) == (1.0, 1.0)
    path = tmp_path / "own.yaml"
    path.write_text("sources: {phantoms: 2, scans: 5}")
    assert shares(data_root=tmp_path, settings=path) == (2.0, 5.0)


@pytest.mark.slow
def test_labels_and_their_fold_are_learned_from_and_remembered(run: Run, out: Path) -> None:
    table = write_table(out.parent / "data", ("a", "b", "c"))
    words = ["--labels", table, "--fold", "2/3", "--out", out, "--settings", out.parent / "tiny.yaml"]
    code, _, err = run(*words, "--steps", 2)
    assert code == 0, err
    saved = yaml.safe_load((out / "settings.yaml").read_text())
    assert (saved["fold"], saved["folds"], saved["sources"]["phantoms"]) == (2, 3, 0.0)
    assert (out / "folds.csv").read_text().count("validation") == 1
    code, _, err = run("--resume", "--out", out, "--fold", "1/3", "--steps", 3)
    assert code == 2 and "another setting 'fold'" in err
    code, _, err = run("--resume", "--out", out, "--steps", 3)
    assert code == 0 and "Step 3: loss" in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
def test_ctrl_c_stops_after_the_step_and_says_where_the_checkpoint_is(out: Path) -> None:
    words = ["--phantoms", "--out", out, "--settings", out.parent / "tiny.yaml", "--steps", "100000"]
    command = [sys.executable, "-m", "napari_cpclnet", "train", *map(str, words), "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (out / "models").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=150)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert str(out / "checkpoint.safetensors") in err
    assert f"napari-cpclnet train --resume --out {out}" in err


def test_the_encoder_of_a_new_network_is_an_option(run: Run, tmp_path: Path) -> None:
    from napari_cpclnet.cli.train import TrainJob, chosen_settings

    def chosen(**more: object) -> object:
        job = TrainJob(None, True, tmp_path, False, None, 10, None, "cpu", **more)  # type: ignore[arg-type]
        return chosen_settings(job, going_on=False)

    assert chosen(encoder="resnet50").network.encoder == "resnet50"  # type: ignore[attr-defined]
    assert chosen().network.encoder == "compact"  # type: ignore[attr-defined]
    words = ["--phantoms", "--out", str(tmp_path / "run")]
    code, _, err = run(*words, "--encoder", "resnet50", "--start", "bundled")
    assert code == 2
    assert "--encoder is for random weights" in err
