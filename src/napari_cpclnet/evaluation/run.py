"""Run an evaluation: predict first, open the truth afterwards, write, go on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cpclnet.errors import SettingsError, WeightsError
from napari_cpclnet.evaluation.baselines.registry import OF_THE_SAME_SCAN, make_baseline
from napari_cpclnet.evaluation.folder import PREDICTIONS, RunFolder, check_apart, make_folder
from napari_cpclnet.evaluation.metrics import Mask, score
from napari_cpclnet.evaluation.predictions import Prediction, blinded, predict_legacy, predict_task
from napari_cpclnet.evaluation.predictors import NetworkPredictor, Predictor
from napari_cpclnet.evaluation.protocols import (
    Task,
    fold_cases,
    organ_extent,
    slab,
    tasks,
)
from napari_cpclnet.evaluation.report.outputs import run_facts, write_outputs
from napari_cpclnet.evaluation.results import CaseResult
from napari_cpclnet.evaluation.settings import EvaluationSettings
from napari_cpclnet.files.folder_lock import only_here
from napari_cpclnet.imaging import Plane, Segmentation, Volume, plane_axis, write_segmentation
from napari_cpclnet.imaging.cases import Case
from napari_cpclnet.model import choose_device, load_weights, weights_hash
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SliceResult

Watch = Callable[[SliceResult], None]


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
    """Tasks that are run with the same network."""

    tasks: tuple[Task, ...]
    predictors: Callable[[], Sequence[Predictor]]
    device: torch.device
    weights: str


def make_segmenter(settings: EvaluationSettings, weights: Path | None = None) -> Segmenter:
    """The network as the settings want it; the bundled weights where none are given.

    Raises
    ------
    CpclnetError
        If weights or device cannot be used.
    """
    wanted = SegmentationSettings(
        plane=settings.plane, align=settings.align, device=settings.device, precision=settings.precision
    )
    return Segmenter(load_weights(weights), wanted)


def evaluate(
    cases: Sequence[Case],
    settings: EvaluationSettings,
    segmenter: Segmenter,
    out: Path,
    resume: bool = False,
    watch: Watch | None = None,
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
        Called after every slice that the network segments; what it raises ends the run.

    Yields
    ------
    CaseReport
        After each task. Closing the iterator ends the run; what is finished is kept.

    Raises
    ------
    CpclnetError
        If a file, the table, the folder or the settings are at fault.
    """
    stage = _stage(tuple(tasks(cases, settings)), settings, segmenter, watch)
    yield from _run([stage], cases, settings, out, resume=resume)


def evaluate_folds(
    cases: Sequence[Case],
    settings: EvaluationSettings,
    weights: Path,
    out: Path,
    resume: bool = False,
    watch: Watch | None = None,
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
    device = choose_device(settings.device)
    stages = [
        _Stage(tuple(tasks(part, settings)), _opener(settings, file, watch), device, weights_hash(file))
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
    stage = _Stage(tuple(tasks(cases, settings)), lambda: predictors, torch.device("cpu"), name)
    yield from _run([stage], cases, settings, out, resume=resume)


def _truth(task: Task, query: Volume) -> Mask:
    """The query's own labels: opened when every answer is final, and for the extent of the legacy protocol."""
    labels: NDArray[Any] = task.query.read_label(like=query).labels
    return np.asarray(labels == task.query.value_of(task.organ))


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
        predictors = stage.predictors() if open_tasks else ()
        for task in open_tasks:
            rows = _run_task(task, predictors, stage, settings, folder)
            done += 1
            yield CaseReport(done, total, task, rows)
    write_outputs(out, run_facts(cases, settings, stages[0].device, [stage.weights for stage in stages]))


def _run_task(
    task: Task,
    predictors: Sequence[Predictor],
    stage: _Stage,
    settings: EvaluationSettings,
    folder: RunFolder,
) -> tuple[CaseResult, ...]:
    """Predict, open the truth, score, write."""
    for predictor in predictors:
        if isinstance(predictor, NetworkPredictor):  # the legacy protocol shows it slabs
            predictor.quick = task.protocol == "legacy"
    if task.protocol != "same-volume":
        predictors = [p for p in predictors if p.name not in OF_THE_SAME_SCAN]
    query = blinded(task.query.read_image(), "query")
    axis = plane_axis(query.geometry, task.plane)
    scored = slice(None)
    if task.protocol == "legacy":
        extent = organ_extent(_truth(task, query), axis)
        if extent is None:  # the published protocol has no such case
            return ()
        scored = slice(*extent)
        answers = predict_legacy(task, query, predictors, stage.device, extent)
    else:
        answers = predict_task(task, query, predictors, stage.device)
    truth = _truth(task, query)
    cut = (slice(None),) * axis + (scored,)
    geometry = slab(query, axis, *scored.indices(truth.shape[axis])[:2]).geometry
    given = task.slices if task.protocol == "same-volume" else ()
    rows = tuple(
        CaseResult(
            key=task.key,
            protocol=task.protocol,
            shots=task.shots,
            support_index=task.support_index,
            support_patient=task.support.patient,
            support_modality=task.support.modality,
            query_patient=task.query.patient,
            query_modality=task.query.modality,
            organ=task.organ,
            method=answer.method,
            **asdict(score(answer.mask[cut], truth[cut], geometry, axis, settings.tolerance_mm, given)),
            seconds=answer.seconds,
            peak_mb=answer.peak_mb,
            device=str(stage.device),
            weights=stage.weights,
            confidence=answer.confidence,
        )
        for answer in answers
    )
    if settings.keep_predictions:
        _write_predictions(task, query, answers, folder.path / PREDICTIONS)
    folder.keep_picture(rows, lambda: _picture(query, truth, answers[0].mask, task.plane))
    folder.add(rows)
    return rows


def _picture(query: Volume, truth: Mask, predicted: Mask, plane: Plane) -> bytes:
    from napari_cpclnet.evaluation.report.pictures import overlay  # matplotlib takes a second to import

    return overlay(query, truth, predicted, plane=plane)


def _write_predictions(task: Task, query: Volume, answers: Sequence[Prediction], folder: Path) -> None:
    value = task.support.value_of(task.organ)
    for answer in answers:
        labels = answer.mask.astype(np.min_scalar_type(value)) * np.min_scalar_type(value).type(value)
        found = Segmentation(labels, {value: task.organ}, query.geometry, task.key)
        make_folder(folder)
        write_segmentation(found, folder / f"{task.key}_{answer.method}.nii.gz")


def _stage(
    found: tuple[Task, ...], settings: EvaluationSettings, segmenter: Segmenter, watch: Watch | None
) -> _Stage:
    weights = str(segmenter.model.metadata.get("hash", "unknown"))
    return _Stage(found, lambda: _predictors(settings, segmenter, watch), segmenter.device, weights)


def _opener(
    settings: EvaluationSettings, weights: Path, watch: Watch | None
) -> Callable[[], Sequence[Predictor]]:
    return lambda: _predictors(settings, make_segmenter(settings, weights), watch)


def _predictors(
    settings: EvaluationSettings, segmenter: Segmenter, watch: Watch | None
) -> Sequence[Predictor]:
    baselines = [make_baseline(name, segmenter) for name in settings.baselines]
    return [NetworkPredictor(segmenter, watch), *baselines]


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
