"""Unlabelled scans, prepared once for training: slices and regions in the network's pixels, a file for each scan."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from napari_cpclnet.errors import CpclnetError, SettingsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import load_json
from napari_cpclnet.imaging import Plane, ScanRef, Volume, read_segmentation, read_volume
from napari_cpclnet.preprocessing import (
    ModelGrid,
    PreprocessingSettings,
    PseudoLabelSettings,
    find_pseudo_labels,
)
from napari_cpclnet.preprocessing.pseudo_labels.regions import region_maps
from napari_cpclnet.preprocessing.pseudo_labels.run import volume_labels
from napari_cpclnet.threads import usable_cores
from napari_cpclnet.worker_process import fresh_context, work_beside_others

Item = TypeVar("Item")

SMALLEST = 24
"""Pixels of a region that can be a class."""


@dataclass(frozen=True, eq=False)
class ScanFile:
    """A prepared scan.

    Attributes
    ----------
    path : Path
        safetensors with ``images`` (Z, H, W) uint8 and ``regions`` (M, Z, H, W) uint16, M ways of cutting slices into
        regions; slices run to superior, and within three slices a number is one region.
    context : float
        Distance of neighbouring slices, in mm.
    shown : ndarray (M, Z) of bool
        Whether a slice has a region that can be a class.
    """

    path: Path
    context: float
    shown: NDArray[np.bool_]


def prepare_scans(
    scans: list[ScanRef], folder: Path, settings: PreprocessingSettings, workers: int | None = None
) -> Iterator[tuple[ScanRef, Path | None, str]]:
    """Prepare scans on all cores, in the order given; closing it cancels, and files that exist are kept.

    Regions are those that lie beside a scan (``napari-cpclnet pseudo-labels``), and are made where there are none.

    Yields
    ------
    scan : ScanRef
    path : Path or None
        None if the scan cannot be used.
    problem : str
        Why not.
    """
    targets = [folder / _file_name(scan, settings) for scan in scans]
    yield from prepared(_prepare, scans, targets, settings, workers)


def prepared(
    prepare: Callable[[Item, Path, PreprocessingSettings], str],
    items: Sequence[Item],
    targets: Sequence[Path],
    settings: PreprocessingSettings,
    workers: int | None = None,
) -> Iterator[tuple[Item, Path | None, str]]:
    """Files that are made of items on all cores, in the order given; closing it cancels, and files that exist are kept.

    Parameters
    ----------
    prepare : callable
        Writes the file of one item, and returns why it cannot be used, or nothing. Called in other processes.
    items : sequence
    targets : sequence of Path
        The file of each item.
    settings : PreprocessingSettings
    workers : int, optional
        Processes; all cores where missing.

    Yields
    ------
    item, path, problem
        As :func:`prepare_scans`.
    """
    todo = [not path.is_file() for path in targets]
    if not any(todo):
        yield from ((item, path, "") for item, path in zip(items, targets, strict=True))
        return
    processes = min(workers or usable_cores(), sum(todo))
    with ProcessPoolExecutor(processes, fresh_context(), work_beside_others) as pool:
        try:
            waiting = [
                pool.submit(prepare, item, path, settings) if new else None
                for item, path, new in zip(items, targets, todo, strict=True)
            ]
            for item, path, job in zip(items, targets, waiting, strict=True):
                problem = job.result() if job else ""
                yield item, None if problem else path, problem
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def open_scan(path: Path) -> ScanFile:
    """What must be known of a prepared scan before its slices are read.

    Raises
    ------
    SettingsError
        If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = load_json(file.metadata()["facts"])
            return ScanFile(path, float(metadata["context"]), file.get_tensor("shown").numpy().astype(bool))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        msg = f"'{path}' is damaged: remove it, and it is made again."
        raise SettingsError(msg) from error


def _file_name(scan: ScanRef, settings: PreprocessingSettings) -> str:
    identity = (str(scan.path.resolve()), scan.series or "", settings.model_dump_json())
    return file_name("scan", identity, (scan.path, *find_pseudo_labels(scan.path, series=scan.series)))


