"""Pictures of support slices, made in the background a few at a time and kept as long as they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.layers.scan_layers import LayerScan, labels_array
from napari_cpclnet.gui.segment.thumbnails import ThumbnailMaker, ThumbnailOrder
from napari_cpclnet.gui.widgets.worker import BackgroundCall

if TYPE_CHECKING:
    from napari_cpclnet.gui.layers.support_slices import PaintedSlice
    from napari_cpclnet.gui.session.session import Session

BATCH = 8


class ThumbnailQueue(QObject):
    """Emits `made(entry, picture)`."""

    made = Signal(object, object)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._maker = ThumbnailMaker()
        self._pictures: dict[Any, np.ndarray | None] = {}
        self._waiting: dict[Any, PaintedSlice] = {}
        self._busy: dict[Any, PaintedSlice] = {}

    def picture(self, entry: PaintedSlice) -> np.ndarray | None:
        """Picture of a slice as it is painted now, if it is made already, else the last one of that slice."""
        found = self._pictures.get(self._key(entry))
        if found is None:
            place = self._place(entry)
            found = next((p for key, p in reversed(self._pictures.items()) if key[0] == place), None)
        return found

    def request(self, entries: Iterable[PaintedSlice]) -> None:
        """Make the pictures of these slices that are missing; others that wait are not wanted any more."""
        wanted = {self._key(entry): entry for entry in entries}
        places = {key[0] for key in wanted}
        self._pictures = {key: p for key, p in self._pictures.items() if key[0] in places}
        self._waiting = {
            key: entry for key, entry in wanted.items() if key not in self._pictures and key not in self._busy
        }
        self._next()

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        self._busy = {key: self._waiting.pop(key) for key in list(self._waiting)[:BATCH]}
        orders = []
        for key, entry in self._busy.items():
            try:
                orders.append(self._order(key, entry))
            except CpclnetError:
                continue
        call = BackgroundCall(_make(self._maker, orders, self._session.options.weights), self)
        call.done.connect(self._on_made)
        call.failed.connect(lambda _text: self._on_made([]))
        call.start()

    def _on_made(self, made: list[tuple[Any, np.ndarray]]) -> None:
        busy, self._busy = self._busy, {}
        for key, picture in made:
            for old in [k for k in self._pictures if k[0] == key[0]]:
                del self._pictures[old]
            self._pictures[key] = picture
            self.made.emit(busy[key], picture)
        for key in busy:  # those that could not be made are not tried again
            self._pictures.setdefault(key, None)
        self._next()

    def _order(self, key: Any, entry: PaintedSlice) -> ThumbnailOrder:
        slices = np.moveaxis(labels_array(entry.pair.labels), entry.pair.axis(entry.plane), 0)
        colors = {value: self._session.class_actions.color(entry.pair, value) for value in entry.values}
        scan = LayerScan.of(entry.pair.scan)
        return ThumbnailOrder(key, scan, entry.plane, entry.index, slices[entry.index].copy(), colors)

    def _place(self, entry: PaintedSlice) -> tuple[Any, ...]:
        return entry.pair, entry.plane, entry.index

    def _key(self, entry: PaintedSlice) -> tuple[Any, ...]:
        colors = tuple(self._session.class_actions.color(entry.pair, value) for value in entry.values)
        return self._place(entry), entry.stamp, colors, self._session.options.weights


def _make(maker: ThumbnailMaker, orders: list[ThumbnailOrder], weights: Any) -> Callable[[], Any]:
    return lambda: maker.make(orders, weights)
