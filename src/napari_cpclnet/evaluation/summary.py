"""Summary statistics of a table of results: means, bootstrap intervals, reliability."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.evaluation.results import CaseResult

ALL = "all"
RESAMPLES = 2000
_GOOD_IS_HIGH = ("dice", "surface_dice")
_MEASURES: dict[str, Callable[[CaseResult], float]] = {
    "dice": lambda r: r.dice,
    "surface_dice": lambda r: r.surface_dice,
    "hd95_mm": lambda r: r.hd95_mm,
    "relative_volume_error": lambda r: abs(r.relative_volume_error),
    "false_ml": lambda r: math.nan if r.absent else r.false_ml,
    "seconds": lambda r: r.seconds,
}


def summarise(results: Sequence[CaseResult], seed: int = 0) -> dict[str, Any]:
    """Sum up results by method, protocol, shots, modalities and organ.

    Parameters
    ----------
    results : sequence of CaseResult
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        JSON values only; a number without meaning is None.

        ``"groups"``: list of dicts with ``method, protocol, shots, support_modality, query_modality, organ`` (the last
        three also as ``"all"``, modalities together), ``n`` (cases in which the organ is there), ``patients``,
        ``absent`` (cases in which it is not), ``absent_predicted`` (of these, those with a prediction), ``absent_ml``
        (mean predicted ml in them), ``missed`` (cases with the organ and without a prediction: they have Dice 0 and
        no distance), ``peak_mb`` (highest), and for each of ``dice, surface_dice, hd95_mm, relative_volume_error``
        (absolute), ``false_ml, seconds`` a dict of ``mean, median, worst_decile`` (the value that a tenth of the cases
        fails to reach), ``low, high`` (95 % bootstrap interval of the mean over patients; None for one patient).

        ``"gap"``: list of dicts with ``method, shots`` (of the honest protocol), ``support_modality, query_modality,
        organ``, ``n`` (pairs of support and query run under both protocols), ``honest, legacy`` (mean Dice) and ``gap``
        (legacy minus honest).
    """
    groups: dict[tuple[Any, ...], list[CaseResult]] = {}
    for result in results:
        for place in _places(result):
            key = (result.protocol, result.shots, *place, result.method)
            groups.setdefault(key, []).append(result)
    return {
        "groups": [_group(key, rows, seed) for key, rows in groups.items()],
        "gap": _gaps(results),
    }


def bootstrap_interval(
    values: NDArray[np.float64], patients: Sequence[str], seed: int = 0
) -> tuple[float, float] | None:
    """95 % percentile interval of the mean when patients, not cases, are drawn with replacement.

    Parameters
    ----------
    values : ndarray (n,)
    patients : sequence of str
        Whom each value belongs to.
    seed : int

    Returns
    -------
    (low, high) or None
        None if there are fewer than two patients.
    """
    names, place = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:
        return None
    sums = np.bincount(place, values)
    counts = np.bincount(place)
    drawn = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def reliability(results: Sequence[CaseResult], groups: int = 6) -> list[tuple[float, float, int]]:
    """Dice that was expected and Dice that was reached, by groups of about the same expectation.

    Parameters
    ----------
    results : sequence of CaseResult
        With a confidence and a Dice.
    groups : int
        At most so many, of the same number of answers; never of fewer than four.

    Returns
    -------
    list of (mean confidence, mean Dice, number of answers)
        From the lowest to the highest.
    """
    ordered = sorted(results, key=lambda r: r.confidence)
    count = min(groups, len(ordered) // 4)
    parts = np.array_split(np.array([(r.confidence, r.dice) for r in ordered]), count) if count else []
    return [(float(part[:, 0].mean()), float(part[:, 1].mean()), len(part)) for part in parts]


def _places(result: CaseResult) -> Iterable[tuple[str, str, str]]:
    """Groups a result belongs to: support modality, query modality, organ."""
    for pair in ((result.support_modality, result.query_modality), (ALL, ALL)):
        for organ in (result.organ, ALL):
            yield (*pair, organ)


def _group(key: tuple[Any, ...], rows: Sequence[CaseResult], seed: int) -> dict[str, Any]:
    protocol, shots, support, query, organ, method = key
    there = [row for row in rows if not row.absent]
    absent = [row for row in rows if row.absent]
    return {
        "method": method,
        "protocol": protocol,
        "shots": shots,
        "support_modality": support,
        "query_modality": query,
        "organ": organ,
        "n": len(there),
        "patients": len({row.query_patient for row in there}),
        "absent": len(absent),
        "absent_predicted": sum(row.predicted_ml > 0 for row in absent),
        "absent_ml": _number(np.mean([row.predicted_ml for row in absent])) if absent else None,
        "missed": sum(row.predicted_ml == 0 for row in there),
        "peak_mb": _number(
            max((row.peak_mb for row in rows if math.isfinite(row.peak_mb)), default=math.nan)
        ),
        **{name: _statistics(name, rows, seed) for name in _MEASURES},
    }


def _statistics(name: str, rows: Sequence[CaseResult], seed: int) -> dict[str, float | None]:
    measured = [(_MEASURES[name](row), row.query_patient) for row in rows]
    known = [(value, patient) for value, patient in measured if math.isfinite(value)]
    if not known:
        return dict.fromkeys(("mean", "median", "worst_decile", "low", "high"))
    values = np.array([value for value, _ in known])
    low, high = bootstrap_interval(values, [patient for _, patient in known], seed) or (None, None)
    return {
        "mean": _number(values.mean()),
        "median": _number(np.median(values)),
        "worst_decile": _number(np.percentile(values, 10 if name in _GOOD_IS_HIGH else 90)),
        "low": low,
        "high": high,
    }


def _gaps(results: Sequence[CaseResult]) -> list[dict[str, Any]]:
    """Mean Dice of the same pairs under both protocols."""
    legacy = {_pair(row): row.dice for row in results if row.protocol == "legacy" and not row.absent}
    matched: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for row in results:
        if row.protocol == "honest" and not row.absent and _pair(row) in legacy:
            for place in _places(row):
                matched.setdefault((row.shots, *place, row.method), []).append((row.dice, legacy[_pair(row)]))
    found = []
    for (shots, support, query, organ, method), pairs in matched.items():
        honest, old = (float(v) for v in np.mean(pairs, axis=0))
        found.append(
            {
                "method": method,
                "shots": shots,
                "support_modality": support,
                "query_modality": query,
                "organ": organ,
                "n": len(pairs),
                "honest": honest,
                "legacy": old,
                "gap": old - honest,
            }
        )
    return found


def _pair(row: CaseResult) -> tuple[str, ...]:
    support = (row.support_patient, row.support_modality)
    return (*support, row.query_patient, row.query_modality, row.organ, row.method)


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
