"""Run an evaluation: predict first, open the truth afterwards, write, go on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_cpclnet.errors import SettingsError, WeightsError
from napari_cpclnet.evaluation.folder import PREDICTIONS, RunFolder, check_apart, make_folder
from napari_cpclnet.evaluation.measuring import Bench, TaskOutcome, make_bench, measure_task, truth_of
from napari_cpclnet.evaluation.metrics import Mask
from napari_cpclnet.evaluation.predictions import blinded
from napari_cpclnet.evaluation.predictors import OnSlice, Predictor
from napari_cpclnet.evaluation.protocols import Task, fold_cases, tasks
from napari_cpclnet.evaluation.report.outputs import run_metadata, write_outputs
from napari_cpclnet.evaluation.results import CaseResult
from napari_cpclnet.evaluation.settings import EvaluationSettings
from napari_cpclnet.files.folder_lock import only_here
from napari_cpclnet.imaging import Segmentation, Volume, write_segmentation
from napari_cpclnet.imaging.cases import Case
from napari_cpclnet.model import choose_device, load_weights, weights_hash
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter

Outcomes = Generator[tuple[Task, TaskOutcome]]
_WORKERS = "workers of a cluster"


@dataclass(frozen=True)
class CaseReport:
    """One finished task.

    Parameters
    ----------
    done, total : int
        Tasks finished, those of an earlier run included, and tasks in all.
    task : Task
    results : tuple of CaseResult
        One per method; none where the legacy protocol drops a query without the organ.
    """

    done: int
    total: int
    task: Task
    results: tuple[CaseResult, ...]


@dataclass(frozen=True)
class _Stage:
    """Tasks that are run with the same network; `measure` runs those of them that are open."""

    tasks: tuple[Task, ...]
    measure: Callable[[Sequence[Task]], Outcomes]
    device: torch.device | str
    weights: str


@dataclass(frozen=True)
class Elsewhere:
    """Workers that measure the tasks instead of this process.

    Parameters
    ----------
    scheduler : str
        As :func:`~napari_cpclnet.cluster.open_cluster` takes it.
    check : callable
        Called now and then while they work; what it raises ends the run.
    """

    scheduler: str
    check: Callable[[], object] = bool


def make_segmenter(
    settings: EvaluationSettings, weights: Path | None = None, *, here: bool = True
) -> Segmenter:
    """The network as the settings want it; the bundled weights where none are given.

    Where it does not compute here, but only travels to other machines, it is on whatever device there is.

    Raises
    ------
    CpclnetError
        If weights or device cannot be used.
    """
    wanted = SegmentationSettings(plane=settings.plane, align=settings.align)
    if here:
        wanted = wanted.model_copy(update={"device": settings.device, "precision": settings.precision})
    return Segmenter(load_weights(weights), wanted)


def evaluate(
    cases: Sequence[Case],
    settings: EvaluationSettings,
    segmenter: Segmenter,
    out: Path,
    resume: bool = False,
    watch: OnSlice | None = None,
    elsewhere: Elsewhere | None = None,
) -> Generator[CaseReport, None, None]:
    """Evaluate the network and the baselines on all tasks of a table of cases.

    Writes ``cases.csv`` after every task, and ``summary.json`` and ``report.html`` after the last.

    Parameters
    ----------
    cases : sequence of Case
    settings : EvaluationSettings
    segmenter : Segmenter
        The network; see :func:`make_segmenter`.
    out : Path
        Folder of the results.
    resume : bool
        Go on with the results in `out`: finished tasks are not run again.
    watch : callable, optional
        Called after every slice that the network segments in this process; what it raises ends the run.
    elsewhere : Elsewhere, optional
        Workers of a cluster that do the work; this process alone writes.

    Yields
    ------
    CaseReport
        After each task. Closing the iterator ends the run; what is finished is kept.

    Raises
    ------
    CpclnetError
        If a file, the table, the folder or the settings are at fault.
    """
    weights = str(segmenter.model.metadata.get("hash", "unknown"))
    device: torch.device | str
    if elsewhere is None:
        measure, device = _here(lambda: make_bench(settings, segmenter, weights, watch)), segmenter.device
    else:
        measure, device = _there(lambda: segmenter, weights, settings, elsewhere), _WORKERS
    stage = _Stage(tuple(tasks(cases, settings)), measure, device, weights)
    yield from _run([stage], cases, settings, out, resume=resume)


def evaluate_folds(
    cases: Sequence[Case],
    settings: EvaluationSettings,
    weights: Path,
    out: Path,
    resume: bool = False,
    watch: OnSlice | None = None,
    elsewhere: Elsewhere | None = None,
) -> Generator[CaseReport, None, None]:
    """Cross-validation: each fold's patients are segmented with the weights that never saw them.

    Parameters
    ----------
    weights : Path
        Folder with ``fold_0.safetensors``, ``fold_1.safetensors`` and so on, one for each of ``settings.folds``.

    See :func:`evaluate` for the rest.
    """
    if settings.folds is None:
        raise SettingsError("Cross-validation needs a number of folds.")
    n_patients = len({case.patient for case in cases})
    if settings.folds > n_patients:
        raise SettingsError(f"{settings.folds} folds need as many patients; the cases have {n_patients}.")
    files = [weights / f"fold_{fold}.safetensors" for fold in range(settings.folds)]
    for file in files:
        if not file.is_file():
            raise WeightsError(f"There is no weights file '{file}'; cross-validation needs one per fold.")
    device = choose_device(settings.device) if elsewhere is None else _WORKERS
    stages = [
        _Stage(
            tuple(tasks(part, settings)), _fold(settings, file, watch, elsewhere), device, weights_hash(file)
        )
        for part, file in zip(fold_cases(cases, settings), files, strict=True)
    ]
    yield from _run(stages, cases, settings, out, resume=resume)


def evaluate_predictors(
    cases: Sequence[Case],
    settings: EvaluationSettings,
    predictors: Sequence[Predictor],
    out: Path,
    resume: bool = False,
    name: str = "none",
) -> Generator[CaseReport, None, None]:
    """Evaluate any predictors, as :func:`evaluate` does; `name` stands in the column of the weights."""
    device = torch.device("cpu")
    bench = Bench(predictors, device, name, settings.tolerance_mm)
    stage = _Stage(tuple(tasks(cases, settings)), _here(lambda: bench), device, name)
    yield from _run([stage], cases, settings, out, resume=resume)


def _run(
    stages: Sequence[_Stage], cases: Sequence[Case], settings: EvaluationSettings, out: Path, *, resume: bool
) -> Generator[CaseReport, None, None]:
    if not any(stage.tasks for stage in stages):
        raise SettingsError(
            "There is nothing to evaluate: no support of another patient shares an organ with a query of the "
            "modalities asked for."
        )
    check_apart(out, [file for case in cases for file in (case.image, case.label)])
    with only_here(out, "an evaluation"):
        yield from _run_in(out, stages, cases, settings, resume=resume)


def _run_in(
    out: Path, stages: Sequence[_Stage], cases: Sequence[Case], settings: EvaluationSettings, *, resume: bool
) -> Generator[CaseReport, None, None]:
    total = sum(len(stage.tasks) for stage in stages)
    folder = RunFolder(out, _description(stages, cases, settings), resume=resume)
    finished = folder.finished
    done = sum(task.key in finished for stage in stages for task in stage.tasks)
    for stage in stages:
        open_tasks = [task for task in stage.tasks if task.key not in finished]
        if not open_tasks:
            continue
        with closing(stage.measure(open_tasks)) as outcomes:
            for task, outcome in outcomes:
                _keep(task, outcome, settings, folder)
                done += 1
                yield CaseReport(done, total, task, outcome.rows)
    write_outputs(out, run_metadata(cases, settings, stages[0].device, [stage.weights for stage in stages]))


def _here(make: Callable[[], Bench]) -> Callable[[Sequence[Task]], Outcomes]:
    """Measure tasks one after another in this process."""

    def measure(open_tasks: Sequence[Task]) -> Outcomes:
        bench = make()
        for task in open_tasks:
            yield task, measure_task(task, bench)

    return measure


def _there(
    make: Callable[[], Segmenter], weights: str, settings: EvaluationSettings, elsewhere: Elsewhere
) -> Callable[[Sequence[Task]], Outcomes]:
    """Measure tasks by the workers of a cluster."""

    def measure(open_tasks: Sequence[Task]) -> Outcomes:
        from napari_cpclnet.cluster import open_cluster, workers_wanted
        from napari_cpclnet.evaluation.by_workers import measure_by_workers

        segmenter, most = make(), workers_wanted(len(open_tasks), settings.device)
        with (
            open_cluster(elsewhere.scheduler, most=most) as cluster,
            closing(
                measure_by_workers(cluster, segmenter, weights, settings, open_tasks, elsewhere.check)
            ) as outcomes,
        ):
            yield from outcomes

    return measure


def _fold(
    settings: EvaluationSettings, file: Path, watch: OnSlice | None, elsewhere: Elsewhere | None
) -> Callable[[Sequence[Task]], Outcomes]:
    """Measure the tasks of a fold with its weights, which are read when their turn comes."""
    weights = weights_hash(file)
    if elsewhere is None:
        return _here(lambda: make_bench(settings, make_segmenter(settings, file), weights, watch))
    return _there(lambda: make_segmenter(settings, file, here=False), weights, settings, elsewhere)


def _keep(task: Task, outcome: TaskOutcome, settings: EvaluationSettings, folder: RunFolder) -> None:
    """Write what came of a task; its rows come last and mark it as finished."""
    if not outcome.rows:
        return
    if settings.keep_predictions:
        _write_predictions(task, outcome, folder.path / PREDICTIONS)
    folder.keep_picture(outcome.rows, lambda: _picture(task, outcome))
    folder.add(outcome.rows)


def _picture(task: Task, outcome: TaskOutcome) -> bytes:
    from napari_cpclnet.evaluation.report.pictures import overlay  # matplotlib takes a second to import

    query, truth = outcome.seen or _seen(task)
    return overlay(query, truth, outcome.masks[0], plane=task.plane)


def _seen(task: Task) -> tuple[Volume, Mask]:
    """The query of a task that was measured elsewhere, and its truth."""
    query = blinded(task.query.read_image(), "query")
    return query, truth_of(task, query)


def _write_predictions(task: Task, outcome: TaskOutcome, folder: Path) -> None:
    value = task.support.value_of(task.organ)
    geometry = (outcome.seen or _seen(task))[0].geometry
    for row, mask in zip(outcome.rows, outcome.masks, strict=True):
        labels = mask.astype(np.min_scalar_type(value)) * np.min_scalar_type(value).type(value)
        found = Segmentation(labels, {value: task.organ}, geometry, task.key)
        make_folder(folder)
        write_segmentation(found, folder / f"{task.key}_{row.method}.nii.gz")


def _description(
    stages: Sequence[_Stage], cases: Sequence[Case], settings: EvaluationSettings
) -> dict[str, Any]:
    """What decides the numbers; a run is resumed with the same only."""
    return {
        **settings.model_dump(mode="json", exclude={"keep_predictions"}),
        "weights": [stage.weights for stage in stages],
        "cases": [
            [
                c.patient,
                c.modality,
                str(c.image),
                str(c.label),
                {str(v): n for v, n in c.classes.items()},
                c.side,
            ]
            for c in cases
        ],
    }
