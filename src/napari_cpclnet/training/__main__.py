"""``python -m napari_cpclnet.training``: make phantoms, train on them, write weights.

The run can be stopped at any time and goes on from its last checkpoint when the same command is given again.
"""

from __future__ import annotations

import csv
import platform
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from napari_cpclnet.episodes.stack import make_stack
from napari_cpclnet.model import choose_device, save_weights
from napari_cpclnet.training import StepReport, Trainer, TrainingSettings


def _metadata(settings: TrainingSettings, step: int, dice: float) -> dict[str, object]:
    return {
        "preprocessing": settings.preprocessing.model_dump(),
        "recipe": settings.model_dump(exclude={"network", "preprocessing"}),
        "seed": settings.seed,
        "steps": step,
        "sources": ["procedural phantoms of this package (BSD-3-Clause)"],
        "phantom_dice": round(dice, 4),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }


def main(
    out: Annotated[Path, typer.Argument(help="Folder of the run: phantoms, checkpoint, log, weights.")],
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="JSON with settings that differ from the defaults.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Train CPCLNet on phantoms; the weights end in OUT/models/best_model.safetensors."""
    text = settings_file.read_text() if settings_file else "{}"
    settings = TrainingSettings.model_validate_json(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / "settings.json").write_text(settings.model_dump_json(indent=2))
    stack = make_stack(
        settings.phantoms, settings.seed, out / f"phantoms-{settings.seed}-{settings.phantoms}.safetensors"
    )
    trainer = Trainer(settings, stack, choose_device(device))
    checkpoint = out / "checkpoint.safetensors"
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    log = out / "training_log.csv"
    start = time.monotonic()
    window: list[StepReport] = []
    for report in trainer.run():
        window.append(report)
        if report.step % 50 and not report.validation:
            continue
        names = list(report.losses)
        means = {n: sum(r.losses[n] for r in window) / len(window) for n in names}
        dice = [r.dice for r in window if r.dice == r.dice]
        row = {
            "step": report.step,
            "seconds": round(time.monotonic() - start, 1),
            **{n: round(means[n], 4) for n in names},
            "dice": round(sum(dice) / max(1, len(dice)), 4),
            "validation_dice": round(report.validation.get("dice", float("nan")), 4),
            "validation_false": round(report.validation.get("false", float("nan")), 4),
        }
        window.clear()
        fresh = not log.is_file()
        with log.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        typer.echo("  ".join(f"{k} {v}" for k, v in row.items()))
        if report.validation:
            trainer.save(checkpoint)
            facts = _metadata(settings, report.step, report.validation["dice"])
            save_weights(trainer.ema, out / "models" / "best_model.safetensors", facts)


if __name__ == "__main__":
    typer.run(main)
