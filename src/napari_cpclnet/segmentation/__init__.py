"""Painted slices in, labels of whole scans out."""

from __future__ import annotations

from napari_cpclnet.segmentation.feature_cache import EncodedSlices
from napari_cpclnet.segmentation.fixed_labels import Corrections, FixedLabels
from napari_cpclnet.segmentation.postprocessing import postprocess
from napari_cpclnet.segmentation.prediction import SliceResult
from napari_cpclnet.segmentation.prior_decoding import (
    DecodedPrior,
    DecodingProgress,
    decode_priors,
    fused_labels,
    painted_reference,
)
from napari_cpclnet.segmentation.prior_trust import TriedPrior, trying_priors
from napari_cpclnet.segmentation.segmenter import Segmenter
from napari_cpclnet.segmentation.settings import PostprocessingSettings, SegmentationSettings
from napari_cpclnet.segmentation.suggestion import SliceSuggestion, suggest
from napari_cpclnet.segmentation.summary import ClassSummary, Summary, UncertainSlice
from napari_cpclnet.segmentation.support import SupportSet, SupportSlice

__all__ = [
    "ClassSummary",
    "Corrections",
    "DecodedPrior",
    "DecodingProgress",
    "EncodedSlices",
    "FixedLabels",
    "PostprocessingSettings",
    "SegmentationSettings",
    "Segmenter",
    "SliceResult",
    "SliceSuggestion",
    "Summary",
    "SupportSet",
    "SupportSlice",
    "TriedPrior",
    "UncertainSlice",
    "decode_priors",
    "fused_labels",
    "painted_reference",
    "postprocess",
    "suggest",
    "trying_priors",
]
