"""``napari-cpclnet segment``: the support is read once, then one query after the other is labelled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_cpclnet.cli.files import Target, expand_queries, scan_progress, series_in
from napari_cpclnet.cli.masks import Place, read_mask
from napari_cpclnet.cli.notes import echo_notes, finding_notes
from napari_cpclnet.cli.options import listed_slices, require_labels
from napari_cpclnet.cli.outputs import (
    OutputPaths,
    check_folder,
    keep_existing,
    output_paths,
    prepare_outputs,
    protect,
    write_results,
)
from napari_cpclnet.cli.project import (
    SavedResult,
    SegmentPlan,
    project_plan,
    remember_results,
    say_other_weights,
)
from napari_cpclnet.errors import CpclnetError, GeometryError, ImageError, OutputError, SupportError
from napari_cpclnet.imaging import (
    BACKGROUND,
    ScanRef,
    dicom,
    painted_plane,
    plane_axis,
    read_segmentation,
    read_volume,
)
from napari_cpclnet.project import SummaryEntry
from napari_cpclnet.segmentation import RunSettings, SupportSet
from napari_cpclnet.training.settings import AdaptationSettings

if TYPE_CHECKING:
    from rich.progress import Progress

    from napari_cpclnet.imaging import Plane, Segmentation, Volume
    from napari_cpclnet.segmentation import Segmenter, SupportSet
    from napari_cpclnet.segmentation.statistics import ClassStatistics


@dataclass(frozen=True)
class PaintedFiles:
    """Painted scans and their masks, as parsed."""

    supports: tuple[tuple[Path, Path], ...]
    slices: tuple[tuple[int, ...] | None, ...]
    classes: dict[int, str] | None
    plane: Plane
    mask_place: Place = "auto"
    partial: tuple[tuple[int, ...] | None, ...] = ()


@dataclass(frozen=True)
class SegmentJob:
    """Everything ``segment`` was asked for, as parsed; with a ``project`` the supports are in there."""

    painted: PaintedFiles
    queries: list[Path]
    out: Path
    settings: RunSettings
    probabilities: bool
    output_format: str
    overwrite: bool
    terminology: Path | None = None
    project: Path | None = None
    uncertainty: bool = False
    statistics: bool = False


def run_segment(job: SegmentJob) -> int:
    """Label all queries of a job; a query that fails is reported and the others go on.

    Returns
    -------
    int
        How many queries failed.

    Raises
    ------
    CpclnetError
        If nothing can be labelled at all: support, weights, device or output folder are at fault.
    """
    from napari_cpclnet.model import choose_device, choose_precision, load_weights, unused_gpu
    from napari_cpclnet.segmentation import Segmenter
    from napari_cpclnet.segmentation.statistics import STATISTICS_FILE, write_statistics

    device = choose_device(job.settings.device)
    choose_precision(job.settings.precision, device)
    check_folder(job.out)
    work = _plan(job)
    for failure in work.failures:
        typer.echo(f"Error: {failure}", err=True)
    if not work.targets:
        return len(work.failures)
    paths = _all_paths(job, work)
    segmenter = Segmenter(load_weights(work.settings.weights, device), work.settings)
    if job.settings.device == "auto" and device.type == "cpu" and (advice := unused_gpu()):
        typer.echo(f"Note: {advice}", err=True)
    if job.project is not None:
        say_other_weights(job.project, segmenter.model.metadata["hash"])
    if work.settings.adapt:
        adapt_network(segmenter, work.support, work.settings.adapt)
    segmenter.set_support(work.support)
    n_failed, n_notes = len(work.failures), 0
    written = {}
    measured: list[ClassStatistics] = []
    for target in work.targets:
        try:
            written[target] = _label_one(job, target, paths[target], segmenter, measured)
        except CpclnetError as error:
            n_failed += 1
            typer.echo(f"Error: {error}", err=True)
        for note in segmenter.notes[n_notes:]:
            typer.echo(f"Note: {note}", err=True)
        n_notes = len(segmenter.notes)
    if job.project is not None:
        remember_results(job.project, written)
    if job.statistics and measured:
        write_statistics(job.out / STATISTICS_FILE, measured)
        typer.echo(f"Statistics -> {job.out / STATISTICS_FILE}")
    if n_failed:
        n_all = len(work.targets) + len(work.failures)
        typer.echo(f"{n_failed} of {n_all} queries could not be labelled.", err=True)
    return n_failed


def _plan(job: SegmentJob) -> SegmentPlan:
    """What the project or the options of the command line say."""
    if job.project is not None:
        return project_plan(job.project, job.queries, job.settings)
    support = read_supports(job.painted)
    targets, failures = expand_queries(job.queries, leave_out=[mask for _, mask in job.painted.supports])
    inputs = [path for pair in job.painted.supports for path in pair]
    return SegmentPlan(support, targets, failures, job.settings, inputs)


def _all_paths(job: SegmentJob, work: SegmentPlan) -> dict[Target, OutputPaths]:
    """What is written for each scan; none of it is read by this run.

    Raises
    ------
    OutputError
        If a file would take the place of one that is read, or of one of another scan.
    """
    from napari_cpclnet.segmentation.statistics import STATISTICS_FILE

    classes = work.support.classes if job.probabilities else {}
    paths = {
        target: output_paths(job.out, target.name, classes, job.output_format, uncertainty=job.uncertainty)
        for target in work.targets
    }
    written = [path for one in paths.values() for path in one.all]
    if job.statistics:
        keep_existing(job.out / STATISTICS_FILE, overwrite=job.overwrite)
        written.append(job.out / STATISTICS_FILE)
    if len({str(path).casefold() for path in written}) < len(written):
        raise OutputError(f"{job.out}: two results would get the same name; label these scans one by one.")
    scans = [ScanRef(target.path, target.series) for target in work.targets]
    others = [path for path in (work.settings.weights, job.terminology) if path is not None]
    protect(written, [*work.inputs, *job.queries, *scans, *others])
    return paths


def adapt_network(segmenter: Segmenter, support: SupportSet, steps: int) -> None:
    """Train the network on the painted slices under a progress bar, and say how long it took."""
    from napari_cpclnet.training.adaptation import adapt

    started = time.perf_counter()
    with scan_progress("Fine-tuning on the support") as progress:
        (task,) = progress.task_ids
        for report in adapt(segmenter, support, AdaptationSettings(steps=steps)):
            progress.update(task, completed=report.step, total=report.total)
    typer.echo(f"Fine-tuned on the support in {steps} steps, {time.perf_counter() - started:.1f} s.")


def read_supports(files: PaintedFiles) -> SupportSet:
    """Read the painted scans.

    Returns
    -------
    SupportSet
        The slices that count as painted.

    Raises
    ------
    CpclnetError
        If a file is missing or unreadable, a mask is empty or on another grid, or a label or slice is not there.
    """
    painted: list[tuple[Volume, Segmentation, Plane]] = []
    found: set[int] = set()
    incomplete = files.partial or (None,) * len(files.supports)
    for (image, mask), slices, scribbled in zip(files.supports, files.slices, incomplete, strict=True):
        volume, segmentation = read_support(image, mask, files.mask_place)
        echo_notes(volume)
        echo_notes(segmentation)
        plane = painted_plane(segmentation.labels, volume.geometry, files.plane)
        if files.plane == "auto" and plane != "axial":
            typer.echo(f"Note on {segmentation.name}: its slices are {plane} ones.", err=True)
        painted.append((volume, segmentation, plane))
        looked_at = slices and tuple(sorted({*slices, *(scribbled or ())}))
        found |= labels_on(segmentation, looked_at, plane, mask) - ({BACKGROUND} if scribbled else set())
    where = ", ".join(str(mask) for _, mask in files.supports)
    if files.classes is None:
        names = {label: name for _, seg, _ in painted for label, name in seg.classes.items()}
        classes = {label: names.get(label, f"label {label}") for label in sorted(found)}
    else:
        require_labels(files.classes, sorted(found), where, some_slices=any(files.slices))
        classes = files.classes
    support = SupportSet(classes)
    for (volume, segmentation, plane), slices, scribbled in zip(
        painted, files.slices, incomplete, strict=True
    ):
        support.add(volume, segmentation.labels, slices=slices, plane=plane, partial=scribbled or ())
    return support


def read_support(image: Path, mask: Path, where: Place = "auto") -> tuple[Volume, Segmentation]:
    """Read a painted scan; of a DICOM folder with several series, the one on whose grid the mask lies."""
    series = series_in(image)
    if len(series) < 2:
        volume = read_volume(image)
        return volume, read_mask(mask, volume, where)
    drawn_on = dicom.referenced_series(mask)
    if any(one.id == drawn_on for one in series):
        volume = read_volume(image, series=drawn_on)
        return volume, read_mask(mask, volume, where)
    grid = read_segmentation(mask).geometry
    fitting = []
    for one in series:
        try:
            volume = read_volume(image, series=one.id)
        except CpclnetError:  # a localiser or a damaged series beside the one that was painted
            continue
        if volume.geometry.isclose(grid):
            fitting.append((one.id, volume))
    if not fitting:
        raise GeometryError(
            f"{mask}: the mask lies on the grid of none of the {len(series)} series in {image}; give the folder or "
            "file of the one it was painted on."
        )
    if len(fitting) > 1:
        ids = ", ".join(series_id for series_id, _ in fitting)
        raise ImageError(
            f"{image}: several series lie on the mask's grid ({ids}); give a folder that holds only the painted one."
        )
    _, volume = fitting[0]
    return volume, read_mask(mask, volume, where)


def labels_on(
    segmentation: Segmentation, slices: tuple[int, ...] | None, plane: Plane, mask: Path
) -> set[int]:
    """Labels on the slices that count as painted.

    Raises
    ------
    SupportError
        If the mask is empty, a slice does not exist, or none of the slices carries a label.
    """
    import numpy as np

    everywhere = {int(value) for value in np.unique(segmentation.labels)} - {0}
    if not everywhere:
        why = " ".join(segmentation.notes) or "the mask is empty; paint at least one slice."
        raise SupportError(f"{mask}: {why}")
    if slices is None:
        return everywhere
    axis = plane_axis(segmentation.geometry, plane)
    n_slices = segmentation.labels.shape[axis]
    beyond = [index for index in slices if index >= n_slices]
    if beyond:
        raise SupportError(
            f"{mask}: there is no {plane} slice {beyond[0]}; slices are numbered from 0 to {n_slices - 1}."
        )
    labels = {int(value) for value in np.unique(segmentation.labels.take(slices, axis=axis))} - {0}
    if not labels:
        there = np.flatnonzero(np.moveaxis(segmentation.labels, axis, 0).any((1, 2)))
        raise SupportError(
            f"{mask}: nothing is painted on the {plane} slices {listed_slices(slices)}; painted are "
            f"{listed_slices(there.tolist())}."
        )
    return labels


def _label_one(
    job: SegmentJob,
    target: Target,
    paths: OutputPaths,
    segmenter: Segmenter,
    measured: list[ClassStatistics],
) -> SavedResult:
    """Label one scan and write its files; says the line that belongs to it, and adds what it `measured`."""
    from napari_cpclnet.segmentation.statistics import measure

    prepare_outputs(paths, overwrite=job.overwrite)
    started = time.perf_counter()
    volume = read_volume(target.path, series=target.series)
    echo_notes(volume)
    with scan_progress(target.name) as progress:
        predict(segmenter, volume, progress, keep_probabilities=job.probabilities)
        segmentation = segmenter.result()
        written = write_results(
            paths,
            segmentation,
            [
                *(segmenter.result_probabilities() if job.probabilities else ()),
                *([segmenter.result_uncertainty()] if job.uncertainty else []),
            ],
            source=ScanRef(target.path, target.series, target.name),
            terminology=job.terminology,
        )
    seconds = time.perf_counter() - started
    typer.echo(f"{target.name}: {seconds:.1f} s, {sizes(segmentation, volume)} -> {written}")
    if job.statistics:
        measured += measure(volume.replaced(name=target.name), segmentation)
    summary = segmenter.summary()
    for note in finding_notes(summary):
        typer.echo(f"Note on {target.name}: {note}", err=True)
    voxel_ml = volume.geometry.voxel_ml if volume.calibrated else None
    axis = plane_axis(volume.geometry, segmenter.plane_of(volume))
    return SavedResult(written, SummaryEntry.of(summary, axis, voxel_ml))


def predict(
    segmenter: Segmenter, volume: Volume, progress: Progress, *, keep_probabilities: bool = False
) -> None:
    """Run a prediction to its end under a progress bar that has one task."""
    (task,) = progress.task_ids
    for report in segmenter.predict(volume, keep_probabilities=keep_probabilities):
        progress.update(task, completed=report.done, total=report.total)


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
