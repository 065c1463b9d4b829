"""Decoder: affinity maps, query features and fine skips to two logits per pixel.

Descriptors have no order, so their maps are summed up without one, for the object and for the background apart: the
log-sum-exp of every head, and of the whole vectors also the maximum, the mean of the best three, the mask's mean, the
rim's and the ring's. No geometry of the support is drawn on the query.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cpclnet.model.appearance import MAPS
from napari_cpclnet.model.crpd import BOUNDARY_IN, FOREGROUND
from napari_cpclnet.model.layers import Residual, group_norm, resize_like

LEVEL_MAPS = 3


def summarise(affinity: Tensor, roles: Tensor) -> Tensor:
    """Order-free summary of affinity maps.

    Parameters
    ----------
    affinity : Tensor, shape (B, heads + 1, D, h, w)
        Of the object's descriptors first, then of the background's; each side ends in its two means. Very low where a
        descriptor is padding.
    roles : Tensor, shape (D,)

    Returns
    -------
    Tensor, shape (B, 3 * (heads + 1) + 8, h, w)
        Difference of the log-sum-exp of both sides for each head, then the two log-sum-exps; then, of the whole
        vectors, maximum and mean of the best three of both sides, and the means (mask and rim, ring and background).
    """
    front = int(((roles == FOREGROUND) | (roles == BOUNDARY_IN)).sum())
    sides, extra = [], []
    for maps in (affinity[:, :, :front], affinity[:, :, front:]):
        sides.append(torch.logsumexp(maps, 2))
        best = maps[:, 0].topk(min(3, maps.shape[2]), 1).values
        extra += [best[:, :1], best.mean(1, keepdim=True), maps[:, 0, -2:]]
    return torch.cat([sides[0] - sides[1], *sides, *extra], 1)


def summary_channels(heads: int) -> int:
    """Number of channels that :func:`summarise` returns."""
    return 3 * (heads + 1) + 8


class Decoder(nn.Module):
    """From stride 4 to full resolution.

    The bare answer of the descriptors goes straight to the logits; convolutions correct it.
    """

    def __init__(self, channels: int, skip_channels: int, heads: int) -> None:
        super().__init__()
        maps = summary_channels(heads) + LEVEL_MAPS
        self.reduce = nn.Conv2d(channels, 32, 1)
        self.join = nn.Conv2d(32 + maps, 48, 3, 1, 1)
        self.mix = nn.Sequential(group_norm(48), nn.SiLU(), Residual(48, 48))
        # Without an appearance the decoder does as if there were no such thing: no bias, and nothing to begin with.
        self.like = nn.Conv2d(MAPS, 48, 3, 1, 1, bias=False)
        self.like_fine = nn.Conv2d(4 * MAPS, 32, 3, 1, 1, bias=False)
        for layer in (self.like, self.like_fine):
            nn.init.zeros_(layer.weight)
        self.rise = nn.Conv2d(48, 32, 1)
        self.skip = nn.Conv2d(skip_channels, 32, 3, 1, 1)
        self.fine = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), group_norm(32), nn.SiLU())
        self.logits = nn.Conv2d(32, 2 * 4, 3, 1, 1)
        self.prior = nn.Parameter(torch.tensor(0.5))
        # Few pixels belong to the object: starting from there keeps the first steps from pushing all to nothing.
        assert self.logits.bias is not None
        nn.init.zeros_(self.logits.bias)
        nn.init.constant_(self.logits.bias[:4], 1.5)
        nn.init.constant_(self.logits.bias[4:], -1.5)

    def forward(
        self, summary: Tensor, level: Tensor, refined: Tensor, skip: Tensor, appearance: Tensor
    ) -> Tensor:
        """Logits at full resolution.

        Parameters
        ----------
        summary : Tensor, shape (B * classes, maps, h, w)
        level : Tensor, shape (B * classes, 3)
            How the query's level in the body relates to the support's, the same for every pixel; 0 where unknown.
        refined : Tensor, shape (B * classes, C, h, w)
        skip : Tensor, shape (B, S, 2h, 2w)
            Shared by the classes of a query.
        appearance : Tensor, shape (B * classes, MAPS, 4h, 4w)
            What the class plainly looks like in this scan; all zero where unknown.

        Returns
        -------
        Tensor, shape (B * classes, 2, 4h, 4w)
            Logits of background and foreground.
        """
        bare = F.interpolate(summary[:, :1], scale_factor=4, mode="bilinear", align_corners=False)
        # Affinities reach +-temperature (about ten); a tenth of that suits the convolutions.
        flat = level[..., None, None].expand(-1, -1, *summary.shape[-2:]).to(refined.dtype)
        x = self.join(torch.cat([self.reduce(refined), summary.to(refined.dtype) / 10, flat], 1))
        appearance = appearance.to(refined.dtype)
        x = self.mix(x + self.like(F.avg_pool2d(appearance, 4)))
        x = resize_like(self.rise(x), skip) + self.like_fine(F.pixel_unshuffle(appearance, 2))
        x = torch.unflatten(x, 0, (len(skip), -1))
        x = self.fine(F.silu(x + self.skip(skip)[:, None]).flatten(0, 1))
        background, foreground = torch.split(F.pixel_shuffle(self.logits(x), 2).float(), 1, 1)
        return torch.cat([background, foreground + self.prior * bare], 1)
