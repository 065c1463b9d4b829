"""Methods without a trained decoder, run beside the network: what a number must beat to mean something.

Their settings are constants in their modules; none looks at the query's truth, none is tuned. This module is light:
the methods are imported when one is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cpclnet.evaluation.settings import BaselineName

if TYPE_CHECKING:
    from napari_cpclnet.evaluation.predictors import Predictor
    from napari_cpclnet.segmentation import Segmenter

OF_THE_SAME_SCAN: tuple[BaselineName, ...] = ("interpolation", "fill")
"""Those that need painted slices of the very scan, and are run in the same-volume protocol only."""

DESCRIPTIONS: dict[str, str] = {
    "copy": "The nearest painted mask, by relative level in the scan, laid on the query's body centre in millimetres.",
    "prototype": "One masked-average foreground and one background prototype on the network's own encoder features; "
    "softmax of 20 times the cosine, threshold 0.5, largest piece.",
    "knn": "Mean label of the 11 nearest support cells (cosine) on the network's own encoder features; "
    "threshold 0.5, largest piece.",
    "intensity": "Normalised intensities within two standard deviations of the painted mean, largest piece.",
    "registration": "Painted labels spread to 3-D, carried over by affine and coarse B-spline registration "
    "(mutual information at 6 mm).",
    "interpolation": "Same scan only: signed distances of the painted outlines, interpolated linearly between slices.",
    "fill": "Same scan only: shapes interpolated and moved to where grey values say; what the tool itself does there.",
}


def make_baseline(name: BaselineName, segmenter: Segmenter) -> Predictor:
    """Baseline that sees scans as `segmenter` does: same encoder, preprocessing, plane and device.

    Parameters
    ----------
    name : str
        One of `BASELINE_NAMES`.
    segmenter : Segmenter
        Only its network and settings are used; its support and result stay as they are.

    Returns
    -------
    Predictor
        ``predict(support, query)`` gives labels (z, y, x) on the query's grid. Slices of the query that were painted
        come out as painted.
    """
    if name == "copy":
        from napari_cpclnet.evaluation.baselines.nearest_mask import CopyPredictor

        return CopyPredictor(segmenter.preprocessing)
    if name == "prototype":
        from napari_cpclnet.evaluation.baselines.features import PrototypePredictor

        return PrototypePredictor(segmenter)
    if name == "knn":
        from napari_cpclnet.evaluation.baselines.features import NeighbourPredictor

        return NeighbourPredictor(segmenter)
    if name == "intensity":
        from napari_cpclnet.evaluation.baselines.intensity_window import IntensityPredictor

        return IntensityPredictor(segmenter.preprocessing)
    if name in OF_THE_SAME_SCAN:
        from napari_cpclnet.evaluation.baselines.interpolation import FillPredictor, InterpolationPredictor

        return InterpolationPredictor() if name == "interpolation" else FillPredictor()
    from napari_cpclnet.evaluation.baselines.registration import RegistrationPredictor

    return RegistrationPredictor(segmenter.preprocessing)
