"""Inputs of the prior decoder beside the slices: the prior's distances, and how grey values speak for it.

A stack is what the decoder works on: slices (N, H, W) of square pixels around one structure, in [0, 1]. Distances are
in mm within the slice, positive inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

REACH_MM = 20.0
"""Distances are told up to this."""
RING_MM = 18.0
"""Grey values inside are compared with those up to this far outside."""
MAPS = 12
"""Channels of :func:`decoder_maps`."""
FACTS = 5
"""Numbers of :func:`decoder_facts`."""

SMOOTH_MM = 3.0
"""Standard deviation of the surroundings whose grey value counts beside the pixel's own."""

_BINS = 64
_FEWEST = 8
_LOCAL_MM = 12.0
_FAR = 1e4
_PIECE = 1_000_000
"""Pixels to compute with at once: a distance transform takes thirty bytes for each."""


@dataclass(frozen=True, eq=False)
class GreyEvidence:
    """How grey values speak for the inside of a prior.

    Attributes
    ----------
    maps : Tensor, shape (N, 3, H, W)
        Logarithm of how much more frequent a pixel's grey value is inside than in the ring around, clipped to [-3, 3]:
        of the pixel, of its surroundings, and compared with the near part of inside and ring alone.
    strength : float
        How well the first two part inside and ring: area under the curve, 0.5 (not at all) to 1; 0.5 where unknown.
    """

    maps: Tensor
    strength: float


def plane_distance(mask: Mask, pixel_mm: float | tuple[float, float]) -> Floats:
    """Signed distance (N, H, W) to the outline of a mask within each slice, in mm, up to `REACH_MM`.

    Pixels are squares, or of the height and width given.
    """
    out = np.full(mask.shape, -REACH_MM, np.float32)
    for at in _pieces(mask.shape):
        _measure(mask[at], pixel_mm, out[at])
    return out


def _measure(mask: Mask, pixel_mm: float | tuple[float, float], out: Floats) -> None:
    """Write the distances of some slices to `out`, which is the lowest everywhere."""
    if not mask.any():
        return
    height, width = pixel_mm if isinstance(pixel_mm, tuple) else (pixel_mm, pixel_mm)
    margins = [0, *(int(np.ceil(REACH_MM / mm)) + 1 for mm in (height, width))]
    box = tuple(
        slice(max(0, int(k[0]) - m), int(k[-1]) + m + 1)
        for k, m in (
            (np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis))), margins[axis])
            for axis in range(3)
        )
    )
    part = mask[box]
    # slices as good as infinitely far from each other, so that one transform measures within each
    sampling = (_FAR, height, width)
    # without an outline nothing is near one
    inside = _FAR if part.all() else ndimage.distance_transform_edt(part, sampling)
    outside = ndimage.distance_transform_edt(~part, sampling)
    half = min(height, width) / 2
    signed = np.where(part, inside - half, half - outside)
    out[box] = np.clip(signed, -REACH_MM, REACH_MM)


def grey_evidence(images: Tensor, distance: Tensor, pixel_mm: float) -> GreyEvidence:
    """Compare grey values inside a prior with those around it.

    Parameters
    ----------
    images : Tensor, shape (N, H, W)
        In [0, 1]; all slices of the stack count together.
    distance : Tensor, shape (N, H, W)
        To the prior's outline.
    pixel_mm : float
    """
    maps = torch.zeros(len(images), 3, *images.shape[1:])
    inside, ring = distance > 0, (distance <= 0) & (distance > -RING_MM)
    if int(inside.sum()) < _FEWEST or int(ring.sum()) < _FEWEST:
        return GreyEvidence(maps, 0.5)
    maps[:, 0] = _overall_ratio(images, inside, ring)
    maps[:, 1] = _overall_ratio(_blurred(images, SMOOTH_MM / pixel_mm), inside, ring)
    maps[:, 2] = _near_ratio(images, inside, ring, pixel_mm)
    both = maps[:, :2].sum(1)
    return GreyEvidence(maps, _area_under_curve(both[inside], both[ring]))


def grey_logits(distance: Tensor, evidence: GreyEvidence) -> Tensor:
    """What grey values alone make of a prior, without a network: logits (N, H, W)."""
    trust = min(max((evidence.strength - 0.6) / 0.3, 0.0), 1.0)
    return distance / 6 + 0.5 * trust * evidence.maps[:, :2].sum(1)


