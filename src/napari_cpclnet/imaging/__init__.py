"""What a scan is, and how it comes from and goes to files."""

from __future__ import annotations

from napari_cpclnet.imaging.dicom.labels import dicom_label_kind, is_dicom_path, referenced_series
from napari_cpclnet.imaging.dicom.reading import read_series, unit_and_notes
from napari_cpclnet.imaging.dicom.series import Listing, SeriesInfo, list_series, survey
from napari_cpclnet.imaging.formats.picture_writing import replace_pictures
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.labels import holds_segments, looks_like_labels, read_segmentation
from napari_cpclnet.imaging.modality import detect_modality
from napari_cpclnet.imaging.paint import painted_axis, painted_plane, painted_slices
from napari_cpclnet.imaging.phases import list_phases
from napari_cpclnet.imaging.planes import Plane, Sliced, plane_axis, plane_like
from napari_cpclnet.imaging.reading import read_volume
from napari_cpclnet.imaging.scans import ScanRef, find_scans, seed_pairs
from napari_cpclnet.imaging.terminology import Terminology
from napari_cpclnet.imaging.volume import MODALITIES, Modality, Segmentation, Volume
from napari_cpclnet.imaging.walking import walk
from napari_cpclnet.imaging.writing import OUTPUTS, output_suffix, write_segmentation, write_volume

__all__ = [
    "MODALITIES",
    "OUTPUTS",
    "Geometry",
    "Listing",
    "Modality",
    "Plane",
    "ScanRef",
    "Segmentation",
    "SeriesInfo",
    "Sliced",
    "Terminology",
    "Volume",
    "detect_modality",
    "dicom_label_kind",
    "find_scans",
    "holds_segments",
    "is_dicom_path",
    "list_phases",
    "list_series",
    "looks_like_labels",
    "output_suffix",
    "painted_axis",
    "painted_plane",
    "painted_slices",
    "plane_axis",
    "plane_like",
    "read_segmentation",
    "read_series",
    "read_volume",
    "referenced_series",
    "replace_pictures",
    "seed_pairs",
    "survey",
    "unit_and_notes",
    "walk",
    "write_segmentation",
    "write_volume",
]
