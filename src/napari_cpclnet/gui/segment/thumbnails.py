"""Small pictures of support slices as the network sees them, with what is painted in the classes' colours. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.errors import CpclnetError, WeightsError
from napari_cpclnet.gui.layers.class_names import Color
from napari_cpclnet.gui.layers.scan_layers import LayerScan
from napari_cpclnet.imaging import Volume
from napari_cpclnet.preprocessing import PreprocessingSettings

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings

# Network pixels along a side; a screen of high resolution shows them in 64.
SIZE = 96


@dataclass(frozen=True, eq=False)
class ThumbnailOrder:
    """One picture to make: slice ``index`` of a scan in a plane, and a copy of what is painted there (h, w)."""

    key: Any
    scan: LayerScan
    plane: str
    index: int
    labels: np.ndarray
    colors: Mapping[int, Color]


class ThumbnailMaker:
    """Makes pictures, in a worker thread, one call at a time; where the body lies is found once for each scan."""

    def __init__(self) -> None:
        self._grids: list[tuple[Any, tuple[Any, ...], ModelGrid]] = []
        self._settings: dict[Path | None, PreprocessingSettings] = {}

    def make(self, orders: Sequence[ThumbnailOrder], weights: Path | None) -> list[tuple[Any, np.ndarray]]:
        """Pictures (SIZE, SIZE, 3) of uint8 with their keys; an order whose scan cannot be used is left out."""
        settings = self._preprocessing(weights)
        made = []
        for order in orders:
            try:
                grid = self._grid(order, settings)
                made.append((order.key, thumbnail(order, grid)))
            except CpclnetError:  # a run says what is wrong with it
                continue
        return made

    def _preprocessing(self, weights: Path | None) -> PreprocessingSettings:
        from napari_cpclnet.model import bundled_weights, read_metadata

        if weights not in self._settings:
            try:
                facts = read_metadata(weights or bundled_weights())["preprocessing"]
                self._settings[weights] = PreprocessingSettings.model_validate(facts)
            except (WeightsError, KeyError, ValueError):
                return PreprocessingSettings()
        return self._settings[weights]

    def _grid(self, order: ThumbnailOrder, settings: PreprocessingSettings) -> ModelGrid:
        from napari_cpclnet.preprocessing import ModelGrid

        facts = (order.scan.geometry, order.plane, settings)
        for data, known, grid in self._grids:
            if data is order.scan.data and known == facts:
                return grid
        grid = ModelGrid.for_volume(order.scan.volume(), order.plane, settings)
        self._grids = [*self._grids[-7:], (order.scan.data, facts, grid)]
        return grid


def thumbnail(order: ThumbnailOrder, grid: ModelGrid) -> np.ndarray:
    """Picture (SIZE, SIZE, 3) of uint8: the network's middle channel, and the outline of each class."""
    (channels,) = grid.images(_only(order, grid), [order.index])
    grey = channels[1].numpy()
    picture = np.repeat((255 * np.clip(grey, 0, 1)).astype(np.uint8)[..., None], 3, axis=-1)
    rows, columns = (_nearest(n) for n in _square(grey.shape))
    inside = (rows >= 0) & (rows < grey.shape[0]), (columns >= 0) & (columns < grey.shape[1])
    shown = np.zeros((SIZE, SIZE, 3), np.uint8)
    shown[np.ix_(*inside)] = picture[np.ix_(rows[inside[0]], columns[inside[1]])]
    for value, color in order.colors.items():
        mask = np.zeros((SIZE, SIZE), bool)
        painted = grid.mask(order.labels, value).numpy() > 0.5
        mask[np.ix_(*inside)] = painted[np.ix_(rows[inside[0]], columns[inside[1]])]
        shown[mask] = (0.7 * shown[mask] + 0.3 * np.array(color)).astype(np.uint8)
        shown[_outline(mask)] = color
    return shown


def _only(order: ThumbnailOrder, grid: ModelGrid) -> Volume:
    """The scan with its shown slices only: the rest of a scan that lies in a file is not read."""
    shape, source = order.scan.geometry.shape, order.scan.data
    if len(source.shape) < 3:
        source = np.asarray(source).reshape(shape)
    array = np.zeros(shape, np.float32)  # untouched memory costs nothing
    for index in set(grid.neighbours(order.index)):
        grid.put(array, index, np.asarray(grid.take(source, index)))
    return Volume(array, order.scan.geometry, name=order.scan.name)


def _square(shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Length along rows and columns, and that of the square around both."""
    side = max(shape)
    return (shape[0], side), (shape[1], side)


def _nearest(lengths: tuple[int, int]) -> np.ndarray:
    """Index of the pixel shown at each of SIZE places of a square; out of range beside the picture."""
    length, side = lengths
    return np.floor((np.arange(SIZE) + 0.5) * side / SIZE - (side - length) / 2).astype(int)


def _outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask that touch others."""
    around = np.pad(mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask & ~inner
