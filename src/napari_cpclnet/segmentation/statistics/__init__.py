"""Size, grey values, diameters and number of components of each class of a segmented scan."""

from __future__ import annotations

from napari_cpclnet.segmentation.statistics.diameters import Diameters, axial_diameters
from napari_cpclnet.segmentation.statistics.measure import ClassStatistics, measure
from napari_cpclnet.segmentation.statistics.suv_peak import intensity_peak
from napari_cpclnet.segmentation.statistics.table import COLUMNS, STATISTICS_FILE, as_csv, write_statistics

__all__ = [
    "COLUMNS",
    "STATISTICS_FILE",
    "ClassStatistics",
    "Diameters",
    "as_csv",
    "axial_diameters",
    "intensity_peak",
    "measure",
    "write_statistics",
]
