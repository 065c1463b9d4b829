"""Intensity per modality, the way between a scan's grid and the network's grid, and pseudo-labels."""

from __future__ import annotations

from napari_cpclnet.imaging.planes import Plane, plane_axis
from napari_cpclnet.preprocessing.grid import ModelGrid
from napari_cpclnet.preprocessing.intensity import intensity_range, normalise
from napari_cpclnet.preprocessing.pseudo_labels.files import find_pseudo_labels
from napari_cpclnet.preprocessing.pseudo_labels.regions import RegionMap, body_mask, picture_regions
from napari_cpclnet.preprocessing.pseudo_labels.run import PseudoLabelReport, make_pseudo_labels
from napari_cpclnet.preprocessing.pseudo_labels.settings import PseudoLabelSettings
from napari_cpclnet.preprocessing.settings import PreprocessingSettings

__all__ = [
    "ModelGrid",
    "Plane",
    "PreprocessingSettings",
    "PseudoLabelReport",
    "PseudoLabelSettings",
    "RegionMap",
    "body_mask",
    "find_pseudo_labels",
    "intensity_range",
    "make_pseudo_labels",
    "normalise",
    "picture_regions",
    "plane_axis",
]
