"""Training log: means over steps, ``training_log.csv``, and the time that is left."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import read_text, shown
from napari_cpclnet.training.reports import StepReport

LOG_EVERY = 50
"""Steps that one row of the log sums up."""

TERMS = ("segmentation", "anatomy", "level", "consistency", "align", "intra", "inter", "total")
COLUMNS = (
    "step",
    "seconds",
    *TERMS,
    "dice",
    "validation_dice",
    "validation_false",
    "fold",
)


class Means:
    """Means of the losses and the Dice over steps; what a step does not have does not count."""

    def __init__(self, state: dict[str, list[float]] | None = None) -> None:
        self._sums: dict[str, list[float]] = {name: list(pair) for name, pair in (state or {}).items()}

    def add(self, report: StepReport) -> None:
        for name, value in {**report.losses, "dice": report.dice}.items():
            if not math.isnan(value):
                pair = self._sums.setdefault(name, [0.0, 0])
                pair[0] += value
                pair[1] += 1

    def take(self) -> dict[str, float]:
        """The means; the next ones begin afresh."""
        found = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return found

    @property
    def state(self) -> dict[str, list[float]]:
        return self._sums


class TrainingLog:
    """The log ``training_log.csv``: a row for every 50 steps and for every validation.

    Parameters
    ----------
    path : Path
    run_state : dict, optional
        From :attr:`run_state` of the run that is gone on with; rows of later steps are forgotten, for they come again.
    step : int
        Steps that were done.
    fold : str
        Fold of patients that is for validation only ("2/5"), if there is one: the last column of every row.
    """

    def __init__(
        self, path: Path, run_state: dict[str, Any] | None = None, step: int = 0, fold: str = ""
    ) -> None:
        run_state = run_state or {}
        self.path = path
        self.fold = fold
        self.seconds = float(run_state.get("seconds", 0.0))
        self._row = Means(run_state.get("row"))
        self._epoch = Means(run_state.get("epoch"))
        self._rows: list[dict[str, Any]] = []
        if step and path.is_file():
            self._rows = [row for row in _read(path) if int(row["step"]) <= step]

    @property
    def run_state(self) -> dict[str, Any]:
        """What a checkpoint must keep, so that the log goes on as if nothing had happened."""
        return {"seconds": self.seconds, "row": self._row.state, "epoch": self._epoch.state}

    def add(self, report: StepReport, seconds: float) -> None:
        """Take note of a step that took so many seconds.

        Raises
        ------
        OutputError
            If the log cannot be written.
        """
        self.seconds += seconds
        self._row.add(report)
        self._epoch.add(report)
        if report.step % LOG_EVERY and not report.validation:
            return
        means = self._row.take()
        row: dict[str, Any] = {"step": report.step, "seconds": round(self.seconds, 1)}
        row |= {name: round(means[name], 4) for name in (*TERMS, "dice") if name in means}
        row |= {f"validation_{k}": round(v, 4) for k, v in report.validation.items()}
        row["fold"] = self.fold
        self._rows.append(row)
        self._write()

    def take_epoch(self) -> dict[str, float]:
        """Means since the last validation, with ``dice``."""
        return self._epoch.take()

    def _write(self) -> None:
        with (
            atomic_write(self.path, "the log") as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self._rows)


def _read(path: Path) -> list[dict[str, Any]]:
    """Rows of a log; those that a run goes on with must be whole.

    Raises
    ------
    SettingsError
        If it is damaged.
    """
    try:
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
        for row in rows:
            int(row["step"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise SettingsError(
            f"{path}: the log is damaged ({shown(error)}); move it away to go on with a new one."
        ) from error
    return rows


class TimeRemaining:
    """Guess of the time that is left; a step of the whole network takes three of the encoder alone."""

    _WHOLE = 3.0
    _MEMORY = 0.98

    def __init__(self, anatomy_steps: int, steps: int) -> None:
        self._anatomy_steps = anatomy_steps
        self._steps = steps
        self._light: float | None = None
        self._whole: float | None = None

    def add(self, step: int, seconds: float) -> None:
        """The step that ended at `step` took so many seconds."""
        if step <= self._anatomy_steps:
            self._light = self._mixed(self._light, seconds)
        else:
            self._whole = self._mixed(self._whole, seconds)

    def left(self, step: int) -> float:
        """Seconds to the end; nan before the first step."""
        light_steps = max(0, self._anatomy_steps - step)
        whole_steps = self._steps - max(step, self._anatomy_steps)
        if self._whole is not None:
            return whole_steps * self._whole + light_steps * self._whole / self._WHOLE
        if self._light is not None:
            return self._light * (light_steps + self._WHOLE * max(0, whole_steps))
        return math.nan

    def _mixed(self, old: float | None, new: float) -> float:
        return new if old is None else self._MEMORY * old + (1 - self._MEMORY) * new
