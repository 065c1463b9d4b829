"""Filling between painted slices in a worker: what is wanted, and the labels that come of it. No Qt."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from napari_cpclnet.gui.jobs.scan_reading import RunStopped, read_scan
from napari_cpclnet.gui.jobs.segment_job import user_message
from napari_cpclnet.gui.layers.scan_layers import LayerScan, labels_array
from napari_cpclnet.gui.layers.support_slices import PaintedSlice
from napari_cpclnet.propagation import PropagationSettings

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_cpclnet.gui.layers.support_slices import SupportPair
    from napari_cpclnet.imaging import Volume

COARSE_VOXELS = 80_000
"""Voxels of one class's box at the first sight of a large scan."""

LARGE = 4_000_000
"""Voxels of a scan from which there is a first sight."""


@dataclass(frozen=True, eq=False)
class FillOrder:
    """What to fill.

    Parameters
    ----------
    pair
        The scan and the labels that are painted.
    scan
        The scan, to be read in the worker.
    plane, axis
        Plane of the slices, and their array axis.
    painted
        Slices that were painted by hand; the fill goes from one to the next.
    empty
        Slices that were marked as free of the classes.
    classes
        Label values and names.
    stamps
        Another value whenever something else is to be filled.
    partial
        Those of the painted slices of which only some pixels are known.
    """

    pair: SupportPair
    scan: LayerScan
    plane: str
    axis: int
    painted: tuple[int, ...]
    empty: tuple[int, ...]
    classes: dict[int, str]
    stamps: tuple[Any, ...]
    partial: tuple[int, ...] = ()
    cancelled: Event = field(default_factory=Event)


@dataclass(frozen=True, eq=False)
class Filled:
    """Labels (z, y, x) of all slices but the painted ones, which are left out.

    Parameters
    ----------
    order
    labels
    slices : tuple of int
        Slices that show a class.
    final : bool
        False for the first sight.
    """

    order: FillOrder
    labels: np.ndarray
    slices: tuple[int, ...]
    final: bool


@dataclass(frozen=True)
class FillFailed:
    """Why nothing can be filled."""

    message: str


FillReport = Filled | FillFailed


class VolumeKeeper:
    """The scan that was filled last, as the core wants it: making it takes a moment for a large one."""

    def __init__(self) -> None:
        self._known: tuple[LayerScan, Volume] | None = None

    def volume(self, scan: LayerScan, stop: Callable[[], bool]) -> Volume:
        """Volume of a scan; called in a worker. `RunStopped` if ``stop`` says so while it is read."""
        if self._known is not None:
            known, volume = self._known
            if known.data is scan.data and known.geometry == scan.geometry and known.noted == scan.noted:
                return volume
        self._known = None  # its memory may be wanted
        volume = read_scan(scan, stop)
        self._known = (scan, volume)
        return volume


def make_order(
    pair: SupportPair,
    plane: str,
    entries: list[PaintedSlice],
    accepted: AcceptedSlices,
    names: dict[int, str],
) -> FillOrder | None:
    """What is to be filled on a pair now; None if nothing is drawn.

    Accepted slices are filled anew: only drawn ones say what is where.
    """
    used = [entry for entry in entries if entry.ticked and entry not in accepted]
    drawn = [entry for entry in used if entry.values or entry.partial]
    values = sorted({value for entry in drawn for value in entry.values if value > 0})
    if not values:
        return None
    classes = {value: names.get(value, f"label {value}") for value in values}
    stamps = (
        id(pair.scan),
        id(pair.labels),
        plane,
        tuple((entry.index, entry.stamp, entry.partial) for entry in drawn),
        tuple(entry.index for entry in used if entry.absent),
    )
    return FillOrder(
        pair,
        LayerScan.of(pair.scan),
        plane,
        pair.axis(plane),
        tuple(entry.index for entry in drawn),
        tuple(entry.index for entry in used if entry.absent),
        classes,
        stamps,
        tuple(entry.index for entry in drawn if entry.partial),
    )


def run_fill(order: FillOrder, keeper: VolumeKeeper) -> Generator[FillReport, None, None]:
    """Fill; of a large scan a first sight comes before.

    Consumed in a worker thread. Never raises; ends without a word if it is cancelled.
    """
    try:
        from napari_cpclnet.propagation import Propagation, Scribbled

        labels = np.moveaxis(labels_array(order.pair.labels), order.axis, 0)
        scribbled = {}
        for index in order.partial:
            known = labels[index] != 0
            one = np.where(np.isin(labels[index], list(order.classes)), labels[index], 0)
            scribbled[index] = Scribbled(one, known)
        painted = {index: labels[index].copy() for index in order.painted if index not in scribbled}
        painted |= {index: np.zeros_like(labels[index]) for index in order.empty}
        volume = keeper.volume(order.scan, order.cancelled.is_set)
        settings = [PropagationSettings()]
        if volume.array.size > LARGE:
            settings.insert(0, PropagationSettings(working_voxels=COARSE_VOXELS))
        for number, chosen in enumerate(settings, start=1):
            propagation = Propagation(volume, painted, order.axis, order.classes, chosen, scribbled)
            for _ in propagation.run():
                if order.cancelled.is_set():
                    return
            found = propagation.result().labels
            slices = np.moveaxis(found, order.axis, 0)
            slices[list(painted)] = 0
            shown = tuple(index for index, one_slice in enumerate(slices) if one_slice.any())
            yield Filled(order, found, shown, number == len(settings))
    except RunStopped:
        return
    except Exception as error:  # noqa: BLE001 - the panel must hear of everything
        yield FillFailed(user_message(error))


class AcceptedSlices:
    """Which painted slices were filled and accepted, and not drawn; one that is changed by hand is drawn.

    They are known by their content, so that it is all the same how often they are undone and made again.
    """

    def __init__(self) -> None:
        self._stamps: WeakKeyDictionary[Labels, dict[tuple[str, int], set[int]]] = WeakKeyDictionary()

    def add(self, labels: Labels, plane: str, index: int, labels2d: np.ndarray) -> None:
        """Remember a slice of a plane, which has these labels."""
        self._stamps.setdefault(labels, {}).setdefault((plane, index), set()).add(_stamp(labels2d))

    def holds(self, labels: Labels, plane: str, index: int, labels2d: np.ndarray) -> bool:
        """Whether a slice with these labels is as it was accepted."""
        stamps = self._stamps.get(labels, {}).get((plane, index), ())
        return bool(stamps) and _stamp(labels2d) in stamps

    def __contains__(self, entry: object) -> bool:
        """Whether an entry, as it was seen last, is as it was accepted."""
        if not isinstance(entry, PaintedSlice):
            return False
        known = self._stamps.get(entry.pair.labels)
        if not known or not entry.values:
            return False
        return entry.stamp in known.get(entry.key, ())


def _stamp(labels2d: np.ndarray) -> int:
    """As `PaintedSlices` has it."""
    return zlib.crc32(np.ascontiguousarray(labels2d).data)
