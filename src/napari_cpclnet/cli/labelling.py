"""One scan of ``segment``: labelled here or by a worker of a cluster, and then written and reported here."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_cpclnet.cli.files import Target, scan_progress
from napari_cpclnet.cli.notes import finding_notes
from napari_cpclnet.cli.outputs import OutputPaths, write_results
from napari_cpclnet.cli.project import SavedResult
from napari_cpclnet.errors import ClusterError, CpclnetError, ImageError
from napari_cpclnet.imaging import Geometry, ScanRef, Segmentation, plane_axis, read_volume
from napari_cpclnet.project import SummaryEntry

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.progress import Progress

    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.segmentation import Segmenter
    from napari_cpclnet.segmentation.statistics import ClassStatistics

# Labels are long runs of one number: the quickest is as good as the best.
_COMPRESSION = 1


@dataclass(frozen=True)
class Wanted:
    """What is wanted of each scan besides its labels."""

    probabilities: bool = False
    uncertainty: bool = False
    statistics: bool = False


@dataclass(frozen=True, eq=False)
class LabelledScan:
    """Labels of a scan, and what there is to say of them.

    Parameters
    ----------
    segmentation : Segmentation
    maps : list of ndarray (z, y, x) of uint8
        Probabilities and uncertainty, as wanted.
    sizes : str
        Of each class, for a sentence.
    seconds : float
        From reading the scan to its labels.
    summary : SummaryEntry
    remarks : list of str
        On the result, one sentence each.
    statistics : list of ClassStatistics
        As wanted.
    """

    segmentation: Segmentation
    maps: list[NDArray[Any]]
    sizes: str
    seconds: float
    summary: SummaryEntry
    remarks: list[str]
    statistics: list[ClassStatistics]


def label_scan(
    segmenter: Segmenter,
    target: Target,
    volume: Volume,
    wanted: Wanted,
    started: float,
    progress: Progress | None = None,
) -> LabelledScan:
    """Label one scan; ``started`` is when its reading began."""
    from napari_cpclnet.segmentation.statistics import measure

    predict(segmenter, volume, progress, keep_probabilities=wanted.probabilities)
    segmentation = segmenter.result()
    maps = [
        *(segmenter.result_probabilities() if wanted.probabilities else ()),
        *([segmenter.result_uncertainty()] if wanted.uncertainty else []),
    ]
    measured = measure(volume.replaced(name=target.name), segmentation) if wanted.statistics else []
    summary = segmenter.summary()
    voxel_ml = volume.geometry.voxel_ml if volume.calibrated else None
    entry = SummaryEntry.of(summary, plane_axis(volume.geometry, segmenter.plane_of(volume)), voxel_ml)
    said, seconds = sizes(segmentation, volume), time.perf_counter() - started
    return LabelledScan(
        segmentation, maps, said, seconds, entry, list(finding_notes(summary)), list(measured)
    )


def keep_scan(
    found: LabelledScan, target: Target, paths: OutputPaths, terminology: Path | None
) -> SavedResult:
    """Write the files of a scan and say the lines that belong to it."""
    written = write_results(
        paths,
        found.segmentation,
        found.maps,
        source=ScanRef(target.path, target.series, target.name),
        terminology=terminology,
    )
    typer.echo(f"{target.name}: {found.seconds:.1f} s, {found.sizes} -> {written}")
    for remark in found.remarks:
        typer.echo(f"Note on {target.name}: {remark}", err=True)
    return SavedResult(written, found.summary)


def predict(
    segmenter: Segmenter, volume: Volume, progress: Progress | None, *, keep_probabilities: bool = False
) -> None:
    """Run a prediction to its end under a progress bar that has one task."""
    for report in segmenter.predict(volume, keep_probabilities=keep_probabilities):
        if progress is not None:
            progress.update(progress.task_ids[0], completed=report.done, total=report.total)


def sizes(segmentation: Segmentation, volume: Volume) -> str:
    """The size of every class in ml, or in voxels where the scan has no physical size."""
    millilitres = segmentation.volume_ml()
    parts = []
    for label, name in segmentation.classes.items():
        ml = millilitres.get(label, 0.0)
        if volume.calibrated:
            parts.append(f"{name} {ml:.1f} ml")
        else:
            parts.append(f"{name} {round(ml / segmentation.geometry.voxel_ml)} voxels")
    return ", ".join(parts)


def pack_request(target: Target, wanted: Wanted) -> bytes:
    """A scan to label, for a worker that finds it at the same place."""
    path = str(target.path.resolve())
    return json.dumps([path, target.series, target.name, asdict(wanted)]).encode()


def answer_request(segmenter: Segmenter, request: bytes) -> bytes:
    """In a worker: label a scan, and pack what there is to write and to say of it."""
    from napari_cpclnet.files.arrays import pack_arrays

    path, series, name, wanted = json.loads(request)
    target = Target(Path(path), series, name)
    started, n_notes = time.perf_counter(), len(segmenter.notes)
    if not target.path.exists():
        raise ImageError(f"{path}: a worker cannot find it; all machines need the scans at the same place.")
    volume = read_volume(target.path, series=series)
    found = label_scan(segmenter, target, volume, Wanted(**wanted), started)
    arrays = {"labels": found.segmentation.labels}
    arrays |= {f"map.{number}": one for number, one in enumerate(found.maps)}
    facts = {
        "classes": list(found.segmentation.classes.items()),
        "geometry": asdict(found.segmentation.geometry),
        "name": found.segmentation.name,
        "sizes": found.sizes,
        "seconds": found.seconds,
        "summary": found.summary.model_dump(mode="json"),
        "remarks": [*volume.notes, *segmenter.notes[n_notes:], *found.remarks],
        "statistics": [asdict(one) for one in found.statistics],
    }
    return zlib.compress(pack_arrays(arrays, facts), _COMPRESSION)


def unpack_answer(answer: bytes) -> LabelledScan:
    """What a worker found."""
    from napari_cpclnet.files.arrays import unpack_arrays
    from napari_cpclnet.segmentation.statistics import ClassStatistics

    arrays, facts = unpack_arrays(zlib.decompress(answer))
    segmentation = Segmentation(
        arrays["labels"],
        {int(value): name for value, name in facts["classes"]},
        Geometry(**facts["geometry"]),
        facts["name"],
    )
    maps = [arrays[f"map.{number}"] for number in range(len(arrays) - 1)]
    measured = [ClassStatistics(**one) for one in facts["statistics"]]
    summary = SummaryEntry.model_validate(facts["summary"])
    return LabelledScan(
        segmentation, maps, facts["sizes"], facts["seconds"], summary, facts["remarks"], measured
    )


def label_by_workers(
    scheduler: str, device: str, packed: bytes, targets: Sequence[Target], wanted: Wanted
) -> Generator[tuple[Target, LabelledScan | CpclnetError]]:
    """Label scans by the workers of a cluster, in the order in which they are ready.

    Parameters
    ----------
    scheduler, device : str
        As the options say.
    packed : bytes
        The segmenter, see :func:`~napari_cpclnet.cluster.segmenters.pack_segmenter`.
    targets : sequence of Target
    wanted : Wanted

    Raises
    ------
    ClusterError
        If there are no workers, or the scheduler is gone.
    """
    from napari_cpclnet.cluster import Job, open_cluster
    from napari_cpclnet.cluster.segmenters import gpus_here, unpack_segmenter

    most = None if device == "cpu" else gpus_here()
    with (
        scan_progress("Labelling") as progress,
        open_cluster(scheduler, most=min(len(targets), most or len(targets))) as cluster,
        closing(
            cluster.answers(
                Job(packed, unpack_segmenter, answer_request), [pack_request(one, wanted) for one in targets]
            )
        ) as answers,
    ):
        for done, answer in enumerate(answers, start=1):
            target = targets[answer.number]
            progress.update(progress.task_ids[0], completed=done, total=len(targets))
            if answer.problem:
                yield target, ClusterError(f"{target.name}: {answer.problem}")
            else:
                yield target, unpack_answer(answer.content)