def decoder_maps(
    images: Tensor,
    distance: Tensor,
    first: Tensor,
    rivals: Tensor,
    evidence: GreyEvidence,
    offset: int = 1,
    chosen: slice = slice(None),
) -> Tensor:
    """Channels of the decoder.

    Parameters
    ----------
    images : Tensor, shape (N, H, W)
    distance, first : Tensor, shape (N, H, W)
        To the outline of the present mask, and of the prior that was there at first.
    rivals : Tensor, shape (N, H, W)
        To the outline of the priors of all other classes; -`REACH_MM` where there is none.
    evidence : GreyEvidence
        Of the present mask.
    offset : int
        Which slices of the stack are the neighbours.
    chosen : slice
        Slices that are wanted.

    Returns
    -------
    Tensor, shape (N, MAPS, H, W)
    """
    here = torch.arange(len(images))[chosen]
    before, after = (here - offset).clamp(min=0), (here + offset).clamp(max=len(images) - 1)
    return torch.stack(
        [
            *(images[i] * 2 - 0.5 for i in (before, here, after)),
            *(distance[i] / REACH_MM for i in (before, here, after)),
            first[here] / REACH_MM,
            rivals[here] / REACH_MM,
            *(evidence.maps[here] / 2).unbind(1),
            (evidence.maps[before, 1] + evidence.maps[after, 1]) / 4,
        ],
        1,
    )


def decoder_facts(pixel_mm: float, context_mm: float, strength: float, error_mm: float | None) -> Tensor:
    """Features of a whole stack, (FACTS,).

    Parameters
    ----------
    pixel_mm, context_mm : float
        Side of a pixel, distance of the neighbouring slices.
    strength : float
        Of the grey values' evidence.
    error_mm : float or None
        How far the prior's outline is off, as far as one knows.
    """
    about = [float(np.log2(pixel_mm / 2.5)), context_mm / 6 - 1, 4 * (strength - 0.75)]
    if error_mm is None:
        return torch.tensor([*about, 0.0, 0.0])
    error = (torch.tensor(error_mm, dtype=torch.float32).clamp(0.25, 16) / 3).log()
    return torch.tensor([*about, float(error), 1.0])


def _blurred(images: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(ndimage.gaussian_filter(images.numpy(), (0, sigma, sigma), truncate=2.5))


def _overall_ratio(images: Tensor, inside: Tensor, ring: Tensor) -> Tensor:
    """Logarithm of how much more frequent the grey value of each pixel is inside than in the ring, of all slices."""
    bins = (images * (_BINS - 1)).int().clamp_(0, _BINS - 1).byte()
    ratios = (_frequencies(bins[inside]) / _frequencies(bins[ring])).log().clamp(-3, 3)
    found = torch.empty_like(images)
    for one, places in zip(found, bins, strict=True):  # as indices they take eight bytes a pixel
        one[...] = ratios[places.long()]
    return found


def _frequencies(bins: Tensor) -> Tensor:
    counts = torch.bincount(bins, minlength=_BINS).numpy().astype(np.float32)
    n = len(bins)
    smooth = torch.from_numpy(ndimage.gaussian_filter1d(counts, 2.0))
    return (smooth + 2e-3 * n + 0.15) / n


def _near_ratio(images: Tensor, inside: Tensor, ring: Tensor, pixel_mm: float) -> Tensor:
    """Log-ratio of two normal distributions, of inside and of the ring near each pixel: coils and organs vary."""
    step = max(1, round(6.0 / pixel_mm))
    parts = []
    for where in (inside, ring):
        weight = where.float()
        for power in range(3):
            channel = weight * images**power if power else weight
            parts.append(F.avg_pool2d(channel[:, None], step, step, ceil_mode=True, count_include_pad=False))
    cells = torch.cat(parts, 1)
    sigma = _LOCAL_MM / (step * pixel_mm)
    local = torch.from_numpy(ndimage.gaussian_filter(cells.numpy(), (1.0, 0, sigma, sigma), truncate=2.5))
    whole = cells.mean((0, 2, 3), keepdim=True)
    moments = []
    for k in (0, 3):
        # with a little of the whole stack, where nothing of it is near
        n, s, q = (local[:, k + i] + 0.02 * whole[:, k + i] for i in range(3))
        mean = s / n.clamp(min=1e-6)
        moments.append((mean, (q / n.clamp(min=1e-6) - mean**2).clamp(min=0) + 1e-3))
    found = torch.empty_like(images)
    for at in _pieces(images.shape):
        ratios = []
        for of_side in moments:
            mean, variance = (
                F.interpolate(m[at, None], images.shape[1:], mode="bilinear")[:, 0] for m in of_side
            )
            ratios.append(-0.5 * (images[at] - mean) ** 2 / variance - 0.5 * variance.log())
        found[at] = (ratios[0] - ratios[1]).clamp(-3, 3)
    return found


def _pieces(shape: Sequence[int]) -> Iterator[slice]:
    """Slices of an array (N, H, W), some at a time."""
    some = max(1, _PIECE // max(1, shape[1] * shape[2]))
    for first in range(0, shape[0], some):
        yield slice(first, first + some)


def _area_under_curve(inside: Tensor, ring: Tensor) -> float:
    """How often a pixel inside has more evidence than one of the ring."""
    low = torch.tensor(-6.0)
    a, b = (((x - low) * 10).round().long().clamp(0, 120) for x in (inside, ring))
    front, back = (torch.bincount(v, minlength=121).double() / len(v) for v in (a, b))
    below = back.cumsum(0) - back / 2
    return float((front * below).sum())
