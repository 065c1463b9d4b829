"""One class from two witnesses: what registration carried over from the support, and what the network sees.

The network's answer counts as far as it finds the painted slices of the support again; the registration, as far as the
two scans look alike where the class came to lie.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.segmentation.boxed import Box, Boxed, SliceBySlice
from napari_cpclnet.segmentation.confidence import Evidence, radius_mm
from napari_cpclnet.segmentation.prior_decoding import DecodedPrior, decode_priors

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.model.prior_decoder import PriorDecoder

Means = Literal["network", "alignment", "both", "none"]
NetworkLogits = Callable[[int], Iterable[NDArray[np.float32]]]
"""Logits (h, w) of the network for a place among the classes, slice by slice; above zero inside."""

_LIMIT = 8.0
_YIELD_EVERY = 32

_RECOGNISED = (0.5, 0.75)
"""Dice on the support's own painted slices from which the network's answer counts, and from which it counts fully."""

_ALIGNED = (0.6, 0.45)
"""Difference of the features within a class below which its registration counts, and below which it counts fully."""

_GUESSED = 0.75
"""Difference up to which registration is better than nothing in a part of the body that the network does not know."""

_STEADY = (0.35, 0.1)
"""Cycle error of a class, in radii of a ball of its size, from which its registration says nothing beside a network
that knows both the class and the part of the body, and below which it says all."""

_SLIPS_MM = 20.0
"""Radius of a class whose outline is twice as far off, beside its cycle error, as that of a very large one: little of
what a registration compares is of a small structure, which slips along its neighbours there and back."""

_JOINED_ERROR_MM = 3.0
"""How far outlines are off on which network and registration agreed."""


@dataclass(frozen=True, eq=False)
class JoinedClass:
    """One class, found by registration, by the network, or by both.

    Parameters
    ----------
    place : int
        Among the classes.
    box : tuple of slice
        Part of the scan that was looked at; the class is nowhere else.
    logits : ndarray, shape of the box, of float16
        Above zero inside.
    means : str
        "network", "alignment", "both" or "none".
    several : bool
        Whether the class is of several pieces in the support, as vertebrae or both kidneys are.
    evidence : Evidence
        What speaks for the answer.
    """

    place: int
    box: Box
    logits: NDArray[np.float16]
    means: Means
    several: bool = False
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def voxels(self) -> int:
        """How many voxels were found."""
        return int(np.count_nonzero(self.logits > 0))

    @classmethod
    def of(cls, place: int, decoded: DecodedPrior, means: Means) -> JoinedClass:
        """A class as the decoder left it, whose logits are limited where they are."""
        limited = np.clip(decoded.logits, -_LIMIT, _LIMIT, out=decoded.logits)
        box = tuple(slice(*part.indices(part.stop)[:2]) for part in decoded.box)
        return cls(place, (box[0], box[1], box[2]), limited, means)

    @classmethod
    def nowhere(cls, place: int, means: Means) -> JoinedClass:
        """A class that was not found."""
        return cls(place, (slice(0, 0),) * 3, np.zeros((0, 0, 0), np.float16), means)


def fusing(
    decoder: PriorDecoder,
    query: Volume,
    axis: int,
    place: int,
    mask: Boxed,
    evidence: Evidence,
    network_logits: NetworkLogits,
    done: float,
) -> Generator[float, None, JoinedClass]:
    """Join what registration carried over with what the network sees, and move it to the edges of the query.

    Parameters
    ----------
    decoder : PriorDecoder
        On the device that shall compute.
    query : Volume
    axis : int
        Array axis of its slices.
    place : int
        Of the class among the classes.
    mask : Boxed of bool
        What registration carried over, on the query's grid.
    evidence : Evidence
        What is known of both before they are joined.
    network_logits : callable
    done : float
        What is yielded.

    Yields
    ------
    float
        `done`, often enough to cancel within a second.

    Returns
    -------
    JoinedClass
        With what was seen on the way in its evidence.
    """
    aligned = trust_in(evidence.difference, _ALIGNED)
    known = trust_in(evidence.recognised, _RECOGNISED)
    error_mm = outline_error_mm(evidence, alone=known == 0)
    found: DecodedPrior | None = None
    carried: DecodedPrior | None = None
    means: Means = "none"
    there = bool(mask.array.any())
    if aligned > 0 and there:
        found = carried = yield from _decoded(decoder, query, axis, mask, error_mm, done)
        means = "alignment"
    if known > 0:
        if evidence.named:
            aligned *= trust_in(evidence.cycle_mm / radius_mm(evidence.painted_ml), _STEADY)
        prior = SliceBySlice(query.geometry.shape, axis)
        both = sizes = 0
        for index, logits in enumerate(network_logits(place)):  # never as floats of the whole scan
            if carried is not None:
                seen, brought = logits > 0, mask.slice(axis, index)
                both += int(np.count_nonzero(seen & brought))
                sizes += int(np.count_nonzero(seen)) + int(np.count_nonzero(brought))
                logits *= known
                logits -= _LIMIT * aligned / 2  # where registration sees nothing
                along = range(*carried.box[axis].indices(query.geometry.shape[axis]))
                if index in along:
                    rest = carried.box[:axis] + carried.box[axis + 1 :]
                    arrived = carried.logits.take(index - along.start, axis).astype(np.float32)
                    logits[rest] += aligned * (np.clip(arrived, -_LIMIT / 2, _LIMIT / 2) + _LIMIT / 2)
            prior.add(index, logits > 0)
            if index % _YIELD_EVERY == 0:
                yield done
        if carried is not None:
            evidence = replace(evidence, agreement=2 * both / max(sizes, 1))
        yield done
        means = "network" if carried is None else "both"
        joint = prior.boxed()
        del prior
        found = None
        if joint.array.size:
            carried = None  # of a large class it takes as much as labels of the whole scan
            found = yield from _decoded(decoder, query, axis, joint, _JOINED_ERROR_MM, done)
    if found is None and not evidence.named and evidence.difference < _GUESSED and there:
        # in a part of the body that the network does not know, what it does not see may be there
        found = carried or (yield from _decoded(decoder, query, axis, mask, error_mm, done))
        means = "alignment"
    one = JoinedClass.nowhere(place, means) if found is None else JoinedClass.of(place, found, means)
    return replace(one, evidence=replace(evidence, kept=_overlap(mask, one)))


def part_classes(logits: NDArray[np.float32], radii: Sequence[float]) -> None:
    """Leave each place to one of the classes that were found there; the others lose it, in place.

    Deep within a large class logits are larger than a small one can have: a vessel in a liver would be the liver's. So
    they are compared relative to the size of the class.

    Parameters
    ----------
    logits : ndarray (C, h, w)
        Above zero inside; a class was decoded as if there were no other.
    radii : sequence of float
        Of balls as large as the classes.
    """
    several = np.count_nonzero(logits > 0, 0) > 1
    if not several.any():
        return
    here = logits[:, several]
    relative = here / np.asarray(radii, np.float32)[:, None]
    places = np.arange(here.shape[1])
    winner = relative.argmax(0)
    won = here[winner, places]
    # the odds of all others are at most those against the one that is there
    np.minimum(here, -won, out=here)
    here[winner, places] = won
    logits[:, several] = here


def outline_error_mm(evidence: Evidence, alone: bool) -> float:
    """How far the outline of a class that was carried over is off, in mm.

    Parameters
    ----------
    evidence : Evidence
    alone : bool
        Whether the decoder has to bring it to the edges by itself. Where the network is heard, too, the decoder only
        sharpens what was carried, and leaves larger moves to the network.
    """
    slips = _SLIPS_MM / max(radius_mm(evidence.painted_ml), 1.0) if alone else 0.0
    return float(np.clip(0.7 * evidence.cycle_mm * (1 + slips) + 1, 2, 12))


def trust_in(value: float, limits: tuple[float, float]) -> float:
    """How far to trust something whose quality is `value`: 0 at the first limit, 1 at the second."""
    nothing, everything = limits
    return float(np.clip((value - nothing) / (everything - nothing), 0, 1))


def _decoded(
    decoder: PriorDecoder, query: Volume, axis: int, mask: Boxed, error_mm: float, done: float
) -> Generator[float, None, DecodedPrior | None]:
    found: DecodedPrior | None = None
    for report in decode_priors(decoder, query, {1: mask}, axis=axis, error_mm=error_mm):
        if isinstance(report, DecodedPrior):
            found = report
        yield done
    return found


def _overlap(mask: Boxed, found: JoinedClass) -> float:
    """Dice of a mask with a class that was found in a part of the scan."""
    inside = found.logits > 0
    both = 2 * int(np.count_nonzero(mask.part(found.box) & inside))
    return both / max(int(np.count_nonzero(mask.array)) + int(np.count_nonzero(inside)), 1)
