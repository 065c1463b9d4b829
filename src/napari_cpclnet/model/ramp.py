"""RAMP: RWKV affinity map prediction.

Descriptors and query tokens refine each other in a few RWKV blocks (spatial mix with the bidirectional WKV, channel
mix, Q-shift on the query's grid), then every descriptor is compared with every cell of the query: the affinity maps.
Descriptors enter as a set, not as tokens of the sequence, so their order means nothing. Every block ends in a layer
that starts at zero: the untrained module gives the plain cosine affinities. (Reconstruction; blocks as in Vision-RWKV.)
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from napari_cpclnet.model.crpd import ROLES, Prototypes
from napari_cpclnet.model.wkv import bidirectional_wkv

EMPTY = -20.0
"""Affinity of padding: below every one that occurs."""


def q_shift(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Shift a quarter of the channels by one cell in each of the four directions.

    Parameters
    ----------
    tokens : Tensor, shape (B, h * w, C)
    size : (int, int)
        Height and width of the token grid.
    """
    b, _, c = tokens.shape
    grid = tokens.view(b, *size, c)
    up, down, left, right = torch.split(grid, [c // 4, c // 4, c // 4, c - 3 * (c // 4)], 3)
    shifted = [
        F.pad(up, (0, 0, 0, 0, 1, 0))[:, :-1],
        F.pad(down, (0, 0, 0, 0, 0, 1))[:, 1:],
        F.pad(left, (0, 0, 1, 0))[:, :, :-1],
        F.pad(right, (0, 0, 0, 1))[:, :, 1:],
    ]
    return torch.cat(shifted, 3).view_as(tokens)


class _Mix(nn.Module):
    """Learned blend of tokens with their shifted neighbours, one blend per use."""

    def __init__(self, channels: int, uses: int) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.full((uses, channels), 0.5))

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> list[Tensor]:
        shifted = q_shift(tokens, size)
        return [torch.lerp(shifted, tokens, share.to(tokens.dtype)) for share in self.share]


class SpatialMix(nn.Module):
    """Exchange between all query tokens and all descriptors through the bidirectional WKV."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = _Mix(channels, 3)
        self.receptance = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.output = nn.Linear(channels, channels, bias=False)
        nn.init.zeros_(self.output.weight)
        # From nearly global to local attention over the channels.
        self.decay = nn.Parameter(torch.linspace(-1, 10, channels))
        self.bonus = nn.Parameter(torch.zeros(channels))

    def forward(
        self, tokens: Tensor, descriptors: Tensor, valid: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        r, k, v = self.mix(tokens, size)
        mixed, mixed_set = bidirectional_wkv(
            self.decay,
            self.bonus,
            self.key(k),
            self.value(v),
            self.key(descriptors),
            self.value(descriptors),
            valid,
        )
        return (
            self.output(torch.sigmoid(self.receptance(r)) * mixed),
            self.output(torch.sigmoid(self.receptance(descriptors)) * mixed_set),
        )


class ChannelMix(nn.Module):
    """Feed-forward with squared ReLU, gated by the receptance."""

    def __init__(self, channels: int, ratio: int = 2) -> None:
        super().__init__()
        self.mix = _Mix(channels, 2)
        self.receptance = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, ratio * channels, bias=False)
        self.value = nn.Linear(ratio * channels, channels, bias=False)
        nn.init.zeros_(self.value.weight)

    def _feed(self, r: Tensor, k: Tensor) -> Tensor:
        fed: Tensor = torch.sigmoid(self.receptance(r)) * self.value(F.relu(self.key(k)).square())
        return fed

    def forward(self, tokens: Tensor, descriptors: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        r, k = self.mix(tokens, size)
        return self._feed(r, k), self._feed(descriptors, descriptors)


class Block(nn.Module):
    """One RWKV block over a query's tokens and a set of descriptors."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.spatial = SpatialMix(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.channel = ChannelMix(channels)

    def forward(
        self, tokens: Tensor, descriptors: Tensor, valid: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """(B, N, C), (B, D, C), (B, D) -> refined tokens and descriptors."""
        a, b = self.spatial(self.norm1(tokens), self.norm1(descriptors), valid, size)
        tokens, descriptors = tokens + a, descriptors + b
        a, b = self.channel(self.norm2(tokens), self.norm2(descriptors), size)
        return tokens + a, descriptors + b


class RAMP(nn.Module):
    """Affinity maps of descriptors on a query.

    Parameters
    ----------
    channels, blocks, heads : int
        `heads` splits the channels; each head has its own affinities and its own temperature.
    """

    stride = 2  # tokens of the RWKV blocks, in cells of the feature grid

    def __init__(self, channels: int, blocks: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            msg = f"{channels} channels cannot be split into {heads} heads"
            raise ValueError(msg)
        self.role = nn.Embedding(ROLES, channels)
        nn.init.zeros_(self.role.weight)
        self.reduce = nn.Conv2d(channels, channels, self.stride, self.stride)
        self.blocks = nn.ModuleList(Block(channels) for _ in range(blocks))
        self.expand = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.zeros_(self.expand.weight)
        self.heads = heads
        self.log_temperature = nn.Parameter(torch.full((heads + 1,), math.log(10.0)))

    def forward(self, query: Tensor, prototypes: Prototypes) -> tuple[Tensor, Tensor]:
        """Affinity maps of the descriptors, and the refined features of the query.

        Parameters
        ----------
        query : Tensor, shape (B, C, h, w)
            One aligned feature grid per query and class.
        prototypes : Prototypes
            vectors (B, D, C), valid (B, D).

        Returns
        -------
        affinity : Tensor, shape (B, heads + 1, D, h, w)
            Cosines times a learned temperature: of the whole vectors first, then head by head. `EMPTY` for padding.
        refined : Tensor, shape (B, C, h, w)
        """
        c, h, w = query.shape[1:]
        # Unit vectors have entries of about 1 / sqrt(C); tokens of about one.
        descriptors = prototypes.vectors.to(query.dtype) * math.sqrt(c)
        refined = query
        if self.blocks:
            tokens = self.reduce(query)
            size = (tokens.shape[2], tokens.shape[3])
            tokens = rearrange(tokens, "b c h w -> b (h w) c")
            descriptors = descriptors + self.role(prototypes.roles)
            for block in self.blocks:
                tokens, descriptors = block(tokens, descriptors, prototypes.valid, size)
            change = self.expand(rearrange(tokens, "b (h w) c -> b c h w", h=size[0]))
            refined = query + F.interpolate(change, size=(h, w), mode="bilinear", align_corners=False)
        cells = rearrange(refined, "b c h w -> b c (h w)")
        scale = self.log_temperature.exp()
        maps = []
        for heads, temperature in ((1, scale[:1]), (self.heads, scale[1:])):
            left = F.normalize(
                rearrange(descriptors, "b d (n c) -> b d n c", n=heads).float(), dim=3, eps=1e-4
            )
            right = F.normalize(rearrange(cells, "b (n c) l -> b n c l", n=heads).float(), dim=2, eps=1e-4)
            maps.append(torch.einsum("bdnc,bncl->bndl", left, right) * temperature[:, None, None])
        # In place: these are the largest maps of the network.
        affinity = torch.cat(maps, 1).masked_fill_(~prototypes.valid[:, None, :, None], EMPTY)
        return rearrange(affinity, "b n d (h w) -> b n d h w", h=h), refined
