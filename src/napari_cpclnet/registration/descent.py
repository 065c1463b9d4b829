"""Continuous optimisation of one pair's displacements by Adam, beginning from those that the discrete search found.

Instance optimisation as in convexAdam (Siebert, Hansen and Heinrich, MICCAI 2021): control points at every second grid
point, smoothed by box means, features compared at random grid points.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.registration.features import box_mean
from napari_cpclnet.registration.search import place_points

if TYPE_CHECKING:
    from napari_cpclnet.registration.settings import RegistrationSettings

_SMOOTHINGS = 3
_PIECE = 50_000
_DECAY, _TINY = (0.9, 0.999), 1e-8


class Lookup:
    """Linear interpolation of features, differentiable in the place: a row for every grid point.

    Parameters
    ----------
    features : Tensor, shape (C, Z, Y, X)
    """

    def __init__(self, features: Tensor) -> None:
        self._shape = features.shape[1:]
        self._rows = features.flatten(1).T.contiguous()

    def __call__(self, points: Tensor) -> Tensor:
        """Features (n, C) at index positions (n, 3), the border's values held outside."""
        last = torch.tensor([n - 1.0 for n in self._shape], device=points.device)
        inside = points.clamp(min=0).minimum(last)
        low = inside.detach().floor().minimum((last - 1).clamp(min=0))
        part = inside - low
        z, y, x = low.long().unbind(1)
        _, rows, columns = self._shape
        base = (z * rows + y) * columns + x
        result = None
        for a in range(2):
            for b in range(2):
                for c in range(2):
                    weight = (
                        (part[:, 0] if a else 1 - part[:, 0])
                        * (part[:, 1] if b else 1 - part[:, 1])
                        * (part[:, 2] if c else 1 - part[:, 2])
                    )
                    # rows are copied whole; indexing with brackets takes three times as long
                    corner = self._rows.index_select(0, base + (a * rows + b) * columns + c) * weight[:, None]
                    result = corner if result is None else result + corner
        assert result is not None
        return result


class Adam:
    """Adam for one tensor, to the last bit as torch computes it on a CPU.

    torch's own loads its compiler with the first step: seconds and a hundred megabytes for what is nine lines.

    Parameters
    ----------
    values : Tensor
        Changed in place.
    learning_rate : float
    """

    def __init__(self, values: Tensor, learning_rate: float) -> None:
        self._values, self._rate = values, learning_rate
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)
        self._steps = 0

    @torch.no_grad()
    def step(self, slope: Tensor) -> None:
        """Go down a slope, as long as `values`."""
        self._steps += 1
        of_mean, of_square = _DECAY
        self._mean.lerp_(slope, 1 - of_mean)
        self._square.mul_(of_square).addcmul_(slope, slope, value=1 - of_square)
        rate = self._rate / (1 - of_mean**self._steps)
        size = (self._square.sqrt() / (1 - of_square**self._steps) ** 0.5).add_(_TINY)
        self._values.addcdiv_(self._mean, size, value=-rate)


def spread(control: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Displacements (3, Z, Y, X) on all grid points from smoothed ones on every second one."""
    return F.interpolate(control[None], size=shape, mode="trilinear", align_corners=False)[0]


def descending(
    start: Tensor,
    query: Tensor,
    support: Tensor,
    places: Tensor,
    settings: RegistrationSettings,
    generator: torch.Generator,
) -> Generator[None, None, Tensor]:
    """Improve displacements; yields after every step.

    Parameters
    ----------
    start : Tensor, shape (3, z, y, x)
        On every second grid point, in grid steps.
    query, support : Tensor, shape (C, Z, Y, X)
        Features on the grid.
    places : Tensor, shape (n,)
        Flat indices of the grid points that count.
    settings : RegistrationSettings
    generator : torch.Generator
        On the CPU; draws the grid points of every step.

    Returns
    -------
    Tensor, shape (3, Z, Y, X)
        On the grid, in grid steps.
    """
    a, b, c = query.shape[1:]
    shape = (a, b, c)
    if settings.iterations and len(places):
        look, here = Lookup(support), query.flatten(1).T.contiguous()
        everywhere = place_points(shape, query.device).flatten(1).T
        control = start.clone().requires_grad_(True)
        adam = Adam(control, settings.learning_rate)
        for _ in range(settings.iterations):
            drawn = torch.randint(len(places), (min(settings.samples, len(places)),), generator=generator)
            chosen = places[drawn.to(places.device)]
            smooth = box_mean(control, _SMOOTHINGS)
            points = everywhere.index_select(0, chosen)
            # control point i lies between grid points 2 i and 2 i + 1
            moved = points + _at(smooth, (points - 0.5) / 2)
            cost = (look(moved) - here.index_select(0, chosen)).square().sum(1).mean()
            (slope,) = torch.autograd.grad(cost + settings.smoothness * roughness(smooth), control)
            adam.step(slope)
            yield
        start = control.detach()
        start = box_mean(start, _SMOOTHINGS)
    return spread(start, shape)


def roughness(control: Tensor) -> Tensor:
    """Mean squared slope of displacements in grid steps on every second grid point."""
    total = control.new_zeros(())
    for axis in (1, 2, 3):
        size = control.shape[axis]
        if size > 1:
            slope = (control.narrow(axis, 1, size - 1) - control.narrow(axis, 0, size - 1)) / 2
            total = total + slope.square().mean()
    return total


def _at(control: Tensor, points: Tensor) -> Tensor:
    """Displacements (n, 3) at positions (n, 3) of the control grid."""
    last = torch.tensor([max(n - 1, 1) for n in control.shape[1:]], device=points.device)
    grid = (2 * points / last - 1).flip(-1).view(1, 1, 1, -1, 3)
    found = F.grid_sample(control[None], grid, align_corners=True, padding_mode="border")
    return found.view(3, -1).T


def differences(query: Tensor, support: Tensor, field: Tensor) -> Generator[None, None, Tensor]:
    """Squared feature differences (Z, Y, X) after the displacements; yields after every piece."""
    look = Lookup(support)
    here = query.flatten(1)
    points = (place_points(query.shape[1:], query.device) + field).flatten(1).T
    parts = []
    for first in range(0, len(points), _PIECE):
        part = slice(first, first + _PIECE)
        parts.append((look(points[part]) - here[:, part].T).square().sum(1))
        yield
    return torch.cat(parts).view(query.shape[1:])
