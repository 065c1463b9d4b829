"""Output folder of an evaluation, from which an interrupted one is resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_cpclnet.errors import OutputError, SettingsError
from napari_cpclnet.evaluation.results import (
    CaseResult,
    append_results,
    read_results,
    write_bytes,
    write_text,
)
from napari_cpclnet.files.bounded import load_json, read_text

RESULTS = "cases.csv"
SUMMARY = "summary.json"
REPORT = "report.html"
DESCRIPTION = "run.json"
PICTURES = "pictures"
PREDICTIONS = "predictions"


class RunFolder:
    """Results on disk.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    description : dict
        What decides the numbers (JSON values): settings, cases, weights. A run can only be resumed with the same.
    resume : bool
        Go on with what is there.

    Raises
    ------
    OutputError
        If the folder holds results and `resume` is False, or cannot be written.
    SettingsError
        If its results were made from something else, or cannot be read.
    """

    def __init__(self, path: Path, description: dict[str, Any], *, resume: bool) -> None:
        self.path = path
        described = path / DESCRIPTION
        self._results: list[CaseResult] = []
        if described.exists() or self.results_file.exists():
            if not resume:
                raise OutputError(
                    f"{path}: holds an evaluation already; use --resume to go on with it, or another folder."
                )
            _check_same(path, described, description)
            if self.results_file.exists():
                self._results = list(read_results(self.results_file))
        else:
            write_text(described, json.dumps(description, indent=1, sort_keys=True) + "\n")

    @property
    def results_file(self) -> Path:
        """The table of results."""
        return self.path / RESULTS

    @property
    def results(self) -> tuple[CaseResult, ...]:
        """All results so far."""
        return tuple(self._results)

    @property
    def finished(self) -> set[str]:
        """Keys of the tasks that need not be run again."""
        return {row.key for row in self._results}

    def add(self, rows: Sequence[CaseResult]) -> None:
        """Append the results of one task, all or none; they mark it as finished."""
        append_results(self.results_file, rows)
        self._results += rows

    def keep_picture(self, rows: Sequence[CaseResult], draw: Callable[[], bytes]) -> None:
        """Draw a task, given by its rows, if it is the best or worst so far of its organ; forget whom it displaces.

        Called before :meth:`add`, so that a finished task never lacks its picture.
        """
        wanted = best_and_worst((*self._results, *rows))
        for row in rows[:1]:
            if row.key in wanted:
                write_bytes(self.path / PICTURES / f"{row.key}.png", draw())
        for file in (self.path / PICTURES).glob("*.png"):
            if file.stem not in wanted:
                file.unlink(missing_ok=True)


def read_folder(path: Path) -> tuple[tuple[CaseResult, ...], dict[str, bytes]]:
    """Results of a folder, and PNG files of the best and the worst case of each organ by key of the task."""
    results = read_results(path / RESULTS) if (path / RESULTS).exists() else ()
    files = {key: path / PICTURES / f"{key}.png" for key in sorted(best_and_worst(results))}
    return results, {key: file.read_bytes() for key, file in files.items() if file.exists()}


def make_folder(path: Path) -> None:
    """Make a folder; OutputError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made ({error.strerror or error}).") from error


def check_apart(out: Path, read: Sequence[Path]) -> None:
    """Refuse an output folder whose results would come where scans and labels lie that are read.

    Raises
    ------
    OutputError
        The sentence names one of them.
    """
    places = [(out / name).resolve() for name in (PICTURES, PREDICTIONS)]
    for file in read:
        if any(file.resolve().is_relative_to(place) for place in places):
            raise OutputError(
                f"{out}: results would come where {file} lies, which is read; choose another folder."
            )


def best_and_worst(results: Sequence[CaseResult]) -> set[str]:
    """Keys of each organ's best and worst case by Dice: of the first method, under the first protocol."""
    if not results:
        return set()
    method, protocol = results[0].method, results[0].protocol
    of_organ: dict[str, list[CaseResult]] = {}
    for row in results:
        if (row.method, row.protocol) == (method, protocol) and math.isfinite(row.dice):
            of_organ.setdefault(row.organ, []).append(row)
    return {pick(rows, key=lambda row: row.dice).key for rows in of_organ.values() for pick in (max, min)}


def _check_same(path: Path, described: Path, description: dict[str, Any]) -> None:
    try:
        before = load_json(read_text(described))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: cannot be resumed, its {DESCRIPTION} is not readable ({error}); use another folder."
        ) from error
    if not isinstance(before, dict):
        raise SettingsError(
            f"{path}: cannot be resumed, its {DESCRIPTION} does not describe an evaluation; use another folder."
        )
    now = json.loads(json.dumps(description))
    differ = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if differ:
        raise SettingsError(
            f"{path}: cannot be resumed, because it was made with other {', '.join(differ)}; use the same, or "
            "another folder."
        )
