"""Make the pseudo-labels of many scans, on all cores; whatever is finished stays finished."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import CpclnetError, SettingsError
from napari_cpclnet.imaging import ScanRef, read_volume
from napari_cpclnet.preprocessing.body import tissue_threshold
from napari_cpclnet.preprocessing.grid import ModelGrid
from napari_cpclnet.preprocessing.intensity import normalise
from napari_cpclnet.preprocessing.pseudo_labels.files import (
    BACKGROUND,
    FOREGROUND,
    base_path,
    existing,
    is_drawn,
    write_labels,
)
from napari_cpclnet.preprocessing.pseudo_labels.regions import (
    RegionLinker,
    RegionMap,
    Spacing,
    body_mask,
    find_regions,
    region_maps,
)
from napari_cpclnet.preprocessing.pseudo_labels.settings import PseudoLabelSettings
from napari_cpclnet.preprocessing.settings import PreprocessingSettings
from napari_cpclnet.threads import usable_cores
from napari_cpclnet.worker_process import fresh_context, work_beside_others

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume

Status = Literal["written", "kept", "failed"]


@dataclass(frozen=True)
class PseudoLabelReport:
    """One file is done with.

    Parameters
    ----------
    scan
        The scan it belongs to.
    path
        The file; None if it could not be made.
    status
        ``"written"``, ``"kept"`` (it was there already) or ``"failed"``.
    problem
        Why it failed, one sentence.
    done, total
        Files so far, and in all.
    """

    scan: ScanRef
    path: Path | None
    status: Status
    problem: str
    done: int
    total: int


@dataclass(frozen=True)
class FileTask:
    """One file to make: of which scan, its path up to the part that names the kind, and the kind."""

    scan: ScanRef
    base: Path
    kind: RegionMap | str


FileResults = Generator[tuple[FileTask, Path | None, str], None, None]
"""Path of each file that was made, or why it could not be made."""


class _StoppedError(Exception):
    """Nobody waits for the result any more."""


def make_pseudo_labels(
    scans: Sequence[ScanRef],
    settings: PseudoLabelSettings | None = None,
    *,
    workers: int = 0,
    overwrite: bool = False,
    make: Callable[[Sequence[FileTask], PseudoLabelSettings], FileResults] | None = None,
) -> Generator[PseudoLabelReport, None, None]:
    """Write regions, one file per method and scale, and masks of body and background beside each scan.

    Files that exist are kept, so repeating a run that was stopped does what is left. Closing the iterator stops
    the work within a slice, and leaves no unfinished file.

    Parameters
    ----------
    scans : sequence of ScanRef
        From :func:`~napari_cpclnet.imaging.find_scans`.
    settings : PseudoLabelSettings, optional
        How slices are cut into regions.
    workers : int
        Processes; 0 is one per core, 1 works in this process. The files do not depend on it.
    overwrite : bool
        Replace files that exist.
    make : callable, optional
        Makes the files instead of processes of this machine.

    Yields
    ------
    PseudoLabelReport
        One per file, in the order of their completion. A scan that cannot be read or written fails, and the
        others go on.

    Raises
    ------
    SettingsError
        If a worker process was killed, mostly for lack of memory.
    """
    settings = settings or PseudoLabelSettings()
    found = _tasks(scans, settings)
    total, done = len(found), 0
    waiting: list[FileTask] = []
    for task, problem in found:
        path = None if problem or overwrite else existing(task.base, task.kind)
        if problem or path:
            done += 1
            yield PseudoLabelReport(task.scan, path, "failed" if problem else "kept", problem, done, total)
        else:
            waiting.append(task)
    workers = min(workers or usable_cores(), len(waiting))
    if make is not None:
        results = make(waiting, settings)
    else:
        results = _here(waiting, settings) if workers < 2 else _in_processes(waiting, settings, workers)
    try:
        for task, path, problem in results:
            done += 1
            status: Status = "failed" if problem else "written"
            yield PseudoLabelReport(task.scan, path, status, problem, done, total)
    finally:
        results.close()


def _tasks(scans: Sequence[ScanRef], settings: PseudoLabelSettings) -> list[tuple[FileTask, str]]:
    """All files to make, each with a reason why it cannot be made, or none."""
    kinds: list[RegionMap | str] = [FOREGROUND, BACKGROUND, *region_maps(settings)]
    owners: dict[Path, ScanRef] = {}
    tasks: list[tuple[FileTask, str]] = []
    for scan in scans:
        base = base_path(scan.path, scan.series)
        owner = owners.setdefault(base, scan)
        if owner is scan:
            tasks += [(FileTask(scan, base, kind), "") for kind in kinds]
        else:
            problem = f"{scan.path}: its pseudo-labels would bear the names of those of {owner.path.name}; rename one."
            tasks.append((FileTask(scan, base, kinds[0]), problem))
    return tasks


def _here(tasks: Sequence[FileTask], settings: PseudoLabelSettings) -> FileResults:
    for task in tasks:
        yield task, *_outcome(task, settings, lambda: False)


def _in_processes(tasks: Sequence[FileTask], settings: PseudoLabelSettings, workers: int) -> FileResults:
    context = fresh_context()
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(stop,))
    of_future: dict[Future[tuple[Path | None, str]], FileTask] = {}
    try:
        with _interrupts_held_back():  # processes start here, and inherit that
            of_future = {pool.submit(_work, task, settings): task for task in tasks}
        for future in as_completed(of_future):
            yield of_future[future], *future.result()
    except BrokenProcessPool as error:
        msg = "A worker process was killed, probably for lack of memory; use fewer --workers."
        raise SettingsError(msg) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


_stopped: Callable[[], bool] = bool
"""In a worker process: whether its work is not wanted any more."""


def _start_worker(stop: Any) -> None:
    global _stopped
    _stopped = stop.is_set
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides

    def finish() -> None:
        stop.set()
        time.sleep(5.0)  # the slice in work, and its unfinished file

    work_beside_others(finish)


def _work(task: FileTask, settings: PseudoLabelSettings) -> tuple[Path | None, str]:
    try:
        return _outcome(task, settings, _stopped)
    except _StoppedError:
        return None, "stopped"


def _outcome(
    task: FileTask, settings: PseudoLabelSettings, stopped: Callable[[], bool]
) -> tuple[Path | None, str]:
    """Path of the file that was made, or why it could not be made."""
    if stopped():
        raise _StoppedError
    try:
        volume = read_volume(task.scan.path, series=task.scan.series)
        labels = volume_labels(volume, task.kind, settings, stopped)
        path = write_labels(labels, volume.geometry, task.base, task.kind, drawn=is_drawn(volume))
        return path, ""
    except CpclnetError as error:
        return None, str(error)


def volume_labels(
    volume: Volume,
    kind: RegionMap | str,
    settings: PseudoLabelSettings,
    stopped: Callable[[], bool] = lambda: False,
) -> NDArray[np.uint16]:
    """Pseudo-labels of one kind for a whole scan, slice by slice.

    Parameters
    ----------
    volume : Volume
        The scan.
    kind : RegionMap or str
        Regions of a method and scale, or a mask: ``"foreground"`` or ``"background"``.
    settings : PseudoLabelSettings
        How slices are cut into regions.
    stopped : callable
        Asked before each slice.

    Returns
    -------
    ndarray (z, y, x) of uint16
        Regions that go on through slices keep their number, see
        :class:`~napari_cpclnet.preprocessing.pseudo_labels.regions.RegionLinker`; masks are 0 and 1.
    """
    threshold = tissue_threshold(volume)
    preprocessing = PreprocessingSettings()
    grid = ModelGrid.for_volume(volume, settings.plane, preprocessing)
    spacing = _slice_spacing(grid, preprocessing)
    linker = RegionLinker(settings.link_overlap)
    labels = np.zeros(volume.array.shape, np.uint16)
    for index in range(grid.n_slices):
        if stopped():
            raise _StoppedError
        picture = grid.take(volume.array, index)
        body = body_mask(picture, threshold, spacing=spacing)
        if isinstance(kind, RegionMap):
            grey = normalise(picture, grid.value_range)
            regions = find_regions(grey, kind, settings, spacing=spacing, body=body)
            grid.put(labels, index, linker.link(regions))
        else:
            grid.put(labels, index, body if kind == FOREGROUND else ~body)
    return labels


def _slice_spacing(grid: ModelGrid, preprocessing: PreprocessingSettings) -> Spacing:
    """Sides of a native pixel in array order, in mm."""
    of_axis = {
        axis: preprocessing.mm_per_pixel / step
        for axis, step in zip((grid.row_axis, grid.column_axis), grid.steps, strict=True)
    }
    return of_axis[min(of_axis)], of_axis[max(of_axis)]


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C comes after the block; processes that start inside never see it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
