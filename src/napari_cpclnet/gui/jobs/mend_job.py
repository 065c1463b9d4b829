"""Mending a class by a stroke, in a worker: what was drawn, and the voxels that change. No Qt."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_cpclnet.gui.jobs.segment_job import user_message
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.layers.scan_layers import geometry_of, labels_array
from napari_cpclnet.propagation.settings import MEND_AROUND_MM, MEND_REACH_MM

if TYPE_CHECKING:
    from napari.layers import Image, Labels

Tool = Literal["point", "scribble", "lasso", "box", "brush", "grow"]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class MendOrder:
    """What was drawn.

    Parameters
    ----------
    layer
        The labels that are mended.
    axis, index
        Array axis (z, y, x) and slice on which it was drawn.
    box
        What is looked at, along the sliced axis and the two others in array order.
    pictures
        The scan within the box, slices first; may be lazy.
    present
        Labels (n, h, w) within the box as they were when it was drawn.
    path
        Where it was drawn, (points, 2), in pixels of the box's slices.
    spacing
        Of slices, rows and columns, in mm.
    value, add
        Label value of the class, and whether it is there or is not.
    around
        Whether slices around are mended, too.
    width
        Of the brush, in pixels.
    """

    layer: Labels
    axis: int
    index: int
    box: Box
    pictures: Any
    present: np.ndarray
    path: np.ndarray
    spacing: tuple[float, float, float]
    tool: Tool
    value: int
    add: bool
    around: bool
    width: float = 10.0
    cancelled: Event = field(default_factory=Event)


@dataclass(frozen=True, eq=False)
class Mended:
    """Voxels at places (z, y, x) of a layer that get other labels; ``around``: on slices around the one drawn on."""

    order: MendOrder
    places: tuple[np.ndarray, ...]
    values: np.ndarray
    around: bool


@dataclass(frozen=True)
class MendFailed:
    """Why nothing came of a stroke."""

    message: str


def make_mend_order(
    scan: Image,
    layer: Labels,
    axis: int,
    index: int,
    path: np.ndarray,
    tool: Tool,
    *,
    add: bool,
    around: bool = True,
) -> MendOrder | None:
    """What is to be done for a stroke through pixels (points, 2) of a slice; None if it lies outside of the scan.

    What is taken away is the class under the beginning of the stroke, where there is one.
    """
    labels = np.moveaxis(labels_array(layer), axis, 0)
    if not 0 <= index < len(labels):
        return None
    inside = np.all((path > -0.5) & (path < np.array(labels.shape[1:]) - 0.5), axis=1)
    if not inside.any():
        return None
    path = np.clip(path, 0, np.array(labels.shape[1:]) - 1)
    spacing = geometry_of(scan).spacing
    order = (axis, *(a for a in range(3) if a != axis))
    mm = (float(spacing[order[0]]), float(spacing[order[1]]), float(spacing[order[2]]))
    value = int(layer.selected_label)
    under = int(labels[(index, *np.rint(path[inside][0]).astype(int))])
    if not add and under:
        value = under
    around = around and is_result(layer) and tool != "brush"
    depth = int(np.ceil(MEND_AROUND_MM / mm[0])) if around else 0
    box: Box = (
        slice(max(0, index - depth), min(len(labels), index + depth + 1)),
        _reach(path[:, 0], mm[1], labels.shape[1]),
        _reach(path[:, 1], mm[2], labels.shape[2]),
    )
    return MendOrder(
        layer,
        axis,
        index,
        box,
        _pictures(scan, axis, box),
        np.array(labels[box]),
        path - [box[1].start, box[2].start],
        mm,
        tool,
        value,
        add,
        around,
        float(layer.brush_size),
    )


def run_mend(order: MendOrder) -> Generator[Mended | MendFailed, None, None]:
    """Mend the slice, then those around.

    Consumed in a worker thread. Never raises; leaves the slices around alone if it is cancelled.
    """
    try:
        from napari_cpclnet.propagation.mending import mended_around

        here = order.index - order.box[0].start
        present = order.present == order.value
        picture = np.asarray(order.pictures[here])
        after = slice_after(order, picture, present[here])
        yield _changes(order, here, order.present[here : here + 1], after[None], around=False)
        if not order.around or order.cancelled.is_set():
            return
        pictures = np.asarray(order.pictures)
        found = mended_around(pictures, order.spacing, present, here, after)
        # another class on slices around is not painted over
        found &= present | (order.present == 0)
        found[here] = present[here]
        if not order.cancelled.is_set():
            yield _changes(order, 0, order.present, found, around=True)
    except Exception as error:  # noqa: BLE001 - the panel must hear of everything
        yield MendFailed(user_message(error))


def slice_after(order: MendOrder, picture: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Where the class is on the slice that was drawn on, once that is mended."""
    from napari_cpclnet.propagation import mending

    shape, pixel = present.shape, order.spacing[1:]
    if order.tool in ("point", "scribble"):
        return mending.mended_slice(picture, pixel, present, line(order.path, shape, 1.5), add=order.add)
    if order.tool in ("lasso", "box"):
        region = enclosed(order.path, shape, box=order.tool == "box")
        core = mending.enclosed_core(region, pixel)
    else:
        half = max(1.0, order.width / 2)
        core = line(order.path, shape, max(1.0, 0.3 * half) if order.tool == "brush" else 1.5)
        reach = half if order.tool == "brush" else MEND_REACH_MM / min(pixel)
        region = line(order.path, shape, reach)
    if not order.add and order.tool in ("lasso", "box"):
        return np.asarray(present & ~region)
    other = (order.present[order.index - order.box[0].start] > 0) & ~present
    if order.add:
        region &= ~other | core
    enclosing = order.tool != "grow"
    grown = mending.grown_slice(picture, pixel, core & region, region, enclosed=enclosing)
    return np.asarray(present | grown if order.add else present & ~grown)


