"""Baselines on the network's encoder features: one prototype per class, and nearest neighbours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.evaluation.baselines.annotated_slices import keep_painted, painted_scans
from napari_cpclnet.imaging import Volume
from napari_cpclnet.preprocessing import ModelGrid
from napari_cpclnet.segmentation import (
    FixedLabels,
    PostprocessingSettings,
    Segmenter,
    SupportSet,
    postprocess,
)

THRESHOLD = 0.5
"""Foreground value from which a pixel belongs to a class."""
SCALE = 20.0
"""Factor of the cosines before the softmax, as in PANet (Wang et al., ICCV 2019)."""
NEIGHBOURS = 11
"""Support cells that vote on a query cell."""
LARGEST_TABLE = 2**24
"""Similarities held at once: 64 MiB in float32."""


class _FeaturePredictor(ABC):
    """From unit features of support cells with class memberships to the query, slice by slice.

    The grid of features has a stride of 4 network pixels; foreground values are interpolated to the network's pixels
    and from there to the native grid as the network's own answers are. As there, the best class wins where it reaches
    the threshold and only the largest piece of each class is kept.
    """

    name: str

    def __init__(self, segmenter: Segmenter) -> None:
        self.model, self.device = segmenter.model, segmenter.device
        self.preprocessing, self.plane = segmenter.preprocessing, segmenter.settings.plane

    @abstractmethod
    def _foreground(self, cells: Tensor, tokens: Tensor, members: Tensor) -> Tensor:
        """Foreground values (classes, n) of query cells (n, C), given support tokens (N, C), members (classes, N)."""

    def predict(self, support: SupportSet, query: Volume) -> NDArray[Any]:
        """Labels (z, y, x) on the query's grid."""
        tokens, members = self._support_cells(support)
        present = members.amax(1) > 0
        values = np.asarray(list(support.classes))
        plane = support.plane_of(query) if self.plane == "auto" else self.plane
        grid = ModelGrid.for_volume(query, plane, self.preprocessing)
        labels = np.zeros(grid.shape, np.min_scalar_type(max(support.classes)))
        for index in range(grid.n_slices):
            images = grid.images(query, [index])
            if not bool(images[0, 1].any()):
                continue
            features, (h, w) = self._encode(images)
            value = self._foreground(features, tokens, members) * present[:, None]
            picture = value.reshape(1, len(values), h, w)
            fine = F.interpolate(picture, size=grid.size, mode="bilinear", align_corners=False)
            native = grid.to_native(fine)[0].cpu().numpy()
            grid.put(labels, index, np.where(native.max(0) >= THRESHOLD, values[native.argmax(0)], 0))
        painted = FixedLabels.from_slices(support.painted_on(query))
        postprocessed = postprocess(
            labels, query, grid, PostprocessingSettings(largest_component=True), painted
        )
        return keep_painted(postprocessed, support, query)

    def _encode(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Unit features (n, C) of the cells of one slice (1, 3, H, W), and the size of their grid."""
        with torch.inference_mode():
            found = self.model.encode(images.to(self.device)).grid.float()
        return F.normalize(found.flatten(2)[0].T, dim=1), (found.shape[2], found.shape[3])

    def _support_cells(self, support: SupportSet) -> tuple[Tensor, Tensor]:
        """Features (N, C) of all cells of all support slices, and the part (classes, N) each class has of them."""
        tokens, members = [], []
        for scan in painted_scans(support):
            grid = ModelGrid.for_volume(scan.volume, scan.plane, self.preprocessing)
            for one in scan.slices:
                features, size = self._encode(grid.images(scan.volume, [one.index]))
                masks = torch.stack([grid.mask(one.labels2d, value) for value in support.classes])
                tokens.append(features)
                members.append(F.adaptive_avg_pool2d(masks[None], size)[0].flatten(1))
        return torch.cat(tokens), torch.cat(members, 1).to(self.device)


class PrototypePredictor(_FeaturePredictor):
    """One masked-average prototype per class against the average of everything else.

    All shots feed one average. The foreground value is the softmax of `SCALE` times the cosines with both.
    """

    name = "prototype"

    def _foreground(self, cells: Tensor, tokens: Tensor, members: Tensor) -> Tensor:
        front = F.normalize(members @ tokens, dim=1)
        back = F.normalize((1 - members) @ tokens, dim=1)
        return torch.sigmoid(SCALE * ((front - back) @ cells.T))


class NeighbourPredictor(_FeaturePredictor):
    """Mean membership of the `NEIGHBOURS` most similar support cells.

    The table of similarities is made in pieces of at most `LARGEST_TABLE` entries.
    """

    name = "knn"

    def _foreground(self, cells: Tensor, tokens: Tensor, members: Tensor) -> Tensor:
        rows = max(1, LARGEST_TABLE // len(tokens))
        count = min(NEIGHBOURS, len(tokens))
        votes = [
            members[:, (part @ tokens.T).topk(count, dim=1).indices].mean(2)
            for part in torch.split(cells, rows)
        ]
        return torch.cat(votes, 1)
