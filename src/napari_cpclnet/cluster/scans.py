"""One scan of a batch: labelled in this process or by a worker, whose answer travels as bytes."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.cluster.client import Job, open_cluster
from napari_cpclnet.cluster.segmenters import unpack_segmenter, volume_facts, volume_of, workers_wanted
from napari_cpclnet.errors import ClusterError, ImageError
from napari_cpclnet.files.arrays import pack_arrays, unpack_arrays
from napari_cpclnet.imaging import Geometry, Modality, ScanRef, Segmentation, Volume, plane_axis, read_volume
from napari_cpclnet.segmentation import (
    ClassSummary,
    Corrections,
    Segmenter,
    SliceResult,
    Summary,
    UncertainSlice,
)
from napari_cpclnet.segmentation.statistics import ClassStatistics, measure

# Labels are long runs of one number: the quickest is as good as the best.
_COMPRESSION = 1
_MAPS = ("probabilities", "likeliest", "uncertainty")


@dataclass(frozen=True)
class Wanted:
    """What is wanted of each scan besides its labels.

    Parameters
    ----------
    probabilities, likeliest, uncertainty : bool
        Maps: the probability of each class, that of the likeliest one, and how uncertain each voxel is.
    statistics : bool
    """

    probabilities: bool = False
    likeliest: bool = False
    uncertainty: bool = False
    statistics: bool = False


@dataclass(frozen=True, eq=False)
class ScanRequest:
    """A scan to label.

    Parameters
    ----------
    name : str
        By which it is called in results and sentences.
    wanted : Wanted
    place : ScanRef or Volume
        Where a worker finds it, or the scan itself, whose voxels then travel.
    meaning : tuple of str, optional
        Modality and unit, if the user said them of a scan in a file.
    locked : Corrections, optional
        Voxels that stay as they are.
    """

    name: str
    wanted: Wanted
    place: ScanRef | Volume
    meaning: tuple[Modality, str] | None = None
    locked: Corrections | None = None


@dataclass(frozen=True, eq=False)
class LabelledScan:
    """Labels of a scan, and what there is to say of them.

    Parameters
    ----------
    segmentation : Segmentation
    summary : Summary
    axis : int
        Array axis along which its slices are counted.
    voxel_ml : float or None
        Volume of a voxel; None where the scan has no physical size.
    seconds : float
        From reading the scan to its labels.
    maps : dict of str to ndarray of uint8
        By the names in :class:`Wanted`, as wanted.
    notes : tuple of str
        What a worker assumed while reading, and found out about its machine.
    statistics : tuple of ClassStatistics
        As wanted.
    """

    segmentation: Segmentation
    summary: Summary
    axis: int
    voxel_ml: float | None
    seconds: float
    maps: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    statistics: tuple[ClassStatistics, ...] = ()


def label_scan(
    segmenter: Segmenter,
    volume: Volume,
    name: str,
    wanted: Wanted,
    started: float,
    *,
    locked: Corrections | None = None,
    watch: Callable[[SliceResult], object] = bool,
) -> LabelledScan:
    """Label one scan here.

    Parameters
    ----------
    started : float
        When its reading began, on the clock of ``time.perf_counter``.
    watch : callable
        Called after each slice.
    """
    for report in segmenter.predict(volume, keep_probabilities=wanted.probabilities, locked=locked):
        watch(report)
    segmentation, maps = segmenter.result(), {}
    if wanted.probabilities:
        maps["probabilities"] = segmenter.result_probabilities()
    if wanted.likeliest:
        maps["likeliest"] = segmenter.result_probability()
    if wanted.uncertainty:
        maps["uncertainty"] = segmenter.result_uncertainty()
    measured = measure(volume.replaced(name=name), segmentation) if wanted.statistics else ()
    return LabelledScan(
        segmentation,
        segmenter.summary(),
        plane_axis(volume.geometry, segmenter.plane_of(volume)),
        volume.geometry.voxel_ml if volume.calibrated else None,
        time.perf_counter() - started,
        maps,
        statistics=tuple(measured),
    )


def label_by_workers(
    scheduler: str,
    packed: bytes,
    requests: Sequence[ScanRequest],
    device: str,
    check: Callable[[], object] = bool,
) -> Generator[tuple[int, LabelledScan | ClusterError]]:
    """Label scans by the workers of a cluster, in the order in which they are ready.

    Parameters
    ----------
    scheduler : str
        As :func:`~napari_cpclnet.cluster.open_cluster` takes it.
    packed : bytes
        The segmenter with its support, see :func:`~napari_cpclnet.cluster.pack_segmenter`.
    requests : sequence of ScanRequest
    device : str
        That of the segmenter's settings.
    check : callable
        Called now and then; what it raises ends the work.

    Yields
    ------
    number, LabelledScan or ClusterError
        What came of each request, once.

    Raises
    ------
    ClusterError
        If there are no workers, or the scheduler is gone.
    """
    job = Job(packed, unpack_segmenter, answer_request)
    items = [pack_request(one) for one in requests]
    with (
        open_cluster(scheduler, most=workers_wanted(len(items), device)) as cluster,
        closing(cluster.answers(job, items, check)) as answers,
    ):
        for answer in answers:
            if answer.problem:
                yield answer.number, ClusterError(f"{requests[answer.number].name}: {answer.problem}")
            else:
                yield answer.number, unpack_answer(answer.content)


def pack_request(request: ScanRequest) -> bytes:
    """A request as bytes; a file is named by its whole path."""
    facts: dict[str, Any] = {
        "name": request.name,
        "wanted": asdict(request.wanted),
        "meaning": request.meaning,
    }
    arrays: dict[str, NDArray[Any]] = {}
    if isinstance(request.place, Volume):
        facts["volume"], arrays["volume"] = volume_facts(request.place), request.place.array
    else:
        facts["file"] = [str(request.place.path.resolve()), request.place.series]
    if request.locked is not None:
        arrays |= {"locked": request.locked.mask, "corrected": request.locked.labels}
    return zlib.compress(pack_arrays(arrays, facts), _COMPRESSION)


def answer_request(segmenter: Segmenter, request: bytes) -> bytes:
    """In a worker: label a scan, and pack what there is to write and to say of it."""
    arrays, facts = unpack_arrays(zlib.decompress(request))
    started, n_notes = time.perf_counter(), len(segmenter.notes)
    volume = _volume(arrays, facts)
    locked = Corrections(arrays["locked"], arrays["corrected"]) if "locked" in arrays else None
    wanted = Wanted(**facts["wanted"])
    found = label_scan(segmenter, volume, facts["name"], wanted, started, locked=locked)
    told = {
        "classes": list(found.segmentation.classes.items()),
        "geometry": asdict(found.segmentation.geometry),
        "name": found.segmentation.name,
        "found": [asdict(one) for one in found.summary.classes],
        "uncertain": [asdict(one) for one in found.summary.uncertain],
        "axis": found.axis,
        "voxel_ml": found.voxel_ml,
        "seconds": found.seconds,
        "notes": [*volume.notes, *segmenter.notes[n_notes:]],
        "statistics": [asdict(one) for one in found.statistics],
    }
    return zlib.compress(pack_arrays({"labels": found.segmentation.labels, **found.maps}, told), _COMPRESSION)


def _volume(arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Volume:
    if "volume" in facts:
        return volume_of(arrays["volume"], facts["volume"])
    path, series = facts["file"]
    if not Path(path).exists():
        raise ImageError(f"{path}: a worker cannot find it; all machines need the scans at the same place.")
    volume = read_volume(Path(path), series=series)
    if facts["meaning"] is None:
        return volume
    modality, unit = facts["meaning"]
    return volume.replaced(modality=modality, unit=unit)


def unpack_answer(answer: bytes) -> LabelledScan:
    """What a worker found."""
    arrays, facts = unpack_arrays(zlib.decompress(answer))
    segmentation = Segmentation(
        arrays["labels"],
        {int(value): name for value, name in facts["classes"]},
        Geometry(**facts["geometry"]),
        facts["name"],
    )
    summary = Summary(
        tuple(ClassSummary(**one) for one in facts["found"]),
        tuple(UncertainSlice(**one) for one in facts["uncertain"]),
    )
    return LabelledScan(
        segmentation,
        summary,
        facts["axis"],
        facts["voxel_ml"],
        facts["seconds"],
        {name: arrays[name] for name in _MAPS if name in arrays},
        tuple(facts["notes"]),
        tuple(ClassStatistics(**one) for one in facts["statistics"]),
    )
