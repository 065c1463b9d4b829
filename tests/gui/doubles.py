"""Scans at odd places, and stand-ins for the network: quick, with a known answer."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import QTimer

from napari_cpclnet.errors import ImageError
from napari_cpclnet.gui.layers.scan_layers import slice_axis, volume_to_layer
from napari_cpclnet.imaging import Geometry, Segmentation, Volume

# Imported here and not in the first run: the import of torch takes seconds.
from napari_cpclnet.segmentation import ClassSummary, Summary, UncertainSlice
from napari_cpclnet.segmentation.settings import RunSettings

FLIPPED = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
SWAPPED = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0))
_C, _S = np.cos(0.3), np.sin(0.3)
OBLIQUE = ((_C, -_S, 0.0), (_S, _C, 0.0), (0.0, 0.0, 1.0))
DIRECTIONS = {
    "straight": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "flipped": FLIPPED,
    "swapped": SWAPPED,
    "oblique": OBLIQUE,
}


def make_volume(
    name: str = "scan", direction: Any = DIRECTIONS["straight"], shape: tuple[int, int, int] = (8, 24, 20)
) -> Volume:
    """A bright box in a dark room, at an odd place in the patient; the darkness depends on the name."""
    array = np.full(shape, zlib.crc32(name.encode()) % 100 / 1000, dtype=np.float32)
    array[tuple(slice(n // 4, 3 * n // 4) for n in shape)] = 1.0
    geometry = Geometry(shape, (4.0, 1.5, 1.25), (-30.0, 12.0, 7.5), direction)
    return Volume(array, geometry, modality="MR", name=name)


def add_volume(viewer: ViewerModel, volume: Volume) -> Any:
    data, kwargs, _ = volume_to_layer(volume)
    return viewer.add_image(data, **kwargs)


@dataclass(frozen=True)
class FakeSlice:
    index: int
    labels: np.ndarray
    done: int
    total: int
    pass_number: int = 1


class BrightSegmenter:
    """Labels what is brighter than 0.5 with the smallest class; slices of the support come out as painted."""

    device = "cpu"
    model = SimpleNamespace(metadata={"hash": "0123456789ab"})

    def __init__(self, options: RunSettings, *, seconds: float = 0.0, fail_on: str = "") -> None:
        self.options = options
        self.seconds = seconds
        self.fail_on = fail_on
        self.support: Any = None
        self.closed = threading.Event()
        self.slices_computed = 0

    def set_support(self, support: Any) -> None:
        self.support = support

    def predict(
        self,
        volume: Volume,
        *,
        start_slice: int | None = None,
        keep_probabilities: bool = False,
        locked: Any = None,
    ) -> Iterator[FakeSlice]:
        if self.fail_on and volume.name == self.fail_on:
            raise ImageError(f"'{volume.name}' cannot be used.")
        self.kept = keep_probabilities
        plane = self.options.plane
        axis = slice_axis(volume.geometry, self.support.plane_of(volume) if plane == "auto" else plane)
        self.labels = expected_labels(volume, self.support, locked)
        self.volume = volume
        n = volume.array.shape[axis]
        first = n // 2 if start_slice is None else start_slice
        order = sorted(range(n), key=lambda index: (abs(index - first), -index))
        try:
            for done, index in enumerate(order, start=1):
                time.sleep(self.seconds)
                self.slices_computed += 1
                yield FakeSlice(index, np.take(self.labels, index, axis), done, n)
        finally:
            self.closed.set()

    def result(self) -> Segmentation:
        return Segmentation(self.labels, dict(self.support.classes), self.volume.geometry, "result")

    def summary(self) -> Summary:
        """Half sure of everything; the first slice that shows anything is uncertain."""
        voxel_ml = self.volume.geometry.voxel_ml if self.volume.calibrated else 1.0
        classes = [
            ClassSummary(value, name, np.count_nonzero(self.labels == value) * voxel_ml, 0.5, value > 100)
            for value, name in self.support.classes.items()
        ]
        first = int(np.flatnonzero(self.labels.any((1, 2)))[0])
        value = int(self.labels[first].max())
        uncertain = (UncertainSlice(first, value, 0.25), UncertainSlice(first + 1, value, 0.75))
        return Summary(tuple(classes), uncertain)

    def result_probability(self) -> np.ndarray:
        return np.where(self.labels > 0, 250, 5).astype(np.uint8)

    def result_probabilities(self) -> np.ndarray:
        assert self.kept, "they cost memory, and were not asked for"
        values = list(self.support.classes)
        return np.stack([np.where(self.labels == v, 200 + v, 5).astype(np.uint8) for v in values])

    def result_uncertainty(self) -> np.ndarray:
        return np.where(self.labels > 0, 10, 20).astype(np.uint8)


def expected_labels(volume: Volume, support: Any, locked: Any = None) -> np.ndarray:
    value = min(support.classes)
    labels = np.where(volume.array > 0.5, value, 0).astype(np.uint8)
    if locked is not None:
        labels[locked.mask] = locked.labels[locked.mask]
    for one in support.painted_on(volume):
        np.moveaxis(labels, one.axis, 0)[one.index] = one.labels2d
    return labels


def factory(**settings: Any) -> Callable[[RunSettings], BrightSegmenter]:
    """Factory for a session; the segmenters it made are in its attribute ``made``."""
    made: list[BrightSegmenter] = []

    def make(options: RunSettings) -> BrightSegmenter:
        made.append(BrightSegmenter(options, **settings))
        return made[-1]

    make.made = made  # type: ignore[attr-defined]
    return make


def longest_pause(run: Callable[[], None], attempts: int = 12) -> float:
    """Longest time in seconds in which the event loop did not turn during ``run``.

    The best of some attempts: a busy machine delays anyone now and then, code that blocks does so every time.
    """
    pauses = []
    for _ in range(attempts):
        beats: list[float] = []
        heart = QTimer()
        heart.timeout.connect(lambda beats=beats: beats.append(time.perf_counter()))
        heart.start(10)
        run()
        heart.stop()
        assert len(beats) > 20, "the run was too short to judge"
        pauses.append(float(np.diff(beats).max()))
        if pauses[-1] < 0.2:
            break
    return min(pauses)
