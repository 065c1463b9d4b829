"""What a training run reports as it goes: preparation, steps, validations. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PreparationReport:
    """What is made before the first step: `done` of `total`; `problem` says why a scan is left out."""

    what: str
    done: int
    total: int
    problem: str = ""


@dataclass(frozen=True)
class StepReport:
    """What one optimiser step did.

    Attributes
    ----------
    step, total : int
        Steps done, and of the whole run.
    losses : dict of str to float
        Every term that the batch allowed, unweighted, and ``total``.
    dice : float
        Mean soft Dice of the batch's queries that show their class; nan while the encoder alone learns.
    validation : dict of str to float
        ``dice`` (per class and episode, all slices pooled) and ``false`` (share of slices without the class in which
        more than 20 pixels are marked) of the averaged weights on held-out data: of labelled scans where there are
        some, else the mean over the sources; with several sources also for each of them (``dice_scans``). Empty between
        validations.
    seconds_left : float
        A guess; nan before there is one.
    """

    step: int
    total: int
    losses: dict[str, float]
    dice: float
    validation: dict[str, float]
    seconds_left: float = math.nan


@dataclass(frozen=True)
class EpochReport:
    """What a validation found; comes after the report of its step, when all files are written.

    Attributes
    ----------
    epoch, step : int
        Number of the validation, from 1; steps done.
    losses : dict of str to float
        Means since the last validation.
    dice : float
        Mean soft Dice of the training queries since then; nan while the encoder alone learns.
    validation : dict of str to float
        As in :class:`StepReport`.
    picture, weights : Path
        A held-out episode; the best weights so far.
    seconds_left : float
        A guess.
    """

    epoch: int
    step: int
    losses: dict[str, float]
    dice: float
    validation: dict[str, float]
    picture: Path
    weights: Path
    seconds_left: float


TrainingReport = PreparationReport | StepReport | EpochReport
