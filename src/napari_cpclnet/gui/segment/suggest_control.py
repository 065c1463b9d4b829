"""Between the button *Suggest a slice*, the worker and the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_cpclnet.errors import CpclnetError, SupportError
from napari_cpclnet.gui.jobs.device_status import Ready
from napari_cpclnet.gui.jobs.segment_job import Cancelled, ScanFailed, Stage
from napari_cpclnet.gui.jobs.suggestion_job import SliceExamined, Suggested, SuggestionJob, run_suggestion
from napari_cpclnet.gui.layers.scan_layers import LayerScan, slice_axis
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan, slice_words
from napari_cpclnet.gui.session.job_making import support_parts
from napari_cpclnet.gui.session.reuse import scan_in_view, work_on
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.gui.widgets.run_bar import RunBar


class SuggestControl(QObject):
    """Asks for a slice of the scan in view and goes there; `finished` however that ended."""

    finished = Signal()

    def __init__(self, session: Session, bar: RunBar, parent: QObject) -> None:
        super().__init__(parent)
        self.session = session
        self.bar = bar
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._on_finished)
        bar.cancel_requested.connect(self.cancel)
        self._job: SuggestionJob | None = None
        self._said: tuple[str, bool] = ("", False)

    def start(self) -> None:
        """Ask, unless a run is under way."""
        if self.bar.state is not RunState.READY:
            return
        scan = scan_in_view(self.session)
        try:
            if scan is None:
                raise CpclnetError("Open a scan first.")
            self._job = make_suggestion_job(self.session, scan)
        except CpclnetError as error:
            self.bar.show_message(str(error), error=True)
            return
        self._said = ("", False)
        self.bar.show_message("")
        self.bar.set_state(RunState.RUNNING)
        self.session.foreground.add("Segment")
        self.runner.start_reports(run_suggestion(self._job, self.session.run_segmenter), self._job.cancelled)

    def cancel(self) -> None:
        """Stop after the slice in work."""
        if self.runner.is_running:
            self.bar.set_state(RunState.CANCELLING)
            self.runner.cancel()

    def _on_report(self, report: Any) -> None:
        job = self._job
        if job is None:
            return
        if isinstance(report, Stage):
            self.bar.show_stage(report.text)
        elif isinstance(report, Ready):
            self.bar.set_network(report.device, report.weights)
        elif isinstance(report, SliceExamined):
            self.bar.show_slices(report.done, report.total, f"looking through {job.scan.name}")
        elif isinstance(report, Suggested):
            self._show(job, report)
        elif isinstance(report, ScanFailed):
            self._said = (report.message, True)
        elif isinstance(report, Cancelled):
            self._said = ("Cancelled.", False)

    def _show(self, job: SuggestionJob, report: Suggested) -> None:
        viewer = self.session.viewer
        if job.layer not in viewer.layers:
            return
        if not job.layer.visible:
            show_scan(viewer, job.layer)
        jump_to_slice(viewer, job.layer, job.axis, report.index)
        work_on(self.session, job.layer)
        where = slice_words(viewer, job.layer, job.axis, report.index)
        self._said = (f"Paint {where} of {job.scan.name} next. {report.reason}", False)

    def _on_finished(self) -> None:
        self._job = None
        self.session.foreground.discard("Segment")
        self.bar.set_state(RunState.READY)
        text, error = self._said
        self.bar.show_message(text, error=error)
        self.finished.emit()


def make_suggestion_job(session: Session, scan: Image) -> SuggestionJob:
    """Freeze what is painted.

    Raises
    ------
    SupportError
        If it is not known what is wanted: nothing is painted and no class is named.
    """
    used = [entry for entry in session.entries() if entry.ticked]
    values = sorted({value for entry in used for value in entry.values})
    session.classes.ensure(values)
    if not len(session.classes):
        raise SupportError("Name the classes you want, or paint one, before asking for a slice.")
    parts = support_parts(used, np.min_scalar_type(values[-1])) if values else []
    scans = [painted for painted, _ in parts]
    layer_scan = LayerScan.of(scan)
    return SuggestionJob(
        layer_scan,
        scan,
        slice_axis(layer_scan.geometry, session.plane_for(scan, used)),
        scans.index(scan) if scan in scans else None,
        tuple(part for _, part in parts),
        {value: session.classes.name(value) for value in values},
        session.classes.names(),
        session.options,
    )
