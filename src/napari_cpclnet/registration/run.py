"""Registration of a query with a support, from two scans to a field, in pieces that can be cancelled."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.model.device import choose_device
from napari_cpclnet.registration.affine import Start, starts
from napari_cpclnet.registration.descent import descending, differences
from napari_cpclnet.registration.features import mind_ssc, pooled, scaled_pair
from napari_cpclnet.registration.field import Field
from napari_cpclnet.registration.images import DARKEST, ReducedScan, index_points, reducing, sample
from napari_cpclnet.registration.lattice import Lattice
from napari_cpclnet.registration.search import composed, consistent, coupling, measuring, mirrored_costs
from napari_cpclnet.registration.settings import RegistrationSettings

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume

T = TypeVar("T")

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


def register(support: Volume, query: Volume, settings: RegistrationSettings | None = None) -> Field:
    """Find the place in the support of every place of the query.

    Parameters
    ----------
    support, query : Volume
        Any modality, plane, slant and field of view.
    settings : RegistrationSettings, optional

    Returns
    -------
    Field
        From the query's world to the support's; its `warp` brings labels of the support to the query's grid.

    Raises
    ------
    DeviceError
        If the device does not exist.
    """
    *_, last = registering(support, query, settings)
    assert last.field is not None
    return last.field


def registering(
    support: Volume, query: Volume, settings: RegistrationSettings | None = None
) -> Iterator[RegistrationProgress]:
    """The same step by step: closing the iterator cancels, the last report holds the field."""
    return _Registration(support, query, settings or RegistrationSettings()).run()


@dataclass(frozen=True, eq=False)
class _Found:
    """What the discrete search made of one affine start."""

    start: Start
    cost: float
    where: Tensor
    query: Tensor
    support: Tensor
    forward: Tensor
    backward: Tensor


class _Registration:
    def __init__(self, support: Volume, query: Volume, settings: RegistrationSettings) -> None:
        self.support, self.query, self.settings = support, query, settings
        self.device = choose_device(settings.device)
        self.lattice = Lattice.over(query, settings)
        self.generator = torch.Generator().manual_seed(settings.seed)

    def run(self) -> Iterator[RegistrationProgress]:
        query = yield from _reported(reducing(self.query, self.lattice.step), "Reading the query", 0.0, 0.1)
        support = yield from _reported(
            reducing(self.support, self.lattice.step), "Reading the support", 0.1, 0.2
        )
        query, support = query.to(self.device), support.to(self.device)
        tried = list(starts(query, support))
        best: _Found | None = None
        for number, start in enumerate(tried):
            low, high = (0.2 + 0.3 * (number + k) / len(tried) for k in range(2))
            found = yield from _reported(self._searched(start, query, support), "Searching", low, high)
            if best is None or found.cost < best.cost:
                best = found
        assert best is not None
        field = yield from _reported(self._descended(best), "Refining", 0.5, 1.0)
        yield RegistrationProgress("Done", 1.0, field)

    def _searched(
        self, start: Start, query: ReducedScan, support: ReducedScan
    ) -> Generator[None, None, _Found]:
        """Discrete search from one affine start."""
        reach, shape = self.settings.reach, self.lattice.shape
        world = self.lattice.affine
        image = sample(query.image[None], self._index(query, world))[0]
        other = sample(support.image[None], self._index(support, start.affine @ world))[0]
        where = image > DARKEST
        yield
        one, two = mind_ssc(image), mind_ssc(other)
        yield
        one, two = scaled_pair(one, two, 1.0, where, self.generator)
        coarse = scaled_pair(
            pooled(one), pooled(two), 1.0, pooled(where[None].float())[0] > 0.5, self.generator
        )
        weight = pooled(where[None].float())[0].clamp(min=_LEAST)
        costs = yield from measuring(*coarse, weight, reach)
        forward = yield from coupling(costs, reach, self.settings.coupling)
        backward = yield from coupling(mirrored_costs(costs, reach), reach, self.settings.coupling)
        del costs
        forward, backward = consistent(forward, backward)
        yield
        wide = F.interpolate(2 * forward[None], size=shape, mode="trilinear", align_corners=False)[0]
        difference = yield from differences(one, two, wide)
        cost = float(difference[where].mean()) if where.any() else float(difference.mean())
        return _Found(start, cost, where, one, two, forward, backward)

    def _descended(self, found: _Found) -> Generator[None, None, Field]:
        """Continuous optimisation in both directions, and the field."""
        query, support = found.query, found.support
        places = found.where.flatten().nonzero()[:, 0]
        if not len(places):
            places = torch.arange(found.where.numel(), device=self.device)
        forward = yield from descending(
            2 * found.forward, query, support, places, self.settings, self.generator
        )
        backward = yield from descending(
            2 * found.backward, support, query, places, self.settings, self.generator
        )
        cycle = composed(forward, backward).norm(dim=0) * self.lattice.step
        difference = yield from differences(query, support, forward)
        return Field(
            query=self.query.geometry,
            support=self.support.geometry,
            lattice=self.lattice,
            displacement=forward.cpu(),
            affine=found.start.affine,
            cost=float(difference.flatten()[places].mean()),
            cost_map=difference.cpu(),
            cycle_mm=cycle.cpu(),
        )

    def _index(self, scan: ReducedScan, world: NDArray[np.float64]) -> Tensor:
        """Places of the lattice in a reduced scan; `world` brings lattice indices to its world."""
        return index_points(self.lattice.shape, np.linalg.inv(scan.affine) @ world, self.device)


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
