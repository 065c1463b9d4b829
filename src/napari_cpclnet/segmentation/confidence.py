"""Dice to expect of a result, from what is known without the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNLIKELY = 0.3
"""Dice to expect below which a class is probably not found."""

_MOST_MM = 60.0

_WEIGHTS = {
    "one": -1.73,
    "recognised": -0.96,
    "named": 0.04,
    "difference": -4.14,
    "cycle": -0.96,
    "agreement": 2.00,
    "kept": 1.08,
    "sharpness": 4.16,
    "radius": 0.20,
    "growth": -0.38,
}
"""Fitted to answers whose Dice is known (benchmarks/accuracy/confidence.md)."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for the answer to one class in a scan that was aligned with the support.

    Parameters
    ----------
    recognised : float
        How far the network is believed: Dice of its answer on the support's own painted slices, 0 to 1.
    difference : float
        Of the features of both scans where registration laid the class; 1 is that of places taken at random.
    cycle_mm : float
        How far there and back ends from where it began, in mm.
    named : bool
        Whether the network's names of structures took part in the registration.
    agreement : float
        Dice of the network's answer with what registration carried over; 0 where either has none.
    kept : float
        Dice of what registration carried over with the final answer.
    painted_ml : float
        Volume of the class in the support.
    """

    recognised: float = 0.0
    difference: float = np.inf
    cycle_mm: float = np.inf
    named: bool = False
    agreement: float = 0.0
    kept: float = 0.0
    painted_ml: float = 0.0


def describe_evidence(evidence: Evidence, sharpness: float, ml: float) -> dict[str, float]:
    """Numbers between about -2 and 2 on which the Dice to expect depends linearly, before the logistic function.

    Parameters
    ----------
    evidence : Evidence
    sharpness : float
        Dice that the probabilities themselves expect.
    ml : float
        Volume of the answer.
    """
    growth = abs(float(np.log((ml + 0.01) / (evidence.painted_ml + 0.01))))
    return {
        "one": 1.0,
        "recognised": evidence.recognised,
        "named": float(evidence.named),
        "difference": min(evidence.difference, 1.0),
        "cycle": float(np.log10(1 + min(evidence.cycle_mm, _MOST_MM))),
        "agreement": evidence.agreement,
        "kept": evidence.kept,
        "sharpness": sharpness,
        "radius": float(np.log10(radius_mm(ml) / 10)),
        "growth": min(growth, 2.0),
    }


def radius_mm(ml: float) -> float:
    """Radius of a ball of so many ml."""
    return float((3 * max(ml, 1e-3) * 1000 / (4 * np.pi)) ** (1 / 3))


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Dice of two masks; 0 if both are empty."""
    sizes = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * int(np.count_nonzero(one & other)) / max(sizes, 1)


def expected_dice(evidence: Evidence, sharpness: float, ml: float) -> float:
    """Dice to expect of an answer; arguments as of :func:`describe_evidence`."""
    known = describe_evidence(evidence, sharpness, ml)
    return float(1 / (1 + np.exp(-sum(_WEIGHTS[name] * known[name] for name in _WEIGHTS))))
