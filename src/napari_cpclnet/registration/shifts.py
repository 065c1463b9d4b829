"""Affine starts by exhaustive search: every shift of one scan over the other, by masked correlation of MIND.

Scans of one structure rarely show the same piece of the body: a neck may be seen in a small block or in a few wide
slices. Places outside of either scan do not count, so that a small scan is found within a large one and the reverse.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_cpclnet.registration.affine import Floats, Start, frames, middles
from napari_cpclnet.registration.features import mind_ssc
from napari_cpclnet.registration.images import DARKEST, ReducedScan, index_points, sample

if TYPE_CHECKING:
    from napari_cpclnet.registration.lattice import Lattice

_STEPS = 2.0
"""Steps of the registration's lattice between two shifts."""

_LEAST_OVERLAP = 0.5
"""Share that both scans show together, of what they show together at the most."""

_APART_MM = 25.0
_MOST_POINTS = 2_000_000


def shifted_starts(query: ReducedScan, support: ReducedScan, lattice: Lattice, most: int) -> Iterator[Start]:
    """The likeliest shifts of a support under a query, for each frame of axes, the best of each first.

    Parameters
    ----------
    query, support : ReducedScan
    lattice : Lattice
        Over the query; its places count.
    most : int
        Shifts to propose for each frame.
    """
    step = lattice.step * _STEPS
    for suffix, query_axes, support_axes in frames(query.geometry, support.geometry):
        affine = middles(query.geometry, support.geometry, query_axes, support_axes)
        grid = _grid(lattice, step)
        corner, shape = _extent(support, affine @ grid)
        if np.prod(shape) > _MOST_POINTS:
            continue
        half = [max(2, n // 2) for n in lattice.shape]
        one, inside_query = _features(query, half, grid)
        other, inside_support = _features(support, shape, affine @ grid @ _moved(corner))
        costs = masked_costs(one, other, inside_query, inside_support)
        for shift in _minima(costs, step, most):
            # place x of the query lies over place x + shift of the support's grid
            by = shift - (np.array(half) - 1) + corner
            yield Start(
                affine @ grid @ _moved(by) @ np.linalg.inv(grid), f"shift over the other scan{suffix}"
            )


def masked_costs(query: Tensor, support: Tensor, in_query: Tensor, in_support: Tensor) -> Tensor:
    """Mean squared difference of features at every shift, over the places that both scans show.

    By Fourier transforms, as the masked correlation of Padfield, IEEE TIP 2012.

    Parameters
    ----------
    query, support : Tensor, shape (C, Z, Y, X) and (C, Z', Y', X')
    in_query, in_support : Tensor, shape (Z, Y, X) and (Z', Y', X')
        1 at the places that count.

    Returns
    -------
    Tensor, shape (Z + Z' - 1, Y + Y' - 1, X + X' - 1)
        At index s the cost of laying place x of the query over place x + s - (Z - 1, Y - 1, X - 1) of the support;
        infinite where they show less than half as much together as at the most.
    """
    here, there = query.shape[1:], support.shape[1:]
    shape = [a + b - 1 for a, b in zip(here, there, strict=True)]
    shown, shown_there = _transform(in_query, shape), _transform(in_support, shape)
    total = _transform(query.square().sum(0) * in_query, shape).conj() * shown_there
    total += shown.conj() * _transform(support.square().sum(0) * in_support, shape)
    for one, other in zip(query, support, strict=True):
        total -= 2 * _transform(one * in_query, shape).conj() * _transform(other * in_support, shape)
    count = torch.fft.irfftn(shown.conj() * shown_there, s=shape)
    costs = torch.fft.irfftn(total, s=shape) / count.clamp(min=1.0)
    costs[count < _LEAST_OVERLAP * count.max()] = torch.inf
    # the transform counts negative shifts from the end
    return torch.roll(costs, [n - 1 for n in here], dims=(0, 1, 2))


def _transform(values: Tensor, shape: list[int]) -> Tensor:
    transform: Tensor = torch.fft.rfftn(values, s=shape)
    return transform


def _minima(costs: Tensor, step: float, most: int) -> list[Floats]:
    """Places of the lowest costs, far from each other."""
    axes = [torch.arange(n, device=costs.device) for n in costs.shape]
    left = costs.clone()
    found: list[Floats] = []
    while len(found) < most and torch.isfinite(left).any():
        place = np.array(np.unravel_index(int(left.argmin()), tuple(left.shape)))
        found.append(place.astype(float))
        near = [((axis - int(p)) * step).square() for axis, p in zip(axes, place, strict=True)]
        distance = near[0][:, None, None] + near[1][:, None] + near[2]
        left[distance < _APART_MM**2] = torch.inf
    return found


def _grid(lattice: Lattice, step: float) -> Floats:
    """(4, 4) matrix from index of every second place of a lattice to world."""
    matrix = np.diag([step / lattice.step] * 3 + [1.0])
    matrix[:3, 3] = 0.5
    return np.asarray(lattice.affine @ matrix)


def _moved(by: Floats) -> Floats:
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return matrix


def _extent(scan: ReducedScan, world: Floats) -> tuple[Floats, list[int]]:
    """First index and shape of the part of a grid that a scan fills; `world` brings its index to the scan's world."""
    last = [n - 1 for n in scan.image.shape]
    ends = np.array([[a, b, c, 1] for a in (0, last[0]) for b in (0, last[1]) for c in (0, last[2])])
    places = (ends @ (np.linalg.inv(world) @ scan.affine).T)[:, :3]
    low, high = np.floor(places.min(0)), np.ceil(places.max(0))
    return low, [int(n) for n in high - low + 1]


def _features(scan: ReducedScan, shape: list[int], world: Floats) -> tuple[Tensor, Tensor]:
    """MIND (12, Z, Y, X) of a scan on a grid, and which places count: those that it shows, and not as air."""
    size = shape[0], shape[1], shape[2]
    points = index_points(size, np.linalg.inv(scan.affine) @ world, scan.image.device)
    image = sample(scan.image[None], points)[0]
    last = torch.tensor(scan.image.shape, device=points.device) - 0.5
    inside = ((points >= -0.5) & (points <= last)).all(-1) & (image > DARKEST)
    return mind_ssc(image), inside.float()
