"""Classes followed in a query beyond what the support's field of view shows.

A spinal cord or an aorta that leaves the support's field of view goes on in a query that shows more of the body, but
from there nothing can be carried over. It is followed from the last slices that were: continued straight on for a short
way and moved to the edges of the query by the prior decoder, again and again, until it ends or grey values no longer
tell it from what is around it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.segmentation.boxed import Boxed, SliceBySlice, joint_box
from napari_cpclnet.segmentation.confidence import dice
from napari_cpclnet.segmentation.prior_decoding import DecodedPrior, decode_priors

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.model.prior_decoder import PriorDecoder
    from napari_cpclnet.registration import Field

Mask = NDArray[np.bool_]

_CUT = 0.5
"""Area at a side of a scan, in middling areas of the class, from which the class leaves the scan there."""

_ALONG = 0.8
"""Cosine between the way out and an axis of the query from which the class is followed along that axis."""

_BEYOND_MM = 6.0
"""How far beyond what was carried over the support must not show anything."""

_HOP_MM = 5.0, 15.0
_ERROR_MM = 3.0
"""How far the outline is off when it was continued straight on."""

_AREA = 0.4, 2.0
"""Areas of a slice, in areas of what was carried over, between which the class goes on."""

_ALIKE = 0.5
"""Dice with the slice before from which it goes on."""

_CLEAR = 0.9
"""How well grey values must part the class from what is around it: what looks like its neighbours is soon lost."""


@dataclass(frozen=True)
class Exit:
    """Where a class leaves the support's field of view, in a query.

    Parameters
    ----------
    axis : int
        Array axis of the query along which it does.
    step : int
        1 towards higher indices, -1 towards lower ones.
    last : int
        Last slice to which it was carried over.
    """

    axis: int
    step: int
    last: int


def exits(field: Field, painted: Boxed, arrived: Boxed) -> Iterator[Exit]:
    """Ways on which a class leaves the support's field of view within a query.

    Parameters
    ----------
    field : Field
    painted : Boxed of bool
        The class in the support.
    arrived : Boxed of bool
        What was carried over, on the query's grid.
    """
    if not arrived.array.size:
        return
    for side, count in enumerate(painted.shape):
        areas = _areas(painted.array, side)
        for step in (-1, 1):
            at_border = painted.box[side].stop == count if step > 0 else painted.box[side].start == 0
            if not at_border or len(areas) < 2 or areas[-1 if step > 0 else 0] < _CUT * np.median(areas):
                continue
            found = _way_out(field, arrived, side, step)
            if found is not None:
                yield found


def _way_out(field: Field, arrived: Boxed, side: int, step: int) -> Exit | None:
    """The way out through one side of the support's field of view, if the query shows what lies there."""
    out = np.linalg.inv(field.affine[:3, :3]) @ (field.support.affine[:3, side] * step)
    axes = field.query.affine[:3, :3] / np.linalg.norm(field.query.affine[:3, :3], axis=0)
    cosines = axes.T @ (out / np.linalg.norm(out))
    axis = int(np.abs(cosines).argmax())
    if abs(cosines[axis]) < _ALONG:
        return None
    along = 1 if cosines[axis] > 0 else -1
    areas = _areas(arrived.array, axis)
    wide = np.flatnonzero(areas >= _CUT * np.median(areas[areas > 0]))
    within = int(wide[-1] if along > 0 else wide[0])
    last = arrived.box[axis].start + within
    beyond = last + along * int(np.ceil(_BEYOND_MM / field.query.spacing[axis]))
    if not 0 <= beyond < field.query.shape[axis]:
        return None
    middle = np.argwhere(arrived.array.take(within, axis)).mean(0)
    rest = [a for a in range(3) if a != axis]
    index = np.zeros(3)
    index[axis] = beyond
    index[rest] = middle + [arrived.box[a].start for a in rest]
    there = field.support.world_to_index(field.at(field.query.index_to_world(index[None])))[0, side]
    outside = there > field.support.shape[side] - 0.5 if step > 0 else there < -0.5
    return Exit(axis, along, last) if outside else None


