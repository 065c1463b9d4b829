"""Masks with the errors of a network, for supports that a network has painted."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_cpclnet.episodes.appearance import gaussian_blur, smooth_field


def roughened(masks: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Masks (classes, K, S, S) with the errors of a network: wavy edges, and leaks into the neighbourhood.

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
    rough = ((soft + strength * wave > 0.5) & near).float()
    kept = rough.flatten(2).amax(2) > 0
    return torch.where(kept[..., None, None], rough, masks)
