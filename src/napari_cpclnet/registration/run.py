"""Registration of a query with a support, from two scans to a field, in pieces that can be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.model.device import choose_device
from napari_cpclnet.registration.affine import Start, improbability, starts
from napari_cpclnet.registration.anatomy import Anatomy, anatomical_starts, common_features
from napari_cpclnet.registration.descent import descending, differences
from napari_cpclnet.registration.features import mind_ssc, pooled, scale_pair
from napari_cpclnet.registration.field import Field
from napari_cpclnet.registration.images import DARKEST, ReducedScan, index_points, reducing, sample
from napari_cpclnet.registration.lattice import Lattice
from napari_cpclnet.registration.search import composed, searching, searching_twice
from napari_cpclnet.registration.settings import RegistrationSettings
from napari_cpclnet.registration.shifts import shifted_starts

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume

T = TypeVar("T")

_CHANNELS = 24
"""Directions in which the network's probabilities are compared."""

_LEAST = 0.02
"""What air counts in the discrete search."""


@dataclass(frozen=True)
class RegistrationProgress:
    """A step of a registration.

    Attributes
    ----------
    step : str
        What is being done.
    done : float
        Share of the whole work, 0 to 1.
    field : Field or None
        The result, in the last one.
    """

    step: str
    done: float
    field: Field | None = None


@dataclass(frozen=True, eq=False)
class _Found:
    """What the discrete search made of one affine start."""

    start: Start
    cost: float
    where: tuple[Tensor, Tensor]
    query: Tensor
    support: Tensor
    forward: Tensor
    backward: Tensor


@dataclass(frozen=True, eq=False)
class _Maps:
    """Features (C, S, H, W) with the (4, 4) matrix from their index to world."""

    values: Tensor
    affine: NDArray[np.float64]


See = Callable[["Volume"], Generator[None, None, Anatomy | None]]
"""Says what the network sees in a scan; None where that says nothing."""