def following(
    decoder: PriorDecoder, query: Volume, axis: int, mask: Boxed, way: Exit, done: float
) -> Generator[float, None, Boxed]:
    """Follow a class from where it left the support's field of view.

    Parameters
    ----------
    decoder : PriorDecoder
        On the device that shall compute.
    query : Volume
    axis : int
        Array axis of the slices that the decoder looks at.
    mask : Boxed of bool
        What was carried over.
    way : Exit
    done : float
        What is yielded.

    Yields
    ------
    float
        `done`, often enough to cancel within a second.

    Returns
    -------
    Boxed of bool
        The mask with what was found beyond; as it is if it goes on there already, or ends before the way out, as
        what several supports carried over may.
    """
    if not mask.slice(way.axis, way.last).any():
        return mask
    areas = _areas(mask.array, way.axis)
    usual = float(np.median(areas[areas > 0]))
    beyond = areas[way.last - mask.box[way.axis].start :: way.step][1:]
    if (beyond >= _CUT * usual).any():
        return mask
    spacing = query.geometry.spacing
    radius_mm = np.sqrt(usual * np.prod(spacing) / spacing[way.axis] / np.pi)
    hop = max(2, round(float(np.clip(radius_mm, *_HOP_MM)) / spacing[way.axis]))
    # the way so far, towards its end: as much as tells where it leads
    trail = [mask.slice(way.axis, way.last - way.step * back) for back in range(2 * hop)]
    trail = list(takewhile(np.any, trail))[::-1]
    found = SliceBySlice(mask.shape, way.axis)
    last = way.last
    end = query.geometry.shape[way.axis] if way.step > 0 else -1
    while ahead := range(last + way.step, end, way.step)[:hop]:
        guesses = _straight_on(trail, len(ahead))
        behind = range(last - way.step * (len(trail) - 1), last + way.step, way.step)
        prior = SliceBySlice(mask.shape, way.axis)
        for index, one in zip([*behind, *ahead], [*trail, *guesses], strict=True):
            prior.add(index, one)
        decoded: DecodedPrior | None = None
        for report in decode_priors(decoder, query, {1: prior.boxed()}, axis=axis, error_mm=_ERROR_MM):
            decoded = report if isinstance(report, DecodedPrior) else None
            yield done
        if decoded is None or decoded.strength < _CLEAR:
            break
        seen = Boxed(mask.shape, decoded.box, decoded.logits > 0)
        for index, guess in zip(ahead, guesses, strict=True):
            one = _overlapping(seen.slice(way.axis, index), trail[-1])
            low, high = (share * usual for share in _AREA)
            if not low < np.count_nonzero(one) < high or dice(one, guess) < _ALIKE:
                break
            found.add(index, one)
            trail.append(one)
            last = index
        if last != ahead[-1]:
            break
        trail = trail[-2 * hop :]
    if last == way.last:
        return mask
    extra = found.boxed()
    box = joint_box([mask.box, extra.box])
    return Boxed(mask.shape, box, mask.part(box) | extra.part(box))


def _areas(array: Mask, axis: int) -> NDArray[np.int64]:
    """Voxels of each slice across an axis."""
    counted: NDArray[np.int64] = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1).sum(1)
    return counted


def _straight_on(trail: list[Mask], count: int) -> list[Mask]:
    """The last slice so many times more, moved on as the middles of those before it move."""
    drift = np.zeros(2)
    if len(trail) > 2:
        middles = np.array([np.argwhere(one).mean(0) for one in trail])
        drift = np.polyfit(np.arange(len(middles)), middles, 1)[0]
    last = trail[-1].astype(np.uint8)
    return [ndimage.shift(last, np.rint(drift * (k + 1)), order=0) > 0 for k in range(count)]


def _overlapping(found: Mask, before: Mask) -> Mask:
    """Those pieces of a slice that overlap the slice before."""
    pieces, _ = ndimage.label(found)
    touched = np.unique(pieces[before & found])
    return np.asarray(np.isin(pieces, touched[touched > 0]))
