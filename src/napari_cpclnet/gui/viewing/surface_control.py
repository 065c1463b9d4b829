"""The button *3-D*: surfaces of the result in view, and back to the slices as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_cpclnet.gui.jobs.surface_job import SurfaceJob, SurfaceMade, SurfacesFailed, run_surfaces
from napari_cpclnet.gui.layers.scan_layers import geometry_of, labels_array, same_grid
from napari_cpclnet.gui.session.reuse import result_in_view, scan_in_view
from napari_cpclnet.gui.session.surfaces import Before, hide_surfaces, remove_surfaces, showing_surfaces
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.turns import Turns
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.layers import Labels

    from napari_cpclnet.gui.session.session import Session


class SurfaceControl(QObject):
    """Emits `changed(on)` when surfaces are shown or gone, and `message(text, is_error)`."""

    changed = Signal(bool)
    message = Signal(str, bool)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._on_finished)
        self._showing = Turns(self)
        self._before: Before | None = None
        self._labels: Labels | None = None
        self._made: list[SurfaceMade] = []
        self._failed = ""
        self._events = Connections()
        self._events.connect(session.viewer.dims.events.ndisplay, self._on_ndisplay)
        when_destroyed(self, self._events.close)

    @property
    def on(self) -> bool:
        """Whether surfaces are shown."""
        return self._before is not None

    def toggle(self) -> None:
        """Show the surfaces, or go back to the slices."""
        if self.on:
            hide_surfaces(self._session.viewer)  # before napari cuts them into slices
            self._session.viewer.dims.ndisplay = 2
        elif not self.runner.is_running and not self._showing.are_left:
            self._start()

    def _start(self) -> None:
        labels = self._in_view()
        if labels is None or labels.ndim != 3:
            self.message.emit("There is nothing to show in 3-D yet: press Run, or paint.", True)
            self.changed.emit(False)
            return
        names = {value: info.name for value, info in self._session.classes.items()}
        self._labels, self._made, self._failed = labels, [], ""
        # by reference: what is painted meanwhile may be seen or not, and is on the slices in any case
        job = SurfaceJob(labels_array(labels), geometry_of(labels), names)
        self.message.emit("Making surfaces…", False)
        self.runner.start_reports(run_surfaces(job), job.cancelled)

    def _in_view(self) -> Labels | None:
        """The result of the scan in view, or else the layer that is painted on it."""
        found = result_in_view(self._session)
        if found is not None:
            return found[1]
        scan, active = scan_in_view(self._session), self._session.active
        return (
            active.labels
            if scan is not None and active is not None and same_grid(scan, active.labels)
            else None
        )

    def _on_report(self, report: Any) -> None:
        if isinstance(report, SurfacesFailed):
            self._failed = report.message
        else:
            self._made.append(report)

    def _on_finished(self) -> None:
        viewer, labels, made = self._session.viewer, self._labels, self._made
        self._labels, self._made = None, []
        if self._failed or not made or labels not in viewer.layers:
            words = (
                self._failed or "Nothing is found or painted on this scan: there is nothing to show in 3-D."
            )
            self.message.emit(words, True)
            self.changed.emit(False)
            return
        self._showing.start(self._shown(labels, made))

    def _shown(self, labels: Labels, made: list[SurfaceMade]) -> Iterator[None]:
        """Show them, one after the other."""
        viewer, colors = self._session.viewer, self._session.classes
        before = Before.of(viewer)
        yield from showing_surfaces(
            viewer, labels, made, {one.value: colors.color(one.value) for one in made}
        )
        self._before = before
        self.message.emit("", False)
        self.changed.emit(True)

    def _on_ndisplay(self, _event: Any = None) -> None:
        before = self._before
        if before is None or self._session.viewer.dims.ndisplay == 3:
            return
        self._before = None
        hide_surfaces(self._session.viewer)
        before.restore(self._session.viewer)
        self.changed.emit(False)
        self._showing.start(self._removed())

    def _removed(self) -> Iterator[None]:
        """Take them away in a turn of its own: napari looks for garbage then, which takes it long."""
        yield
        remove_surfaces(self._session.viewer)
