"""One plane of a scan with the labels on it, upright as in a reading room. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.gui.layers.scan_layers import labels_array
from napari_cpclnet.imaging.planes import NAMES, Plane, View, view_of

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_cpclnet.imaging import Geometry

# Where the world axes superior, posterior, left lead to, and where they come from.
_AHEAD, _BACK = "SPL", "IAR"


@dataclass(frozen=True)
class PlaneOfScan:
    """An anatomical plane on the array axes of a scan.

    Parameters
    ----------
    view
        Array axes of slices, rows, and columns, and which of them run backwards on the screen.
    geometry
        Of the scan.
    """

    view: View
    geometry: Geometry

    @classmethod
    def of(cls, geometry: Geometry, plane: Plane) -> PlaneOfScan:
        """The plane of a scan, turned as it is usually looked at."""
        return cls(view_of(geometry, plane), geometry)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.geometry.shape[self.view.axes[1]], self.geometry.shape[self.view.axes[2]]

    @property
    def spacing(self) -> tuple[float, float]:
        """Of rows and columns, in mm."""
        return self.geometry.spacing[self.view.axes[1]], self.geometry.spacing[self.view.axes[2]]

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """What lies at the top, right, bottom and left: of R L A P S I."""
        down, right = (
            direction_letter(np.array(self.geometry.direction)[:, axis] * (-1 if flip else 1))
            for axis, flip in zip(self.view.axes[1:], self.view.flips[1:], strict=True)
        )
        return opposite(down), right, down, opposite(right)

    def on_screen(self, index: Sequence[float]) -> tuple[float, float]:
        """Row and column of a place (z, y, x) of the array."""
        row, column = (
            self.geometry.shape[axis] - 1 - index[axis] if flip else index[axis]
            for axis, flip in zip(self.view.axes[1:], self.view.flips[1:], strict=True)
        )
        return float(row), float(column)

    def in_array(self, row: float, column: float, index: Sequence[float]) -> tuple[float, float, float]:
        """Place (z, y, x) of a row and a column on the slice on which ``index`` lies."""
        found = [float(value) for value in index]
        for axis, flip, place in zip(self.view.axes[1:], self.view.flips[1:], (row, column), strict=True):
            found[axis] = self.geometry.shape[axis] - 1 - place if flip else place
        return found[0], found[1], found[2]

    def take(self, array: Any, index: int) -> np.ndarray:
        """Slice (rows, columns) of an array (z, y, x) as it is seen."""
        slices, rows, columns = self.view.axes
        picture = np.asarray(array[(slice(None),) * slices + (index,)])
        if rows > columns:
            picture = picture.T
        return picture[:: -1 if self.view.flips[1] else 1, :: -1 if self.view.flips[2] else 1]


def direction_letter(direction: np.ndarray) -> str:
    """Where a direction (superior, posterior, left) leads to for the most part."""
    axis = int(np.abs(direction).argmax())
    return (_AHEAD if direction[axis] > 0 else _BACK)[axis]


def opposite(letter: str) -> str:
    """The other end."""
    return (_AHEAD + _BACK)[(_BACK + _AHEAD).index(letter)]


def other_planes(geometry: Geometry, axis: int) -> tuple[Plane, Plane]:
    """The two anatomical planes that are not sliced along an array axis."""
    axes = [found for found, _ in geometry.anatomical_axes]
    first, second = (name for name, found in zip(NAMES, axes, strict=True) if found != axis)
    return first, second


def draw(scan: Image, labels: Iterable[Labels], plane: PlaneOfScan, index: int) -> np.ndarray:
    """Picture (rows, columns, 3) of a slice in the grey values of a scan's layer, with the labels layers on it."""
    grey = plane.take(scan.data, index).astype(np.float32)
    low, high = scan.contrast_limits
    steps = np.clip((grey - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
    table = np.asarray(scan.colormap.map(np.linspace(0, 1, 256) ** scan.gamma))[:, :3]
    picture = (255 * table).astype(np.float32)[steps]
    for layer in labels:
        values = plane.take(labels_array(layer), index)
        if layer.contour:
            values = np.where(_border(values), values, 0)
        there = np.flatnonzero(values.ravel())
        if not len(there):
            continue
        found, which = np.unique(values.ravel()[there], return_inverse=True)
        colors = np.stack([np.asarray(layer.colormap.map(int(value)), np.float32).ravel() for value in found])
        colors = colors[which]
        share = colors[:, 3:] * layer.opacity
        flat = picture.reshape(-1, 3)
        flat[there] = flat[there] * (1 - share) + 255 * colors[:, :3] * share
    return np.ascontiguousarray(picture.astype(np.uint8))


def disc(plane: PlaneOfScan, start: tuple[float, float], end: tuple[float, float], size: float) -> np.ndarray:
    """Rows and columns (n, 2) under a round brush that is drawn from one place to another, inside the picture.

    ``size``: diameter in the smaller of both pixel spacings, so that it is round in the patient.
    """
    spacing = np.array(plane.spacing)
    radius = max(size, 1) / 2 * spacing.min()
    ends = np.array([start, end]) * spacing
    low = np.maximum(np.floor((ends.min(0) - radius) / spacing), 0).astype(int)
    high = np.minimum(np.ceil((ends.max(0) + radius) / spacing), np.array(plane.shape) - 1).astype(int)
    if (high < low).any():
        return np.zeros((0, 2), int)
    places = np.stack(
        np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij"), -1
    )
    places = places.reshape(-1, 2)
    way = ends[1] - ends[0]
    along = np.clip((places * spacing - ends[0]) @ way / max(float(way @ way), 1e-12), 0, 1)
    far = np.linalg.norm(places * spacing - ends[0] - along[:, None] * way, axis=1)
    # the pixel under the pointer is painted by the smallest brush, too
    under = (places == np.rint(end)).all(1)
    return places[(far <= radius) | under]


def _border(values: np.ndarray) -> np.ndarray:
    """Pixels beside one of another value."""
    padded = np.pad(values, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    beside = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.logical_or.reduce([middle != one for one in beside])
