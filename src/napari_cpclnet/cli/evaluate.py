"""``napari-cpclnet evaluate``: a table of cases in, tables and a report out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_cpclnet.cli.files import scan_progress
from napari_cpclnet.cli.outputs import check_folder
from napari_cpclnet.errors import SettingsError
from napari_cpclnet.evaluation import BASELINE_NAMES, EvaluationSettings, read_results, summarise
from napari_cpclnet.imaging.cases import check_labels, read_cases

if TYPE_CHECKING:
    from napari_cpclnet.evaluation import CaseResult, EvaluationSettings

_MODALITY_NAMES = {"PET": "PT", "MRI": "MR", "OTHER": "other"}


def evaluation_settings(
    *,
    protocols: Sequence[str] | None,
    shots: Sequence[int] | None,
    from_modality: str | None,
    to_modality: str | None,
    baselines: str,
    **others: Any,
) -> EvaluationSettings:
    """Settings from the words of the command line.

    Raises
    ------
    SettingsError
        If a word makes no sense; the sentence names the option.
    """
    from pydantic import ValidationError

    given: dict[str, Any] = {
        "from_modality": _modality(from_modality),
        "to_modality": _modality(to_modality),
        "baselines": parse_baselines(baselines),
        **others,
    }
    if protocols:
        given["protocols"] = tuple(protocols)
    if shots:
        given["shots"] = tuple(shots)
    try:
        return EvaluationSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        option = _OPTIONS.get(str(first["loc"][0]), f"--{first['loc'][0]}")
        raise SettingsError(f"{option}: {first['input']!r} is not possible ({first['msg']}).") from None


def parse_baselines(text: str) -> tuple[str, ...]:
    """Names from ``all``, ``none`` or ``copy,prototype``.

    Raises
    ------
    SettingsError
        If there is no such baseline.
    """
    if text == "all":
        return BASELINE_NAMES
    if text == "none":
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in BASELINE_NAMES:
            raise SettingsError(
                f"--baselines: '{name}' is unknown; use all, none or {', '.join(BASELINE_NAMES)}."
            )
    return names


def run_evaluation(
    table: Path,
    out: Path,
    settings: EvaluationSettings,
    *,
    weights: Path | None,
    resume: bool,
    scheduler: str | None = None,
) -> None:
    """Run all tasks under a progress bar, a line for each, and print what came out.

    With a ``scheduler`` the workers of a cluster run them.

    Raises
    ------
    CpclnetError
        If the table, a scan, the weights, the device or the folder cannot be used.
    """
    from napari_cpclnet.evaluation import Elsewhere, evaluate, evaluate_folds, make_segmenter

    cases = read_cases(table)
    check_folder(out)
    if settings.folds and weights is None:
        raise SettingsError("--folds needs --weights DIR, a folder with fold_0.safetensors and so on.")
    elsewhere = None if scheduler is None else Elsewhere(scheduler)
    segmenter = None if settings.folds else make_segmenter(settings, weights, here=elsewhere is None)
    typer.echo(f"Checking {len(cases)} cases.", err=True)
    check_labels(cases)
    if segmenter is None:
        assert weights is not None
        reports = evaluate_folds(cases, settings, weights, out, resume, elsewhere=elsewhere)
    else:
        reports = evaluate(cases, settings, segmenter, out, resume, elsewhere=elsewhere)
    with scan_progress("Evaluating") as progress, closing(reports):
        (bar,) = progress.task_ids
        for report in reports:
            progress.update(bar, completed=report.done, total=report.total)
            for row in report.results[:1]:
                progress.console.print(f"[{report.done}/{report.total}] {_line(row)}", markup=False)
    for line in _totals(read_results(out / "cases.csv")):
        typer.echo(line)
    typer.echo(f"Report: {out / 'report.html'}")


def _line(row: CaseResult) -> str:
    pair = f"{row.support_patient} {row.support_modality} to {row.query_patient} {row.query_modality}"
    found = f"absent, {row.predicted_ml:.1f} ml predicted" if row.absent else f"Dice {row.dice:.3f}"
    return f"{row.protocol}, {row.shots} shots, {pair}, {row.organ}: {found}, {row.seconds:.1f} s"


def _totals(results: Sequence[CaseResult]) -> list[str]:
    """One line per protocol, number of shots and method: mean Dice over all cases that show their organ."""
    lines = []
    for group in summarise(results)["groups"]:
        if {group["support_modality"], group["query_modality"], group["organ"]} != {"all"}:
            continue
        dice = group["dice"]
        if dice["mean"] is None:
            continue
        interval = f" ({dice['low']:.3f} to {dice['high']:.3f})" if dice["low"] is not None else ""
        lines.append(
            f"{group['protocol']}, {group['shots']} shots, {group['method']}: mean Dice {dice['mean']:.3f}{interval}, "
            f"{group['n']} cases"
        )
    return lines


def _modality(name: str | None) -> str | None:
    return None if name is None else _MODALITY_NAMES.get(name.upper(), name.upper())


_OPTIONS = {
    "protocols": "--protocol",
    "from_modality": "--from",
    "to_modality": "--to",
    "keep_predictions": "--predictions",
}
