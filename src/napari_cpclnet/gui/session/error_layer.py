"""Where a prediction and the truth differ, as a labels layer on the scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils import DirectLabelColormap

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.evaluation.folder import PREDICTIONS
from napari_cpclnet.gui.jobs.layer_case import LayerCase
from napari_cpclnet.gui.layers.corrections import result_note
from napari_cpclnet.gui.layers.scan_layers import KEY, class_features, copied_transform, note, volume_to_layer
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan
from napari_cpclnet.imaging import plane_axis, read_segmentation

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_cpclnet.evaluation import CaseResult
    from napari_cpclnet.gui.jobs.evaluation_job import EvaluationJob
    from napari_cpclnet.imaging import Volume

CLASSES = {1: "true positive", 2: "false positive", 3: "false negative"}
COLOURS = {1: (0.00, 0.62, 0.45), 2: (0.90, 0.38, 0.00), 3: (0.34, 0.71, 0.95)}  # those of the report


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """Errors (z, y, x), see `CLASSES`, of one result, and the slice along ``axis`` with the most of them."""

    result: CaseResult
    volume: Volume
    labels: np.ndarray
    axis: int
    index: int
    layer: Image | None


def error_map(job: EvaluationJob, result: CaseResult) -> ErrorMap:
    """Compare a kept prediction with the truth; reads files, so call it in a worker.

    Raises
    ------
    CpclnetError
        If the prediction was not kept, or a file is gone.
    """
    case = job.tasks[result.key].query
    kept = job.folder / PREDICTIONS / f"{result.key}_{result.method}.nii.gz"
    if not kept.exists():
        raise SettingsError("The prediction of this case was not kept: run it again in an empty folder.")
    volume = case.read_image()
    truth = case.read_label(like=volume).labels == case.value_of(result.organ)
    predicted = read_segmentation(kept, like=volume).labels > 0
    axis = plane_axis(volume.geometry, job.tasks[result.key].plane)
    labels = compare(predicted, truth)
    layer = case.pair.layer if isinstance(case, LayerCase) else None
    return ErrorMap(result, volume, labels, axis, worst_slice(labels, axis), layer)


def compare(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 where both are, 2 where only the prediction is, 3 where only the truth is."""
    return np.where(truth, np.where(predicted, 1, 3), np.where(predicted, 2, 0)).astype(np.uint8)


def worst_slice(labels: np.ndarray, axis: int) -> int:
    """Slice with the most wrong voxels; with the most right ones if none is wrong; else the middle."""
    others = tuple(a for a in range(3) if a != axis)
    for mask in (labels > 1, labels > 0):
        counts = np.count_nonzero(mask, axis=others)
        if counts.any():
            return int(counts.argmax())
    return int(labels.shape[axis]) // 2


class ErrorLayer:
    """The one error layer of a panel: the next case replaces it."""

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self._layer: Labels | None = None

    def show(self, found: ErrorMap) -> Labels:
        """Open the scan if need be, lay the errors on it and go to the worst slice."""
        if self._layer is not None and self._layer in self.viewer.layers:
            self.viewer.layers.remove(self._layer)
        scan = self._scan(found)
        labels = found.labels.reshape(scan.data.shape)
        clear = (0.0, 0.0, 0.0, 0.0)
        colors: dict[int | None, Any] = {None: clear, 0: clear, **{v: (*c, 1) for v, c in COLOURS.items()}}
        self._layer = layer = self.viewer.add_labels(
            labels,
            name=f"{scan.name} – errors of {found.result.method}, {found.result.organ}",
            # The note marks it as a result: no one takes it for painted slices.
            metadata={
                KEY: {
                    "geometry": found.volume.geometry,
                    "classes": dict(CLASSES),
                    "calibrated": found.volume.calibrated,
                    **result_note(None),
                }
            },
            features=class_features(CLASSES),
            colormap=DirectLabelColormap(color_dict=colors),
            opacity=0.6,
            **copied_transform(scan),
        )
        layer.editable = False  # nobody loses a stroke when the next case comes
        show_scan(self.viewer, scan, only=layer)
        jump_to_slice(self.viewer, layer, found.axis, found.index)
        return layer

    def _scan(self, found: ErrorMap) -> Image:
        """The layer of the query scan: the one that was evaluated, one of the same file, or a new one."""
        volume = found.volume
        if found.layer is not None and found.layer in self.viewer.layers:
            return found.layer
        for layer in self.viewer.layers:
            if isinstance(layer, Image) and _shows(layer, volume):
                return layer
        data, kwargs, _ = volume_to_layer(volume)
        return self.viewer.add_image(data, **kwargs)


def _shows(layer: Any, volume: Volume) -> bool:
    if layer.data is volume.array:
        return True
    source = note(layer).get("source")
    return source is not None and source == volume.source and layer.data.shape == volume.array.shape
