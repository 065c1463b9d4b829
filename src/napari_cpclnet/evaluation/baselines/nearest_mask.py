"""Baseline that copies the nearest painted mask: what the likeness of patients alone is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.evaluation.baselines.annotated_slices import keep_painted, painted_scans
from napari_cpclnet.imaging import Volume
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.segmentation import SupportSet

COVERED = 0.5
"""Part of a native pixel that a copied mask must cover."""


class CopyPredictor:
    """Gives each query slice the painted mask nearest in level.

    Level is the relative position along the scan: 0 at its lower end, 1 at its upper end. World positions of two
    patients cannot be compared; within one scan, relative levels are distances in millimetres. In the plane, masks keep
    their size in millimetres and the middles of the two bodies are laid on each other. A mask is copied as far as
    :meth:`PaintedScan.reach_mm` says, so levels above and below the organ stay empty.

    Parameters
    ----------
    preprocessing : PreprocessingSettings
        Grid on which the bodies are laid on each other.
    """

    name = "copy"

    def __init__(self, preprocessing: PreprocessingSettings) -> None:
        self.preprocessing = preprocessing

    def predict(self, support: SupportSet, query: Volume) -> NDArray[Any]:
        """Labels (z, y, x) on the query's grid."""
        scans = painted_scans(support)
        plane, values = scans[0].plane, np.asarray(list(support.classes))
        grid = ModelGrid.for_volume(query, plane, self.preprocessing)
        levels: list[float] = []
        reaches: list[NDArray[np.float64]] = []  # per painted slice one value per class, in levels
        masks: list[Tensor] = []  # per painted slice (classes, H, W)
        for scan in scans:
            if scan.plane != plane:
                continue
            own = ModelGrid.for_volume(scan.volume, plane, self.preprocessing)
            length = own.n_slices * scan.volume.geometry.spacing[own.axis]
            reaches.extend(np.stack([scan.reach_mm(v) for v in support.classes], 1) / length)
            levels.extend(relative_level(own, s.index) for s in scan.slices)
            masks.extend(
                centre_crop(torch.stack([own.mask(s.labels2d, v) for v in support.classes]), grid.size)
                for s in scan.slices
            )
        labels = np.zeros(grid.shape, np.min_scalar_type(max(support.classes)))
        places = np.array(levels)
        for index in range(grid.n_slices):
            away = np.abs(places - relative_level(grid, index))
            nearest = int(away.argmin())
            near = away[nearest] <= reaches[nearest] + 1e-9
            if near.any():
                native = grid.to_native(masks[nearest][None])[0].numpy() * near[:, None, None]
                copied = np.where(native.max(0) >= COVERED, values[native.argmax(0)], 0)
                grid.put(labels, index, copied)
        return keep_painted(labels, support, query)


def relative_level(grid: ModelGrid, index: int) -> float:
    """0 at the lower end of the scan, 1 at the upper end, slices being counted at their middles."""
    fraction = (index + 0.5) / grid.n_slices
    return 1 - fraction if grid.flips[0] else fraction


def centre_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut or pad the last two axes around their middle."""
    (h, w), (height, width) = images.shape[-2:], size
    top, left = (height - h) // 2, (width - w) // 2
    return F.pad(images, (left, width - w - left, top, height - h - top))
