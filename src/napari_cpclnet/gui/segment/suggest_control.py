"""Controller of *Suggest a slice*: between the button, the worker and the viewer."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_cpclnet.errors import CpclnetError, SupportError
from napari_cpclnet.gui.jobs.suggestion_job import (
    SliceExamined,
    Suggested,
    SuggestionJob,
    SuggestionReport,
    run_suggestion,
)
from napari_cpclnet.gui.layers.scan_layers import LayerScan, slice_axis
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan, slice_words
from napari_cpclnet.gui.session.job_making import support_parts
from napari_cpclnet.gui.session.reuse import scan_in_view, work_on
from napari_cpclnet.gui.widgets.job_control import JobControl

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session


class SuggestControl(JobControl):
    """Asks for a slice of the scan in view and goes there."""

    foreground = "Segment"

    def make_job(self) -> SuggestionJob:
        """What is asked of the scan in view."""
        scan = scan_in_view(self.session)
        if scan is None:
            raise CpclnetError("Open a scan first.")
        return make_suggestion_job(self.session, scan)

    def reports(self, job: SuggestionJob) -> Generator[SuggestionReport, None, None]:
        """Look through the scan."""
        return run_suggestion(job, self.session.run_segmenter)

    def show_report(self, report: SuggestionReport) -> None:
        """Go to the slice."""
        if isinstance(report, SliceExamined):
            self.bar.show_slices(report.done, report.total, f"looking through {self.job.scan.name}")
        elif isinstance(report, Suggested):
            self._show(self.job, report)

    def end(self) -> None:
        """The copies of what was painted are wanted no more."""
        self.job = None

    def _show(self, job: SuggestionJob, report: Suggested) -> None:
        viewer = self.session.viewer
        if job.layer not in viewer.layers:
            return
        if not job.layer.visible:
            show_scan(viewer, job.layer)
        jump_to_slice(viewer, job.layer, job.axis, report.index)
        work_on(self.session, job.layer)
        where = slice_words(viewer, job.layer, job.axis, report.index)
        self.ending = (f"Paint {where} of {job.scan.name} next. {report.reason}", False)


def make_suggestion_job(session: Session, scan: Image) -> SuggestionJob:
    """Freeze what is painted.

    Raises
    ------
    SupportError
        If it is not known what is wanted: nothing is painted and no class is named.
    """
    used = [entry for entry in session.slices.entries() if entry.ticked]
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
        slice_axis(layer_scan.geometry, session.slices.plane_for(scan, used)),
        scans.index(scan) if scan in scans else None,
        tuple(part for _, part in parts),
        {value: session.classes.name(value) for value in values},
        session.classes.names(),
        session.options,
    )
