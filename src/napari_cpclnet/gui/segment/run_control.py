"""Controller of the Segment tab: between the Run button, the worker and the result layers."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cpclnet.gui.jobs.device_status import Note
from napari_cpclnet.gui.jobs.segment_job import (
    Job,
    Report,
    ScanBegun,
    ScanDone,
    ScanFailed,
    SliceDone,
    run_job,
)
from napari_cpclnet.gui.layers.overlays import show_maps
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.session.queries import QueryState
from napari_cpclnet.gui.session.result_layers import ResultLayers
from napari_cpclnet.gui.session.results import ScanResult
from napari_cpclnet.gui.session.run_check import questions
from napari_cpclnet.gui.widgets.asking import ask
from napari_cpclnet.gui.widgets.job_control import JobControl

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.gui.widgets.run_bar import RunBar

# Redrawing a slice costs milliseconds, a 3-D view a hundred times that.
REFRESH_MS = {2: 100, 3: 1000}


class RunControl(JobControl):
    """Labels scans, and puts the reports where the user sees them.

    `progressed` tells that the state of a scan to label is another.
    """

    progressed = Signal()
    foreground = "Segment"
    cancelled = "Cancelled. Finished slices are kept."

    def __init__(self, session: Session, bar: RunBar, parent: QObject) -> None:
        super().__init__(session, bar, parent)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._redraw)
        self._results: ResultLayers | None = None
        self._failures: list[str] = []
        # Sentences on the machine: those of this run, and all that were ever said.
        self._notes: list[str] = []
        self._said: set[str] = set()
        self._finished_scans = 0
        self._seconds = 0.0
        self.ask = partial(ask, bar)
        bar.run_requested.connect(self.start)

    def make_job(self) -> Job | None:
        """The choices of the session, after what is odd about them was asked."""
        for question in questions(self.session):
            answer = self.ask(question.text, list(question.choices))
            if answer not in question.choices:
                return None
            if (act := question.choices[answer]) is not None:
                act()
        return self.session.job()

    def reports(self, job: Job) -> Generator[Report, None, None]:
        """One scan after another."""
        return run_job(job, self.session.run_segmenter)

    def begin(self, job: Job) -> None:
        """Make the result layers, and show a scan that is labelled."""
        self._failures, self._notes, self._finished_scans, self._seconds = [], [], 0, 0.0
        self._results = ResultLayers(self.session.viewer, job, contour=self.session.display.contour)
        for number in range(len(job.queries)):
            self._set_status(number, QueryState.WAITING)
        self.progressed.emit()
        layers = [query.layer for query in job.queries if query.layer is not None]
        if layers and not any(layer.visible for layer in layers):
            show_scan(self.session.viewer, layers[0])
        self._timer.start(REFRESH_MS[2])

    def show_report(self, report: Report) -> None:
        """Put a report where the user sees it."""
        job, results = self.job, self._results
        if results is None:
            return
        if isinstance(report, Note):
            self._tell(report.text)
        elif isinstance(report, ScanBegun):
            self._set_status(report.query, QueryState.RUNNING)
            self.progressed.emit()
        elif isinstance(report, SliceDone):
            doing = self._which(report.query) + (", second pass" if report.pass_number > 1 else "")
            self.bar.show_slices(report.done, report.total, doing)
            if job.queries[report.query].layer is not None and not results.write(report):
                self._skip(report.query)
        elif isinstance(report, ScanDone):
            self._show_scan(job, results, report)
        elif isinstance(report, ScanFailed):
            self._fail(job, results, report)

    def _show_scan(self, job: Job, results: ResultLayers, report: ScanDone) -> None:
        if job.queries[report.query].layer is not None and not results.finish(report):
            self._skip(report.query)
            return
        self._finished_scans += 1
        self._seconds += report.seconds
        query, layer = job.queries[report.query], results.layer(report.query)
        if layer is not None:
            classes = self.session.classes
            looks = {value: (classes.name(value), classes.color(value)) for value in job.classes}
            show_maps(self.session.viewer, query.layer, layer, report.maps, looks)
        self.session.results.put(
            ScanResult(query.source, layer, report.axis, report.summary, report.voxel_ml)
        )
        self._set_status(report.query, QueryState.DONE, saved=report.saved)
        self.progressed.emit()

    def _fail(self, job: Job, results: ResultLayers, report: ScanFailed) -> None:
        results.seal(report.query)
        self._set_status(report.query, QueryState.FAILED, report.message)
        self.progressed.emit()
        name = job.queries[report.query].scan.name
        self._failures.append(report.message if name in report.message else f"{name}: {report.message}")

    def _tell(self, note: str) -> None:
        """Say what the machine lacks, once and not with every run."""
        if note not in self._said:
            self._said.add(note)
            self._notes.append(note)
            self.bar.show_message("\n".join(self._notes))

    def _skip(self, number: int) -> None:
        """The user removed the result layer: that scan is not wanted any more."""
        if number not in self.job.skipped:
            self.job.skipped.add(number)
            self._set_status(number, QueryState.CANCELLED)
            name = self.job.queries[number].scan.name
            self._failures.append(f"{name} was skipped: its result layer was removed.")

    def _set_status(self, number: int, state: QueryState, text: str = "", saved: Path | None = None) -> None:
        self.session.queries.set_status(self.job.queries[number].source, state, text, saved)

    def _cancel_open(self) -> None:
        """Scans whose turn did not come are not waiting any more."""
        for number, query in enumerate(self.job.queries):
            state = self.session.queries.status(query.source).state
            if state in (QueryState.WAITING, QueryState.RUNNING):
                self._set_status(number, QueryState.CANCELLED)

    def _which(self, number: int) -> str:
        queries = self.job.queries
        name = queries[number].scan.name
        return name if len(queries) == 1 else f"scan {number + 1} of {len(queries)}: {name}"

    def _redraw(self) -> None:
        if self._results is not None:
            self._results.refresh()
        self._timer.setInterval(REFRESH_MS[self.session.viewer.dims.ndisplay])

    def end(self) -> None:
        """Say how many scans were labelled, or what went wrong, and what the machine lacks."""
        self._timer.stop()
        if self._results is not None:
            self._results.seal_all()
            self._cancel_open()
        self._results = self.job = None
        text, error = self.ending
        failures = [*self._failures, *([text] if error else [])]
        done = self._finished_scans
        if not text and done:
            scans = "1 scan" if done == 1 else f"{done} scans"
            text = f"Done: {scans} labelled in {self._seconds:.0f} s."
        lines = [*(failures or ([text] if text else [])), *self._notes]
        self.ending = ("\n".join(lines), bool(failures))
