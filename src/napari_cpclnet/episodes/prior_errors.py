"""Simulated errors of priors: smooth deformations, parts that are missing, and neighbours taken along."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Mask = NDArray[np.bool_]


class SmoothField:
    """A smooth random displacement of points in space.

    Parameters
    ----------
    rng : numpy.random.Generator
    rms_mm : float
        Of its length.
    wavelength_mm : float
        Distance of its nodes, between which it is linear.
    extent_mm : ndarray, shape (3,)
        Points lie between 0 and this.
    """

    def __init__(
        self, rng: np.random.Generator, rms_mm: float, wavelength_mm: float, extent_mm: NDArray[np.float64]
    ) -> None:
        self._extent = torch.from_numpy(np.asarray(extent_mm, np.float32))
        nodes = [int(np.ceil(e / wavelength_mm)) + 2 for e in extent_mm]
        # linear interpolation between independent nodes takes a third of the length of the vectors away
        drawn = rng.normal(0, rms_mm / 3**0.5 * 1.5, (1, 3, *nodes)).astype(np.float32)
        self._nodes = torch.from_numpy(drawn)

    def at(self, points: Tensor) -> Tensor:
        """Displacements at points (..., 3), in mm (z, y, x)."""
        grid = (points / self._extent * 2 - 1).flip(-1).reshape(1, 1, 1, -1, 3)
        found = F.grid_sample(self._nodes, grid, mode="bilinear", padding_mode="border", align_corners=True)
        return found.view(3, -1).T.reshape(points.shape)


def spoiled(rng: np.random.Generator, mask: Mask, neighbour: Mask) -> Mask:
    """A mask (N, H, W) that lacks a part, or took a part of its `neighbour` along; mostly itself."""
    draw = rng.random()
    if draw < 0.08 and mask.any():
        place = np.argwhere(mask)
        normal = rng.normal(size=3)
        along = place @ normal
        cut = np.quantile(along, rng.uniform(0.5, 0.9))
        kept = np.zeros_like(mask)
        kept[tuple(place[along < cut].T)] = True
        return kept
    if draw < 0.14:
        kept = mask.copy()
        end = int(rng.integers(1, max(2, len(mask) // 2)))
        kept[slice(None, end) if rng.random() < 0.5 else slice(-end, None)] = False
        return kept
    if draw < 0.22 and neighbour.any() and mask.any():
        place = np.argwhere(neighbour)
        seed = np.argwhere(mask).mean(0)
        far = (((place - seed) * [2.0, 1.0, 1.0]) ** 2).sum(1)
        cut = np.quantile(far, rng.uniform(0.1, 0.5))
        joined = mask.copy()
        joined[tuple(place[far < cut].T)] = True
        return joined
    return mask
