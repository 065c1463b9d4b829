"""Intensity per modality, and the way between a scan's grid and the network's grid."""

from __future__ import annotations

from napari_cpclnet.preprocessing.grid import ModelGrid, Plane, plane_axis
from napari_cpclnet.preprocessing.intensity import intensity_range, normalise
from napari_cpclnet.preprocessing.settings import PreprocessingSettings

__all__ = ["ModelGrid", "Plane", "PreprocessingSettings", "intensity_range", "normalise", "plane_axis"]
