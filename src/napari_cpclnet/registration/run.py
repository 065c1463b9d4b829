"""Registration of a query with a support, from two scans to a field, in pieces that can be cancelled."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.model.device import choose_device
from napari_cpclnet.registration.affine import Start, improbability, starts
from napari_cpclnet.registration.anatomy import Anatomy, anatomical_starts, common_features
from napari_cpclnet.registration.descent import descending, differences, on_finer, spread
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
class _Features:
    """What both scans are compared by on a lattice: where they show something, and pairs of features, a kind each."""

    where: tuple[Tensor, Tensor]
    kinds: list[tuple[Tensor, Tensor]]

    def joined(self) -> tuple[Tensor, Tensor]:
        """All kinds together, of the query and of the support."""
        query, support = (torch.cat(parts) for parts in zip(*self.kinds, strict=True))
        return query, support


@dataclass(frozen=True, eq=False)
class _Found:
    """What the discrete search made of one affine start: displacements of every second point of the lattice."""

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
        self.fine = self.lattice.finer(settings)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.anatomy: tuple[_Maps, _Maps] | None = None

    def run(self) -> Iterator[RegistrationProgress]:
        """All of it, step by step; the last report holds the field."""
        # of both lattices at once, so that no scan is read twice
        steps = [self.lattice.step] if self.fine is self.lattice else [self.lattice.step, self.fine.step]
        queries = yield from _reported(reducing(self.query, steps), "Reading the query", 0.0, 0.05)
        supports = yield from _reported(reducing(self.support, steps), "Reading the support", 0.05, 0.1)
        query, support = queries[0].to(self.device), supports[0].to(self.device)
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
        scans = [reduced.pop().to(self.device) for reduced in (queries, supports)]
        work = self._descended(best, scans)
        # the features on the grid of the search are of no use on the finer one
        del best, found, query, support
        field = yield from _reported(work, "Refining", 0.5, 1.0)
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
        features = yield from self._features(start, query, support, self.lattice)
        where = features.where[0]
        inner = pooled(where[None].float())[0]
        halves = _Features(features.where, [(pooled(a), pooled(b)) for a, b in features.kinds])
        for (a, b), count in zip(halves.kinds, self._counts, strict=False):
            scale_pair(a, b, count, inner > 0.5, self.generator)
        one_coarse, two_coarse = halves.joined()
        one, two = features.joined()
        # a scan's features are some of the largest things that a run holds
        del features.kinds[:], halves, a, b
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
        difference = yield from differences(one, two, spread(2 * forward, shape))
        cost = float(difference[where].mean()) if where.any() else float(difference.mean())
        if self.anatomy is None:
            cost *= improbability(start, self.query.geometry, self.support.geometry)
        return _Found(start, cost, features.where, one, two, 2 * forward, 2 * backward)

    @property
    def _counts(self) -> tuple[float, float]:
        """What each kind of features counts."""
        return 1.0, self.settings.anatomy

    def _features(
        self,
        start: Start,
        query: ReducedScan,
        support: ReducedScan,
        lattice: Lattice,
        precision: torch.dtype = torch.float32,
    ) -> Generator[None, None, _Features]:
        here, there = lattice.affine, start.affine @ lattice.affine
        image = sample(query.image[None], self._index(lattice, query.affine, here))[0]
        other = sample(support.image[None], self._index(lattice, support.affine, there))[0]
        del query, support
        where = image > DARKEST, other > DARKEST
        yield
        pair = [mind_ssc(image)]
        yield
        pair.append(mind_ssc(other))
        yield
        kinds = [self._scaled(pair, self._counts[0], where[0], precision)]
        if self.anatomy is not None:
            of_query, of_support = self.anatomy
            pair.append(sample(of_query.values, self._index(lattice, of_query.affine, here)))
            yield
            pair.append(sample(of_support.values, self._index(lattice, of_support.affine, there)))
            yield
            kinds.append(self._scaled(pair, self._counts[1], where[0], precision))
        return _Features(where, kinds)

    def _scaled(
        self, pair: list[Tensor], count: float, where: Tensor, precision: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Features of both scans, scaled; taken out of the list, as two precisions at once need more memory."""
        scale_pair(pair[0], pair[1], count, where, self.generator)
        return pair.pop(0).to(precision), pair.pop(0).to(precision)

    def _descended(self, found: _Found, scans: list[ReducedScan]) -> Generator[None, None, Field]:
        """Continuous optimisation in both directions, and the field; `scans` are reduced for the finer lattice.

        They are taken out of the list, and forgotten as soon as may be.
        """
        start, query, support = found.start, found.query, found.support
        here, there = (_places(where) for where in found.where)
        settings, generator = self.settings, self.generator
        forward = yield from descending(found.forward, query, support, here, settings, generator)
        backward = yield from descending(found.backward, support, query, there, settings, generator)
        del found
        # how alike and how steady: told by the grid of the search, whose step is nearly the same in all bodies
        one_way, other_way = (spread(f, self.lattice.shape) for f in (forward, backward))
        cycle = composed(one_way, other_way).norm(dim=0) * self.lattice.step
        difference = yield from differences(query, support, one_way)
        difference /= 1.0 if self.anatomy is None else 1.0 + settings.anatomy
        if self.fine is not self.lattice:
            del query, support
            features = yield from self._features(start, scans.pop(0), scans.pop(0), self.fine, torch.half)
            query, support = features.joined()
            del features.kinds[:]
            forward = yield from descending(
                on_finer(forward, self.lattice, self.fine),
                query,
                support,
                _places(features.where[0]),
                settings,
                generator,
                settings.fine_iterations,
            )
        back = self._index(self.fine, self.lattice.to_native, self.fine.to_native)
        return Field(
            query=self.query.geometry,
            support=self.support.geometry,
            lattice=self.fine,
            displacement=spread(forward, self.fine.shape).cpu(),
            affine=start.affine,
            cost=float(difference.flatten()[here].mean()),
            cost_map=sample(difference[None], back)[0].cpu(),
            cycle_mm=sample(cycle[None], back)[0].cpu(),
            cycle_error_mm=float(cycle.flatten()[here].median()),
            used_network=self.anatomy is not None,
        )

    def _index(self, lattice: Lattice, affine: NDArray[np.float64], world: NDArray[np.float64]) -> Tensor:
        """Places of a lattice in an array of this affine; `world` brings the lattice's indices to its world."""
        return index_points(lattice.shape, np.linalg.inv(affine) @ world, self.device)


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
