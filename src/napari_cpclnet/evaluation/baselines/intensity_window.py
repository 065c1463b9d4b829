"""Baseline by grey values alone: intensity window and largest component."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.evaluation.baselines.annotated_slices import keep_painted, painted_scans
from napari_cpclnet.imaging import Volume
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings, intensity_range, normalise
from napari_cpclnet.segmentation import FixedLabels, PostprocessingSettings, SupportSet, postprocess

DEVIATIONS = 2.0
"""Half width of the window, in standard deviations of the painted intensities."""
SMALLEST_DEVIATION = 1 / 255
"""One grey level of a picture: noise-free images have no deviation of their own."""


class IntensityPredictor:
    """Voxels as bright as what was painted, in the network's normalised intensities; then the largest piece.

    Where the windows of two classes overlap, a voxel goes to the one whose mean is nearer in standard deviations.

    Parameters
    ----------
    preprocessing : PreprocessingSettings
        Windows and percentiles of the normalisation.
    """

    name = "intensity"

    def __init__(self, preprocessing: PreprocessingSettings) -> None:
        self.preprocessing = preprocessing

    def predict(self, support: SupportSet, query: Volume) -> NDArray[Any]:
        """Labels (z, y, x) on the query's grid."""
        windows = self._windows(support)
        limits = intensity_range(query, self.preprocessing)
        labels = np.zeros(query.geometry.shape, np.min_scalar_type(max(support.classes)))
        for index, plane in enumerate(query.array):
            grey = normalise(plane, limits)
            nearest = np.full(grey.shape, DEVIATIONS, np.float32)
            for value, (mean, deviation) in windows.items():
                away = np.abs(grey - mean) / deviation
                closer = away <= nearest
                labels[index][closer] = value
                nearest[closer] = away[closer]
        grid = ModelGrid.for_volume(query, painted_scans(support)[0].plane, self.preprocessing)
        painted = FixedLabels.from_slices(support.painted_on(query))
        postprocessed = postprocess(
            labels, query, grid, PostprocessingSettings(largest_component=True), painted
        )
        return keep_painted(postprocessed, support, query)

    def _windows(self, support: SupportSet) -> dict[int, tuple[float, float]]:
        """Mean and standard deviation inside the painted masks of each class that was painted."""
        inside: dict[int, list[NDArray[np.float32]]] = {value: [] for value in support.classes}
        for scan in painted_scans(support):
            limits = intensity_range(scan.volume, self.preprocessing)
            for one in scan.slices:
                grey = normalise(one.intensities, limits)
                for value, found in inside.items():
                    found.append(grey[one.labels2d == value])
        windows = {}
        for value, parts in inside.items():
            sample = np.concatenate(parts).astype(np.float64)
            if sample.size:
                windows[value] = (float(sample.mean()), max(float(sample.std()), SMALLEST_DEVIATION))
        return windows