def file_name(kind: str, identity: Sequence[str], files: Sequence[Path]) -> str:
    """Another name whenever the identity of a scan or one of its files changes; it tells nothing of the patient."""
    parts = list(identity)
    for path in files:
        state = path.stat()
        parts += [path.name, str(state.st_size if path.is_file() else 0), str(state.st_mtime_ns)]
    text = "\n".join(parts).encode()
    return f"{kind}-{zlib.crc32(text):08x}{zlib.adler32(text):08x}.safetensors"


def _prepare(scan: ScanRef, path: Path, settings: PreprocessingSettings) -> str:
    """Write the file of one scan; returns why it cannot be used, or nothing."""
    try:
        volume = read_volume(scan.path, series=scan.series)
        tensors, context = scan_tensors(volume, scan, settings)
        if not tensors["shown"].any():
            return f"{scan.path}: has no region large enough to learn from."
        with atomic_write(path, "a prepared scan") as temporary:
            save_file(tensors, temporary, {"facts": json.dumps({"context": context})})
    except CpclnetError as error:
        return str(error)
    return ""


class PreparedSlices:
    """Slices of a scan on the network's pixels, from inferior to superior where they are axial."""

    def __init__(self, volume: Volume, plane: Plane, settings: PreprocessingSettings) -> None:
        self.volume = volume
        self.grid = grid = ModelGrid.for_volume(volume, plane, settings)
        self.order = range(grid.n_slices)[:: -1 if grid.flips[0] else 1]
        spacing = volume.geometry.spacing[grid.axis] if volume.calibrated else settings.context_mm
        self.distance = float(spacing)
        """Of neighbouring slices, in mm."""

    def images(self) -> NDArray[np.uint8]:
        """Grey values (Z, H, W)."""
        images = np.stack([self.grid.images(self.volume, [i])[0, 1].numpy() for i in self.order])
        return np.round(images * 255).astype(np.uint8)

    def labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels (z, y, x) of the scan as (Z, H, W)."""
        return np.stack([_nearest(self.grid, self.grid.take(labels, i)) for i in self.order])


def scan_tensors(
    volume: Volume, scan: ScanRef, settings: PreprocessingSettings
) -> tuple[dict[str, NDArray[Any]], float]:
    """Arrays of a :class:`ScanFile`, and the distance of its slices in mm."""
    slices = PreparedSlices(volume, "axial", settings)
    regions = np.stack([slices.labels(labels) for labels in _region_maps(volume, scan)])
    shown = [
        [np.bincount(plane.ravel())[1:].max(initial=0) >= SMALLEST for plane in each] for each in regions
    ]
    tensors: dict[str, NDArray[Any]] = {
        "images": slices.images(),
        "regions": regions.astype(np.uint16),
        "shown": np.array(shown, np.uint8),
    }
    return tensors, slices.distance


def _region_maps(volume: Volume, scan: ScanRef) -> Iterator[NDArray[Any]]:
    """Regions (z, y, x) of each way of cutting; those on disk, or made now."""
    found = find_pseudo_labels(scan.path, series=scan.series)
    for path in found:
        yield read_segmentation(path, like=volume, resample=False).labels
    if not found:
        settings = PseudoLabelSettings()
        for which in region_maps(settings):
            yield volume_labels(volume, which, settings)


def _nearest(grid: ModelGrid, labels: NDArray[Any]) -> NDArray[Any]:
    """Labels of one native slice (array order) on the network's pixels; 0 outside."""
    native = labels.T if grid.row_axis > grid.column_axis else labels
    result = native
    for k in range(2):
        count = native.shape[k]
        offsets = np.arange(grid.size[k]) - (grid.size[k] - 1) / 2
        index = np.floor(grid.centre[k] + offsets * grid.steps[k] + 0.5).astype(int)
        index = count - 1 - index if grid.flips[k + 1] else index
        taken = result.take(np.clip(index, 0, count - 1), axis=k)
        outside = (index < 0) | (index >= count)
        if k == 0:
            taken[outside] = 0
        else:
            taken[:, outside] = 0
        result = taken
    return result
