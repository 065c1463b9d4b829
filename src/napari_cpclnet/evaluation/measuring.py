"""One task from end to end: every method answers, then the truth is opened, then they are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from napari_cpclnet.evaluation.baselines.registry import OF_THE_SAME_SCAN, make_baseline
from napari_cpclnet.evaluation.metrics import Mask, score
from napari_cpclnet.evaluation.predictions import blinded, predict_legacy, predict_task
from napari_cpclnet.evaluation.predictors import NetworkPredictor, OnSlice, Predictor
from napari_cpclnet.evaluation.protocols import Task, organ_extent, slab
from napari_cpclnet.evaluation.results import CaseResult
from napari_cpclnet.evaluation.settings import EvaluationSettings
from napari_cpclnet.imaging import Volume, plane_axis
from napari_cpclnet.segmentation import Segmenter


@dataclass(frozen=True, eq=False)
class Bench:
    """What tasks are measured with.

    Parameters
    ----------
    predictors : sequence of Predictor
    device : torch.device
        On which they compute.
    weights : str
        Hash of the weights file.
    tolerance_mm : float
        Of the surface Dice.
    """

    predictors: Sequence[Predictor]
    device: torch.device
    weights: str
    tolerance_mm: float


@dataclass(frozen=True, eq=False)
class TaskOutcome:
    """What came of a task: a row and a mask (z, y, x) of bool for each method.

    None where the legacy protocol drops a query without the organ. ``seen``: the query and the truth, where they were
    read in this process.
    """

    rows: tuple[CaseResult, ...] = ()
    masks: tuple[Mask, ...] = ()
    seen: tuple[Volume, Mask] | None = None


def make_bench(
    settings: EvaluationSettings, segmenter: Segmenter, weights: str, watch: OnSlice | None = None
) -> Bench:
    """The network and the baselines of the settings."""
    baselines = [make_baseline(name, segmenter) for name in settings.baselines]
    predictors = [NetworkPredictor(segmenter, watch), *baselines]
    return Bench(predictors, segmenter.device, weights, settings.tolerance_mm)


def truth_of(task: Task, query: Volume) -> Mask:
    """The query's own labels: opened when every answer is final, and for the extent of the legacy protocol."""
    labels = task.query.read_label(like=query).labels
    return np.asarray(labels == task.query.value_of(task.organ))


def measure_task(task: Task, bench: Bench) -> TaskOutcome:
    """Predict, open the truth, score.

    Raises
    ------
    CpclnetError
        If a scan or its labels cannot be read.
    """
    predictors = bench.predictors
    for predictor in predictors:
        if isinstance(predictor, NetworkPredictor):  # the legacy protocol shows it slabs
            predictor.quick = task.protocol == "legacy"
    if task.protocol != "same-volume":
        predictors = [p for p in predictors if p.name not in OF_THE_SAME_SCAN]
    query = blinded(task.query.read_image(), "query")
    axis = plane_axis(query.geometry, task.plane)
    scored = slice(None)
    if task.protocol == "legacy":
        extent = organ_extent(truth_of(task, query), axis)
        if extent is None:  # the published protocol has no such case
            return TaskOutcome()
        scored = slice(*extent)
        answers = predict_legacy(task, query, predictors, bench.device, extent)
    else:
        answers = predict_task(task, query, predictors, bench.device)
    truth = truth_of(task, query)
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
            **asdict(score(answer.mask[cut], truth[cut], geometry, axis, bench.tolerance_mm, given)),
            seconds=answer.seconds,
            peak_mb=answer.peak_mb,
            device=str(bench.device),
            weights=bench.weights,
            confidence=answer.confidence,
        )
        for answer in answers
    )
    return TaskOutcome(rows, tuple(answer.mask for answer in answers), (query, truth))
