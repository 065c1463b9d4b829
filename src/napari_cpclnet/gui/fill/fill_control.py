"""Controller of *Fill between slices*: between the tick box, the worker and the preview, which follows the paint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.fill.fill_accept import accepting
from napari_cpclnet.gui.fill.fill_preview import FillPreview
from napari_cpclnet.gui.jobs.fill_job import Filled, FillFailed, FillOrder, VolumeKeeper, make_order, run_fill
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session


class FillControl(QObject):
    """Fills whenever the paint is another; `changed` tells what is shown, `accepted` that the paint is another.

    ``message(text, is_error)`` is to be shown.
    """

    changed = Signal()
    accepted = Signal()
    message = Signal(str, bool)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self.session = session
        self.preview = FillPreview(session.viewer)
        self.on = False
        self.shown: Filled | None = None
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._begin)
        self._keeper = VolumeKeeper()
        self._asked: FillOrder | None = None
        self._running: FillOrder | None = None
        self._failed = False
        self._settled = self._seen = False  # accepted, and seen among the painted slices
        self._writing: Iterator[int] | None = None
        self._count = 0
        self._turn = QTimer(self)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._write_some)
        events = Connections()
        events.connect(session.viewer.layers.events.removed, self._on_removed)
        when_destroyed(self, events.close)

    @property
    def is_filling(self) -> bool:
        """Whether a better preview is under way."""
        return self._asked is not None and not (self._failed or self._settled or self._is_final())

    @property
    def is_writing(self) -> bool:
        """Whether what was accepted is being written."""
        return self._writing is not None

    @property
    def is_settled(self) -> bool:
        """Whether what was filled is accepted."""
        return self._settled

    @property
    def can_accept(self) -> bool:
        """Whether what is shown is the whole answer to the paint as it is."""
        return self.on and self._is_final() and self._writing is None

    def set_on(self, on: bool) -> None:
        """Show the preview, or take it away."""
        if on == self.on:
            return
        self.on = on
        self._forget()
        self.refresh()
        self.changed.emit()

    def refresh(self) -> None:
        """The painted slices were looked at: fill anew if they are others."""
        if not self.on or self._writing is not None:
            return
        session, pair = self.session, self.session.active
        order, filled = None, False
        if pair is not None:
            try:
                entries = session.slices.entries(pair, rescan=())
                filled = any(entry in session.accepted for entry in entries)
                order = make_order(
                    pair, session.slices.plane_of(pair), entries, session.accepted, session.classes.names()
                )
            except CpclnetError as error:
                self.message.emit(str(error), True)
        taken_back = self._settled and self._seen and not filled
        self._seen = self._settled and filled
        if order is None:
            self._forget()
        elif taken_back or self._asked is None or order.stamps != self._asked.stamps:
            self._cancel()
            self._asked, self._failed, self._settled = order, False, False
            self._begin()
        self.changed.emit()

    def accept(self) -> None:
        """Make what is shown painted slices, in one step of undo."""
        filled, session = self.shown, self.session
        if filled is None or not self.can_accept:
            return
        entries = session.slices.entries(filled.order.pair, rescan=())
        leave = [one.index for one in entries if not one.ticked and not one.crossed]
        self._writing = accepting(filled, leave, session.accepted)
        self._turn.start()
        self.changed.emit()

    def _begin(self) -> None:
        """Start what was asked for last, once the worker is free."""
        order = self._asked
        if order is None or self.runner.is_running or order is self._running:
            return
        self._running = order
        self.runner.start_reports(run_fill(order, self._keeper), order.cancelled)

    def _cancel(self) -> None:
        if self._running is not None:
            self._running.cancelled.set()

    def _forget(self) -> None:
        self._cancel()
        self._asked = self._running = self.shown = None
        self._failed = self._settled = False
        self.preview.remove()

    def _on_report(self, report: Any) -> None:
        if self._asked is None or self._asked is not self._running or self._asked.cancelled.is_set():
            return  # the paint is another by now
        layers = self.session.viewer.layers
        if isinstance(report, FillFailed):
            self._failed, self.shown = True, None
            self.preview.remove()
            self.message.emit(report.message, True)
        elif isinstance(report, Filled) and {report.order.pair.scan, report.order.pair.labels} <= {*layers}:
            self.shown = report
            self.preview.show(report)
        self.changed.emit()

    def _write_some(self) -> None:
        """One turn of accepting."""
        writing = self._writing
        if writing is None:
            return
        try:
            self._count = next(writing)
        except StopIteration:
            self._turn.stop()
            self._writing, self.shown, self._settled = None, None, True
            self.preview.clear()
            count = f"{self._count} slice{'' if self._count == 1 else 's'}"
            self.message.emit(f"{count} accepted as painted: Ctrl+Z on the labels takes that back.", False)
            self.changed.emit()
            self.accepted.emit()

    def _is_final(self) -> bool:
        return self.shown is not None and self.shown.final and self.shown.order is self._asked

    def _on_removed(self, event: Any) -> None:
        """The user who removes the preview does not want it."""
        if self.preview.layer is not None and event.value is self.preview.layer:
            self.set_on(False)
