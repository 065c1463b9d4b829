"""Painted slices in, labels of whole scans out."""

from __future__ import annotations

from napari_cpclnet.segmentation.painted import Painted
from napari_cpclnet.segmentation.postprocessing import postprocess
from napari_cpclnet.segmentation.segmenter import EncodedSlices, Segmenter, SliceResult, uncertainty
from napari_cpclnet.segmentation.settings import PostprocessingSettings, SegmentationSettings
from napari_cpclnet.segmentation.support import SupportSet, SupportSlice

__all__ = [
    "EncodedSlices",
    "Painted",
    "PostprocessingSettings",
    "SegmentationSettings",
    "Segmenter",
    "SliceResult",
    "SupportSet",
    "SupportSlice",
    "postprocess",
    "uncertainty",
]
