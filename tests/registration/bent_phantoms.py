"""Phantoms bent by deformations that are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.phantoms.phantom import Phantom
from napari_cpclnet.phantoms.render import render_phantom

Floats = NDArray[np.float64]
Map = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two scans of which it is known where each place of the query lies in the support.

    `true` maps world positions (n, 3) of the query to the support's; `body` are those that lie in the body.
    """

    support: Volume
    query: Volume
    support_labels: NDArray[np.uint8]
    query_labels: NDArray[np.uint8]
    true: Map
    body: Floats


def bend(amplitude: float, scale: float, shift: tuple[float, float, float], middle: Floats) -> Map:
    """A smooth map in mm: scaled about a middle, shifted, and bent by waves of 190 to 260 mm."""

    def moved(points: Floats) -> Floats:
        waves = [np.sin(2 * np.pi * points[:, (k + 1) % 3] / (190 + 35 * k) + k) for k in range(3)]
        return middle + scale * (points - middle) + np.array(shift) + amplitude * np.stack(waves, 1)

    return moved


def bent(labels: NDArray[np.uint8], geometry: Geometry, target: Geometry, moved: Map) -> NDArray[np.uint8]:
    """Labels on another grid, every voxel taken from where the map sends it."""
    index = np.indices(target.shape).reshape(3, -1).T
    source = geometry.world_to_index(moved(target.index_to_world(index)))
    return ndimage.map_coordinates(labels, source.T, order=0, cval=0).reshape(target.shape)


def make_pair(
    phantom: Phantom, moved: Map, modalities: tuple[str, str], query_grid: Geometry | None = None
) -> Pair:
    """The phantom as the support's patient, and bent as the query's, each in a picture of its own."""
    support = render_phantom(phantom, modalities[0], np.random.default_rng(2))
    grid = query_grid or support.geometry
    labels = bent(phantom.labels, support.geometry, grid, moved)
    other = Phantom(labels, phantom.structures, grid.spacing, phantom.level)
    query = render_phantom(other, modalities[1], np.random.default_rng(3)).replaced(geometry=grid)
    body = grid.index_to_world(np.argwhere(labels > 0)[::53])
    # only what the support shows as well can be found
    index = support.geometry.world_to_index(moved(body))
    body = body[((index > 0) & (index < np.array(support.geometry.shape) - 1)).all(1)]
    return Pair(support, query, phantom.labels, labels, moved, body)


def errors(pair: Pair, at: Map) -> Floats:
    """Distances in mm between where a map sends the places of the body and where they lie."""
    return np.linalg.norm(at(pair.body) - pair.true(pair.body), axis=1)
