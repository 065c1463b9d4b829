"""Masks with the errors of a network, for supports that a network has painted."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cpclnet.episodes.appearance import gaussian_blur, smooth_field


def roughened(masks: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Masks (classes, K, S, S) with the errors of a network: wavy edges, leaks into the neighbourhood, missing pieces.

    Parameters
    ----------
    masks : Tensor
        0 and 1.
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
    rough = _blotted(((soft + strength * wave > 0.5) & near).float(), near, generator)
    kept = rough.flatten(2).amax(2) > 0
    return torch.where(kept[..., None, None], rough, masks)


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
