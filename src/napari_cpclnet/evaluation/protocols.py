"""Evaluation protocols: which support segments which query, and with which painted slices.

Support slices are chosen from the support's own labels; nothing here opens a query's labels. Every organ is a task of
its own, because its painted slices lie at fractions of its own extent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.evaluation.settings import EvaluationSettings, ProtocolName
from napari_cpclnet.imaging import MODALITIES, Geometry, Modality, Plane, Volume, painted_plane, plane_axis
from napari_cpclnet.imaging.cases import Case, patient_folds

LEGACY_SHOTS = 3
Areas = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """One prediction to make: a support, a query and an organ.

    Parameters
    ----------
    key : str
        Says the same about the same task in every run; fit for a file name.
    protocol : str
        "honest", "legacy" or "same-volume".
    support, query : Case
        The same case in "same-volume".
    support_index : int
        0 for the first support of this query, 1 for the second, and so on.
    slices : tuple of int
        Painted slices of the support, along its sliced array axis.
    shots : int
        How many were wanted; a flat organ has fewer.
    classes : tuple of str
        Organs that are asked for: one.
    plane : str
        axial, coronal or sagittal: plane of the painted slices.
    """

    key: str
    protocol: ProtocolName
    support: Case
    query: Case
    support_index: int
    slices: tuple[int, ...]
    shots: int
    classes: tuple[str, ...]
    plane: Plane = "axial"

    @property
    def organ(self) -> str:
        """The organ that is asked for."""
        (organ,) = self.classes
        return organ


@dataclass(frozen=True)
class LegacyPart:
    """Slices `first` to `stop` - 1 of a query, and the one painted slice they are segmented with."""

    first: int
    stop: int
    support_slice: int


def tasks(cases: Sequence[Case], settings: EvaluationSettings) -> Iterator[Task]:
    """All tasks of the settings' protocols, one query after the other.

    Parameters
    ----------
    cases : sequence of Case
    settings : EvaluationSettings
        Protocols, shots, supports, seed, modalities, plane.

    Yields
    ------
    Task

    Raises
    ------
    CpclnetError
        If a support's label map cannot be read.
    """
    profiles = _Profiles(settings.plane)
    for protocol in settings.protocols:
        if protocol == "same-volume":
            yield from _same_volume(cases, settings, profiles)
        else:
            yield from _across_patients(protocol, cases, settings, profiles)


def choose_slices(areas: Sequence[int] | Areas, shots: int) -> tuple[int, ...]:
    """Slices to paint, from the organ's area on every slice of the support.

    Parameters
    ----------
    areas : sequence of int
        Pixels of the organ on each slice.
    shots : int
        1: the slice with the largest area; more: at fractions (i + 0.5) / `shots` of the organ's extent, or the nearest
        slice that shows it.

    Returns
    -------
    tuple of int
        In ascending order; fewer than `shots` if the organ shows on fewer slices, none if on none.
    """
    shown = np.flatnonzero(np.asarray(areas))
    if not shown.size:
        return ()
    if shots == 1:
        return (int(np.argmax(areas)),)
    first, extent = int(shown[0]), int(shown[-1] + 1 - shown[0])
    chosen: list[int] = []
    for i in range(min(shots, shown.size)):
        place = int(first + extent * (i + 0.5) / min(shots, shown.size))
        free = np.setdiff1d(shown, chosen)
        chosen.append(int(free[np.abs(free - place).argmin()]))
    return tuple(sorted(chosen))


def fold_cases(cases: Sequence[Case], settings: EvaluationSettings) -> Iterator[tuple[Case, ...]]:
    """For each fold its cases: held-out patients as queries, the others as supports."""
    for rest, held_out in patient_folds(cases, settings.folds or 0, settings.seed):
        supports = (replace(case, side="support") for case in rest if case.side != "query")
        queries = (replace(case, side="query") for case in held_out if case.side != "support")
        yield (*supports, *queries)


def organ_extent(truth: NDArray[np.bool_], axis: int) -> tuple[int, int] | None:
    """First slice of the organ and the one after its last: all that the legacy protocol tells of the truth."""
    shown = np.flatnonzero(truth.any(axis=tuple(a for a in range(3) if a != axis)))
    return (int(shown[0]), int(shown[-1]) + 1) if shown.size else None


def legacy_parts(
    extent: tuple[int, int], slices: Sequence[int], *, same_direction: bool
) -> tuple[LegacyPart, ...]:
    """Cut a query's extent in three, each with its own painted slice.

    Parameters
    ----------
    extent : (int, int)
        From :func:`organ_extent`. The published protocol knows it before the prediction; no tool can.
    slices : sequence of int
        Painted slices of the support in ascending order.
    same_direction : bool
        Whether support and query count their slices in the same direction of the body.
    """
    first, stop = extent
    ordered = list(slices) if same_direction else list(slices)[::-1]
    edges = np.linspace(first, stop, len(ordered) + 1).round().astype(int).tolist()
    parts = zip(edges[:-1], edges[1:], ordered, strict=True)
    return tuple(LegacyPart(start, end, painted) for start, end, painted in parts if end > start)


def same_direction(support: Geometry, query: Geometry, plane: Plane) -> bool:
    """Whether two grids count the slices of a plane in the same direction of the body."""

    def backwards(geometry: Geometry) -> bool:
        axis = plane_axis(geometry, plane)
        return next(flip for array_axis, flip in geometry.anatomical_axes if array_axis == axis)

    return backwards(support) == backwards(query)


def slab(volume: Volume, axis: int, first: int, stop: int) -> Volume:
    """Slices `first` to `stop` - 1 of a scan, in their place."""
    index = [0.0, 0.0, 0.0]
    index[axis] = first
    shape = list(volume.geometry.shape)
    shape[axis] = stop - first
    z, y, x = volume.geometry.index_to_world([index])[0].tolist()
    geometry = replace(volume.geometry, shape=(shape[0], shape[1], shape[2]), origin=(z, y, x))
    part = volume.array[(slice(None),) * axis + (slice(first, stop),)]
    # a copy: the whole scan must not hang on its part
    return replace(volume, array=part.copy(), geometry=geometry)


class _Profiles:
    """Area of every organ on every slice of label maps, each read once."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._planes: dict[Path, Plane] = {}
        self._known: dict[Path, dict[str, Areas]] = {}

    def plane(self, case: Case, organ: str) -> Plane:
        """The plane in which a support is sliced."""
        self.areas(case, organ)
        return self._planes[case.label]

    def areas(self, case: Case, organ: str) -> Areas:
        if case.label not in self._known:
            found = case.read_label()
            self._planes[case.label] = painted_plane(found.labels, found.geometry, self._plane)
            axis = plane_axis(found.geometry, self._planes[case.label])
            others = tuple(a for a in range(3) if a != axis)
            self._known[case.label] = {
                name: np.asarray(np.count_nonzero(found.labels == value, axis=others))
                for value, name in case.classes.items()
            }
        return self._known[case.label][organ]


