"""What was painted on other scans, carried over by registration, and joined with what the network recognises.

The support's painted slices are carried through their own scan (`propagation`), the whole scan is registered with the
query (`registration`), and each class that arrives is moved to the edges of the query by the prior decoder
(`prior_decoding`) and joined with the network's answer (`fusion`). So classes that have a name for the network and
classes that have none come out of one method.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.imaging.volume import fingerprint
from napari_cpclnet.last_used import LastUsed
from napari_cpclnet.propagation import Propagation
from napari_cpclnet.registration import Field, Registrar, RegistrationSettings
from napari_cpclnet.segmentation.boxed import Boxed, joint_box, label_boxes
from napari_cpclnet.segmentation.confidence import Evidence, radius_mm
from napari_cpclnet.segmentation.continuation import Exit, exits, following
from napari_cpclnet.segmentation.fusion import JoinedClass, NetworkLogits, fusing, part_classes
from napari_cpclnet.segmentation.partial_slices import scribbled
from napari_cpclnet.segmentation.postprocessing import pieces_of
from napari_cpclnet.segmentation.prediction import outwards

if TYPE_CHECKING:
    import torch

    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.model import CPCLNet
    from napari_cpclnet.model.prior_decoder import PriorDecoder
    from napari_cpclnet.segmentation.prediction import PredictionState, SliceResult
    from napari_cpclnet.segmentation.support import SupportSet

LEAST_SLICES = 3
"""Slices of a scan from which it is registered in 3-D."""

_REMEMBERED = 8

_COST_SCALE = 0.05
"""Difference of costs that makes one support count e times as much as another."""

_ONE_PIECE = 0.85
"""Share of a class that its largest piece has if it is of one piece; filled slices leave crumbs."""


@dataclass(frozen=True, eq=False)
class _Carried:
    """A support scan as it arrives on the query: labels there, and how far each class can be trusted."""

    labels: Boxed
    cost: dict[int, float]
    cycle_mm: dict[int, float]
    several: frozenset[int] = frozenset()
    ml: dict[int, float] = field(default_factory=dict)
    ways: dict[int, list[Exit]] = field(default_factory=dict)
    named: bool = False


class Alignment:
    """Registrations of queries with support scans; each pair of scans is registered once.

    Parameters
    ----------
    decoder : PriorDecoder
        Moved to the device that computes.
    """

    def __init__(self, decoder: PriorDecoder) -> None:
        self.decoder = decoder
        self._registrar: tuple[CPCLNet, torch.device, Registrar] | None = None
        self._filled: LastUsed[Any, tuple[Boxed, frozenset[int]]] = LastUsed(_REMEMBERED)

    def joining(
        self,
        query: Volume,
        axis: int,
        support: SupportSet,
        network: CPCLNet,
        found_again: Sequence[float],
        network_logits: NetworkLogits,
        device: torch.device,
    ) -> Generator[float, None, list[JoinedClass]]:
        """Carry the support's classes to a query and join them with what the network says.

        Parameters
        ----------
        query : Volume
        axis : int
            Array axis of its slices.
        support : SupportSet
        network : CPCLNet
            For its features.
        found_again : sequence of float
            For each class the Dice of the network's answer on the support's own painted slices.
        network_logits : callable
        device : torch.device
            Where to register and decode.

        Yields
        ------
        float
            Share of the work that is done, often enough to cancel within a second.

        Returns
        -------
        list of JoinedClass
            One for each class.
        """
        self.decoder.to(device)
        scans = [v for v in _scans(support) if registrable(v)]
        carried: list[_Carried] = []
        for number, scan in enumerate(scans):
            for part in (steps := self._carrying(scan, query, support, network, device)):
                if isinstance(part, _Carried):
                    carried.append(part)
                else:
                    yield 0.7 * (number + part) / len(scans)
            steps.close()
        values = list(support.classes)
        joined: list[JoinedClass] = []
        for place, value in enumerate(values):
            evidence = Evidence(recognised=found_again[place])
            several = any(value in c.several for c in carried)
            mask = _voted(value, carried, query.geometry.shape)
            done = 0.7 + 0.3 * place / len(values)
            if carried:
                nearest = min(carried, key=lambda c: c.cost[value])
                evidence = replace(
                    evidence,
                    difference=nearest.cost[value],
                    cycle_mm=nearest.cycle_mm[value],
                    named=nearest.named,
                    painted_ml=nearest.ml.get(value, 0.0),
                )
                # pieces that follow each other, as vertebrae, do not go on beyond their ends
                for way in [] if several else nearest.ways.get(value, []):
                    mask = yield from following(self.decoder, query, axis, mask, way, done)
            one = yield from fusing(
                self.decoder,
                query,
                axis,
                place,
                mask,
                evidence,
                network_logits,
                done,
            )
            joined.append(replace(one, several=several))
        return joined

    def _carrying(
        self, scan: Volume, query: Volume, support: SupportSet, network: CPCLNet, device: torch.device
    ) -> Generator[float | _Carried, None, None]:
        filled, several = yield from self._filling(scan, support)
        found: Field | None = None
        for report in self._registering(network, device).registering(scan, query):
            found = report.field
            yield 0.15 + 0.8 * report.done
        assert found is not None, "the last report holds it"
        arrived = np.zeros(query.geometry.shape, filled.array.dtype)
        for part, piece in found.warping(filled.whole()):
            arrived[part] = piece
            yield 0.95
        labels = Boxed.around(arrived)
        del arrived
        cost, cycle, ml, ways = {}, {}, {}, {}
        for value in support.classes:
            ml[value] = float(np.count_nonzero(filled.array == value) * scan.geometry.voxel_ml)
            region = labels.mask(value)
            there = bool(region.array.any())
            cost[value] = found.cost_of(region.array, region.box) if there else np.inf
            cycle[value] = found.cycle_of(region.array, region.box) if there else np.inf
            ways[value] = list(exits(found, filled.mask(value), region))
            yield 0.97
        yield _Carried(labels, cost, cycle, several, ml, ways, found.used_network)

    def _registering(self, network: CPCLNet, device: torch.device) -> Registrar:
        """What registers scans, and remembers them, as long as network and device stay."""
        if self._registrar is None or self._registrar[0] is not network or self._registrar[1] != device:
            made = Registrar(network, RegistrationSettings(device=str(device)))
            self._registrar = network, device, made
        return self._registrar[2]

    def _filling(
        self, scan: Volume, support: SupportSet
    ) -> Generator[float, None, tuple[Boxed, frozenset[int]]]:
        """Labels of a whole support scan, from its painted slices; classes that are of several pieces there."""
        slices = [s for s in support.slices if s.volume is scan]
        key = (fingerprint(scan), tuple(sorted(s.content_hash() for s in slices)), tuple(support.classes))
        if key not in self._filled:
            axes = [s.axis for s in slices]
            axis = max(set(axes), key=axes.count)
            here = [s for s in slices if s.axis == axis]
            painted = {s.index: s.labels2d for s in here if not s.partial}
            propagation = Propagation(scan, painted, axis, support.classes, scribbled=scribbled(here))
            for report in propagation.run():
                yield 0.15 * report.done / report.total
            labels = Boxed.around(propagation.result().labels)
            self._filled[key] = labels, several_pieces(labels.array)
        return self._filled[key]


def stream_joined(
    run: PredictionState, joining: Generator[float, None, list[JoinedClass]], start: int
) -> Iterator[SliceResult]:
    """Slices of a scan after its classes were joined; while that goes on, the slice to begin with, as it stands."""
    run.begin_second_pass()
    joined: list[JoinedClass] = []
    share = 0.0
    shown = run.shown(start, share)  # it changes no more until the end
    while True:
        try:
            share = max(share, next(joining))
            yield replace(shown, done=run.done_by(share))
        except StopIteration as finished:
            joined = finished.value
            break
    run.network_maps = None  # that is in them now
    run.begin_second_pass()
    run.means = tuple(one.means for one in joined)
    run.evidence = tuple(one.evidence for one in joined)
    run.several = frozenset(int(run.values[one.place]) for one in joined if one.several)
    at_threshold = float(np.log(run.threshold / (1 - run.threshold)))
    axis = run.grid.axis
    rest = [a for a in range(3) if a != axis]
    voxel_ml = run.volume.geometry.voxel_ml
    # what came out far too large is no small structure any more
    radii = [radius_mm(max(one.evidence.painted_ml, one.voxels * voxel_ml)) for one in joined]
    for index in outwards(start, run.grid.n_slices):
        here = [one for one in joined if one.box[axis].start <= index < one.box[axis].stop]
        where = {one.place: (one.box[rest[0]], one.box[rest[1]]) for one in here}
        logits = np.full((len(joined), *run.grid.slice_shape), -np.inf, np.float32)
        for one in here:
            logits[one.place, *where[one.place]] = one.logits.take(index - one.box[axis].start, axis)
        if len(here) > 1:
            part_classes(logits, radii)
        probabilities = np.zeros_like(logits)
        for place, part in where.items():  # the exponential of a whole slice takes longer than all else
            probabilities[place, *part] = 1 / (1 + np.exp(-logits[place, *part] - at_threshold))
        yield run.add(index, probabilities)


def several_pieces(labels: NDArray[Any]) -> frozenset[int]:
    """Values of a label map (z, y, x) of which the largest piece is not nearly all."""
    found = set()
    for value, box in label_boxes(labels).items():
        _, sizes = pieces_of(labels[box] == value)
        if sizes[1:].max() < _ONE_PIECE * sizes[1:].sum():
            found.add(value)
    return frozenset(found)


def can_align(support: SupportSet, query: Volume) -> bool:
    """Whether a query can be registered with a scan of the support."""
    return registrable(query) and any(registrable(scan) for scan in _scans(support))


def registrable(volume: Volume) -> bool:
    """Whether a scan can be registered: a volume with a physical size."""
    return volume.calibrated and min(volume.geometry.shape) >= LEAST_SLICES


def _scans(support: SupportSet) -> list[Volume]:
    """Scans of a support set on which a class is painted, each once."""
    found: list[Volume] = []
    for one in support.slices:
        if one.labels2d.any() and not any(one.volume is v for v in found):
            found.append(one.volume)
    return found


def _voted(value: int, carried: Sequence[_Carried], shape: tuple[int, int, int]) -> Boxed:
    """Where support scans say a class is, each weighing by how well it is aligned there."""
    costs = np.array([c.cost[value] for c in carried])
    if not np.isfinite(costs).any():
        return Boxed.nothing(shape)
    weights = np.exp(-(costs - costs.min()) / _COST_SCALE)
    weights /= weights.sum()
    masks = [one.labels.mask(value) for one in carried]
    if weights.max() > 0.5:
        return masks[int(weights.argmax())]
    box = joint_box([mask.box for mask in masks if mask.array.size])
    votes = np.zeros([side.stop - side.start for side in box], np.float32)
    for weight, mask in zip(weights, masks, strict=True):
        votes += np.float32(weight) * mask.part(box)
    return Boxed(shape, box, votes > 0.5)
