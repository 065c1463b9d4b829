"""One evaluation, frozen: which scans have truth and how they are run against each other; and its reports. No Qt."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_cpclnet.errors import CpclnetError, SettingsError
from napari_cpclnet.evaluation import EvaluationSettings, read_results, tasks
from napari_cpclnet.evaluation.results import to_csv, write_bytes, write_text
from napari_cpclnet.gui.jobs.device_status import Ready, describe
from napari_cpclnet.gui.jobs.layer_case import layer_case
from napari_cpclnet.gui.jobs.scan_reading import RunStopped, Stage
from napari_cpclnet.gui.jobs.segment_job import Cancelled, ScanFailed, user_message
from napari_cpclnet.imaging.cases import check_labels, read_cases
from napari_cpclnet.segmentation.settings import RunSettings

if TYPE_CHECKING:
    from napari_cpclnet.evaluation import CaseResult, EvaluationSettings, Task
    from napari_cpclnet.gui.jobs.layer_pair import LayerPair
    from napari_cpclnet.gui.jobs.segmenters import SegmenterFactory
    from napari_cpclnet.imaging.cases import Case
    from napari_cpclnet.segmentation import SliceResult

T = TypeVar("T")


@dataclass(eq=False)
class EvaluationJob:
    """Everything of one evaluation.

    Parameters
    ----------
    source
        Open scans with truth, or the path of a cases table.
    out
        Folder of the results; with None a temporary one that goes with this object. A folder that holds the same
        evaluation is gone on with.
    tasks, metadata, slices
        Filled by the worker: tasks by key, metadata for the report, and (done, total) slices of the task in work.
    """

    source: tuple[LayerPair, ...] | Path
    settings: EvaluationSettings = field(default_factory=lambda: EvaluationSettings(baselines=()))
    options: RunSettings = field(default_factory=RunSettings)
    out: Path | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    tasks: dict[str, Task] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    slices: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if self.out is None:
            try:
                self.out = Path(tempfile.mkdtemp(prefix="cpclnet_evaluation_"))
            except OSError as error:
                raise SettingsError(f"No temporary folder can be made ({error.strerror}).") from error
            weakref.finalize(self, shutil.rmtree, self.out, ignore_errors=True)

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        assert self.out is not None, "set when it was made"
        return self.out

    def check(self) -> None:
        """Raise `RunStopped` if the run is cancelled."""
        if self.cancelled.is_set():
            raise RunStopped

    def watch(self, result: SliceResult) -> None:
        """Look at the flag after each slice, and note how far the task is."""
        self.slices = (result.done, result.total)
        self.check()


@dataclass(frozen=True)
class Planned:
    """The number of tasks is known."""

    total: int


@dataclass(frozen=True)
class Rows:
    """Results of a finished task, or of those that were finished before."""

    results: tuple[CaseResult, ...]
    done: int


@dataclass(frozen=True)
class Finished:
    """All tasks are done and the report is written."""

    seconds: float


EvaluationReport = Stage | Ready | Planned | Rows | Finished | ScanFailed | Cancelled


def run_evaluation(
    job: EvaluationJob, make_segmenter: SegmenterFactory
) -> Generator[EvaluationReport, None, None]:
    """Run all tasks. Consumed in a worker thread; never raises: a user error becomes its sentence."""
    try:
        yield from _run(job, make_segmenter)
    except RunStopped:
        yield Cancelled()
    except Exception as error:  # noqa: BLE001 - the panel must hear of everything
        yield ScanFailed(None, user_message(error))


def _run(job: EvaluationJob, make_segmenter: SegmenterFactory) -> Iterator[EvaluationReport]:
    started = time.perf_counter()
    yield Stage("Loading the network…")
    segmenter: Any = make_segmenter(job.options.on_this_machine)
    from napari_cpclnet.evaluation import Elsewhere, evaluate, run_metadata

    scheduler = job.options.scheduler
    elsewhere = None if scheduler is None else Elsewhere(scheduler, job.check)
    yield Ready(*describe(segmenter, job.options))
    yield Stage("Reading the cases…")
    cases, settings = _cases(job), job.settings
    # A click needs the task of a row, also of one that an earlier run finished.
    job.tasks = {task.key: task for task in _checked(job, tasks(cases, settings))}
    weights = str(segmenter.model.metadata.get("hash", "unknown"))
    job.metadata = run_metadata(cases, settings, segmenter.device, [weights])
    yield Planned(len(job.tasks))
    table = job.folder / "cases.csv"
    earlier = read_results(table) if table.exists() else ()
    done = len({row.key for row in earlier})
    with closing(evaluate(cases, settings, segmenter, job.folder, True, job.watch, elsewhere)) as reports:
        for report in reports:
            if earlier:  # not before the folder was found to hold the same evaluation
                yield Rows(earlier, done)
                earlier = ()
            job.slices = (0, 0)
            yield Rows(report.results, report.done)
            job.check()
    if earlier:
        yield Rows(earlier, done)
    yield Finished(time.perf_counter() - started)


def _cases(job: EvaluationJob) -> tuple[Case, ...]:
    if not isinstance(job.source, Path):
        return tuple(layer_case(pair, job.cancelled.is_set) for pair in _checked(job, job.source))
    cases = read_cases(job.source)
    check_labels(_checked(job, cases))
    return cases


def _checked(job: EvaluationJob, items: Iterable[T]) -> Iterator[T]:
    """The items, as long as nobody cancels."""
    for item in items:
        job.check()
        yield item
    job.check()


def export_report(job: EvaluationJob, path: Path) -> None:
    """Write the report of what is finished so far to a file of the user's choice."""
    from napari_cpclnet.evaluation import write_outputs

    if not job.metadata:
        raise CpclnetError("There are no results to report yet: press Run first.")
    write_bytes(path, write_outputs(job.folder, job.metadata).read_bytes())


def export_table(rows: Iterable[CaseResult], path: Path) -> None:
    """Write results as CSV, with the columns of ``cases.csv``."""
    write_text(path, to_csv(tuple(rows)))