def _across_patients(
    protocol: ProtocolName, cases: Sequence[Case], settings: EvaluationSettings, profiles: _Profiles
) -> Iterator[Task]:
    """Every query with supports of other patients, for every support modality."""
    shots = (LEGACY_SHOTS,) if protocol == "legacy" else settings.shots
    queries = [case for case in cases if case.side != "support" and _wanted(case, settings.to_modality)]
    for query in queries:
        others = [
            case
            for case in cases
            if case.side != "query"
            and case.patient != query.patient
            and _wanted(case, settings.from_modality)
        ]
        for modality in MODALITIES:
            ranked = sorted(
                (case for case in others if case.modality == modality),
                key=lambda case: _digest(settings.seed, query.image, case.image),
            )
            for organ in query.classes.values():
                able = (c for c in ranked if organ in c.classes.values() and profiles.areas(c, organ).any())
                for index, support in enumerate(islice(able, settings.supports)):
                    for count in shots:
                        yield _task(protocol, support, query, index, count, organ, profiles)


def _same_volume(cases: Sequence[Case], settings: EvaluationSettings, profiles: _Profiles) -> Iterator[Task]:
    """Every scan with some of its own slices."""
    for case in cases:
        if not (_wanted(case, settings.from_modality) and _wanted(case, settings.to_modality)):
            continue
        for organ in case.classes.values():
            if profiles.areas(case, organ).any():
                for count in settings.shots:
                    yield _task("same-volume", case, case, 0, count, organ, profiles)


# A key names files.
_LONGEST_KEY = 160


def _task(
    protocol: ProtocolName,
    support: Case,
    query: Case,
    index: int,
    shots: int,
    organ: str,
    profiles: _Profiles,
) -> Task:
    names = (protocol, _of(support), _of(query), organ, f"{shots}shots")
    digest = _digest(protocol, support.image, query.image, organ, shots)[:8]
    key = re.sub(r"[^A-Za-z0-9]+", "-", "_".join(names).replace("_", "-")).strip("-")
    key = f"{key[:_LONGEST_KEY]}-{digest}"
    slices = choose_slices(profiles.areas(support, organ), shots)
    plane = profiles.plane(support, organ)
    return Task(key, protocol, support, query, index, slices, shots, (organ,), plane)


def _of(case: Case) -> str:
    return f"{case.patient} {case.modality}"


def _wanted(case: Case, modality: Modality | None) -> bool:
    return modality is None or case.modality == modality


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()
