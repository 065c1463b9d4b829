"""A deterministic stand-in for the network and small scans with known organs."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_cpclnet.imaging import Geometry, Volume


@dataclass(frozen=True)
class Grey:
    """Features of the stand-in: the slice itself, and a level that says nothing."""

    grid: Tensor
    level: Tensor

    def select(self, index: list[int]) -> Grey:
        return Grey(self.grid[index], self.level[index])

    @staticmethod
    def cat(parts: list[Grey]) -> Grey:
        return Grey(torch.cat([p.grid for p in parts]), torch.cat([p.level for p in parts]))


class NearestGrey(nn.Module):
    """Gives each pixel to the class whose mean grey value in the support is nearest; else to the background.

    An oracle: with organs of distinct grey values the right answer is known exactly. Counts what it is given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.width = nn.Parameter(torch.tensor(0.02))
        self.metadata: dict[str, Any] = {}
        self.encoded: list[int] = []
        self.described: list[int] = []
        self.segmented: list[int] = []
        self.levels: list[Tensor] = []
        self.sizes: list[tuple[int, int]] = []

    def encode(self, images: Tensor, levels: Tensor | None = None) -> Grey:
        self.sizes.append((images.shape[2], images.shape[3]))
        self.encoded.append(len(images))
        return Grey(images[:, 1], torch.full((len(images),), 0.5))

    def describe(
        self,
        features: list[Grey],
        masks: list[Tensor],
        same_scan: list[Tensor] | None = None,
        known: list[Tensor] | None = None,
    ) -> Tensor:
        self.described.append(sum(len(f.grid) for f in features))
        self.levels += [f.level for f in features]
        grey = torch.cat([f.grid.flatten() for f in features])
        inside = torch.cat([m.flatten(1) for m in masks], 1)
        # pixels that a class covers wholly: partial ones mix grey values
        whole = (inside > 0.999).float()
        return (whole * grey).sum(1) / whole.sum(1)

    def segment(self, query: Grey, support: Tensor) -> SimpleNamespace:
        self.segmented.append(len(query.grid))
        self.levels.append(query.level)
        far = (query.grid[:, None] - support[None, :, None, None]).abs() / self.width
        foreground = 10 * (1 - far)
        foreground = foreground.nan_to_num(-20.0)  # a class that no slice shows
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(foreground), foreground], 2))


ORGANS = {1: "liver", 3: "spleen"}


def make_scan(
    modality: str = "CT", shape: tuple[int, int, int] = (12, 60, 70), *, seed: int = 0
) -> tuple[Volume, np.ndarray]:
    """A body with two block-shaped organs of distinct grey values, and its labels."""
    shift = np.random.default_rng(seed).integers(-3, 4, 2)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    body = ((y - shape[1] / 2) / (shape[1] / 2.5)) ** 2 + ((x - shape[2] / 2) / (shape[2] / 2.3)) ** 2 < 1
    labels = np.zeros(shape, np.uint8)
    inside = (z >= 3) & (z < 10)
    labels[inside & (abs(y - 28 - shift[0]) < 9) & (abs(x - 20 - shift[1]) < 8)] = 1
    labels[inside & (abs(y - 30 - shift[0]) < 7) & (abs(x - 52 - shift[1]) < 6)] = 3
    grey = {"CT": (-1000, -50, 75, 175), "MR": (0, 400, 700, 250)}[modality]
    array = np.full(shape, grey[0], np.float32)
    array[body] = grey[1]
    array[labels == 1], array[labels == 3] = grey[2], grey[3]
    # the brightest value is fixed, so percentiles are too
    array[body & (labels == 0) & (y % 7 == 0) & (x % 5 == 0)] = grey[1] if modality == "CT" else 1000
    volume = Volume(
        array, Geometry(shape, (5.0, 3.0, 3.0)), modality, "HU" if modality == "CT" else "", name="scan"
    )
    return volume, labels


@pytest.fixture
def grey_model() -> NearestGrey:
    return NearestGrey()


@pytest.fixture
def scan() -> Any:
    return make_scan


@pytest.fixture
def organs() -> dict[int, str]:
    return dict(ORGANS)
