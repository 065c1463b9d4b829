"""Continuous optimisation of one pair's displacements by Adam, beginning from those that the discrete search found.

Instance optimisation as in convexAdam (Siebert, Hansen and Heinrich, MICCAI 2021): control points at every second grid
point, smoothed by box means, features compared at random grid points.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.registration.images import index_points, sample
from napari_cpclnet.registration.search import place_points

if TYPE_CHECKING:
    from napari_cpclnet.registration.lattice import Lattice
    from napari_cpclnet.registration.settings import RegistrationSettings

_SMOOTHINGS = 3
_PIECE = 50_000
_DECAY, _TINY = (0.9, 0.999), 1e-8


class Lookup:
    """Linear interpolation of features, differentiable in the place: a row for every grid point.

    Rows are of half precision, which is half the memory and quicker to fetch.

    Parameters
    ----------
    features : Tensor, shape (C, Z, Y, X)
    """

    def __init__(self, features: Tensor) -> None:
        self._shape = features.shape[1:]
        self._rows = rows(features)

    def __call__(self, points: Tensor) -> Tensor:
        """Features (n, C) at index positions (n, 3), the border's values held outside."""
        last = torch.tensor([n - 1.0 for n in self._shape], device=points.device)
        inside = points.clamp(min=0).minimum(last)
        low = inside.detach().floor().minimum((last - 1).clamp(min=0))
        part = inside - low
        z, y, x = low.long().unbind(1)
        _, height, width = self._shape
        base = (z * height + y) * width + x
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
                    corner = self._rows.index_select(0, base + (a * height + b) * width + c).float()
                    corner = corner * weight[:, None]
                    result = corner if result is None else result + corner
        assert result is not None
        return result


def rows(features: Tensor) -> Tensor:
    """Features (C, Z, Y, X) as a row of half precision for every grid point."""
    return features.flatten(1).half().T.contiguous()


class Adam:
    """Adam for one tensor, to the last bit as torch computes it on a CPU.

    torch's own loads its compiler with the first step: seconds and a hundred megabytes for what is nine lines.

    Parameters
    ----------
    values : Tensor
        Changed in place.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)
        self._steps = 0

    @torch.no_grad()
    def step(self, slope: Tensor, learning_rate: float) -> None:
        """Go down a slope, as long as `values`."""
        self._steps += 1
        of_mean, of_square = _DECAY
        self._mean.lerp_(slope, 1 - of_mean)
        self._square.mul_(of_square).addcmul_(slope, slope, value=1 - of_square)
        rate = learning_rate / (1 - of_mean**self._steps)
        size = (self._square.sqrt() / (1 - of_square**self._steps) ** 0.5).add_(_TINY)
        self._values.addcdiv_(self._mean, size, value=-rate)


class Smoothing:
    """Some box means in a row, as a product of matrices along each axis: much quicker than pooling, and differentiable.

    Parameters
    ----------
    shape : sequence of int
        (z, y, x) of the control points.
    device : torch.device
    """

    def __init__(self, shape: Sequence[int], device: torch.device) -> None:
        self._matrices = []
        for n in shape:
            place = torch.arange(n)
            mean = torch.zeros(n, n)
            for by in (-1, 0, 1):  # the border's values held outside
                mean.index_put_((place, (place + by).clamp(0, n - 1)), torch.tensor(1 / 3), accumulate=True)
            self._matrices.append(torch.linalg.matrix_power(mean, _SMOOTHINGS).to(device))

    def __call__(self, control: Tensor) -> Tensor:
        """Smoothed control points (C, z, y, x)."""
        along_z, along_y, along_x = self._matrices
        smooth: Tensor = along_y @ (control @ along_x.T)
        smooth = along_z @ smooth.flatten(2)
        return smooth.view_as(control)


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
    iterations: int | None = None,
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
    iterations : int, optional
        Steps; those of the settings if left out.

    Returns
    -------
    Tensor, shape (3, z, y, x)
        Smoothed, on every second grid point, in grid steps; :func:`spread` brings them to all.
    """
    steps = settings.iterations if iterations is None else iterations
    if steps and len(places):
        look, here = Lookup(support), rows(query)
        everywhere = place_points(query.shape[1:], query.device).flatten(1).T
        control = start.clone().requires_grad_(True)
        smoothing = Smoothing(start.shape[1:], start.device)
        adam = Adam(control)
        for step in range(steps):
            drawn = torch.randint(len(places), (min(settings.samples, len(places)),), generator=generator)
            chosen = places[drawn.to(places.device)]
            smooth = smoothing(control)
            points = everywhere.index_select(0, chosen)
            # control point i lies between grid points 2 i and 2 i + 1
            moved = points + _at(smooth, (points - 0.5) / 2)
            cost = (look(moved) - here.index_select(0, chosen).float()).square().sum(1).mean()
            (slope,) = torch.autograd.grad(cost + settings.smoothness * roughness(smooth), control)
            # ever shorter steps: random places and rounding leave less behind
            adam.step(slope, settings.learning_rate * (1 - step / steps))
            yield
        start = control.detach()
        start = smoothing(start)
    return start


def on_finer(control: Tensor, coarse: Lattice, fine: Lattice) -> Tensor:
    """Displacements on every second point of a lattice, in its steps, as such of a finer one."""
    there = np.linalg.inv(coarse.half_to_native) @ fine.half_to_native
    points = index_points(fine.half_shape, there, control.device)
    return sample(control, points) * (coarse.step / fine.step)


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
