"""A run in a folder: what it writes, what it tells, and that stopping or killing it changes nothing."""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from napari_cpclnet.errors import OutputError, SettingsError, WeightsError
from napari_cpclnet.model import load_weights, read_metadata
from napari_cpclnet.training import (
    EpochReport,
    StepReport,
    TrainingReport,
    TrainingSettings,
    read_settings,
    train,
    write_settings,
)
from napari_cpclnet.training.run import FINE_TUNING_RATE
from napari_cpclnet.training.training_log import TrainingLog

from .conftest import TINY

Folder = Callable[[str], Path]
Tiny = Callable[..., TrainingSettings]


def run(settings: TrainingSettings | None, out: Path, **options: object) -> list[TrainingReport]:
    return list(train(settings, out, device="cpu", **options))  # type: ignore[arg-type]


def log(out: Path) -> list[dict[str, str]]:
    """Rows of the log without the seconds, which differ from run to run."""
    with (out / "training_log.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def assert_same_run(one: Path, other: Path) -> None:
    """All files of two runs agree, to the last bit."""
    for name in ("checkpoint", "models/best_model", "models/last_model"):
        expected, found = tensors(one / f"{name}.safetensors"), tensors(other / f"{name}.safetensors")
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[k], v) for k, v in expected.items()), name
    assert log(one) == log(other)
    assert read_metadata(one / "models/best_model.safetensors") == read_metadata(
        other / "models/best_model.safetensors"
    )
    pictures = sorted(p.name for p in (one / "visualizations").iterdir())
    assert pictures == sorted(p.name for p in (other / "visualizations").iterdir())
    for name in pictures:
        assert (one / "visualizations" / name).read_bytes() == (other / "visualizations" / name).read_bytes()


@pytest.fixture(scope="module")
def whole(folder: Folder, tiny: Tiny) -> tuple[Path, list[TrainingReport]]:
    """A run that nobody stopped."""
    out = folder("whole")
    return out, run(tiny(), out)


def test_every_step_and_every_validation_is_reported(whole: tuple[Path, list[TrainingReport]]) -> None:
    _, reports = whole
    kinds = [(type(r), r.step) for r in reports if isinstance(r, StepReport | EpochReport)]
    step, epoch = StepReport, EpochReport
    assert kinds == [
        (step, 1), (step, 2), (epoch, 2), (step, 3), (step, 4), (epoch, 4), (step, 5), (step, 6), (epoch, 6),
    ]  # fmt: skip
    epochs = [r for r in reports if isinstance(r, EpochReport)]
    assert [r.epoch for r in epochs] == [1, 2, 3]
    assert [math.isnan(r.dice) for r in epochs] == [True, False, False]  # the encoder alone learns at first
    assert epochs[0].seconds_left > epochs[1].seconds_left > epochs[2].seconds_left == 0
    steps = [r for r in reports if isinstance(r, StepReport)]
    assert epochs[1].losses["total"] == pytest.approx(np.mean([s.losses["total"] for s in steps[2:4]]))
    assert epochs[2].validation == steps[5].validation
    assert all(s.total == 6 for s in steps)


def test_all_outputs_are_there(whole: tuple[Path, list[TrainingReport]], tiny: Tiny) -> None:
    out, reports = whole
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()) == [
        "checkpoint.safetensors",
        "models/best_model.safetensors",
        "models/last_model.safetensors",
        "phantoms-1-4.safetensors",
        "settings.yaml",
        "training_log.csv",
        *(f"visualizations/epoch_00{i}.png" for i in (1, 2, 3)),
    ]
    assert read_settings(out / "settings.yaml") == tiny()
    assert [row["step"] for row in log(out)] == ["2", "4", "6"]
    last = reports[-1]
    assert isinstance(last, EpochReport)
    assert last.weights == out / "models" / "best_model.safetensors"
    picture = np.asarray(Image.open(last.picture))
    assert picture.ndim == 3 and picture.std() > 10


def test_the_best_weights_are_those_of_the_best_validation(whole: tuple[Path, list[TrainingReport]]) -> None:
    out, reports = whole
    found = [(r.validation["dice"], -r.step) for r in reports if isinstance(r, EpochReport)]
    metadata = load_weights(out / "models" / "best_model.safetensors").metadata
    assert metadata["steps"] == -max(found)[1]
    assert metadata["validation"]["dice"] == round(max(found)[0], 4)
    assert metadata["sources"] == ["procedural phantoms of this package (BSD-3-Clause)"]
    assert read_metadata(out / "models" / "last_model.safetensors")["steps"] == 6


def test_a_closed_run_goes_on_to_the_same_files(
    whole: tuple[Path, list[TrainingReport]], folder: Folder, tiny: Tiny
) -> None:
    out = folder("closed")
    for stop in (1, 3, 4):  # between validations, and at the report of a validation's step
        reports = train(tiny() if stop == 1 else None, out, device="cpu", resume=True)
        for report in reports:
            if isinstance(report, StepReport) and report.step == stop:
                break
        reports.close()
    run(None, out, resume=True)
    assert_same_run(whole[0], out)
    assert run(None, out, resume=True) == []  # finished


