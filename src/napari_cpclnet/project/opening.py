"""Read the scans, masks and results of a project, as far as they are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_cpclnet.errors import CpclnetError, GeometryError, ProjectError
from napari_cpclnet.imaging import Segmentation, Volume, read_segmentation, read_volume
from napari_cpclnet.project.folder import absolute_path
from napari_cpclnet.project.locating import LocatedScan
from napari_cpclnet.project.schema import Project, QueryEntry, SupportEntry


@dataclass(frozen=True, eq=False)
class OpenedScan:
    """A scan of the project, and where it is now."""

    found: LocatedScan
    volume: Volume


@dataclass(frozen=True, eq=False)
class OpenedMask:
    """Painted slices or a result, on the voxels of its scan."""

    entry: SupportEntry | QueryEntry
    labels: Segmentation


@dataclass(frozen=True, eq=False)
class Opened:
    """A project with its voxels; ``problems`` are sentences about what could not be opened."""

    project: Project
    folder: Path
    scans: tuple[OpenedScan, ...]
    masks: tuple[OpenedMask, ...]
    problems: tuple[str, ...]

    def masks_of(self, scan_id: str) -> list[OpenedMask]:
        """Painted slices and results of one scan."""
        return [mask for mask in self.masks if mask.entry.scan == scan_id]


def open_project(
    project: Project, folder: Path, found: Iterable[LocatedScan], *, lazy_above: int | None = None
) -> Opened:
    """Read everything; what fails becomes a problem and the rest goes on.

    Parameters
    ----------
    project, folder
        The project and its folder.
    found
        Where the scans are, as `locate` says; those that are missing are left out.
    lazy_above
        A DICOM series of more bytes of voxels stays in its files (see `read_volume`).
    """
    scans: list[OpenedScan] = []
    masks: list[OpenedMask] = []
    problems: list[str] = []
    for one in found:
        if one.state == "missing":
            problems.append(one.warning)
            continue
        try:
            volume = read_scan(one, lazy_above=lazy_above)
        except CpclnetError as error:
            problems.append(str(error))
            continue
        scans.append(OpenedScan(one, volume))
        wanted: list[SupportEntry | QueryEntry] = [
            *(s for s in project.supports if s.scan == one.scan.id),
            *(q for q in project.queries if q.scan == one.scan.id and _result_file(q, folder)),
        ]
        for entry in wanted:
            try:
                mask = read_mask(entry, folder, volume, project)
                masks.append(OpenedMask(_measured(entry, mask), mask))
            except CpclnetError as error:
                problems.append(str(error))
    return Opened(project, folder, tuple(scans), tuple(masks), tuple(problems))


def read_scan(found: LocatedScan, *, lazy_above: int | None = None) -> Volume:
    """Read a scan as the project knows it: with its name, modality and, if its voxels are as many, its grid.

    ``lazy_above`` as of `open_project`.

    Raises
    ------
    CpclnetError
        If it cannot be read, or has another size than when the project was saved.
    """
    if found.state == "missing":
        raise ProjectError(found.warning)
    entry = found.scan
    volume = read_volume(found.path, series=entry.series, lazy_above=lazy_above)
    if volume.geometry.shape != entry.geometry.shape:
        sizes = " against ".join(str(grid.shape) for grid in (volume.geometry, entry.geometry))
        raise ProjectError(f"'{entry.name}' ({found.path}) has another size than in the project: {sizes}.")
    geometry = volume.geometry if found.state == "changed" else entry.geometry
    return volume.replaced(
        geometry=geometry,
        name=entry.name,
        modality=entry.modality,
        unit=entry.unit,
        calibrated=entry.calibrated,
        series=entry.series,
    )


def read_mask(
    entry: SupportEntry | QueryEntry, folder: Path, volume: Volume, project: Project
) -> Segmentation:
    """Read painted slices or a result on the voxels of their scan, with the project's classes.

    Raises
    ------
    CpclnetError
        If the file is missing, unreadable, or on another grid.
    """
    if isinstance(entry, SupportEntry):
        path = absolute_path(entry.mask, folder)
    elif (there := _result_file(entry, folder)) is not None:
        path = there
    else:
        raise ProjectError(f"'{volume.name}' has no result.")
    try:
        found = read_segmentation(path, like=volume, resample=False)
    except GeometryError as error:
        raise ProjectError(f"{path}: does not fit '{volume.name}' any more ({error}).") from error
    name = entry.name or path.name.partition(".")[0]
    if isinstance(entry, SupportEntry) and not entry.taken:
        return found.replaced(name=name)
    return found.replaced(
        name=name, classes=found.classes | project.names, colors=found.colors | project.colors
    )


def _result_file(entry: QueryEntry, folder: Path) -> Path | None:
    """Labels of a scan in the project, whether they are there or not, else those in the output folder."""
    if entry.result is not None:
        return absolute_path(entry.result, folder)
    saved = None if entry.saved is None else absolute_path(entry.saved, folder)
    return saved if saved is not None and saved.exists() else None


def _measured(entry: SupportEntry | QueryEntry, mask: Segmentation) -> SupportEntry | QueryEntry:
    """Volumes of the labels as they are in the file, whoever changed it."""
    if isinstance(entry, SupportEntry) or entry.summary is None:
        return entry
    voxels = {
        one.value: sum(int(np.count_nonzero(plane == one.value)) for plane in mask.labels)
        for one in entry.summary.classes
    }
    return entry.model_copy(update={"summary": entry.summary.measured(voxels)})
