"""Fill between painted slices of one scan, without a network."""

from __future__ import annotations

from napari_cpclnet.propagation.filling import fill, start_fill
from napari_cpclnet.propagation.propagate import ClassScores, Propagation, PropagationReport, propagating
from napari_cpclnet.propagation.settings import PropagationSettings

__all__ = [
    "ClassScores",
    "Propagation",
    "PropagationReport",
    "PropagationSettings",
    "fill",
    "propagating",
    "start_fill",
]
