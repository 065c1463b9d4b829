"""Snapshot of a session for its project: copied in the GUI thread, written in any other. No Qt."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet._version import __version__
from napari_cpclnet.errors import ImageError, ProjectError
from napari_cpclnet.gui.layers.label_snapshot import checksum
from napari_cpclnet.imaging import Segmentation, write_segmentation, write_volume
from napari_cpclnet.project import SCANS, Project, ScanEntry, fingerprint, relative_path, write_project

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_cpclnet.gui.layers.scan_layers import LayerScan
    from napari_cpclnet.imaging import Geometry
    from napari_cpclnet.project import ScanEntry

Stamp = tuple[int, int]


@dataclass(frozen=True, eq=False)
class ScanCopy:
    """A scan; ``known`` is its entry if it was looked at before, ``layer`` only for the GUI thread."""

    layer: Image
    id: str
    scan: LayerScan
    known: ScanEntry | None


@dataclass(frozen=True, eq=False)
class MaskCopy:
    """Labels that may have changed, and the file they go to; ``written`` is the checksum of what is there."""

    layer: Labels
    file: str
    labels: np.ndarray
    names: dict[int, str]
    colors: dict[int, tuple[int, int, int]]
    geometry: Geometry
    name: str
    written: int | None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A session at one moment.

    ``supports``, ``queries``, ``classes`` and ``settings`` are entries as `napari_cpclnet.project` has them, as
    plain dictionaries in which paths are not yet relative and a ``summary`` is a `ScanResult`; ``kept`` are scans,
    supports and queries that could not be opened and stay as they are.
    """

    folder: Path
    stamp: Stamp | None
    scans: tuple[ScanCopy, ...]
    masks: tuple[MaskCopy, ...]
    classes: list[dict[str, Any]]
    supports: list[dict[str, Any]]
    queries: list[dict[str, Any]]
    settings: dict[str, Any]
    weights: Path | None
    kept: dict[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Written:
    """What is on disk now: entries of the scans, checksums of the masks, and the stamp of ``project.json``."""

    folder: Path
    stamp: Stamp
    scans: dict[Image, ScanEntry]
    masks: dict[Labels, int]


# Two saves at a time would undo each other. What was written here last is no change of another program.
_one_at_a_time = threading.Lock()
_own_stamps: dict[Path, Stamp] = {}


def write_snapshot(snapshot: Snapshot) -> Written:
    """Write what has changed: masks first, ``project.json`` last, each whole or not at all.

    Raises
    ------
    CpclnetError
        If something cannot be written, or another program has changed the project since it was read.
    """
    folder = snapshot.folder
    with _one_at_a_time:
        fine = (None, snapshot.stamp, _own_stamps.get(folder))
        if snapshot.stamp is not None and stamp_of(folder) not in fine:
            raise ProjectError(
                f"{folder}: was changed by another program; save to another folder to lose nothing."
            )
        entries = {copy.layer: _scan_entry(copy, folder) for copy in snapshot.scans}
        masks = {copy.layer: _write_mask(copy, folder) for copy in snapshot.masks}
        weights = snapshot.weights
        project = Project.model_validate(
            {
                "written_by": __version__,
                "scans": (*entries.values(), *snapshot.kept.get("scans", ())),
                "classes": snapshot.classes,
                "supports": (*snapshot.supports, *snapshot.kept.get("supports", ())),
                "queries": (
                    *(_query(query, folder) for query in snapshot.queries),
                    *snapshot.kept.get("queries", ()),
                ),
                "settings": _relative(snapshot.settings, "output", folder),
                "weights": {
                    "path": None if weights is None else relative_path(weights, folder),
                    "hash": _weights_hash(weights),
                },
            }
        )
        write_project(folder, project)
        stamp = stamp_of(folder)
        assert stamp is not None
        _own_stamps[folder] = stamp
        return Written(folder, stamp, entries, masks)


def stamp_of(folder: Path) -> Stamp | None:
    """Another value whenever anyone writes the project; None if there is none."""
    try:
        state = (folder / "project.json").stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def free_file(folder: str, name: str, suffix: str, taken: Iterable[str], root: Path) -> str:
    """File in a subfolder of the project that is nobody's yet, named after a layer."""
    stem = re.sub(r"[^\w.+-]+", "_", name).strip("._")[:80] or "labels"
    known = {one.casefold() for one in taken}
    number = 1
    while True:
        file = f"{folder}/{stem}{'' if number == 1 else f'_{number}'}{suffix}"
        if file.casefold() not in known and not (root / file).exists():
            return file
        number += 1


def _scan_entry(copy: ScanCopy, folder: Path) -> ScanEntry:
    if copy.known is not None:
        return copy.known
    scan = copy.scan  # whose voxels are not asked for, as they may fill the memory
    path, series = scan.source or (_keep_scan(copy, folder), None)
    modality, unit = scan.meaning()
    known = fingerprint(path, series)
    return ScanEntry(
        id=copy.id,
        name=scan.name,
        path=relative_path(path, folder),
        series=series,
        sha256=known.sha256,
        size=known.size,
        geometry=scan.geometry,
        modality=modality,
        unit=unit,
        calibrated=scan.calibrated,
    )


def _keep_scan(copy: ScanCopy, folder: Path) -> Path:
    """Write a scan that has no file of its own, as samples and layers of other plugins."""
    path = folder / free_file(SCANS, copy.scan.name, ".nrrd", (), folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_volume(copy.scan.volume(), path)


def _write_mask(copy: MaskCopy, folder: Path) -> int:
    labels = copy.labels.reshape(copy.geometry.shape)
    found = checksum(labels) ^ checksum(np.frombuffer(repr((copy.names, copy.colors)).encode(), np.uint8))
    path = folder / copy.file
    if found == copy.written and path.exists():
        return found
    if labels.dtype.kind != "u":
        labels = np.maximum(labels, 0).astype(np.min_scalar_type(int(labels.max(initial=0))))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_segmentation(Segmentation(labels, copy.names, copy.geometry, copy.name, copy.colors), path)
    return found


def _query(query: dict[str, Any], folder: Path) -> dict[str, Any]:
    for name in ("path", "saved"):
        query = _relative(query, name, folder)
    result = query.get("summary")
    return query if result is None else {**query, "summary": result.entry()}


def _relative(content: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    return content if content.get(name) is None else {**content, name: relative_path(content[name], folder)}


def _weights_hash(path: Path | None) -> str:
    """As `napari_cpclnet.model.weights_hash`, whose import takes seconds; empty if there is no such file."""
    bundled = Path(__file__).parents[2] / "weights" / "cpclnet.safetensors"
    try:
        return fingerprint(path or bundled).sha256[:12]
    except ImageError:
        return ""
