"""``napari-cpclnet segment --project``: what was painted and ticked in the window, labelled without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_cpclnet.cli.files import Target, expand_queries, with_own_names
from napari_cpclnet.errors import CpclnetError, ProjectError
from napari_cpclnet.project import (
    RESULTS,
    absolute_path,
    is_inside,
    locate,
    output_folder,
    read_project,
    relative_path,
    write_project,
)
from napari_cpclnet.project.headless import queries, run_settings, support_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_cpclnet.project import LocatedScan, Project, QueryEntry, SummaryEntry
    from napari_cpclnet.segmentation import RunSettings, SupportSet


@dataclass(frozen=True, eq=False)
class SegmentPlan:
    """A run of ``segment``, ready to begin: what to learn from, what to label, and how."""

    support: SupportSet
    targets: list[Target]
    failures: list[CpclnetError]
    settings: RunSettings
    inputs: list[Path]


@dataclass(frozen=True, eq=False)
class SavedResult:
    """Labels of a scan, in their file, and what there is to say of them."""

    file: Path
    summary: SummaryEntry


def project_plan(folder: Path, more: list[Path] | None, asked: RunSettings) -> SegmentPlan:
    """Read a project; scans that were moved are looked for, scans that changed are said.

    Parameters
    ----------
    folder
        Of the project.
    more
        Scans to label instead of the project's own.
    asked
        Where it is computed; weights and fine-tuning to use instead of the project's own.

    Raises
    ------
    CpclnetError
        If it is no project, a support scan is missing, or nothing is painted or to be labelled.
    """
    project = read_project(folder)
    found = list(locate(project, folder))
    for one in found:
        if one.warning:
            typer.echo(f"Note: {one.warning}", err=True)
    settings = run_settings(project, folder)
    changed = {
        "device": asked.device,
        "precision": asked.precision,
        "scheduler": asked.scheduler,
        "align": settings.align and asked.align,
        "adapt": asked.adapt or settings.adapt,
        "weights": asked.weights or settings.weights,
    }
    support = support_set(project, folder, found)
    masks = [folder / entry.mask for entry in project.supports]
    targets, failures = expand_queries(more, masks) if more else _own_targets(project, folder, found)
    if not targets and not failures:
        raise ProjectError(f"{folder}: no scan is ticked to be labelled; give some with --query.")
    inputs = [*masks, *(one.path for one in found)]
    return SegmentPlan(support, targets, failures, settings.model_copy(update=changed), inputs)


def project_outputs(folder: Path) -> tuple[Path, str]:
    """Folder and format of the results: what was chosen in the window, else the project's own folder."""
    project = read_project(folder)
    return output_folder(project, folder), project.settings.output_format


def check_output(out: Path, folder: Path) -> None:
    """Refuse an output folder outside the project that only the project names: somebody else may have written it.

    Raises
    ------
    ProjectError
        The sentence says how to agree.
    """
    if not is_inside(out, folder):
        raise ProjectError(
            f"{folder}: wants its results in {out}, outside its folder; say --out '{out}' if that is meant, or --out "
            "with another folder."
        )


def say_other_weights(folder: Path, used: str) -> None:
    """Say so if the project was saved with other weights than those in use."""
    known = read_project(folder).weights.hash
    if known and known != used:
        typer.echo(f"Note: the project was saved with the weights {known}, this run uses {used}.", err=True)


def remember_results(folder: Path, written: Mapping[Target, SavedResult]) -> None:
    """Enter new results into the project, so that opening it shows them; those it has already stay."""
    project = read_project(folder)
    entries = list(project.queries)
    places = {scan.id: (absolute_path(scan.path, folder).resolve(), scan.series) for scan in project.scans}
    home, chosen = (folder / RESULTS).resolve(), project_outputs(folder)[0].resolve()
    for target, one in written.items():
        for number, entry in enumerate(entries):
            if entry.path is not None:
                place = absolute_path(entry.path, folder).resolve(), entry.series
            else:
                place = places[entry.scan or ""]
            parent = one.file.resolve().parent
            if place != (target.path.resolve(), target.series) or _has_result(entry, folder):
                continue
            if parent == home and entry.scan is not None:
                kept = {"result": f"{RESULTS}/{one.file.name}", "checksum": None, "corrected": None}
            elif parent in (home, chosen):
                kept = {"saved": relative_path(one.file, folder)}
            else:
                continue
            entries[number] = entry.model_copy(update={**kept, "summary": one.summary})
    if tuple(entries) != project.queries:
        write_project(folder, project.model_copy(update={"queries": tuple(entries)}))


def _has_result(entry: QueryEntry, folder: Path) -> bool:
    return entry.result is not None and (folder / entry.result).exists()


def _own_targets(
    project: Project, folder: Path, found: list[LocatedScan]
) -> tuple[list[Target], list[CpclnetError]]:
    targets: list[Target] = []
    failures: list[CpclnetError] = []
    missing = {one.path: one for one in found if one.state == "missing"}
    masks = [folder / entry.mask for entry in project.supports]
    for query in queries(project, folder, found):
        if query.path in missing:
            failures.append(ProjectError(missing[query.path].warning))
        elif query.name:
            targets.append(Target(query.path, query.series, query.name))
        else:
            inside, failed = expand_queries([query.path], masks)
            targets += inside
            failures += failed
    once = {(target.path.resolve(), target.series): target for target in reversed(targets)}
    return with_own_names(list(once.values())[::-1]), failures
