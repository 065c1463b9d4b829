"""Between the Run button of the Evaluate tab, the worker and the table of scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.jobs.device_status import Ready
from napari_cpclnet.gui.jobs.evaluation_job import (
    EvaluationJob,
    Finished,
    Planned,
    Rows,
    export_report,
    export_table,
    run_evaluation,
)
from napari_cpclnet.gui.jobs.segment_job import Cancelled, ScanFailed, Stage
from napari_cpclnet.gui.session.error_layer import ErrorLayer, ErrorMap, error_map
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.worker import BackgroundCall, JobRunner

if TYPE_CHECKING:
    from napari_cpclnet.evaluation import CaseResult
    from napari_cpclnet.gui.evaluate.score_table import ScoreTable
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.gui.widgets.run_bar import RunBar

PROGRESS_MS = 200


class EvaluateControl(QObject):
    """Starts and cancels evaluations, fills the table, shows errors and exports; `changed` when rows came or went."""

    changed = Signal()

    def __init__(
        self,
        session: Session,
        bar: RunBar,
        table: ScoreTable,
        make_job: Callable[[], EvaluationJob],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.session, self.bar, self.table = session, bar, table
        self.job: EvaluationJob | None = None
        self._make_job = make_job
        self._errors = ErrorLayer(session.viewer)
        self._wanted: CaseResult | None = None
        self._done = self._total = 0
        self._ending: tuple[str, bool] = ("", False)
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._on_finished)
        self._timer = QTimer(self)
        self._timer.setInterval(PROGRESS_MS)
        self._timer.timeout.connect(self._show_progress)
        bar.run_requested.connect(self.start)
        bar.cancel_requested.connect(self.cancel)
        table.picked.connect(self.show_case)

    def start(self) -> None:
        """Check the choices and start; what is missing is said in one sentence."""
        if self.runner.is_running:
            return
        try:
            job = self._make_job()
        except CpclnetError as error:
            self.bar.show_message(str(error), error=True)
            return
        self.job = job
        self._done = self._total = 0
        self._wanted, self._ending = None, ("", False)
        self.table.clear_rows()
        self.bar.show_message("")
        self.bar.set_state(RunState.RUNNING)
        self.changed.emit()
        self.session.foreground.add("Evaluate")
        self.runner.start_reports(run_evaluation(job, self.session.make_segmenter), job.cancelled)

    def cancel(self) -> None:
        """Stop after the slice in work, or after the case where a baseline is at work."""
        if self.runner.is_running:
            self.bar.set_state(RunState.CANCELLING)
            self.runner.cancel()

    def show_case(self, result: CaseResult) -> None:
        """Show the errors of a result on its scan; the last click counts."""
        job = self.job
        if job is None or result.key not in job.tasks:
            return
        self._wanted = result
        call = BackgroundCall(lambda: error_map(job, result), self)
        call.done.connect(self._show_errors)
        call.failed.connect(self._say_error)
        call.start()

    def export_table(self, path: Path) -> None:
        """Write the rows as they are sorted now."""
        rows = self.table.results()
        self._export(lambda: export_table(rows, path), path)

    def export_report(self, path: Path) -> None:
        """Write the report of what is finished."""
        if (job := self.job) is not None:
            self._export(lambda: export_report(job, path), path)

    def _export(self, write: Callable[[], None], path: Path) -> None:
        call = BackgroundCall(write, self)
        call.done.connect(lambda _: self.bar.show_message(f"Written: {path}"))
        call.failed.connect(self._say_error)
        call.start()

    def _show_errors(self, found: ErrorMap) -> None:
        if found.result is self._wanted:
            self._errors.show(found)

    def _say_error(self, text: str) -> None:
        self.bar.show_message(text, error=True)

    def _on_report(self, report: Any) -> None:
        if isinstance(report, Stage):
            self.bar.show_stage(report.text)
        elif isinstance(report, Ready):
            self.bar.set_network(report.device, report.weights)
        elif isinstance(report, Planned):
            self._total = report.total
            self._timer.start()
            self._show_progress()
        elif isinstance(report, Rows):
            self._done = report.done
            self.table.add(report.results)
            self._show_progress()
            self.changed.emit()
        elif isinstance(report, Finished):
            cases = "1 case" if self._done == 1 else f"{self._done} cases"
            self._ending = (f"Done: {cases} in {report.seconds:.0f} s. Click a row to see its errors.", False)
        elif isinstance(report, Cancelled):
            self._ending = ("Cancelled. Finished cases are kept.", False)
        elif isinstance(report, ScanFailed):
            self._ending = (report.message, True)

    def _show_progress(self) -> None:
        if self.job is None or not self._total:
            return
        number = min(self._done + 1, self._total)
        done, total = self.job.slices
        doing = f"case {number} of {self._total}"
        if total:
            doing += f", slice {done} of {total}" if done < total else ", baselines and scores"
        if self._done == self._total:
            doing = "writing the report"
        self.bar.show_slices(self._done, self._total, doing)

    def _on_finished(self) -> None:
        self.session.foreground.discard("Evaluate")
        self._timer.stop()
        self.bar.set_state(RunState.READY)
        text, error = self._ending
        self.bar.show_message(text, error=error)
        self.changed.emit()