class Registration:
    """Registration of one pair of scans.

    Parameters
    ----------
    support, query : Volume
    settings : RegistrationSettings
    see : callable
        What the network sees in a scan.

    Raises
    ------
    DeviceError
        If the device of the settings does not exist.
    """

    def __init__(self, support: Volume, query: Volume, settings: RegistrationSettings, see: See) -> None:
        self.support, self.query, self.settings, self._see = support, query, settings, see
        device = choose_device(settings.device)
        # three-dimensional interpolation is not to be had on Apple's GPUs
        self.device = torch.device("cpu") if device.type == "mps" else device
        self.lattice = Lattice.over(query, settings)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.anatomy: tuple[_Maps, _Maps] | None = None

    def run(self) -> Iterator[RegistrationProgress]:
        """All of it, step by step; the last report holds the field."""
        step = self.lattice.step
        query = yield from _reported(reducing(self.query, step), "Reading the query", 0.0, 0.05)
        support = yield from _reported(reducing(self.support, step), "Reading the support", 0.05, 0.1)
        query, support = query.to(self.device), support.to(self.device)
        seen = yield from _reported(self._seen(), "Naming structures", 0.1, 0.3)
        if seen is None:
            tried = list(starts(query, support))
            for start in shifted_starts(query, support, self.lattice, self.settings.shifts):
                tried.append(start)
                yield RegistrationProgress("Searching", 0.3)
        else:
            tried = list(anatomical_starts(query, support, *seen))
            one, two = common_features(*seen, _CHANNELS, self.generator)
            self.anatomy = _Maps(one, seen[0].affine), _Maps(two, seen[1].affine)
        best: _Found | None = None
        for number, start in enumerate(tried):
            low, high = (0.3 + 0.2 * (number + k) / len(tried) for k in range(2))
            found = yield from _reported(self._searched(start, query, support), "Searching", low, high)
            if best is None or found.cost < best.cost:
                best = found
        assert best is not None
        field = yield from _reported(self._descended(best), "Refining", 0.5, 1.0)
        yield RegistrationProgress("Done", 1.0, field)

    def _seen(self) -> Generator[None, None, tuple[Anatomy, Anatomy] | None]:
        """What the network makes of both scans, if it knows the kind of both."""
        query = yield from self._see(self.query)
        if query is None:
            return None
        support = yield from self._see(self.support)
        return None if support is None else (query.to(self.device), support.to(self.device))

    def _searched(
        self, start: Start, query: ReducedScan, support: ReducedScan
    ) -> Generator[None, None, _Found]:
        """Discrete search from one affine start."""
        settings, shape = self.settings, self.lattice.shape
        here, there = self.lattice.affine, start.affine @ self.lattice.affine
        image = sample(query.image[None], self._index(query.affine, here))[0]
        other = sample(support.image[None], self._index(support.affine, there))[0]
        where, there_too = image > DARKEST, other > DARKEST
        inner = pooled(where[None].float())[0]
        yield
        both = [(mind_ssc(image), mind_ssc(other))]
        yield
        if self.anatomy is not None:
            of_query, of_support = self.anatomy
            one = sample(of_query.values, self._index(of_query.affine, here))
            yield
            both.append((one, sample(of_support.values, self._index(of_support.affine, there))))
            yield
        counts = [1.0, settings.anatomy][: len(both)]
        for (a, b), count in zip(both, counts, strict=True):
            scale_pair(a, b, count, where, self.generator)
        coarse = [(pooled(a), pooled(b)) for a, b in both]
        for (a, b), count in zip(coarse, counts, strict=True):
            scale_pair(a, b, count, inner > 0.5, self.generator)
        one, two = (torch.cat(parts) for parts in zip(*both, strict=True))
        one_coarse, two_coarse = (torch.cat(parts) for parts in zip(*coarse, strict=True))
        del both, coarse, a, b  # a scan's features are some of the largest things that a run holds
        weight = inner.clamp(min=_LEAST)
        if self.anatomy is None:
            forward, backward = yield from searching(
                one_coarse, two_coarse, weight, settings.reach, settings.coupling
            )
        else:
            # MIND alone is led astray by so coarse a grid: a spine slips by a vertebra
            forward, backward = yield from searching_twice(
                one_coarse, two_coarse, weight, settings.trunk_reach, settings.coupling
            )
        yield
        wide = F.interpolate(2 * forward[None], size=shape, mode="trilinear", align_corners=False)[0]
        difference = yield from differences(one, two, wide)
        cost = float(difference[where].mean()) if where.any() else float(difference.mean())
        if self.anatomy is None:
            cost *= improbability(start, self.query.geometry, self.support.geometry)
        return _Found(start, cost, (where, there_too), one, two, forward, backward)

    def _descended(self, found: _Found) -> Generator[None, None, Field]:
        """Continuous optimisation in both directions, and the field."""
        query, support = found.query, found.support
        here, there = (_places(where) for where in found.where)
        forward = yield from descending(
            2 * found.forward, query, support, here, self.settings, self.generator
        )
        backward = yield from descending(
            2 * found.backward, support, query, there, self.settings, self.generator
        )
        cycle = composed(forward, backward).norm(dim=0) * self.lattice.step
        difference = yield from differences(query, support, forward)
        difference /= 1.0 if self.anatomy is None else 1.0 + self.settings.anatomy
        return Field(
            query=self.query.geometry,
            support=self.support.geometry,
            lattice=self.lattice,
            displacement=forward.cpu(),
            affine=found.start.affine,
            cost=float(difference.flatten()[here].mean()),
            cost_map=difference.cpu(),
            cycle_mm=cycle.cpu(),
            cycle_error_mm=float(cycle.flatten()[here].median()),
            used_network=self.anatomy is not None,
        )

    def _index(self, affine: NDArray[np.float64], world: NDArray[np.float64]) -> Tensor:
        """Places of the lattice in an array of this affine; `world` brings lattice indices to its world."""
        return index_points(self.lattice.shape, np.linalg.inv(affine) @ world, self.device)


def _places(where: Tensor) -> Tensor:
    """Flat indices of the places that count; all of a scan that shows nothing."""
    found = where.flatten().nonzero()[:, 0]
    return found if len(found) else torch.arange(where.numel(), device=where.device)


def _reported(
    work: Generator[None, None, T], step: str, low: float, high: float
) -> Generator[RegistrationProgress, None, T]:
    """Turn the pauses of a piece of work into reports, ever nearer to its end as their number is not known."""
    done = low
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        done += (high - done) * 0.02
        yield RegistrationProgress(step, done)
