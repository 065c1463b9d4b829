"""Reading of scans in a worker: how far it is, and an end to it when nobody wants them any more. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cpclnet.files.scratch import finished

if TYPE_CHECKING:
    from napari_cpclnet.gui.layers.scan_layers import FileScan, LayerScan
    from napari_cpclnet.imaging import Volume


class RunStopped(Exception):  # noqa: N818 - no error
    """Raised within a run when it is cancelled."""


@dataclass(frozen=True)
class Stage:
    """What is being done while there are no slices to count."""

    text: str


def reading_scan(scan: LayerScan | FileScan, stop: Callable[[], bool]) -> Generator[Stage, None, Volume]:
    """Read a scan; one that is large and not in memory is read part by part, and how far that is is reported.

    Raises
    ------
    RunStopped
        If ``stop`` says so between two parts.
    CpclnetError
        If it cannot be used.
    """
    with closing(scan.reading()) as reading:
        while True:
            try:
                done = next(reading)
            except StopIteration as end:
                return end.value
            if stop():
                raise RunStopped
            yield Stage(f"Reading {scan.name}, {done:.0%}…")


def reading_scans(
    scans: Sequence[LayerScan | FileScan], stop: Callable[[], bool]
) -> Generator[Stage, None, list[Volume]]:
    """Read several scans as `reading_scan` does."""
    volumes = []
    for scan in scans:
        volumes.append((yield from reading_scan(scan, stop)))
    return volumes


def read_scan(scan: LayerScan | FileScan, stop: Callable[[], bool]) -> Volume:
    """Read a scan as `reading_scan` does, without a report."""
    return finished(reading_scan(scan, stop))
