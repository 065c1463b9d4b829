"""Controller of the Evaluate tab: between its Run button, the worker and the table of scores."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_cpclnet.gui.jobs.evaluation_job import (
    EvaluationJob,
    EvaluationReport,
    Finished,
    Planned,
    Rows,
    export_report,
    export_table,
    run_evaluation,
)
from napari_cpclnet.gui.session.error_layer import ErrorLayer, ErrorMap, error_map
from napari_cpclnet.gui.widgets.job_control import JobControl
from napari_cpclnet.gui.widgets.worker import BackgroundCall

if TYPE_CHECKING:
    from napari_cpclnet.evaluation import CaseResult
    from napari_cpclnet.gui.evaluate.score_table import ScoreTable
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.gui.widgets.run_bar import RunBar

PROGRESS_MS = 200


class EvaluateControl(JobControl):
    """Runs evaluations, fills the table, shows errors and exports; `changed` when rows came or went, too."""

    foreground = "Evaluate"
    cancelled = "Cancelled. Finished cases are kept."

    def __init__(
        self,
        session: Session,
        bar: RunBar,
        table: ScoreTable,
        make_job: Callable[[], EvaluationJob],
        parent: QObject,
    ) -> None:
        super().__init__(session, bar, parent)
        self.table = table
        self.make_job = make_job  # type: ignore[method-assign]
        self._errors = ErrorLayer(session.viewer)
        self._wanted: CaseResult | None = None
        self._done = self._total = 0
        self._timer = QTimer(self)
        self._timer.setInterval(PROGRESS_MS)
        self._timer.timeout.connect(self._show_progress)
        bar.run_requested.connect(self.start)
        table.picked.connect(self.show_case)

    def reports(self, job: EvaluationJob) -> Generator[EvaluationReport, None, None]:
        """All tasks, one after another."""
        return run_evaluation(job, self.session.make_segmenter)

    def begin(self, job: EvaluationJob) -> None:
        """Forget the rows of the last run."""
        self._done = self._total = 0
        self._wanted = None
        self.table.clear_rows()

    def end(self) -> None:
        """Progress stands still."""
        self._timer.stop()

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

    def show_report(self, report: EvaluationReport) -> None:
        """Fill the table."""
        if isinstance(report, Planned):
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
            self.ending = (f"Done: {cases} in {report.seconds:.0f} s. Click a row to see its errors.", False)

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
