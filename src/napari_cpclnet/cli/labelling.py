"""Scans of ``segment``: labelled here or by the workers of a cluster, and then written and reported here."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_cpclnet.cli.files import Target, scan_progress
from napari_cpclnet.cli.notes import finding_notes
from napari_cpclnet.cli.outputs import OutputPaths, write_results
from napari_cpclnet.cli.project import SavedResult
from napari_cpclnet.imaging import ScanRef
from napari_cpclnet.project import SummaryEntry

if TYPE_CHECKING:
    from rich.progress import Progress

    from napari_cpclnet.cluster import LabelledScan, Wanted
    from napari_cpclnet.errors import ClusterError
    from napari_cpclnet.imaging import Segmentation, Volume
    from napari_cpclnet.segmentation import Segmenter


def keep_scan(
    found: LabelledScan, target: Target, paths: OutputPaths, terminology: Path | None
) -> SavedResult:
    """Write the files of a scan and say the lines that belong to it."""
    maps = [
        *found.maps.get("probabilities", ()),
        *(found.maps[name] for name in ("uncertainty",) if name in found.maps),
    ]
    written = write_results(
        paths,
        found.segmentation,
        maps,
        source=ScanRef(target.path, target.series, target.name),
        terminology=terminology,
    )
    said = sizes(found.segmentation, calibrated=found.voxel_ml is not None)
    typer.echo(f"{target.name}: {found.seconds:.1f} s, {said} -> {written}")
    for remark in (*found.notes, *finding_notes(found.summary)):
        typer.echo(f"Note on {target.name}: {remark}", err=True)
    return SavedResult(written, SummaryEntry.of(found.summary, found.axis, found.voxel_ml))


def predict(
    segmenter: Segmenter, volume: Volume, progress: Progress | None, *, keep_probabilities: bool = False
) -> None:
    """Run a prediction to its end under a progress bar that has one task."""
    for report in segmenter.predict(volume, keep_probabilities=keep_probabilities):
        if progress is not None:
            progress.update(progress.task_ids[0], completed=report.done, total=report.total)


def sizes(segmentation: Segmentation, *, calibrated: bool) -> str:
    """The size of every class in ml, or in voxels where the scan has no physical size."""
    millilitres = segmentation.volume_ml()
    parts = []
    for label, name in segmentation.classes.items():
        ml = millilitres.get(label, 0.0)
        if calibrated:
            parts.append(f"{name} {ml:.1f} ml")
        else:
            parts.append(f"{name} {round(ml / segmentation.geometry.voxel_ml)} voxels")
    return ", ".join(parts)


def label_on_cluster(
    scheduler: str, device: str, packed: bytes, targets: Sequence[Target], wanted: Wanted
) -> Generator[tuple[Target, LabelledScan | ClusterError]]:
    """Label scans by the workers of a cluster under a progress bar, in the order in which they are ready.

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
    from napari_cpclnet.cluster import ScanRequest, label_by_workers

    requests = [ScanRequest(one.name, wanted, ScanRef(one.path, one.series, one.name)) for one in targets]
    with (
        scan_progress("Labelling") as progress,
        closing(label_by_workers(scheduler, packed, requests, device)) as answers,
    ):
        for done, (number, found) in enumerate(answers, start=1):
            progress.update(progress.task_ids[0], completed=done, total=len(targets))
            yield targets[number], found
