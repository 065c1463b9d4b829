"""CMDA: cross-modal dynamic alignment of the query's features with the support's.

The published text names a shared latent space and an `align` loss, nothing else; what follows is our reconstruction.
The query's projected features are brought to the support's statistics, channel by channel, through gates that a small
network opens where that helps. Its last layer starts at zero, so the module starts as the identity. The support is
never changed by a query, so its descriptors are computed once and kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

_EPS = 1e-5


@dataclass(frozen=True)
class LatentStatistics:
    """Statistics of the support in the shared latent space, per class.

    Attributes
    ----------
    mean, std : Tensor, shape (..., classes, L)
        Over all support slices.
    inside, outside : Tensor, shape (..., classes, L)
        Means inside and outside of the class's masks (the overall mean where one of them is empty).
    """

    mean: Tensor
    std: Tensor
    inside: Tensor
    outside: Tensor


class CMDA(nn.Module):
    """Gated transfer of the support's feature statistics to the query.

    Parameters
    ----------
    channels : int
        Of the feature grid.
    latent : int
        Of the shared latent space.
    """

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, latent, 1)
        self.gates = nn.Sequential(nn.Linear(6 * latent, latent), nn.SiLU(), nn.Linear(latent, latent))
        self.restore = nn.Conv2d(latent, channels, 1, bias=False)
        nn.init.zeros_(self.restore.weight)

    def statistics(self, tokens: Tensor, masks: Tensor, known: Tensor | None = None) -> LatentStatistics:
        """Statistics of a support set.

        Parameters
        ----------
        tokens : Tensor, shape (N, C)
            Feature vectors of all cells of all support slices.
        masks : Tensor, shape (classes, N)
            Fraction of each cell that belongs to the class.
        known : Tensor, shape (classes, N), optional
            Fraction of each cell of which that is known; by default all.
        """
        latent = torch.nn.functional.linear(tokens, self.project.weight[..., 0, 0], self.project.bias).float()
        mean = latent.mean(0).expand(len(masks), -1)
        std = latent.var(0, unbiased=False).add(_EPS).sqrt().expand(len(masks), -1)

        def masked_mean(weight: Tensor) -> Tensor:
            total = weight.sum(1, keepdim=True)
            return torch.where(total > _EPS, weight @ latent / total.clamp(min=_EPS), mean)

        masks = masks.float()
        outside = 1 - masks if known is None else (known.float() - masks).clamp(min=0)
        # Sums over many thousand cells leave the range of half precision.
        with torch.autocast(tokens.device.type, enabled=False):
            return LatentStatistics(mean, std, masked_mean(masks), masked_mean(outside))

    def forward(self, query: Tensor, support: LatentStatistics) -> tuple[Tensor, Tensor]:
        """Align the query with the support.

        Parameters
        ----------
        query : Tensor, shape (B, C, h, w)
        support : LatentStatistics
            With leading dimensions (B, classes) or (1, classes).

        Returns
        -------
        aligned : Tensor, shape (B, classes, C, h, w)
        align : Tensor, scalar
            Gated distance of the two sides' statistics; the loss `align`.
        """
        b = len(query)
        latent = self.project(query)
        flat = rearrange(latent, "b l h w -> b l (h w)").float()
        mean, std = flat.mean(2), flat.var(2, unbiased=False).add(_EPS).sqrt()
        classes = support.mean.shape[-2]
        own = torch.cat([mean, std], 1)[:, None].expand(-1, classes, -1)
        other = torch.cat([support.mean, support.std, support.inside, support.outside], -1).expand(b, -1, -1)
        gate = torch.sigmoid(self.gates(torch.cat([own, other], 2)))  # (B, classes, L)
        target_mean, target_std = support.mean.expand(b, -1, -1), support.std.expand(b, -1, -1)
        # g * ((x - mean) / std * std* + mean*) is linear in x: scale and shift per channel.
        scale = gate * target_std / std[:, None]
        shift = gate * target_mean - scale * mean[:, None]
        # Folding the scale into the 1x1 convolution avoids a latent map per class.
        weight = self.restore.weight[..., 0, 0]
        mixed = torch.einsum("ol,bkl,blhw->bkohw", weight, scale.to(latent.dtype), latent)
        mixed = mixed + (shift.to(latent.dtype) @ weight.T)[..., None, None]
        distance = (target_mean - mean[:, None]).square() + (target_std - std[:, None]).square()
        align = (gate * distance / target_std.square().clamp(min=_EPS)).mean()
        return query[:, None] + mixed, align
