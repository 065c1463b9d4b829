"""A project without its window: the support set it learns from, and the scans it labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import BACKGROUND, plane_axis
from napari_cpclnet.project.folder import absolute_path
from napari_cpclnet.project.locating import LocatedScan
from napari_cpclnet.project.opening import read_mask, read_scan
from napari_cpclnet.project.schema import Project, QueryEntry
from napari_cpclnet.segmentation import PostprocessingSettings, RunSettings, SupportSet

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Segmentation, Volume
    from napari_cpclnet.project.schema import SupportEntry
    from napari_cpclnet.segmentation import RunSettings, SupportSet


@dataclass(frozen=True)
class QueryPlace:
    """A query: its entry, where it lies, and the name its results get (empty: that of the file)."""

    entry: QueryEntry
    path: Path
    series: str | None = None
    name: str = ""


def support_set(project: Project, folder: Path, found: Sequence[LocatedScan]) -> SupportSet:
    """What the project's ticked slices teach.

    Raises
    ------
    CpclnetError
        If a support scan or mask is missing or unreadable, or no slice is painted and ticked.
    """
    at = {one.scan.id: one for one in found}
    volumes: dict[str, Volume] = {}
    parts: list[tuple[SupportEntry, Volume, Segmentation, list[int], list[int]]] = []
    values: set[int] = set()
    for entry in project.supports:
        if not entry.taken or (entry.slices == () and not entry.absent):
            continue
        volume = volumes.get(entry.scan) or read_scan(at[entry.scan])
        volumes[entry.scan] = volume
        mask = read_mask(entry, folder, volume, project)
        axis = plane_axis(volume.geometry, entry.plane)
        planes = np.moveaxis(mask.labels, axis, 0)
        painted = [index for index, plane in enumerate(planes) if plane.any()]
        ticked = [index for index in painted if entry.slices is None or index in entry.slices]
        no_class = {0} if BACKGROUND in project.names else {0, BACKGROUND}
        values |= {int(v) for index in ticked for v in np.unique(planes[index])} - no_class
        # a slice that was painted after it had been marked is not empty any more
        absent = [index for index in entry.absent if index < len(planes) and index not in painted]
        if ticked or absent:
            parts.append((entry, volume, mask, ticked, absent))
    if not values:
        raise SupportError(f"{folder}: no slice is painted and ticked in this project; paint at least one.")
    names = {value: name for *_, mask, _, _ in parts for value, name in mask.classes.items()}
    support = SupportSet({value: names.get(value, f"label {value}") for value in sorted(values)})
    for entry, volume, mask, ticked, absent in parts:
        partial = [index for index in ticked if index in entry.partial]
        support.add(volume, mask.labels, slices=ticked, plane=entry.plane, absent=absent, partial=partial)
    return support


def queries(project: Project, folder: Path, found: Sequence[LocatedScan]) -> list[QueryPlace]:
    """The ticked scans, and files and folders that were never opened."""
    at = {one.scan.id: one for one in found}
    places = []
    for entry in project.queries:
        if not entry.ticked:
            continue
        if entry.scan is not None:
            one = at[entry.scan]
            places.append(QueryPlace(entry, one.path, one.scan.series, one.scan.name))
        elif entry.path is not None:
            places.append(QueryPlace(entry, absolute_path(entry.path, folder), entry.series, entry.name))
    return places


def run_settings(project: Project, folder: Path) -> RunSettings:
    """How the project's scans are labelled, on whatever device is there."""
    wanted, weights = project.settings, project.weights.path
    return RunSettings(
        plane=wanted.plane,
        align=wanted.align,
        adapt=wanted.adapt,
        postprocessing=wanted.postprocessing or PostprocessingSettings(),
        weights=None if weights is None else absolute_path(weights, folder),
    )
