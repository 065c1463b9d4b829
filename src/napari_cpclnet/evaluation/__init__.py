"""How good the network is, on scans whose truth is known and which it never saw."""

from __future__ import annotations

from napari_cpclnet.evaluation.baselines.registry import BASELINE_NAMES, BaselineName, make_baseline
from napari_cpclnet.evaluation.metrics import Scores, score
from napari_cpclnet.evaluation.predictors import NetworkPredictor, Predictor
from napari_cpclnet.evaluation.protocols import Task, tasks
from napari_cpclnet.evaluation.report.outputs import run_facts, write_outputs
from napari_cpclnet.evaluation.results import CaseResult, append_results, read_results
from napari_cpclnet.evaluation.run import (
    CaseReport,
    evaluate,
    evaluate_folds,
    evaluate_predictors,
    make_segmenter,
)
from napari_cpclnet.evaluation.settings import EvaluationSettings, ProtocolName
from napari_cpclnet.evaluation.summary import summarise
from napari_cpclnet.imaging.cases import Case, check_labels, patient_folds, read_cases

__all__ = [
    "BASELINE_NAMES",
    "BaselineName",
    "Case",
    "CaseReport",
    "CaseResult",
    "EvaluationSettings",
    "NetworkPredictor",
    "Predictor",
    "ProtocolName",
    "Scores",
    "Task",
    "append_results",
    "check_labels",
    "evaluate",
    "evaluate_folds",
    "evaluate_predictors",
    "make_baseline",
    "make_segmenter",
    "patient_folds",
    "read_cases",
    "read_results",
    "run_facts",
    "score",
    "summarise",
    "tasks",
    "write_outputs",
]
