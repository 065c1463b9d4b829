"""CRPD: clustering-inspired representative prototype descriptors.

What the support's masks look like is summed up in a few unit vectors: clusters of the features inside the mask, in the
ring around it and in the rest, beside the plain means. All support slices feed one clustering, so any number of them
works, slices without the class included. (Reconstruction: the published code is missing; its ancestor learns linear
layers over pixel positions, which ties it to one image size and is random at test time.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from napari_cpclnet.model.settings import CPCLNetSettings

FOREGROUND, BOUNDARY_IN, RING, BACKGROUND = range(4)
"""Roles of descriptors: of the object, of its inner rim, of the ring around it, of everything else."""
ROLES = 4
_EPS = 1e-6
_RING = 5  # cells; the ring is what a 5x5 dilation adds


@dataclass(frozen=True)
class Prototypes:
    """Descriptors of several classes.

    Attributes
    ----------
    vectors : Tensor, shape (..., classes, D, C)
        Unit vectors; zero where not valid.
    valid : Tensor of bool, shape (..., classes, D)
    roles : Tensor of int, shape (D,)
        Role of each descriptor: first the object's clusters, mean and rim, then the clusters of ring and rest and
        their means.
    """

    vectors: Tensor
    valid: Tensor
    roles: Tensor


def mask_fractions(masks: Tensor, stride: int = 4) -> Tensor:
    """Fraction of each grid cell that a mask covers: (..., H, W) -> (..., H / stride, W / stride)."""
    flat = masks.reshape(-1, 1, *masks.shape[-2:]).float()
    return F.avg_pool2d(flat, stride).reshape(
        *masks.shape[:-2], masks.shape[-2] // stride, masks.shape[-1] // stride
    )


def rings(masks: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Outer ring and inner rim of masks.

    Parameters
    ----------
    masks : Tensor, shape (classes, K, h, w)
        Fractions in [0, 1].
    known : Tensor, shape (classes, K, h, w), optional
        Fraction of each cell of which it is known whether it belongs to the class; by default all.

    Returns
    -------
    ring, rim : Tensor, shape (classes, K, h, w)
        Weights in [0, 1].
    """
    outside = 1 - masks if known is None else (known - masks).clamp(min=0)
    ring = F.max_pool2d(masks, _RING, 1, _RING // 2) * outside
    rim = masks * F.max_pool2d(outside, 3, 1, 1)
    return ring, rim


@torch.no_grad()
def _farthest_points(tokens: Tensor, weights: Tensor, count: int) -> Tensor:
    """Seeds (G, count, C) by weighted farthest-point sampling from the token nearest to the weighted mean.

    Deterministic, and independent of the order of the tokens as long as no two of them tie.
    """
    mean = F.normalize(weights @ tokens, dim=-1)  # (G, C)
    similarity = mean @ tokens.T
    first = torch.where(weights > 0, similarity + weights, -torch.inf).argmax(1)
    seeds = [tokens[first]]
    nearest = torch.full_like(weights, -1.0)  # cosine to the nearest seed so far
    for _ in range(count - 1):
        nearest = torch.maximum(nearest, seeds[-1] @ tokens.T)
        seeds.append(tokens[((1 - nearest) * weights).argmax(1)])
    return torch.stack(seeds, 1)


def cluster(
    tokens: Tensor, weights: Tensor, count: int, iterations: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Weighted soft k-means of unit vectors.

    ``a_nk = M_n softmax_k(<f_n, c_k> / tau)``, ``c_k = normalise(sum_n a_nk f_n)``; gradient through the last step.

    Parameters
    ----------
    tokens : Tensor, shape (N, C)
        Unit vectors.
    weights : Tensor, shape (G, N)
        Membership of the tokens in each of `G` groups, in [0, 1].
    count : int
        Largest number of clusters; a group has no more of them than it has members.

    Returns
    -------
    centres : Tensor, shape (G, count, C)
        Unit vectors, zero where not valid.
    valid : Tensor of bool, shape (G, count)
    """
    number = (weights > 0.25).sum(1).clamp(max=count)
    number = torch.where(weights.amax(1) > _EPS, number.clamp(min=1), 0)
    valid = torch.arange(count, device=tokens.device) < number[:, None]
    centres = _farthest_points(tokens.detach(), weights, count)
    bias = torch.zeros_like(valid, dtype=tokens.dtype).masked_fill(~valid, -1e4)[:, :, None]

    def step(source: Tensor, centres: Tensor) -> Tensor:
        share = torch.softmax(centres @ source.T / temperature + bias, 1) * weights[:, None]
        return F.normalize(share @ source, dim=-1, eps=_EPS)

    with torch.no_grad():
        for _ in range(iterations - 1):
            centres = step(tokens.detach(), centres)
    centres = step(tokens, centres.detach())
    return centres * valid[..., None], valid


def describe(
    grids: Sequence[Tensor],
    masks: Sequence[Tensor],
    settings: CPCLNetSettings,
    known: Sequence[Tensor] | None = None,
) -> Prototypes:
    """Descriptors of one support set.

    Parameters
    ----------
    grids : sequence of Tensor, shape (K_i, C, h_i, w_i)
        Feature grids of the support slices, one entry per slice size.
    masks : sequence of Tensor, shape (classes, K_i, h_i, w_i)
        Fraction of each cell that belongs to each class; all zero where the class is absent.
    known : sequence of Tensor, shape (classes, K_i, h_i, w_i), optional
        Fraction of each cell of which that is known; the rest describes nothing. By default all is known.

    Returns
    -------
    Prototypes
        Without leading dimensions: vectors (classes, D, C).
    """
    with torch.autocast(grids[0].device.type, enabled=False):
        tokens = F.normalize(torch.cat([rearrange(g, "k c h w -> (k h w) c") for g in grids]).float(), dim=1)
        parts = []
        everywhere: list[Tensor | None] = [None] * len(masks)
        for mask, sure in zip(masks, known or everywhere, strict=True):
            mask = mask.float()
            ring, rim = rings(mask, sure)
            outside = 1 - mask if sure is None else (sure - mask).clamp(min=0)
            parts.append(
                rearrange([mask, rim, ring, outside * (1 - ring), outside], "part m k h w -> part m (k h w)")
            )
        inside, rim, ring, rest, outside = torch.cat(parts, 2)  # each (classes, N)
        vectors, valid, roles = [], [], []

        def add_clusters(weights: Tensor, count: int, role: int) -> None:
            centres, good = cluster(
                tokens, weights, count, settings.cluster_iterations, settings.cluster_temperature
            )
            vectors.append(centres)
            valid.append(good)
            roles.extend([role] * count)

        def add_mean(weights: Tensor, role: int) -> None:
            vectors.append(F.normalize(weights @ tokens, dim=-1, eps=_EPS)[:, None])
            valid.append(weights.amax(1, keepdim=True) > _EPS)
            roles.append(role)

        add_clusters(inside, settings.foreground_descriptors, FOREGROUND)
        add_mean(inside, FOREGROUND)
        add_mean(rim, BOUNDARY_IN)
        add_clusters(ring, settings.ring_descriptors, RING)
        add_clusters(rest, settings.background_descriptors, BACKGROUND)
        add_mean(ring, RING)
        add_mean(outside, BACKGROUND)
        good = torch.cat(valid, 1)
        stacked = torch.cat(vectors, 1) * good[..., None]
    return Prototypes(stacked, good, torch.tensor(roles, device=stacked.device))
