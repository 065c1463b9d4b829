"""Discrete search of displacements: all of a cube at once, coupled to a smooth field.

Coupled convex optimisation after Heinrich et al., "Non-parametric discrete registration with convex optimisation",
WBIR 2014, and Siebert, Hansen and Heinrich, "Fast 3D registration with accurate optimisation and little learning for
Learn2Reg 2021", MICCAI 2021 (convexAdam; Siebert et al., IEEE TMI 2024). Displacements are counted in grid steps.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.registration.features import box_mean
from napari_cpclnet.registration.images import sample

_PIECE = 8192
_ROUNDS = 15
_FEWEST = 8


def displacements(reach: int, device: torch.device) -> Tensor:
    """All whole displacements up to `reach` steps along each axis, (3, (2 reach + 1)^3)."""
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32, device=device)
    return torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).flatten(1)


def measuring(query: Tensor, support: Tensor, weight: Tensor, reach: int) -> Generator[None, None, Tensor]:
    """Cost of every displacement at every place; yields after every plane of displacements.

    Parameters
    ----------
    query, support : Tensor, shape (C, Z, Y, X)
        Features on one grid.
    weight : Tensor, shape (Z, Y, X)
        What a place of the query counts.
    reach : int

    Returns
    -------
    Tensor, shape ((2 reach + 1)^3, Z, Y, X)
        Squared differences, smoothed over the neighbouring places.
    """
    shape = query.shape[1:]
    padded = F.pad(support[None], (reach,) * 6, mode="replicate")[0]
    there = padded.square().sum(0)
    here = query.square().sum(0)
    wide = range(2 * reach + 1)
    costs = torch.empty(len(wide), len(wide) ** 2, *shape, device=query.device)
    for a, plane in enumerate(costs):
        for row, (b, c) in enumerate((b, c) for b in wide for c in wide):
            window = (slice(a, a + shape[0]), slice(b, b + shape[1]), slice(c, c + shape[2]))
            product = (query * padded[(slice(None), *window)]).sum(0)
            plane[row] = (here + there[window] - 2 * product) * weight
        plane.copy_(box_mean(plane))
        yield
    return costs.flatten(0, 1)


def mirror_costs(costs: Tensor, reach: int) -> None:
    """Make costs those of the other direction: of moving a place of the support by minus a displacement.

    In place: they are the largest thing that a registration holds.
    """
    axes = [torch.arange(size, device=costs.device) for size in costs.shape[1:]]

    def seen_from(there: Tensor, move: list[int]) -> Tensor:
        z, y, x = ((axis + by).clamp(0, len(axis) - 1) for axis, by in zip(axes, move, strict=True))
        return there[z][:, y][:, :, x]

    moves = displacements(reach, torch.device("cpu")).T.int().tolist()
    for row in range((len(moves) + 1) // 2):
        opposite = len(moves) - 1 - row
        one, other = seen_from(costs[opposite], moves[row]), seen_from(costs[row], moves[opposite])
        costs[row], costs[opposite] = one, other


def coupling(costs: Tensor, reach: int, weights: Sequence[float]) -> Generator[None, None, Tensor]:
    """Smooth displacements (3, Z, Y, X) of low cost: choice and smoothing in turns, ever more tightly coupled."""
    moves = displacements(reach, costs.device)
    lengths = moves.square().sum(0)[:, None]
    flat = costs.flatten(1)
    field = box_mean(moves[:, flat.argmin(0)].view(3, *costs.shape[1:]))
    for weight in weights:
        smooth = field.flatten(1)
        chosen = []
        for first in range(0, flat.shape[1], _PIECE):
            part = slice(first, first + _PIECE)
            total = torch.addmm(flat[:, part], moves.T, smooth[:, part], alpha=-2 * weight)
            total += weight * lengths
            chosen.append(total.argmin(0))
        field = box_mean(moves[:, torch.cat(chosen)].view(3, *costs.shape[1:]))
        yield
    return field


def place_points(shape: Sequence[int], device: torch.device) -> Tensor:
    """Index positions (3, Z, Y, X) of a grid."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def composed(first: Tensor, second: Tensor) -> Tensor:
    """Displacement (3, Z, Y, X) of going by `first` and from there by `second`, both in grid steps."""
    there = (place_points(first.shape[1:], first.device) + first).movedim(0, -1)
    return first + sample(second, there)


def consistent(forward: Tensor, backward: Tensor, rounds: int = _ROUNDS) -> tuple[Tensor, Tensor]:
    """Both directions brought to agree: each moves half way towards the other's inverse, some times."""
    for _ in range(rounds):
        # composed() - first is what the second says at the end of the first
        there, back = composed(forward, backward) - forward, composed(backward, forward) - backward
        forward, backward = 0.5 * (forward - there), 0.5 * (backward - back)
    return forward, backward


def searching(
    query: Tensor, support: Tensor, weight: Tensor, reach: int, weights: Sequence[float]
) -> Generator[None, None, tuple[Tensor, Tensor]]:
    """Displacements (3, Z, Y, X) from the query to the support and back, brought to agree.

    Parameters
    ----------
    query, support : Tensor, shape (C, Z, Y, X)
    weight : Tensor, shape (Z, Y, X)
    reach : int
    weights : sequence of float
        Of the coupling.
    """
    costs = yield from measuring(query, support, weight, reach)
    forward = yield from coupling(costs, reach, weights)
    mirror_costs(costs, reach)
    yield
    backward = yield from coupling(costs, reach, weights)
    return consistent(forward, backward)


def searching_twice(
    query: Tensor, support: Tensor, weight: Tensor, reaches: tuple[int, int], weights: Sequence[float]
) -> Generator[None, None, tuple[Tensor, Tensor]]:
    """The same from coarse to fine: on every second place first, then around what was found there."""
    if min(query.shape[1:]) >= _FEWEST:
        small = [halved(x) for x in (query, support, weight[None])]
        rough = yield from searching(small[0], small[1], small[2][0], reaches[0], weights)
        there, back = (doubled(field, query.shape[1:]) for field in rough)
        places = place_points(query.shape[1:], query.device)
        warped = sample(support, (places + there).movedim(0, -1))
        yield
        forward, backward = yield from searching(query, warped, weight, reaches[1], weights)
        return consistent(composed(forward, there), composed(back, backward))
    return (yield from searching(query, support, weight, reaches[1], weights))


def halved(x: Tensor) -> Tensor:
    """Means over 2 x 2 x 2 places of (C, Z, Y, X), an odd last one counted twice."""
    odd = [part for n in reversed(x.shape[1:]) for part in (0, n % 2)]
    return F.avg_pool3d(F.pad(x[None], odd, mode="replicate"), 2)[0]


def doubled(field: Tensor, shape: Sequence[int]) -> Tensor:
    """Displacements on a grid of twice as many places and half the step; `shape` may lack an odd last place."""
    size = [2 * n for n in field.shape[1:]]
    found = F.interpolate(2 * field[None], size=size, mode="trilinear", align_corners=False)[0]
    z, y, x = shape
    return found[:, :z, :y, :x]
