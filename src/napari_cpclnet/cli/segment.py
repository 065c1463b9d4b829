"""``napari-cpclnet segment``: the support is read once, then one query after the other is labelled."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_cpclnet.cli.files import Target, expand_queries, scan_progress, series_in
from napari_cpclnet.cli.labelling import keep_scan, label_on_cluster
from napari_cpclnet.cli.masks import Place, read_mask
from napari_cpclnet.cli.notes import echo_notes
from napari_cpclnet.cli.options import listed_slices, require_labels
from napari_cpclnet.cli.outputs import (
    OutputPaths,
    check_folder,
    keep_existing,
    output_paths,
    prepare_outputs,
    protect,
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
from napari_cpclnet.segmentation import RunSettings, SupportSet
from napari_cpclnet.training.settings import AdaptationSettings

if TYPE_CHECKING:
    from rich.progress import Progress

    from napari_cpclnet.cluster import LabelledScan, Wanted
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

    @property
    def wanted(self) -> Wanted:
        """What is wanted besides the labels."""
        from napari_cpclnet.cluster import Wanted

        return Wanted(
            probabilities=self.probabilities, uncertainty=self.uncertainty, statistics=self.statistics
        )


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

    # what the machines of a cluster have is for them to say
    device = choose_device(job.settings.on_this_machine.device)
    if job.settings.scheduler is None:
        choose_precision(job.settings.precision, device)
    check_folder(job.out)
    work = _plan(job)
    for failure in work.failures:
        typer.echo(f"Error: {failure}", err=True)
    if not work.targets:
        return len(work.failures)
    paths = _all_paths(job, work)
    segmenter = Segmenter(load_weights(work.settings.weights, device), work.settings.on_this_machine)
    if job.settings.device == "auto" and device.type == "cpu" and (advice := unused_gpu()):
        typer.echo(f"Note: {advice}", err=True)
    if job.project is not None:
        say_other_weights(job.project, segmenter.model.metadata["hash"])
    if work.settings.adapt:
        adapt_network(segmenter, work.support, work.settings.adapt)
    n_failed = len(work.failures)
    written: dict[Target, SavedResult] = {}
    measured: dict[Target, tuple[ClassStatistics, ...]] = {}
    if job.settings.scheduler is None:
        segmenter.set_support(work.support)
        scans = _label_here(job, work, paths, segmenter)
    else:
        scans = _label_elsewhere(job, work, paths, segmenter)
    with closing(scans) as labelled:
        for target, found in labelled:
            try:
                if isinstance(found, CpclnetError):
                    raise found
                written[target] = keep_scan(found, target, paths[target], job.terminology)
                measured[target] = found.statistics
            except CpclnetError as error:
                n_failed += 1
                typer.echo(f"Error: {error}", err=True)
            del found  # the next scan needs its place
    if job.project is not None:
        remember_results(job.project, written)
    if job.statistics and any(measured.values()):
        rows = [row for target in work.targets for row in measured.get(target, ())]
        write_statistics(job.out / STATISTICS_FILE, rows)
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


def _label_here(
    job: SegmentJob, work: SegmentPlan, paths: dict[Target, OutputPaths], segmenter: Segmenter
) -> Generator[tuple[Target, LabelledScan | CpclnetError]]:
    """Label one scan after the other in this process."""
    n_notes = 0
    for target in work.targets:
        try:
            prepare_outputs(paths[target], overwrite=job.overwrite)
            with scan_progress(target.name) as progress:
                yield target, _read_and_label(job, target, segmenter, progress)
        except CpclnetError as error:
            yield target, error
        for note in segmenter.notes[n_notes:]:
            typer.echo(f"Note: {note}", err=True)
        n_notes = len(segmenter.notes)


def _read_and_label(
    job: SegmentJob, target: Target, segmenter: Segmenter, progress: Progress
) -> LabelledScan:
    from napari_cpclnet.cluster import label_scan

    started = time.perf_counter()
    volume = read_volume(target.path, series=target.series)
    echo_notes(volume)
    (bar,) = progress.task_ids
    return label_scan(
        segmenter,
        volume,
        target.name,
        job.wanted,
        started,
        watch=lambda report: progress.update(bar, completed=report.done, total=report.total),
    )


def _label_elsewhere(
    job: SegmentJob, work: SegmentPlan, paths: dict[Target, OutputPaths], segmenter: Segmenter
) -> Generator[tuple[Target, LabelledScan | CpclnetError]]:
    """Label all scans by the workers of a cluster, in the order in which they are ready."""
    from napari_cpclnet.cluster import pack_segmenter

    assert job.settings.scheduler is not None
    targets = []
    for target in work.targets:
        try:
            prepare_outputs(paths[target], overwrite=job.overwrite)
            targets.append(target)
        except CpclnetError as error:
            yield target, error
    packed = pack_segmenter(segmenter.model, work.settings, work.support)
    yield from label_on_cluster(job.settings.scheduler, work.settings.device, packed, targets, job.wanted)
