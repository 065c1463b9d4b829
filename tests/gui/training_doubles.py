"""A training that takes no time and leaves the same files behind."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from tests.training.conftest import SMALL

from napari_cpclnet.gui.widgets.run_bar import RunState

# Imported here and not in the first run: that takes seconds.
from napari_cpclnet.training import EpochReport, PreparationReport, StepReport
from napari_cpclnet.training.checkpoint import read_run_state
from napari_cpclnet.training.training_log import COLUMNS


class FakeTrainer:
    """Counts steps; its loss is 1 / step. ``calls`` holds what it was asked for, ``saved`` the step it kept last."""

    def __init__(self, seconds: float = 0.0, fail_at: int = 0, error: Exception | None = None) -> None:
        self.seconds, self.fail_at, self.error = seconds, fail_at, error
        self.calls: list[dict[str, Any]] = []
        self.step = 0
        self.closed = threading.Event()
        # Cleared by a test that wants to do something before the first step.
        self.prepared = threading.Event()
        self.prepared.set()

    def __call__(self, settings: Any, out: Path, **options: Any) -> Iterator[Any]:
        self.calls.append({"settings": settings, "out": out, **options})
        return self._run(settings, out)

    def _run(self, settings: Any, out: Path) -> Iterator[Any]:
        checkpoint = out / "checkpoint.safetensors"
        self.closed.clear()
        self.step = saved_step(out) if checkpoint.exists() else 0
        yield PreparationReport("Making phantoms", 1, 1)
        self.prepared.wait(30)
        yield PreparationReport("Preparing scans", 1, 1, "b.nii.gz: contains NaN." if self.error else "")
        try:
            while self.step < settings.steps:
                time.sleep(self.seconds)
                self.step += 1
                if self.step == self.fail_at and self.error is not None:
                    raise self.error
                due = self.step % settings.validate_every == 0 or self.step == settings.steps
                found = {"dice": self.step / settings.steps, "false": 0.0} if due else {}
                dice = math.nan if self.step < 3 else 0.5
                if due:
                    self.write(settings, out)
                left = (settings.steps - self.step) * self.seconds
                yield StepReport(self.step, settings.steps, {"total": 1 / self.step}, dice, found, left)
                if due:
                    picture, weights = self.write(settings, out)
                    yield EpochReport(1, self.step, {"total": 0.1}, 0.5, found, picture, weights, 60.0)
        except GeneratorExit:
            self.write(settings, out)
            raise
        finally:
            self.closed.set()

    def write(self, settings: Any, out: Path) -> tuple[Path, Path]:
        """Write the files of a run."""
        picture, weights = out / "visualizations" / "epoch_001.png", out / "models" / "best_model.safetensors"
        for path in (picture, weights):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 200), (200, 40, 40)).save(picture)
        weights.write_bytes(b"weights")
        write_checkpoint(out, self.step)
        lengths = {"steps": settings.steps, "validate_every": settings.validate_every}
        (out / "settings.yaml").write_text(yaml.safe_dump(lengths))
        rows = [",".join(COLUMNS)]
        for step in range(1, self.step + 1):
            row = {"step": step, "total": 1 / step, "validation_dice": step / settings.steps}
            rows.append(",".join(str(row.get(name, "")) for name in COLUMNS))
        (out / "training_log.csv").write_text("\n".join(rows) + "\n")
        return picture, weights


def write_checkpoint(out: Path, step: int) -> None:
    """A checkpoint with nothing but the state of the run: a safetensors file without tensors."""
    out.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"__metadata__": {"facts": json.dumps({"step": step, "anatomy_steps": 0})}}).encode()
    (out / "checkpoint.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)


def saved_step(out: Path) -> int:
    """Step of the checkpoint."""
    return int(read_run_state(out / "checkpoint.safetensors")["step"])


def choose(panel: Any, out: Path, *, steps: int = 20, every: int = 5) -> None:
    """Set folder and length of the run."""
    box = panel.train.settings
    box.out.edit.setText(str(out))
    box.steps.setValue(steps)
    box.every.setValue(every)


def wait_ready(qtbot: Any, panel: Any) -> None:
    qtbot.waitUntil(lambda: panel.train.bar.state is RunState.READY, timeout=300_000)


def run(qtbot: Any, panel: Any) -> None:
    panel.train.bar.press()
    wait_ready(qtbot, panel)


def wait_step(qtbot: Any, trainer: FakeTrainer, step: int) -> None:
    qtbot.waitUntil(lambda: trainer.step >= step, timeout=300_000)


TINY: dict[str, Any] = {
    "phantoms": 4,
    "held_out": 2,
    "anatomy_steps": 2,
    "warmup": 2,
    "validation_batches": 1,
    **SMALL,
}


def train_tiny(settings: Any, out: Path, **options: Any) -> Iterator[Any]:
    """The training itself, of a network so small that a step takes a fraction of a second."""
    from napari_cpclnet.training import TrainingSettings, train

    lengths = settings.model_dump(include={"steps", "validate_every", "sources", "folds", "fold"})
    return train(TrainingSettings.model_validate(TINY | lengths), out, **options)


def give_phantoms(stack: Any, out: Path) -> None:
    """Lay phantoms into the folder of a run, so that it makes none."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(stack, name) for name in ("labels", "levels", "parts")}
    save_file(arrays, out / "phantoms-1-4.safetensors")
