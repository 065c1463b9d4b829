"""What two scans are compared by, place by place: MIND-SSC, which asks nothing of the modality."""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

_NEIGHBOURS = ((0, 1, 1), (1, 1, 0), (1, 0, 1), (1, 1, 2), (2, 1, 1), (1, 2, 1))
_CLAMP = 1e3
_PAIRS = 5_000


def mind_ssc(image: Tensor) -> Tensor:
    """Self-similarity context of every voxel.

    Heinrich et al., "Towards realtime multimodal fusion for image-guided interventions using self-similarities",
    MICCAI 2013: distances of the patches around a voxel's six neighbours, of those pairs that lie across an edge of the
    octahedron, relative to their mean. Patches of 3 x 3 x 3 voxels.

    Parameters
    ----------
    image : Tensor, shape (Z, Y, X)

    Returns
    -------
    Tensor, shape (12, Z, Y, X)
        In (0, 1]; 1 where the patches are alike.
    """
    z, y, x = image.shape
    padded = F.pad(image[None, None], (1,) * 6, mode="replicate")[0, 0]
    shifted = [padded[a : a + z, b : b + y, c : c + x] for a, b, c in _NEIGHBOURS]
    pairs = [
        (i, j)
        for i, j in combinations(range(6), 2)
        if sum((p - q) ** 2 for p, q in zip(_NEIGHBOURS[i], _NEIGHBOURS[j], strict=True)) == 2
    ]
    distance = torch.stack([box_mean((shifted[i] - shifted[j]).square()[None])[0] for i, j in pairs])
    distance -= distance.amin(0)
    noise = distance.mean(0)
    typical = float(noise.mean(dtype=torch.float64))  # the same in any number of threads
    if typical == 0:  # a constant image
        return torch.ones_like(distance)
    return torch.exp(-distance / noise.clamp(typical / _CLAMP, typical * _CLAMP))


def box_mean(x: Tensor) -> Tensor:
    """Mean over 3 x 3 x 3 voxels of (C, Z, Y, X), the border's values held outside."""
    # one axis after the other, which is much quicker than average pooling
    for axis in (1, 2, 3):
        n = x.shape[axis]
        total = x.clone()
        total.narrow(axis, 1, n - 1).add_(x.narrow(axis, 0, n - 1))
        total.narrow(axis, 0, n - 1).add_(x.narrow(axis, 1, n - 1))
        total.narrow(axis, 0, 1).add_(x.narrow(axis, 0, 1))
        total.narrow(axis, n - 1, 1).add_(x.narrow(axis, n - 1, 1))
        x = total
    return x.div_(27)


def pooled(x: Tensor) -> Tensor:
    """Means over 2 x 2 x 2 voxels of (C, Z, Y, X)."""
    return F.avg_pool3d(x[None], 2)[0]


def scale_pair(
    query: Tensor, support: Tensor, weight: float, where: Tensor, generator: torch.Generator
) -> None:
    """Scale both in place by one factor, so that a place of the query and any place of the support differ by `weight`.

    Parameters
    ----------
    query, support : Tensor, shape (C, Z, Y, X)
    weight : float
        Squared differences, summed over the channels.
    where : Tensor of bool, shape (Z, Y, X)
        Places that count.
    generator : torch.Generator
        Draws the pairs of places.
    """
    places = where.flatten().nonzero()[:, 0]
    if len(places) == 0:
        return
    i, j = (
        places[torch.randint(len(places), (_PAIRS,), generator=generator).to(places.device)] for _ in range(2)
    )
    difference = (query.flatten(1)[:, i] - support.flatten(1)[:, j]).square().sum(0).mean(dtype=torch.float64)
    factor = float((weight / difference.clamp(min=1e-12)).sqrt()) if difference > 0 else 0.0
    query *= factor
    support *= factor
