"""Which slice of another scan is shown beside the one in view: at the same place, or at the same level in the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_cpclnet.gui.jobs.level_job import LevelJob, LevelsFound, run_levels
from napari_cpclnet.gui.layers.scan_layers import LayerScan, geometry_of
from napari_cpclnet.gui.layers.view import slice_in_view
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.model.body_level import SliceLevels

SAME_PLACE_MM = 13.0
"""Mean distance of both answers up to which scans are taken for those of one patient, whose places are exact.

It is at most 12 mm for CT, MR and PET of one phantom, and 26 mm in the median for those of two.
"""


class SliceLink(QObject):
    """Links the slices of pairs of scans; levels are found in the background, once for each scan.

    Emits `changed` when levels were found. ``by_level``: what the user chose; None: whatever fits.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self.by_level: bool | None = None
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self.changed)
        self._levels: WeakKeyDictionary[Image, SliceLevels | None] = WeakKeyDictionary()

    def ask(self, *scans: Image) -> None:
        """Look for the levels of scans, of those that are not known yet; not of those that stay in their files."""
        missing = [scan for scan in scans if scan not in self._levels and isinstance(scan.data, np.ndarray)]
        if not missing or self.runner.is_running:
            return
        options = self._session.options.model_copy(update={"adapt": 0})
        job = LevelJob(tuple((scan, LayerScan.of(scan)) for scan in missing), options)
        self.runner.start_reports(run_levels(job, self._session.make_segmenter), job.cancelled)

    def has_levels(self, scan: Image, other: Image) -> bool:
        """Whether the levels of both scans are known."""
        return self._levels.get(scan) is not None and self._levels.get(other) is not None

    def is_by_level(self, scan: Image, other: Image) -> bool:
        """Whether two scans are linked by level: as the user wants it, else where places differ from levels."""
        if not self.has_levels(scan, other):
            return False
        if self.by_level is not None:
            return self.by_level
        axis, along = self._levels[other].axis, self._levels[scan].axis
        ends = np.tile((np.array(scan.data.shape) - 1) / 2, (2, 1))
        ends[:, along] = 0, scan.data.shape[along] - 1
        first, last = (float(other.world_to_data(scan.data_to_world(end))[axis]) for end in ends)
        places = np.linspace(first, last, scan.data.shape[along])
        shown = (places >= 0) & (places <= other.data.shape[axis] - 1)
        if not shown.any():
            return True
        linked = self._linked(scan, other, np.arange(len(places)))
        apart = np.abs(linked - places)[shown].mean() * geometry_of(other).spacing[axis]
        return bool(apart > SAME_PLACE_MM)

    def slice_of(self, scan: Image, other: Image, axis: int) -> int:
        """Slice of the other scan, along its array axis, that belongs to the viewer's point in the scan in view."""
        viewer = self._session.viewer
        if not self.is_by_level(scan, other) or self._levels[other].axis != axis:
            return slice_in_view(viewer, other, axis)
        here = float(scan.world_to_data(viewer.dims.point[-3:])[self._levels[scan].axis])
        return int(np.clip(np.rint(self._linked(scan, other, here)), 0, other.data.shape[axis] - 1))

    def _linked(self, scan: Image, other: Image, index: Any) -> Any:
        return self._levels[other].index_of(self._levels[scan].at(index))

    def _on_report(self, report: Any) -> None:
        if isinstance(report, LevelsFound):
            self._levels[report.layer] = report.levels
