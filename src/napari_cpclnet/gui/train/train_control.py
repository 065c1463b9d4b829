"""Between the buttons of the Train tab, the worker, the curves and the preview."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.jobs.device_status import Ready
from napari_cpclnet.gui.jobs.segment_job import ScanFailed, Stage
from napari_cpclnet.gui.jobs.training_job import (
    LeftOut,
    Prepared,
    Stepped,
    Stopped,
    Trained,
    TrainingJob,
    Validated,
    Waiting,
    run_training,
)
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.gui.train.training_progress import TrainingProgress
    from napari_cpclnet.gui.widgets.run_bar import RunBar

# Steps of a small network on a GPU come faster than anybody can look.
REDRAW_MS = 300


class TrainControl(QObject):
    """Starts, pauses and stops runs; `changed` when one began, waits, goes on or ended."""

    changed = Signal()

    def __init__(
        self,
        session: Session,
        bar: RunBar,
        progress: TrainingProgress,
        make_job: Callable[[], TrainingJob],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.session, self.bar, self.progress = session, bar, progress
        self.job: TrainingJob | None = None
        self._make_job = make_job
        self._last: Stepped | None = None
        self._left_out: list[str] = []
        self._ending: tuple[str, bool] = ("", False)
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._on_finished)
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._redraw)
        self._fresh = False
        bar.run_requested.connect(self.start)
        bar.cancel_requested.connect(self.stop)

    @property
    def is_running(self) -> bool:
        """Whether a run is under way, also while it is paused or being stopped."""
        return self.runner.is_running

    @property
    def is_paused(self) -> bool:
        """Whether the user paused the run."""
        return self.is_running and self.job is not None and self.job.paused.is_set()

    def start(self) -> None:
        """Check the choices and start; what is missing is said in one sentence."""
        if self.is_running:
            return
        try:
            job = self._make_job()
        except CpclnetError as error:
            self.bar.show_message(str(error), error=True)
            return
        self.job = job
        self._last, self._left_out, self._ending = None, [], ("", False)
        self.bar.show_message("")
        self.bar.set_state(RunState.RUNNING)
        self.progress.begin(job.out, job.steps)
        self.runner.start_reports(run_training(job, self.session.train), job.cancelled)
        self._timer.start()
        self.changed.emit()

    def pause(self, paused: bool) -> None:
        """Pause after the step in work, or go on."""
        if self.job is None or not self.is_running:
            return
        (self.job.paused.set if paused else self.job.paused.clear)()
        self._show_steps("paused" if paused else "")
        self.changed.emit()

    def stop(self) -> None:
        """Stop after the step in work; the checkpoint is kept."""
        if self.is_running:
            self.bar.set_state(RunState.CANCELLING)
            self.runner.cancel()
            self.changed.emit()

    def _on_report(self, report: Any) -> None:
        if isinstance(report, Stage):
            self.bar.show_stage(report.text)
        elif isinstance(report, Ready):
            self.bar.set_network(report.device, report.weights)
        elif isinstance(report, Prepared):
            self.bar.show_slices(
                report.done,
                report.total,
                report.what,
                unit="phantoms generated" if "phantom" in report.what else "prepared",
            )
        elif isinstance(report, LeftOut):
            self._left_out.append(report.message)
            self.bar.show_message("\n".join(("Left out:", *self._left_out)))
        elif isinstance(report, Stepped):
            self._last, self._fresh = report, True
            self.progress.add_step(report)
        elif isinstance(report, Validated):
            self.progress.add_validation(report)
        elif isinstance(report, Waiting):
            self._show_steps(report.why)
        else:
            self._ending = self._ending_of(report)

    def _ending_of(self, report: Any) -> tuple[str, bool]:
        if isinstance(report, ScanFailed):
            return report.message, True
        step = 0 if self._last is None else self._last.step
        if isinstance(report, Stopped):
            if not report.kept:
                return "Stopped before the first step.", False
            where = f" at step {step}" if step else ""
            return f"Stopped{where}. Start in the same folder resumes it.", False
        if isinstance(report, Trained) and report.steps == 0:
            return "This run has made all its steps: raise their number, or choose another folder.", False
        return f"Done: {step} steps, the last {report.steps} in {duration(report.seconds)}.", False

    def _redraw(self) -> None:
        if self._fresh:
            self._fresh = False
            self.progress.redraw()
            self._show_steps("")

    def _show_steps(self, waits: str) -> None:
        if (last := self._last) is None:
            if waits:
                self.bar.show_stage(waits)
            return
        left = f"{duration(last.seconds_left)} left" if math.isfinite(last.seconds_left) else "estimating…"
        self.bar.show_slices(last.step, last.total, waits or left)

    def _on_finished(self) -> None:
        self._timer.stop()
        self._fresh = False
        self.bar.set_state(RunState.READY)
        text, error = self._ending
        if self._left_out and not error:
            text = "\n".join((text, "Left out:", *self._left_out))
        self.bar.show_message(text, error=error)
        self.changed.emit()


def duration(seconds: float) -> str:
    """A time in words; ``unknown time`` where it is no number."""
    if not math.isfinite(seconds):
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
