"""Decoder: affinity maps, query features and fine skips to two logits per pixel.

Descriptors have no order, so their maps are summed up without one, for the object and for the background apart: the
log-sum-exp of every head, and of the whole vectors also the maximum, the mean of the best three, the mask's mean, the
rim's and the ring's. No geometry of the support is drawn on the query.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cpclnet.model.crpd import BOUNDARY_IN, FOREGROUND, RING
from napari_cpclnet.model.layers import Residual, group_norm, resize_like

_LOW = -20.0  # below every affinity that occurs; what an empty side answers
LEVEL_MAPS = 3


def summarise(affinity: Tensor, valid: Tensor, roles: Tensor) -> Tensor:
    """Order-free summary of affinity maps.

    Parameters
    ----------
    affinity : Tensor, shape (B, heads + 1, D, h, w)
    valid : Tensor of bool, shape (B, D)
    roles : Tensor, shape (D,)

    Returns
    -------
    Tensor, shape (B, 3 * (heads + 1) + 8, h, w)
        Log-sum-exp of both sides and their difference for each head; then, of the whole vectors, maximum, mean of the
        best three, and means (mask and rim, ring and background) of both sides.
    """
    affinity = affinity.masked_fill(~valid[:, None, :, None, None], _LOW)
    means = slice(affinity.shape[2] - 4, None)
    sides = []
    extra = []
    for side in ((roles == FOREGROUND) | (roles == BOUNDARY_IN), (roles != FOREGROUND) & (roles != BOUNDARY_IN)):
        maps = affinity[:, :, side]
        sides.append(torch.logsumexp(maps, 2))
        best = maps[:, 0].topk(min(3, maps.shape[2]), 1).values
        extra += [best[:, :1], best.mean(1, keepdim=True)]
    extra.append(affinity[:, 0, means])
    return torch.cat([*sides, sides[0] - sides[1], *extra], 1)


def summary_channels(heads: int) -> int:
    """Number of channels that :func:`summarise` returns."""
    return 3 * (heads + 1) + 8


class Decoder(nn.Module):
    """From stride 4 to full resolution."""

    def __init__(self, channels: int, skip_channels: int, heads: int) -> None:
        super().__init__()
        maps = summary_channels(heads) + LEVEL_MAPS
        self.mix = nn.Sequential(nn.Conv2d(channels + maps, 64, 3, 1, 1), group_norm(64), nn.SiLU(), Residual(64, 48))
        self.fine = nn.Sequential(nn.Conv2d(48 + skip_channels, 32, 3, 1, 1), group_norm(32), nn.SiLU())
        self.logits = nn.Conv2d(32, 2 * 4, 3, 1, 1)

    def forward(self, summary: Tensor, level: Tensor, refined: Tensor, skip: Tensor) -> Tensor:
        """Decode.

        Parameters
        ----------
        summary : Tensor, shape (B, maps, h, w)
        level : Tensor, shape (B, 3)
            How the query's level in the body relates to the support's, the same for every pixel.
        refined : Tensor, shape (B, C, h, w)
        skip : Tensor, shape (B, S, 2h, 2w)

        Returns
        -------
        Tensor, shape (B, 2, 4h, 4w)
            Logits of background and foreground.
        """
        # Affinities reach +-temperature (about ten); a tenth of that suits the convolutions.
        flat = level[..., None, None].expand(-1, -1, *summary.shape[-2:])
        x = self.mix(torch.cat([summary.to(refined.dtype) / 10, flat.to(refined.dtype), refined], 1))
        x = self.fine(torch.cat([resize_like(x, skip), skip], 1))
        return F.pixel_shuffle(self.logits(x), 2)
