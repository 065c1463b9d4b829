"""Controller of the Train tab: between its buttons, the worker, the curves and the preview."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_cpclnet.gui.jobs.training_job import (
    Stopped,
    Trained,
    TrainingJob,
    TrainingReport,
    Waiting,
    run_training,
)
from napari_cpclnet.gui.widgets.job_control import JobControl
from napari_cpclnet.training.reports import EpochReport, PreparationReport, StepReport

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.gui.train.training_progress import TrainingProgress
    from napari_cpclnet.gui.widgets.run_bar import RunBar

# Steps of a small network on a GPU come faster than anybody can look.
REDRAW_MS = 300


class TrainControl(JobControl):
    """Starts, pauses and stops training; `changed` when a run waits or goes on, too."""

    def __init__(
        self,
        session: Session,
        bar: RunBar,
        progress: TrainingProgress,
        make_job: Callable[[], TrainingJob],
        parent: QObject,
    ) -> None:
        super().__init__(session, bar, parent)
        self.progress = progress
        self.make_job = make_job  # type: ignore[method-assign]
        self._last: StepReport | None = None
        self._left_out: list[str] = []
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self._redraw)
        self._fresh = False
        bar.run_requested.connect(self.start)

    @property
    def is_paused(self) -> bool:
        """Whether the user paused the run."""
        return self.is_running and self.job is not None and self.job.paused.is_set()

    def reports(self, job: TrainingJob) -> Generator[TrainingReport, None, None]:
        """Steps and validations."""
        return run_training(job, self.session.train)

    def begin(self, job: TrainingJob) -> None:
        """Draw the curves of the folder."""
        self._last, self._left_out = None, []
        self.progress.begin(job.out, job.steps)
        self._timer.start()

    def pause(self, paused: bool) -> None:
        """Pause after the step in work, or go on."""
        if self.job is None or not self.is_running:
            return
        (self.job.paused.set if paused else self.job.paused.clear)()
        self._show_steps("paused" if paused else "")
        self.changed.emit()

    def show_report(self, report: TrainingReport) -> None:
        """Show how far the run is."""
        if isinstance(report, PreparationReport):
            self.bar.show_slices(
                report.done,
                report.total,
                report.what,
                unit="phantoms generated" if "phantom" in report.what else "prepared",
            )
            if report.problem:
                self._left_out.append(report.problem)
                self.bar.show_message("\n".join(("Left out:", *self._left_out)))
        elif isinstance(report, StepReport):
            self._last, self._fresh = report, True
            self.progress.add_step(report)
        elif isinstance(report, EpochReport):
            self.progress.add_validation(report)
        elif isinstance(report, Waiting):
            self._show_steps(report.why)
        else:
            self.ending = self._ending_of(report)

    def _ending_of(self, report: Any) -> tuple[str, bool]:
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

    def end(self) -> None:
        """Say what was left out, too."""
        self._timer.stop()
        self._fresh = False
        text, error = self.ending
        if self._left_out and not error:
            self.ending = ("\n".join((text, "Left out:", *self._left_out)), False)


def duration(seconds: float) -> str:
    """A time in words; ``unknown time`` where it is no number."""
    if not math.isfinite(seconds):
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
