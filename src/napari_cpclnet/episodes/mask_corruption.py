"""Masks with the errors of a network, for supports that a network has painted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.episodes.appearance import gaussian_blur, smooth_field
from napari_cpclnet.phantoms.structures import STRUCTURES

_MISTAKEN = 0.4
"""Share of classes that a neighbouring structure is taken for part of, on most slices."""

_MOST = 0.75
_AROUND = 13  # pixels: side of the square that masks are dilated by; 24 mm on every side


def corrupt_masks(
    masks: Tensor, labels: Tensor | None, strength: float, generator: torch.Generator
) -> Tensor:
    """Masks (classes, K, S, S) with the errors of a network: wavy edges, leaks into the neighbourhood, missing pieces.

    Parameters
    ----------
    masks : Tensor
        0 and 1.
    labels : Tensor of int64, shape (K, S, S), or None
        Structure of every pixel. What a network takes for part of a class on one slice, gallbladder for liver say, it
        mostly takes for it on the others as well; None where nothing but the support could tell them apart.
    strength : float
        Standard deviation of the wave that is added to the softened mask; 0 smooths only.
    generator : torch.Generator
        On the device of the masks.

    Returns
    -------
    Tensor
        Of the same shape. A mask that shows a class still does, and one that shows none stays empty.
    """
    sigma = torch.full((len(masks),), 0.8, device=masks.device)
    soft = gaussian_blur(masks, sigma)
    wave = smooth_field(12, tuple(masks.shape), generator, masks.device)
    near = gaussian_blur(masks, 5 * sigma) > 0.02
    rough = (soft + strength * wave > 0.5) & near
    if labels is not None:
        rough = rough | _mistaken(masks, labels, generator)
    rough = _blotted(rough.float(), near, generator)
    kept = rough.flatten(2).amax(2) > 0
    return torch.where(kept[..., None, None], rough, masks)


def _mistaken(masks: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels of one neighbouring structure that are taken for part of a class; none for most classes."""
    device = masks.device
    counts = torch.zeros(len(masks), len(STRUCTURES), device=device)
    around = (F.max_pool2d(masks, _AROUND, 1, _AROUND // 2) > 0) & (masks == 0)
    counts.scatter_add_(1, labels.flatten().expand(len(masks), -1), around.flatten(1).float())
    counts[:, STRUCTURES["air"]] = 0
    # the root, for fat and muscle are around everything
    chosen = torch.multinomial(counts.sqrt() + 1e-6, 1, generator=generator)
    draw = torch.rand((len(masks), 1 + masks.shape[1]), generator=generator, device=device)
    shown = (draw[:, :1] < _MISTAKEN) & (draw[:, 1:] < _MOST)
    return (labels == chosen[:, :, None, None]) & around & shown[:, :, None, None]


def _blotted(masks: Tensor, near: Tensor, generator: torch.Generator) -> Tensor:
    """Masks of which a third has a disc too much or too little at the edge: a neighbour taken for part of it."""
    side, device = masks.shape[-1], masks.device
    weights = near.flatten(0, 1).flatten(1).float() + 1e-6
    place = torch.multinomial(weights, 1, generator=generator)
    row, column = place // side, place % side
    y, x = (torch.arange(n, device=device) for n in masks.shape[-2:])
    draw = torch.rand((2, len(weights)), generator=generator, device=device)
    radius = 2 + 6 * draw[0]
    away = (y - row)[:, :, None] ** 2 + (x - column)[:, None, :] ** 2
    disc = (away < radius[:, None, None] ** 2).view_as(masks) & near
    kind = draw[1].view(*masks.shape[:2], 1, 1)
    masks = torch.where(disc & (kind < 0.2), 1.0, masks)
    return torch.where(disc & (kind > 0.87), 0.0, masks)
