"""State of a training run as its folder shows it, read without the libraries that train. No Qt."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from napari_cpclnet.files.bounded import load_json, read_text
from napari_cpclnet.files.yaml_text import NotYamlError, load_yaml
from napari_cpclnet.training.settings_file import CHECKPOINT, SETTINGS

LOG = "training_log.csv"
WEIGHTS = Path("models", "best_model.safetensors")

Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class TrainingFolder:
    """A run that can be gone on with.

    Attributes
    ----------
    step : int
        Steps done.
    steps, validate_every : int or None
        As the run was begun.
    loss, dice, held_out : tuple of (step, value)
        From its log.
    picture, weights : Path or None
        Of the last validation, and the best ones, if there were any.
    """

    step: int
    steps: int | None
    validate_every: int | None
    loss: Points
    dice: Points
    held_out: Points
    picture: Path | None
    weights: Path | None


def look_into(folder: Path | None) -> TrainingFolder | None:
    """The run in a folder; None if there is none. What is damaged is left out: starting the run says it."""
    if folder is None or not (folder / CHECKPOINT).is_file():
        return None
    settings, rows = _settings(folder / SETTINGS), _rows(folder / LOG)
    pictures = sorted((folder / "visualizations").glob("epoch_*.png"), key=lambda p: (p.stat().st_mtime, p))
    weights = folder / WEIGHTS
    return TrainingFolder(
        _step(folder / CHECKPOINT),
        settings.get("steps"),
        settings.get("validate_every"),
        _points(rows, "total"),
        _points(rows, "dice"),
        _points(rows, "validation_dice"),
        pictures[-1] if pictures else None,
        weights if weights.is_file() else None,
    )


def _step(path: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return int(load_json(file.metadata()["facts"])["step"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return 0


def _settings(path: Path) -> dict[str, int]:
    try:
        content, _ = load_yaml(read_text(path))
    except (OSError, ValueError, NotYamlError):
        return {}
    return {k: v for k, v in content.items() if isinstance(v, int)} if isinstance(content, dict) else {}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []


def _points(rows: list[dict[str, str]], column: str) -> Points:
    found = []
    for row in rows:
        try:
            found.append((int(row["step"]), float(row[column])))
        except (KeyError, TypeError, ValueError):
            continue  # not every row has every value
    return tuple(found)
