"""Controller of the mending tools: between the mouse on the canvas, the worker, and the labels that are mended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_cpclnet.gui.jobs.mend_job import Mended, MendFailed, MendOrder, Tool, make_mend_order, run_mend
from napari_cpclnet.gui.layers.editing import extend_last_step, last_step, set_voxels
from napari_cpclnet.gui.layers.scan_layers import same_grid
from napari_cpclnet.gui.mend.stroke_overlay import StrokeOverlay
from napari_cpclnet.gui.session.reuse import scan_in_view
from napari_cpclnet.gui.widgets.connections import Connections, when_destroyed
from napari_cpclnet.gui.widgets.worker import JobRunner

if TYPE_CHECKING:
    from napari.layers import Image
    from qtpy.QtWidgets import QWidget

    from napari_cpclnet.gui.session.session import Session

SHOWN_AS: dict[Tool, str] = {"lasso": "area", "box": "box"}
"""How a stroke is shown while it is drawn, if it is no line."""


class MendControl(QObject):
    """Mends the selected labels by what is drawn on them; `changed` tells that the tool or its state is another.

    ``message(text, is_error)`` is to be shown. ``add`` and ``around`` may be set at any time.
    """

    changed = Signal()
    mended = Signal()
    message = Signal(str, bool)

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session = session
        self.tool: Tool | None = None
        self.add = True
        self.around = True
        self.overlay = StrokeOverlay(parent)
        self.runner = JobRunner(self)
        self.runner.report.connect(self._on_report)
        self.runner.finished.connect(self._begin)
        self._waiting: deque[Callable[[], MendOrder | None]] = deque()
        self._running: MendOrder | None = None
        self._step: list | None = None
        self._held: Labels | None = None
        self._callback = self._on_drag
        events = Connections()
        events.connect(session.viewer.layers.selection.events.active, self._on_active)
        events.connect(session.viewer.layers.events.removed, self._on_removed)
        when_destroyed(
            self, events.close, partial(_forget, session.viewer, self._callback), partial(_drop, self.overlay)
        )

    @property
    def is_mending(self) -> bool:
        """Whether a stroke is still being answered."""
        return self.runner.is_running or bool(self._waiting)

    def set_tool(self, tool: Tool | None) -> None:
        """Draw with a tool from now on; None: napari has the mouse again."""
        if tool == self.tool:
            return
        self.tool = tool
        callbacks = self.session.viewer.mouse_drag_callbacks
        if tool is None:
            _forget(self.session.viewer, self._callback)
            self._release()
            self.overlay.clear()
        else:
            if self._callback not in callbacks:
                callbacks.append(self._callback)
            self._hold()
        self.changed.emit()

    @property
    def shown_as(self) -> str:
        """How a stroke of the tool is shown while it is drawn: as ``line``, ``area`` or ``box``."""
        return SHOWN_AS.get(self.tool, "line") if self.tool else "line"

    def draw_through(self, places: Sequence[np.ndarray], axis: int, *, add: bool) -> None:
        """Mend the selected labels by a stroke through places (z, y, x) on one slice along an array axis."""
        index = round(float(places[0][axis]))
        path = np.array([[place[a] for a in range(3) if a != axis] for place in places])
        self.draw(path[:1] if self.tool == "point" else path, axis, index, add=add)

    def draw(self, path: np.ndarray, axis: int, index: int, *, add: bool | None = None) -> None:
        """Mend the selected labels by a stroke through pixels (points, 2) of a slice."""
        tool, target = self.tool, self._target()
        if tool is None or target is None:
            return
        scan, layer = target
        add = self.add if add is None else add
        if not layer.editable:
            self.message.emit("These labels cannot be edited while a run fills them.", True)
            return
        if add and layer.selected_label in (0, self.session.slices.background):
            self.message.emit("Choose the class to mend first.", True)
            return
        order = partial(make_mend_order, scan, layer, axis, index, path, tool, add=add, around=self.around)
        self._waiting.append(order)
        if self._running is not None:
            self._running.cancelled.set()  # its slices around would come too late
        self._begin()

    def _begin(self) -> None:
        """Answer the next stroke, once the worker is free: it begins from what the last one left."""
        while self._waiting and not self.runner.is_running:
            order = self._waiting.popleft()()
            if order is None:
                continue
            self._running, self._step = order, None
            self.runner.start_reports(run_mend(order), order.cancelled)
        if not self.is_mending:
            self._running = None
        self.changed.emit()

    def _on_report(self, report: Any) -> None:
        if isinstance(report, MendFailed):
            self.message.emit(report.message, True)
        elif isinstance(report, Mended) and report.order.layer in self.session.viewer.layers:
            layer = report.order.layer
            if not report.around:
                before = last_step(layer)
                set_voxels(layer, report.places, report.values)
                after = last_step(layer)
                self._step = after if after is not before else None
                if self._step is None:
                    self.message.emit("Nothing changes here by this stroke.", False)
            elif self._step is not None and len(report.values):
                extend_last_step(layer, self._step, report.places, report.values)
            self.mended.emit()

    def _target(self) -> tuple[Image, Labels] | None:
        """The labels to mend, and the scan below them."""
        layer = self.session.viewer.layers.selection.active
        if isinstance(layer, Labels) and not layer.multiscale and layer.visible:
            shown = scan_in_view(self.session)
            fitting = [scan for scan in self.session.scans() if same_grid(layer, scan)]
            if fitting:
                return (shown if shown in fitting else fitting[0]), layer
        self.message.emit("Select the labels to mend in the list of layers.", True)
        return None

    def _on_drag(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        if event.button != 1 or viewer.dims.ndisplay != 2:
            return
        layer = viewer.layers.selection.active
        if not isinstance(layer, Labels):
            self._target()
            return
        shown = [a - viewer.dims.ndim + 3 for a in sorted(viewer.dims.displayed)]
        axis = next(a for a in range(3) if a not in shown)
        add = self.add != ("Shift" in event.modifiers)
        path, places = [_in_slice(layer, event.position)], [event.pos]
        yield
        while event.type == "mouse_move":
            path.append(_in_slice(layer, event.position))
            places.append(event.pos)
            if self.tool is not None and self.tool != "point":
                self.overlay.show_stroke(viewer, places, self.shown_as)
            yield
        self.overlay.clear()
        self.draw_through(path, axis, add=add)

    def _on_active(self, _event: Any = None) -> None:
        if self.tool is not None:
            self._hold()

    def _hold(self) -> None:
        """Keep napari from moving the picture, or painting, on the layer one draws on."""
        layer = self.session.viewer.layers.selection.active
        if layer is self._held:
            return
        self._release()
        if isinstance(layer, Labels):
            layer.mode = "pan_zoom"
            layer.mouse_pan = False
            layer.events.mode.connect(self._on_mode)
            self._held = layer

    def _release(self) -> None:
        layer, self._held = self._held, None
        if layer is not None:
            layer.events.mode.disconnect(self._on_mode)
            layer.mouse_pan = layer.mode == "pan_zoom"

    def _on_mode(self, _event: Any = None) -> None:
        """The user takes one of napari's own tools."""
        if self._held is not None and self._held.mode != "pan_zoom":
            self.set_tool(None)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._held:
            self._held = None


def _forget(viewer: Any, callback: Callable[..., Any]) -> None:
    """Draw no more; the viewer outlives the panel."""
    if callback in viewer.mouse_drag_callbacks:
        viewer.mouse_drag_callbacks.remove(callback)


def _drop(overlay: StrokeOverlay) -> None:
    with suppress(RuntimeError):  # it went with the canvas
        overlay.deleteLater()


def _in_slice(layer: Labels, position: Any) -> np.ndarray:
    """Place in the layer's array, as (z, y, x), of a place in the world."""
    place = np.asarray(layer.world_to_data(position[-layer.ndim :]), float)
    return place if layer.ndim == 3 else np.insert(place, 0, 0.0)
