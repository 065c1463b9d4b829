"""Measure the classes of segmented scans in another thread. No Qt."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Generator, Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.gui.jobs.scan_reading import RunStopped, read_scan
from napari_cpclnet.gui.jobs.segment_job import user_message
from napari_cpclnet.gui.layers.scan_layers import FileScan, LayerScan
from napari_cpclnet.imaging import Segmentation, read_segmentation

if TYPE_CHECKING:
    from napari_cpclnet.segmentation.statistics import ClassStatistics


@dataclass(frozen=True, eq=False)
class MeasuredLabels:
    """Labels to measure on their scan.

    ``labels``: the array of a layer by reference, or the file of a saved result; ``classes``: names that are listed
    even where nothing is found; ``name``: shown as that of the scan.
    """

    scan: LayerScan | FileScan
    labels: np.ndarray | Path
    classes: dict[int, str]
    name: str


@dataclass(frozen=True, eq=False)
class StatisticsJob:
    """What to measure; ``names``: of all classes of the session, ``known``: what the last job told as `Measured`."""

    parts: tuple[MeasuredLabels, ...]
    names: Mapping[int, str]
    known: tuple[Hashable, ...] | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class PartBegun:
    """Number of the labels that are measured now, from 0."""

    part: int


@dataclass(frozen=True)
class Measured:
    """All is measured; ``contents`` tells later whether anything is another then."""

    contents: tuple[Hashable, ...]


@dataclass(frozen=True)
class PartFailed:
    """Why some labels could not be measured."""

    message: str


def run_statistics(job: StatisticsJob) -> Generator[Any, None, None]:
    """Measure one part after the other, a report for each class; never raises.

    Nothing is reported where nothing changed: napari tells of strokes and of slices that are turned to alike.
    """
    contents = tuple(_content(part, job.names) for part in job.parts)
    if contents == job.known:
        return
    for number, part in enumerate(job.parts):
        if job.cancelled.is_set():
            return
        yield PartBegun(number)
        try:
            for row in _measured(part, job):
                if job.cancelled.is_set():
                    return
                yield row
        except RunStopped:
            return
        except Exception as error:  # noqa: BLE001 - the panel must hear of everything
            yield PartFailed(user_message(error))
    yield Measured(contents)


def _content(part: MeasuredLabels, names: Mapping[int, str]) -> Hashable:
    """What the rows of some labels depend on, short."""
    if isinstance(part.labels, Path):
        labels: Hashable = part.labels
    else:
        labels = zlib.crc32(np.ascontiguousarray(part.labels).data)
    noted = part.scan.noted if isinstance(part.scan, LayerScan) else {}
    meaning = (
        part.scan.meaning
        if isinstance(part.scan, FileScan)
        else tuple(noted.get(name) for name in ("modality", "unit", "notes"))
    )
    return part.name, labels, meaning, tuple(sorted(part.classes.items())), tuple(names.items())


def _measured(part: MeasuredLabels, job: StatisticsJob) -> Generator[ClassStatistics, None, None]:
    from napari_cpclnet.segmentation.statistics import measure

    volume = read_scan(part.scan, job.cancelled.is_set).replaced(name=part.name)
    if isinstance(part.labels, Path):
        segmentation = read_segmentation(part.labels, like=volume)
    else:
        labels = part.labels
        if labels.dtype.kind != "u":  # napari's own layers may be signed
            labels = np.where(labels < 0, 0, labels)
            labels = labels.astype(np.min_scalar_type(int(labels.max(initial=0))))
        segmentation = Segmentation(labels, part.classes, volume.geometry, part.name)
    for row in measure(volume, segmentation):
        yield replace(row, name=job.names.get(row.value, row.name))
