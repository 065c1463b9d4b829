"""Appearance model by histograms: how much a pixel looks like a class does on other slices of the same scan.

Descriptors are made to outlive a change of scanner, so they forget how bright an organ is. Within one scan that is the
best of all signs: whatever the support says, lung is no spleen where the spleen is white. So where support and query
are slices of one scan, the plain values of the class, of what lies around it, and of the rest are summed up in
histograms, and the decoder is shown what they say of every pixel of the query. Nothing here is learned; where
support and query come from different scans, all maps are zero. (Ours: the published system knows no such thing.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

INTENSITY_FEATURES = 3
"""What is known of a pixel: its brightness, its brightness relative to the slice, its texture."""

MAPS = 3 * INTENSITY_FEATURES + 1
"""Maps of one class: against the ring, against the rest, and how usual, of every cue; and whether they are known."""

BINS = 24
_BODY = 0.03
"""Intensity from which a pixel counts as tissue."""
_AROUND = 15  # pixels: the ring is what a dilation by this square adds
_FLOOR = 0.02
"""Share of an even distribution in every histogram: what was never seen is unlikely, not impossible."""
_LARGEST = 4.0
"""Largest log-ratio that a map shows."""


@dataclass(frozen=True)
class AppearanceModel:
    """What classes look like in one scan.

    Attributes
    ----------
    tables : Tensor, shape (..., classes, 3, INTENSITY_FEATURES, BINS)
        Log of the share of pixels in every bin: inside the masks, around them, elsewhere in the body.
    known : Tensor of bool, shape (..., classes)
        Whether the query is of the same scan and the class was seen there.
    """

    tables: Tensor
    known: Tensor


def intensity_features(images: Tensor) -> Tensor:
    """Intensity features of every pixel.

    Parameters
    ----------
    images : Tensor, shape (B, 3, H, W)
        Intensities in [0, 1]; the middle channel is the slice.

    Returns
    -------
    Tensor, shape (B, INTENSITY_FEATURES, H, W)
        In [0, 1]: mean of 3 x 3 pixels; the same over twice the mean of the slice's tissue, for slices at the ends of
        a coil are darker; four times the standard deviation in the 3 x 3 pixels.
    """
    image = images[:, 1:2].float()
    body = (image > _BODY).float()
    level = (image * body).sum((2, 3), keepdim=True) / body.sum((2, 3), keepdim=True).clamp(min=1)
    mean, square = _mean(image), _mean(image.square())
    texture = (square - mean.square()).clamp(min=0).sqrt()
    return torch.cat([mean, mean / (2 * level).clamp(min=_BODY), 4 * texture], 1).clamp(0, 1)


def _mean(image: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, 1)


def fit_appearance(
    seen: Sequence[Tensor],
    masks: Sequence[Tensor],
    same_scan: Sequence[Tensor] | None,
    known: Sequence[Tensor] | None = None,
) -> AppearanceModel:
    """Histograms of the classes on support slices.

    Parameters
    ----------
    seen : sequence of Tensor, shape (K_i, INTENSITY_FEATURES, H_i, W_i)
        :func:`intensity_features` of the support slices, one entry per slice size.
    masks : sequence of Tensor, shape (classes, K_i, H_i, W_i)
        In [0, 1].
    same_scan : sequence of Tensor of bool, shape (K_i,), or None
        Which of the slices are of the queries' own scan; the others do not count. None: none is.
    known : sequence of Tensor, shape (classes, K_i, H_i, W_i), optional
        Where it is known whether the class is there; by default everywhere.
    """
    classes, device = len(masks[0]), masks[0].device
    counts = torch.zeros(classes, 3, INTENSITY_FEATURES, BINS, device=device)
    if same_scan is None:
        return AppearanceModel(counts, torch.zeros(classes, dtype=torch.bool, device=device))
    everywhere: list[Tensor | None] = [None] * len(masks)
    for values, mask, own, sure in zip(seen, masks, same_scan, known or everywhere, strict=True):
        if not own.any():
            continue
        outside = 1 - mask[:, own].float() if sure is None else (sure - mask)[:, own].clamp(min=0).float()
        values, mask = values[own], mask[:, own].float()
        near = F.max_pool2d(mask, _AROUND, 1, _AROUND // 2) * outside
        body = (values[:, 0] > _BODY).float()
        # air beside the body is no neighbour that could be confused, and would be most of the rest
        weights = torch.stack([mask, near, outside * (1 - near) * body], 1).flatten(2)
        place, share = _place(rearrange(values, "k f h w -> f (k h w)"))
        for cue in range(INTENSITY_FEATURES):
            for step, part in ((0, 1 - share[cue]), (1, share[cue])):
                index = (place[cue] + step).expand_as(weights)
                counts[:, :, cue].scatter_add_(2, index, weights * part)
    wide = F.pad(counts.flatten(0, 2), (1, 1), mode="replicate").view(*counts.shape[:3], BINS + 2)
    smooth = 0.25 * wide[..., :-2] + 0.5 * wide[..., 1:-1] + 0.25 * wide[..., 2:]
    density = smooth / smooth.sum(3, keepdim=True).clamp(min=1e-6)
    density = (1 - _FLOOR) * density + _FLOOR / BINS
    return AppearanceModel(density.log(), counts[:, 0, 0].sum(1) > 0)


def _place(values: Tensor) -> tuple[Tensor, Tensor]:
    """Bin below values in [0, 1], and the share of the next one."""
    place = values * (BINS - 1)
    below = place.floor().clamp(max=BINS - 2)
    return below.long(), place - below


def log_likelihood_maps(query: Tensor, known: AppearanceModel) -> Tensor:
    """Log-likelihood ratio of every class against the rest, pixel by pixel.

    Parameters
    ----------
    query : Tensor, shape (B, INTENSITY_FEATURES, H, W)
    known : AppearanceModel
        With leading dimensions (B, classes).

    Returns
    -------
    Tensor, shape (B, classes, MAPS, H, W)
        Log-ratios of the class to its ring and to the rest, and log of how usual a value is in the class, a quarter
        of each; at last 1. All zero where nothing is known.
    """
    b, classes = known.known.shape
    if not known.known.any():
        return query.new_zeros(b, classes, MAPS, *query.shape[2:])
    inside, around, rest = known.tables.unbind(2)  # (B, classes, INTENSITY_FEATURES, BINS) each
    usual = inside - inside.amax(3, keepdim=True)
    tables = torch.stack([inside - around, inside - rest, usual], 2).clamp(-_LARGEST, _LARGEST) / _LARGEST
    place, share = (rearrange(x, "b f h w -> b 1 1 f (h w)") for x in _place(query))
    # expanded, not repeated: whole numbers for every class and map would take more than all else
    low, high = (tables.gather(4, at.expand(-1, classes, 3, -1, -1)) for at in (place, place + 1))
    maps = torch.lerp(low, high, share).flatten(2, 3)
    maps = torch.cat([maps, torch.ones_like(maps[:, :, :1])], 2) * known.known[..., None, None]
    return maps.view(b, classes, MAPS, *query.shape[2:])
