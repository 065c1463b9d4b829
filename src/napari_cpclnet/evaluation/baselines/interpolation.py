"""Baselines within the painted scan: shape-based interpolation, and *Fill between slices*."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.evaluation.baselines.annotated_slices import keep_painted, painted_scans
from napari_cpclnet.imaging import Volume
from napari_cpclnet.propagation import Propagation
from napari_cpclnet.propagation.shape import signed_distance
from napari_cpclnet.segmentation import SupportSet


class InterpolationPredictor:
    """Signed distances interpolated linearly between painted slices, as "fill between slices" of other viewers does.

    Nothing beyond the outermost painted slices. Scans of which no slice was painted stay empty.
    """

    name = "interpolation"

    def predict(self, support: SupportSet, query: Volume) -> NDArray[Any]:
        """Labels (z, y, x) on the query's grid."""
        labels = np.zeros(query.geometry.shape, np.min_scalar_type(max(support.classes)))
        own = support.painted_on(query)
        if not own:
            return labels
        axis = painted_scans(support)[0].axis
        slices = sorted((s for s in own if s.axis == axis), key=lambda s: s.index)
        by_slice = np.moveaxis(labels, axis, 0)
        for value in support.classes:
            # in pixels, as the others do
            distances = [(s.index, signed_distance(s.labels2d == value, (1.0, 1.0))) for s in slices]
            for (low, first), (high, last) in itertools.pairwise(distances):
                for index in range(low + 1, high):
                    between = ((high - index) * first + (index - low) * last) > 0
                    by_slice[index][between & (by_slice[index] == 0)] = value
        return keep_painted(labels, support, query)


class FillPredictor:
    """Fill between painted slices by shapes and grey values; scans of which no slice was painted stay empty."""

    name = "fill"

    def predict(self, support: SupportSet, query: Volume) -> NDArray[Any]:
        """Labels (z, y, x) on the query's grid."""
        own = support.painted_on(query)
        if not own:
            return np.zeros(query.geometry.shape, np.min_scalar_type(max(support.classes)))
        axis = painted_scans(support)[0].axis
        painted = {s.index: s.labels2d for s in own if s.axis == axis}
        propagation = Propagation(query, painted, axis, support.classes)
        for _ in propagation.run():
            pass
        return keep_painted(propagation.result().labels, support, query)
