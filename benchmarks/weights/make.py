"""The recipe of the bundled weights, from random values to the file that ships.

    python benchmarks/weights/make.py --out runs                  # all of it, on a CPU some ten hours
    python benchmarks/weights/make.py --out runs --share 0.01     # the same in little, to see that it works

Five stages, each with phantoms of its own: the first from random values, each further one from the one before. The
weights that ship were made in these stages, but phantoms and network were improved between them (see the model card).
What is finished is not made again, and a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_cpclnet.training import EpochReport, TrainingSettings, train


@dataclass(frozen=True)
class Stage:
    """One training run: the stage it begins from, and how it differs from the default settings."""

    start: str | None
    changes: dict[str, Any] = field(default_factory=dict)


_CAREFUL = {"phantoms": 320, "learning_rate": 0.001}
STAGES = {
    "first": Stage(None),
    "second": Stage("first", _CAREFUL | {"seed": 2, "steps": 5400, "decay": 0.6}),
    "third": Stage("second", _CAREFUL | {"seed": 3, "steps": 5800, "decay": 0.6}),
    "fourth": Stage("third", _CAREFUL | {"seed": 4, "steps": 4800, "decay": 0.6}),
    "fifth": Stage("fourth", _CAREFUL | {"seed": 5, "steps": 4100, "decay": 0.6}),
}


def weights_of(name: str, out: Path) -> Path:
    """Where a stage writes its last weights."""
    return out / name / "models" / "last_model.safetensors"


def settings_of(stage: Stage, share: float) -> TrainingSettings:
    """Settings of a stage; with a share below one, of a shorter run on fewer phantoms."""
    settings = TrainingSettings.model_validate(stage.changes)
    if share == 1:
        return settings
    steps = max(2, round(settings.steps * share))
    phantoms = max(4, settings.held_out + 2, round(settings.phantoms * share))
    shorter = settings.shortened(steps) | {"phantoms": phantoms, "validate_every": steps}
    return TrainingSettings.model_validate(stage.changes | shorter)


def make(name: str, out: Path, share: float, device: str) -> None:
    """Train one stage, after those that it begins from."""
    stage = STAGES[name]
    start = None
    if stage.start is not None:
        make(stage.start, out, share, device)
        start = weights_of(stage.start, out)
    folder = weights_of(name, out).parent.parent
    for report in train(settings_of(stage, share), folder, resume=True, start=start, device=device):
        if isinstance(report, EpochReport):
            print(f"{name}: step {report.step}, {report.validation}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--share", type=float, default=1.0, help="share of steps and phantoms, to try it out")
    parser.add_argument("--only", choices=STAGES, default="fifth", help="end after this stage")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    make(options.only, options.out, options.share, options.device)
    print(f"Weights: {weights_of(options.only, options.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
