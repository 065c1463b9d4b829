"""Between the Run button, the worker and the result layers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.jobs.device_status import Note, Ready
from napari_cpclnet.gui.jobs.segment_job import (
    Cancelled,
    Job,
    ScanBegun,
    ScanDone,
    ScanFailed,
    SliceDone,
    Stage,
)
from napari_cpclnet.gui.layers.overlays import show_maps
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.session.queries import QueryState
from napari_cpclnet.gui.session.result_layers import ResultLayers
from napari_cpclnet.gui.session.results import ScanResult
from napari_cpclnet.gui.session.run_check import questions
from napari_cpclnet.gui.widgets.asking import ask
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.gui.widgets.run_bar import RunBar

# Redrawing a slice costs milliseconds, a 3-D view a hundred times that.
REFRESH_MS = {2: 100, 3: 1000}


class RunControl(QObject):
    """Starts and cancels runs, and puts their reports where the user sees them.

    `progressed` tells that the state of a scan to label is another.
    """

    progressed = Signal()

    def __init__(self, session: Session, bar: RunBar, parent: QObject) -> None:
        super().__init__(parent)
        self.session = session
        self.bar = bar
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._on_finished)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._redraw)
        self._results: ResultLayers | None = None
        self._failures: list[str] = []
        # Sentences on the machine: those of this run, and all that were ever said.
        self._notes: list[str] = []
        self._said: set[str] = set()
        self._finished_scans = 0
        self._seconds = 0.0
        self._cancelled = False
        self.ask = partial(ask, bar)
        bar.run_requested.connect(self.start)
        bar.cancel_requested.connect(self.cancel)

    @property
    def job(self) -> Job | None:
        """The run under way."""
        return None if self._results is None else self._results.job

    def start(self) -> None:
        """Check the choices and start; what is missing is said in one sentence."""
        if self.bar.state is not RunState.READY:
            return
        for question in questions(self.session):
            answer = self.ask(question.text, list(question.choices))
            if answer not in question.choices:
                return
            if (act := question.choices[answer]) is not None:
                act()
        try:
            job = self.session.job()
        except CpclnetError as error:
            self.bar.show_message(str(error), error=True)
            return
        self._failures, self._finished_scans, self._seconds, self._cancelled = [], 0, 0.0, False
        self._notes = []
        self._results = ResultLayers(self.session.viewer, job, contour=self.session.display.contour)
        self.bar.show_message("")
        self.bar.set_state(RunState.RUNNING)
        for number in range(len(job.queries)):
            self._set_status(number, QueryState.WAITING)
        self.progressed.emit()
        layers = [query.layer for query in job.queries if query.layer is not None]
        if layers and not any(layer.visible for layer in layers):
            show_scan(self.session.viewer, layers[0])
        self.session.foreground.add("Segment")
        self.runner.start(job, self.session.run_segmenter)
        self._timer.start(REFRESH_MS[2])

    def cancel(self) -> None:
        """Stop after the slice in work."""
        if self.runner.is_running:
            self.bar.set_state(RunState.CANCELLING)
            self.runner.cancel()

    def _on_report(self, report: Any) -> None:
        job, results = self.job, self._results
        if job is None or results is None:
            return
        if isinstance(report, Stage):
            self.bar.show_stage(report.text)
        elif isinstance(report, Ready):
            self.bar.set_network(report.device, report.weights)
        elif isinstance(report, Note):
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
        elif isinstance(report, Cancelled):
            self._cancelled = True

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
        if report.query is None:
            self._failures.append(report.message)
            return
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
        if self.job is not None and number not in self.job.skipped:
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
        queries = self.job.queries if self.job is not None else ()
        name = queries[number].scan.name
        return name if len(queries) == 1 else f"scan {number + 1} of {len(queries)}: {name}"

    def _redraw(self) -> None:
        if self._results is not None:
            self._results.refresh()
        self._timer.setInterval(REFRESH_MS[self.session.viewer.dims.ndisplay])

    def _on_finished(self) -> None:
        self.session.foreground.discard("Segment")
        self._timer.stop()
        if self._results is not None:
            self._results.seal_all()
            self._cancel_open()
        self._results = None
        self.bar.set_state(RunState.READY)
        lines = [*(self._failures or self._ending()), *self._notes]
        if lines:
            self.bar.show_message("\n".join(lines), error=bool(self._failures))

    def _ending(self) -> list[str]:
        if self._cancelled:
            return ["Cancelled. Finished slices are kept."]
        done = self._finished_scans
        scans = "1 scan" if done == 1 else f"{done} scans"
        return [f"Done: {scans} labelled in {self._seconds:.0f} s."] if done else []
