"""``napari-cpclnet pseudo-labels``: regions of scans that nobody painted, for training."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import typer

from napari_cpclnet.cli.files import expand_queries, scan_progress
from napari_cpclnet.imaging import ScanRef


def run_pseudo_labels(data_root: Path, *, workers: int, overwrite: bool, scheduler: str | None = None) -> int:
    """Write the pseudo-labels of all scans below a folder, under a progress bar.

    With a ``scheduler`` the workers of a cluster make them.

    Returns
    -------
    int
        How many scans failed.

    Raises
    ------
    CpclnetError
        If there is nothing to read, or a worker process was killed.
    """
    from napari_cpclnet.preprocessing import make_pseudo_labels

    targets, failures = expand_queries([data_root], leave_out=[])
    if failures:
        raise failures[0]
    scans = [ScanRef(target.path, target.series, target.name) for target in targets]
    counts = {"written": 0, "kept": 0}
    failed: dict[ScanRef, str] = {}
    make = None
    if scheduler is not None:
        from napari_cpclnet.cluster import make_by_workers

        make = partial(make_by_workers, scheduler)
    reports = make_pseudo_labels(scans, workers=workers, overwrite=overwrite, make=make)
    with scan_progress("Pseudo-labels") as progress, closing(reports):
        (bar,) = progress.task_ids
        for report in reports:
            progress.update(bar, completed=report.done, total=report.total)
            if report.status != "failed":
                counts[report.status] += 1
            elif report.scan not in failed:  # a damaged scan fails once for each of its files
                failed[report.scan] = report.problem
                typer.echo(f"Error: {report.problem}", err=True)
    kept = f", {counts['kept']} kept (--overwrite replaces them)" if counts["kept"] else ""
    typer.echo(f"{len(scans)} scans: {counts['written']} files written{kept}.")
    if failed:
        typer.echo(f"{len(failed)} of {len(scans)} scans could not be used.", err=True)
    return len(failed)
