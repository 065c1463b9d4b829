"""What a scan is, and how it comes from and goes to files."""

from __future__ import annotations

from napari_cpclnet.imaging.dicom_headers import SeriesInfo, list_series
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.modality import detect_modality
from napari_cpclnet.imaging.reading import read_segmentation, read_volume
from napari_cpclnet.imaging.scans import ScanRef, find_scans, seed_pairs
from napari_cpclnet.imaging.volume import MODALITIES, Modality, Segmentation, Volume
from napari_cpclnet.imaging.writing import write_segmentation, write_volume

__all__ = [
    "MODALITIES",
    "Geometry",
    "Modality",
    "ScanRef",
    "Segmentation",
    "SeriesInfo",
    "Volume",
    "detect_modality",
    "find_scans",
    "list_series",
    "read_segmentation",
    "read_volume",
    "seed_pairs",
    "write_segmentation",
    "write_volume",
]
