"""Simulated errors of priors: taken from another patient, interpolated between painted slices, or slightly deformed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.model.prior_inputs import REACH_MM, plane_distance

Mask = NDArray[np.bool_]
Sample = Callable[[NDArray[np.float64]], Mask]
"""Masks (K, H, W) of planes at places (K,) of a stack, counted in its slices."""


@dataclass(frozen=True, eq=False)
class Prior:
    """A prior of a stack.

    Attributes
    ----------
    distance : ndarray, shape (N, H, W)
        To its outline, in mm.
    away_mm : ndarray, shape (N,)
        From the next painted slice; one everywhere if it does not come of painted slices.
    """

    distance: NDArray[np.float32]
    away_mm: NDArray[np.float64]


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


def interpolated(
    rng: np.random.Generator, sample: Sample, count: int, context_mm: float, pixel_mm: float, gap_mm: float
) -> Prior:
    """Prior of `count` slices between painted ones that lie `gap_mm` apart: their signed distances, interpolated.

    Beyond the last painted slice that shows the class its outline shrinks, and ends after half a gap.
    """
    gap = gap_mm / context_mm
    first = -float(rng.uniform(0, gap))
    painted = np.arange(first, count - 1 + gap, gap)
    masks = sample(painted)
    distances = plane_distance(masks, pixel_mm)
    shown = [bool(mask.any()) for mask in masks]
    slope = float(rng.uniform(0.4, 1.2))
    out = np.full((count, *masks.shape[1:]), -REACH_MM, np.float32)
    away = np.zeros(count)
    for i in range(count):
        left = min(int((i - first) / gap), len(painted) - 2)
        share = (i - painted[left]) / gap
        away[i] = min(share, 1 - share) * gap_mm
        before, after = distances[left], distances[left + 1]
        if shown[left] and shown[left + 1]:
            out[i] = (1 - share) * before + share * after
        elif shown[left] and share < 0.5:
            out[i] = before - slope * share * gap_mm
        elif shown[left + 1] and share > 0.5:
            out[i] = after - slope * (1 - share) * gap_mm
    return Prior(np.clip(out, -REACH_MM, REACH_MM), away)


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
