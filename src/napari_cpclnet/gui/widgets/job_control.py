"""Controller of the runs of a tab: between its buttons, the worker, and what shows its reports."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.jobs.device_status import Ready
from napari_cpclnet.gui.jobs.scan_reading import Stage
from napari_cpclnet.gui.jobs.segment_job import Cancelled, ScanFailed
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.gui.widgets.run_bar import RunBar


class JobControl(QObject):
    """Starts and cancels runs, one at a time, and shows what all of them report.

    Subclasses say what is run (`make_job`, `reports`), what belongs to its begin and end (`begin`, `end`), and show the
    reports that are their own (`show_report`).

    Attributes
    ----------
    changed
        Signal without arguments: a run began, was asked to stop, or ended.
    job
        The run under way, or the last one, with a flag ``cancelled``.
    ending
        What is said when it has ended, and whether that is an error.
    foreground
        Name of the tab while its runs want the machine for themselves; training waits for them.
    cancelled
        What is said when it was cancelled.
    """

    changed = Signal()
    foreground = ""
    cancelled = "Cancelled."

    def __init__(self, session: Session, bar: RunBar, parent: QObject) -> None:
        super().__init__(parent)
        self.session, self.bar = session, bar
        self.job: Any = None
        self.ending: tuple[str, bool] = ("", False)
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._on_finished)
        bar.cancel_requested.connect(self.cancel)

    def make_job(self) -> Any:
        """Freeze the choices; None if the user thought better of it, CpclnetError if something is missing."""
        raise NotImplementedError

    def reports(self, job: Any) -> Generator[Any, None, None]:
        """What the worker runs."""
        raise NotImplementedError

    def begin(self, job: Any) -> None:
        """A run is about to start."""

    def show_report(self, report: Any) -> None:
        """Show a report of the run."""

    def end(self) -> None:
        """A run has ended, however it did; `ending` is not said yet."""

    @property
    def is_running(self) -> bool:
        """Whether a run is under way, also while it is being cancelled."""
        return self.runner.is_running

    def start(self) -> None:
        """Check the choices and start; what is missing is said in one sentence."""
        if self.bar.state is not RunState.READY:
            return
        try:
            job = self.make_job()
        except CpclnetError as error:
            self.bar.show_message(str(error), error=True)
            return
        if job is None:
            return
        self.job, self.ending = job, ("", False)
        self.bar.show_message("")
        self.bar.set_state(RunState.RUNNING)
        self.begin(job)
        if self.foreground:
            self.session.foreground.add(self.foreground)
        self.runner.start_reports(self.reports(job), job.cancelled)
        self.changed.emit()

    def cancel(self) -> None:
        """Stop after the slice or step in work."""
        if self.is_running:
            self.bar.set_state(RunState.CANCELLING)
            self.runner.cancel()
            self.changed.emit()

    def _on_report(self, report: Any) -> None:
        match report:
            case Stage():
                self.bar.show_stage(report.text)
            case Ready():
                self.bar.set_network(report.device, report.weights)
            case ScanFailed(query=None):
                self.ending = (report.message, True)
            case Cancelled():
                self.ending = (self.cancelled, False)
            case _:
                self.show_report(report)

    def _on_finished(self) -> None:
        self.session.foreground.discard(self.foreground)
        self.end()
        self.bar.set_state(RunState.READY)
        text, error = self.ending
        self.bar.show_message(text, error=error)
        self.changed.emit()
