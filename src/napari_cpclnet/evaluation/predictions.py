"""Predictions of the network and the baselines for a task; nothing here opens a query's labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_cpclnet.evaluation.metrics import Mask
from napari_cpclnet.evaluation.predictors import NetworkPredictor, Predictor
from napari_cpclnet.evaluation.protocols import Task, legacy_parts, same_direction, slab
from napari_cpclnet.evaluation.resources import ResourceUsage
from napari_cpclnet.imaging import Volume, plane_axis
from napari_cpclnet.segmentation import SupportSet


@dataclass(frozen=True, eq=False)
class Prediction:
    """Labels predicted by one method; made before the truth is opened.

    Parameters
    ----------
    method : str
    mask : ndarray (z, y, x) of bool
        The organ, on the query's grid.
    seconds, peak_mb : float
    confidence : float
        Dice that the method itself expects; nan if it does not say.
    """

    method: str
    mask: Mask
    seconds: float
    peak_mb: float
    confidence: float = math.nan


@dataclass(frozen=True, eq=False)
class _Job:
    """Slices `first` to `stop` - 1 of the query, and the support they are segmented with."""

    first: int
    stop: int
    support: SupportSet


def predict_task(
    task: Task, query: Volume, predictors: Sequence[Predictor], device: torch.device
) -> tuple[Prediction, ...]:
    """Ask every method; the query's labels stay closed."""
    support = query if task.protocol == "same-volume" else blinded(task.support.read_image(), "support")
    axis = plane_axis(query.geometry, task.plane)
    jobs = [_Job(0, query.geometry.shape[axis], _painted(task, support, task.slices))]
    return _ask(task, query, predictors, jobs, axis, device)


def predict_legacy(
    task: Task,
    query: Volume,
    predictors: Sequence[Predictor],
    device: torch.device,
    extent: tuple[int, int],
) -> tuple[Prediction, ...]:
    """Ask every method the published way; of the query's labels it knows the organ's first and last slice."""
    support = blinded(task.support.read_image(), "support")
    axis = plane_axis(query.geometry, task.plane)
    same = same_direction(support.geometry, query.geometry, task.plane)
    jobs = [
        _Job(part.first, part.stop, _painted(task, support, (part.support_slice,)))
        for part in legacy_parts(extent, task.slices, same_direction=same)
    ]
    return _ask(task, query, predictors, jobs, axis, device)


def blinded(volume: Volume, name: str) -> Volume:
    """The scan without what would lead to its labels or its patient."""
    return volume.replaced(source=None, name=name, notes=())


def _painted(task: Task, volume: Volume, slices: Sequence[int]) -> SupportSet:
    """The support's painted slices; the set holds copies of them and nothing of the other slices' labels."""
    support = SupportSet({task.support.value_of(task.organ): task.organ})
    support.add(volume, task.support.read_label(like=volume).labels, slices=slices, plane=task.plane)
    return support


def _ask(
    task: Task,
    query: Volume,
    predictors: Sequence[Predictor],
    jobs: Sequence[_Job],
    axis: int,
    device: torch.device,
) -> tuple[Prediction, ...]:
    value = task.support.value_of(task.organ)
    answers = []
    for predictor in predictors:
        mask = np.zeros(query.geometry.shape, bool)
        seconds, peak = 0.0, 0.0
        for job in jobs:
            whole = (job.first, job.stop) == (0, query.geometry.shape[axis])
            part = query if whole else slab(query, axis, job.first, job.stop)
            with ResourceUsage(device) as meter:
                labels = predictor.predict(job.support, part)
            if labels.shape != part.geometry.shape:
                raise ValueError(f"{predictor.name}: labels {labels.shape} for a scan {part.geometry.shape}")
            mask[(slice(None),) * axis + (slice(job.first, job.stop),)] = labels == value
            seconds, peak = seconds + meter.seconds, max(peak, meter.peak_mb)
        expected = predictor.confidence if isinstance(predictor, NetworkPredictor) and len(jobs) == 1 else {}
        answers.append(Prediction(predictor.name, mask, seconds, peak, expected.get(value, math.nan)))
    return tuple(answers)