CHILD = """
import os, signal, sys
from pathlib import Path
from napari_cpclnet.training import read_settings, train
out, calls, before = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "before"
replace = os.replace
def counted(*paths):
    global calls
    calls -= 1
    if calls == 0 and before: os.kill(os.getpid(), signal.SIGKILL)
    replace(*paths)
    if calls == 0: os.kill(os.getpid(), signal.SIGKILL)
os.replace = counted
for _ in train(read_settings(Path(sys.argv[4])), out, device="cpu", resume=True): pass
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("files", "when"),
    [
        ([2, 6], "before"),  # before the first checkpoint; in the middle of the first validation
        ([9, 4], "after"),  # weights written, log and checkpoint not; the next time right after a checkpoint
    ],
)
def test_a_killed_run_goes_on_to_the_same_files(
    whole: tuple[Path, list[TrainingReport]],
    folder: Folder,
    tiny: Tiny,
    tmp_path: Path,
    files: list[int],
    when: str,
) -> None:
    """`kill -9` when so many files have been moved to their place."""
    out = folder("killed")
    write_settings(tiny(), tmp_path / "tiny.yaml")
    for calls in [*files, 0]:
        command = [sys.executable, "-c", CHILD, str(out), str(calls), when, str(tmp_path / "tiny.yaml")]
        # as many threads as here: sums in another order differ in the last bits
        environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
        done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment)
        assert done.returncode == (-9 if calls else 0), done.stderr
    assert_same_run(whole[0], out)


def test_a_run_is_never_begun_over_another(whole: tuple[Path, list[TrainingReport]], tiny: Tiny) -> None:
    out, _ = whole
    before = (out / "checkpoint.safetensors").read_bytes()
    with pytest.raises(OutputError, match="holds a training run already"):
        run(tiny(), out)
    with pytest.raises(SettingsError, match="another setting 'learning_rate'"):
        run(tiny(learning_rate=1e-4), out, resume=True)
    assert (out / "checkpoint.safetensors").read_bytes() == before


def test_a_finished_run_can_be_made_longer(folder: Folder, tiny: Tiny) -> None:
    out = folder("longer")
    run(tiny(steps=1), out)
    reports = run(tiny(steps=3), out, resume=True)
    assert [r.step for r in reports if isinstance(r, StepReport)] == [2, 3]
    assert read_settings(out / "settings.yaml").steps == 3
    assert [row["step"] for row in log(out)] == ["1", "2", "3"]


def test_weights_to_begin_with_bring_their_network_and_skip_the_anatomy(
    whole: tuple[Path, list[TrainingReport]], folder: Folder, tiny: Tiny
) -> None:
    start = whole[0] / "models" / "last_model.safetensors"
    theirs = load_weights(start)
    given = tiny().model_dump(exclude={"network", "preprocessing"}) | {"steps": 1, "learning_rate": 1e-9}
    given["episodes"] |= {"size": 96}
    out = folder("started")
    reports = run(TrainingSettings.model_validate(given), out, start=start)
    (first, _) = (r for r in reports if isinstance(r, StepReport | EpochReport))
    assert not math.isnan(first.dice)
    found = load_weights(out / "models" / "last_model.safetensors")
    assert found.settings == theirs.settings
    assert found.metadata["preprocessing"] == theirs.metadata["preprocessing"]
    assert found.metadata["started_from"] == theirs.metadata["hash"]
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=2e-3, atol=1e-5, msg=name)


def test_trained_weights_begin_with_a_careful_learning_rate(
    whole: tuple[Path, list[TrainingReport]], folder: Folder, tiny: Tiny
) -> None:
    start = whole[0] / "models" / "last_model.safetensors"
    leave_out = {"network", "preprocessing", "learning_rate"}
    given = tiny().model_dump(exclude=leave_out) | {"steps": 1}
    given["episodes"] |= {"size": 96}
    out = folder("careful")
    run(TrainingSettings.model_validate(given), out, start=start)
    assert read_settings(out / "settings.yaml").learning_rate == FINE_TUNING_RATE


def test_weights_of_another_network_than_the_settings_ask_for_are_refused(
    whole: tuple[Path, list[TrainingReport]], folder: Folder, tiny: Tiny
) -> None:
    other = tiny(network={**tiny().network.model_dump(), "channels": 32})
    with pytest.raises(SettingsError, match="its own 'network'"):
        run(other, folder("other"), start=whole[0] / "models" / "last_model.safetensors")


def test_a_damaged_checkpoint_is_named(folder: Folder, tiny: Tiny) -> None:
    out = folder("damaged")
    (out / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="damaged"):
        run(tiny(), out, resume=True)


def test_nothing_to_learn_from_is_an_error(tmp_path: Path, tiny: Tiny) -> None:
    with pytest.raises(SettingsError, match="nothing to learn from"):
        run(tiny(sources={"phantoms": 0, "shapes": 0}), tmp_path / "out")


def test_two_processes_do_not_train_in_one_folder(folder: Folder, tiny: Tiny) -> None:
    out = folder("twice")
    first = train(tiny(), out, device="cpu")
    next(first)
    with pytest.raises(OutputError, match="another process is writing a training run there"):
        next(train(tiny(), out, device="cpu", resume=True))
    first.close()
    assert run(None, out, resume=True)


@pytest.mark.parametrize("damage", ["", "step\nx\n", "epoch\n1\n", "step,dice\n1," + "9" * 200_000])
def test_a_damaged_log_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "training_log.csv"
    path.write_text(damage)
    if not damage:
        assert TrainingLog(path, step=2)._rows == []
        return
    with pytest.raises(SettingsError, match="the log is damaged") as caught:
        TrainingLog(path, step=2)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("encoder", ["efficientnet-b0", "resnet50"])
def test_the_published_encoders_are_trained(folder: Folder, tiny: Tiny, encoder: str) -> None:
    out = folder(encoder)
    network = {**TINY["network"], "encoder": encoder}
    reports = run(tiny(steps=2, anatomy_steps=1, warmup=1, network=network), out)
    assert [report.step for report in reports if isinstance(report, StepReport)] == [1, 2]
    trained = load_weights(out / "models" / "best_model.safetensors")
    assert trained.settings.encoder == encoder
