"""One run, frozen: what to learn from and which scans to label; and the reports it yields. No Qt."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.jobs.device_status import DeviceStatus, Note, Ready
from napari_cpclnet.gui.jobs.result_maps import TOO_LARGE, maps_for, pictures_of
from napari_cpclnet.gui.jobs.scan_reading import RunStopped, Stage, reading_scan, reading_scans
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot
from napari_cpclnet.gui.layers.scan_layers import FileScan
from napari_cpclnet.imaging import plane_axis, write_segmentation
from napari_cpclnet.segmentation import Corrections, SupportSet
from napari_cpclnet.training.settings import AdaptationSettings

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image, Labels

    from napari_cpclnet.cluster import ScanRequest
    from napari_cpclnet.gui.jobs.segmenters import SegmenterFactory, SegmenterLike
    from napari_cpclnet.gui.layers.class_names import Color
    from napari_cpclnet.gui.layers.overlays import Picture
    from napari_cpclnet.gui.layers.scan_layers import LayerScan
    from napari_cpclnet.imaging import Plane, Segmentation, Volume
    from napari_cpclnet.segmentation import Summary
    from napari_cpclnet.segmentation.settings import RunSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SupportPart:
    """What is painted on one scan: ``labels`` (z, y, x), a copy, of which only ``slices`` are used.

    ``absent`` are slices without any class, ``partial`` painted ones whose unpainted rest is unknown, all in ``plane``.
    """

    scan: LayerScan
    labels: np.ndarray
    slices: tuple[int, ...]
    absent: tuple[int, ...] = ()
    plane: str = "axial"
    partial: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Query:
    """A scan to label, open or in a file.

    ``layer`` is only for the GUI thread and None for a file, ``scan`` for the worker; ``part``: the number of the
    support part on the same scan, if there is one; ``save_to``: the file to write the result to, if it is to be saved;
    ``result``: the layer of an earlier result, for the GUI thread, and ``locked``: what was corrected on it.
    """

    scan: LayerScan | FileScan
    layer: Image | None = None
    axis: int = 0
    start_slice: int | None = None
    part: int | None = None
    save_to: Path | None = None
    result: Labels | None = None
    locked: Corrections | None = None

    @property
    def source(self) -> Image | LayerScan | FileScan:
        """What the user ticked: a layer or a file."""
        return self.scan if self.layer is None else self.layer


@dataclass(frozen=True, eq=False)
class Job:
    """Everything of one run.

    ``terms``: what to look up in the terminology for classes whose name is not what they are called there.
    ``maps``: the kinds of pictures to make beside the labels (`maps.KINDS`); ``cancelled`` and ``skipped`` (numbers of
    queries) may be set from any thread and are looked at after each slice.
    """

    supports: tuple[SupportPart, ...]
    classes: dict[int, str]
    queries: tuple[Query, ...]
    options: RunSettings
    colors: dict[int, Color] = field(default_factory=dict)
    terms: dict[int, str] = field(default_factory=dict)
    maps: tuple[str, ...] = ()
    cancelled: threading.Event = field(default_factory=threading.Event)
    skipped: set[int] = field(default_factory=set)

    @property
    def dtype(self) -> np.dtype:
        """Smallest unsigned type of the label values, those of corrected voxels, too; that of the result layers."""
        corrected = [int(q.locked.labels.max(initial=0)) for q in self.queries if q.locked is not None]
        return np.min_scalar_type(max([*self.classes, *corrected]))


@dataclass(frozen=True)
class ScanBegun:
    """It is the turn of query number ``query``."""

    query: int


@dataclass(frozen=True, eq=False)
class SliceDone:
    """Labels (h, w) of one slice of query number ``query``, in array order of the two other axes."""

    query: int
    index: int
    labels: np.ndarray
    done: int
    total: int
    pass_number: int = 1


@dataclass(frozen=True, eq=False)
class ScanDone:
    """Final labels (z, y, x) of query number ``query``, a packed copy, what there is to say of them, and seconds.

    ``voxel_ml``: volume of a voxel, or None where the scan has no physical size; ``maps``: pictures of the kinds that
    were asked for; ``saved``: the file (or folder of pictures) they were written to, if any; ``axis``: array axis along
    which its slices are counted.
    """

    query: int
    labels: np.ndarray
    written: LabelSnapshot
    summary: Summary
    seconds: float
    voxel_ml: float | None = None
    maps: tuple[Picture, ...] = ()
    saved: Path | None = None
    axis: int = 0


@dataclass(frozen=True)
class ScanFailed:
    """A query that could not be labelled, and why in one sentence; ``query=None``: the whole run."""

    query: int | None
    message: str


@dataclass(frozen=True)
class Cancelled:
    """The run stopped because it was asked to; finished slices stay."""


Report = Stage | Ready | Note | ScanBegun | SliceDone | ScanDone | ScanFailed | Cancelled


def run_job(job: Job, make_segmenter: SegmenterFactory) -> Generator[Report, None, None]:
    """Label all queries one after another; a failed one is reported and the rest go on.

    Consumed in a worker thread. Never raises: a user error becomes its sentence, a bug is logged with its
    traceback.
    """
    try:
        yield Stage("Loading the network…")
        segmenter = make_segmenter(job.options.on_this_machine)
        machine = DeviceStatus(segmenter, job.options)
        yield from machine.changes()
        if job.cancelled.is_set():
            yield Cancelled()
            return
        yield Stage("Learning from the painted slices…")
        volumes = yield from reading_scans([part.scan for part in job.supports], job.cancelled.is_set)
        painted = support_set(job.supports, job.classes, volumes)
        if job.options.adapt:
            for step, total in _adapt(segmenter, painted, job.options.adapt):
                if job.cancelled.is_set():
                    yield Cancelled()
                    return
                yield Stage(f"Fine-tuning on the support, step {step} of {total}…")
        if job.options.scheduler is not None:
            yield from _label_elsewhere(job, painted, volumes, segmenter)
            return
        segmenter.set_support(painted)
        yield from machine.changes()
    except RunStopped:
        yield Cancelled()
        return
    except Exception as error:  # noqa: BLE001 - the panel must hear of everything
        yield ScanFailed(None, user_message(error))
        return
    for number, query in enumerate(job.queries):
        if number in job.skipped:
            continue
        if job.cancelled.is_set():
            yield Cancelled()
            return
        yield ScanBegun(number)
        yield Stage(f"Reading {query.scan.name}…")
        try:
            volume = yield from _reading(query, volumes, partial(_unwanted, job, number))
            axis = query.axis if query.layer is not None else _axis(job, painted, volume)
            yield from machine.interleave(_label(job, number, volume, segmenter, axis))
        except RunStopped:
            continue
        except Exception as error:  # noqa: BLE001
            yield ScanFailed(number, user_message(error))
    if job.cancelled.is_set():
        yield Cancelled()


def _reading(query: Query, volumes: list[Volume], stop: Callable[[], bool]) -> Generator[Stage, None, Volume]:
    if query.part is not None:
        return volumes[query.part]
    return (yield from reading_scan(query.scan, stop))


def _unwanted(job: Job, number: int) -> bool:
    """Whether a query need not be labelled any more."""
    return job.cancelled.is_set() or number in job.skipped


def _adapt(segmenter: Any, support: Any, steps: int) -> Iterator[tuple[int, int]]:
    from napari_cpclnet.training.adaptation import adapt

    for report in adapt(segmenter, support, AdaptationSettings(steps=steps)):
        yield report.step, report.total


def _label(
    job: Job, number: int, volume: Volume, segmenter: SegmenterLike, axis: int
) -> Generator[Report, None, None]:
    started, query = time.perf_counter(), job.queries[number]
    maps = _maps(job, query, volume)
    if "likeliest" in maps and len(job.classes) > 1:
        yield Note(TOO_LARGE)
    each = "probabilities" in maps
    predicted = segmenter.predict(
        volume, start_slice=query.start_slice, locked=query.locked, keep_probabilities=each
    )
    with closing(predicted) as slices:  # type: ignore[type-var]
        for result in slices:
            if _unwanted(job, number):
                return
            labels = np.asarray(result.labels)
            yield SliceDone(number, result.index, labels, result.done, result.total, result.pass_number)
    if _unwanted(job, number):
        return
    yield Stage(f"Finishing {volume.name}…")
    likeliest, uncertainty = segmenter.result_probability, segmenter.result_uncertainty
    make = {
        "probabilities": segmenter.result_probabilities,
        "likeliest": likeliest,
        "uncertainty": uncertainty,
    }
    yield from _finished(
        job,
        number,
        segmenter.result(),
        segmenter.summary(),
        time.perf_counter() - started,
        volume.geometry.voxel_ml if volume.calibrated else None,
        {name: make[name]() for name in maps},
        axis,
    )


def _finished(
    job: Job,
    number: int,
    final: Segmentation,
    summary: Summary,
    seconds: float,
    voxel_ml: float | None,
    maps: Mapping[str, np.ndarray],
    axis: int,
) -> Iterator[Report]:
    """Save the labels of a scan, if they are to be saved, and report them."""
    query = job.queries[number]
    whole = np.ascontiguousarray(final.labels, dtype=job.dtype)
    saved, failed = None, ""
    try:
        saved = _save(job, query, final)
    except (CpclnetError, OSError) as error:  # the labels are there all the same
        failed = user_message(error)
    snap, pictures = LabelSnapshot.of(whole), tuple(pictures_of(maps, job.classes))
    yield ScanDone(number, whole, snap, summary, seconds, voxel_ml, pictures, saved, axis)
    if failed:
        yield ScanFailed(number, failed)


def _label_elsewhere(
    job: Job, painted: SupportSet, volumes: list[Volume], segmenter: Any
) -> Generator[Report, None, None]:
    """Label all queries by the workers of a cluster, and report each when it is ready."""
    from napari_cpclnet.cluster import label_by_workers, pack_segmenter

    assert job.options.scheduler is not None

    def check() -> None:
        if job.cancelled.is_set():
            raise RunStopped

    numbers, requests = [], []
    for number, query in enumerate(job.queries):
        check()
        yield ScanBegun(number)
        try:
            requests.append((yield from _requesting(job, query, volumes)))
            numbers.append(number)
        except RunStopped:
            raise
        except Exception as error:  # noqa: BLE001
            yield ScanFailed(number, user_message(error))
    packed, total = pack_segmenter(segmenter.model, job.options, painted), len(requests)
    yield Stage("Starting the workers…" if job.options.scheduler == "local" else "Asking the workers…")
    with closing(
        label_by_workers(job.options.scheduler, packed, requests, job.options.device, check)
    ) as answers:
        for done, (place, found) in enumerate(answers, start=1):
            number = numbers[place]
            if isinstance(found, CpclnetError):
                yield ScanFailed(number, str(found))
            elif number not in job.skipped:
                yield from (Note(f"{job.queries[number].scan.name}: {text}") for text in found.notes)
                axis = found.axis if job.queries[number].layer is None else job.queries[number].axis
                yield from _finished(
                    job,
                    number,
                    found.segmentation,
                    found.summary,
                    found.seconds,
                    found.voxel_ml,
                    found.maps,
                    axis,
                )
            del found  # the next scan needs its place
            yield Stage(f"{done} of {total} scans are labelled…")
            check()


def _requesting(job: Job, query: Query, volumes: list[Volume]) -> Generator[Stage, None, ScanRequest]:
    """A query as a worker needs it: the place of a file, the voxels of a layer."""
    from napari_cpclnet.cluster import ScanRequest, Wanted

    scan = query.scan
    if isinstance(scan, FileScan):
        return ScanRequest(scan.name, Wanted(), scan.ref, scan.meaning, query.locked)
    volume = yield from _reading(query, volumes, job.cancelled.is_set)
    wanted = Wanted(**dict.fromkeys(_maps(job, query, volume), True))
    return ScanRequest(scan.name, wanted, volume, locked=query.locked)


def _axis(job: Job, support: SupportSet, volume: Volume) -> int:
    """Array axis along which a scan in a file is sliced."""
    plane = support.plane_of(volume) if job.options.plane == "auto" else cast("Plane", job.options.plane)
    return plane_axis(volume.geometry, plane)


def _maps(job: Job, query: Query, volume: Volume) -> tuple[str, ...]:
    """Maps to make of a scan; none of a scan in a file."""
    return () if query.layer is None else maps_for(job.maps, len(job.classes), volume.array.size)


def support_set(
    supports: Sequence[SupportPart], classes: dict[int, str], volumes: list[Volume]
) -> SupportSet:
    """What was painted, for the segmentation core; ``volumes``: those of the support parts."""
    support = SupportSet(classes=classes)
    for part, volume in zip(supports, volumes, strict=True):
        plane = cast("Plane", part.plane)
        support.add(
            volume, part.labels, slices=part.slices, plane=plane, absent=part.absent, partial=part.partial
        )
    return support


def _save(job: Job, query: Query, final: Segmentation) -> Path | None:
    if query.save_to is None:
        return None
    query.save_to.parent.mkdir(parents=True, exist_ok=True)
    colors = {value: color for value, color in job.colors.items() if value in job.classes}
    named = final.replaced(classes=job.classes, colors=colors, terms=job.terms, name=query.scan.name)
    return write_segmentation(named, query.save_to, source=query.scan.series)


def user_message(error: Exception) -> str:
    """What to tell the user of an error."""
    if isinstance(error, CpclnetError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "There is not enough memory for this: close other programs or choose the CPU under Options."
    logger.error("a run failed", exc_info=error)
    what = f"{type(error).__name__}: {error}"
    return f"Something went wrong inside CPCLNet ({what}); please report it with the log."