def line(path: np.ndarray, shape: tuple[int, ...], radius: float) -> np.ndarray:
    """Pixels of a slice within a radius of a path."""
    from scipy import ndimage

    steps = max(2, int(np.ceil(np.abs(np.diff(path, axis=0)).sum() * 2)) + 1)
    along = np.linspace(0, len(path) - 1, steps)
    points = np.stack([np.interp(along, np.arange(len(path)), path[:, k]) for k in (0, 1)])
    mask = np.zeros(shape, bool)
    mask[tuple(np.rint(points).astype(int))] = True
    return np.asarray(ndimage.distance_transform_edt(~mask) < radius)


def enclosed(path: np.ndarray, shape: tuple[int, ...], *, box: bool) -> np.ndarray:
    """Pixels of a slice within a closed path, or within the box around its two ends."""
    from skimage.draw import polygon2mask

    mask = np.zeros(shape, bool)
    if box or len(path) < 3:
        (top, left), (bottom, right) = np.rint(np.sort(path[[0, -1]], axis=0)).astype(int)
        mask[top : bottom + 1, left : right + 1] = True
        return mask
    return np.asarray(polygon2mask(shape, path))


def _pictures(scan: Image, axis: int, box: Box) -> Any:
    """Grey values in a box whose first axis is that of the slices; those of dask are computed when they are used."""
    where = list(box[1:])
    where.insert(axis, box[0])
    data = scan.data if scan.ndim == 3 else np.asarray(scan.data)[None]
    return np.moveaxis(data[tuple(where)], axis, 0)


def _reach(places: np.ndarray, step: float, size: int) -> slice:
    margin = int(np.ceil(MEND_REACH_MM / step))
    return slice(max(0, int(places.min()) - margin), min(size, int(places.max()) + margin + 2))


def _changes(order: MendOrder, first: int, before: np.ndarray, after: np.ndarray, *, around: bool) -> Mended:
    was = before == order.value
    gained, lost = after & ~was, was & ~after
    turned = np.nonzero(gained | lost)
    values = np.where(gained[turned], order.value, 0)
    places = [turned[0] + order.box[0].start + first, *(turned[k] + order.box[k].start for k in (1, 2))]
    moved = places.pop(0)
    places.insert(order.axis, moved)
    return Mended(order, tuple(places), values, around)
