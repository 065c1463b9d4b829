"""What the network recognises on single slices, and how well it recognises what was painted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_cpclnet.segmentation.confidence import dice

if TYPE_CHECKING:
    from napari_cpclnet.model import Features
    from napari_cpclnet.segmentation.feature_cache import FeatureCache
    from napari_cpclnet.segmentation.prediction import PredictionState
    from napari_cpclnet.segmentation.support import SupportSet, SupportSlice

Foreground = Callable[[Sequence["Features"]], Tensor]
"""Foreground probabilities (n, C, H, W) of slices, on any device."""

BELIEVED = (-3.0, 4.5)
"""Lowest and highest logit of the network that count: what it sees is there, what it does not see may be there."""

_FEWEST_TO_SPAN = 3
_BEYOND = (1.0, 1.5, 2.0)
"""Where to look beyond the outermost painted slices, in distances of painted slices."""

_GOES_ON = (0.3, 0.5)
"""Dice of what the network sees there with what is painted on the outermost slice, the lowest of the three: up to the
first the structure ends, from the second on it goes on."""

_BESIDE_MM = 8.0
_BESIDE = (0.25, 0.4)
"""Share of what the network sees on painted slices that lies further than that from the paint: up to the first these
are its errors, from the second on it sees a structure of which a part was painted."""


@dataclass(frozen=True)
class Recognised:
    """How well the network recognises the painted classes, in their order.

    Parameters
    ----------
    again : list of float
        How far to believe it: Dice on the painted slices, less where it sees the class go on beside the paint or
        beyond the slices.
    goes_on : list of bool
        Whether it sees the class go on beyond its outermost painted slices.
    """

    again: list[float]
    goes_on: list[bool]


def slice_probabilities(
    run: PredictionState, indices: Sequence[int], foreground: Foreground
) -> Iterator[NDArray[np.float32]]:
    """Class probabilities (C, h, w) of slices; painted ones are certain, empty ones hold nothing."""
    painted = {index: run.painted.slice(run.grid.axis, index) for index in indices}
    unknown = [index for index in indices if painted[index] is None]
    features = dict(zip(unknown, run.scan.features(unknown), strict=True))
    for part in _parts(indices, features, len(run.values)):
        found = np.zeros((len(part), len(run.values), *run.grid.slice_shape), np.float32)
        asked = []
        for place, index in enumerate(part):
            labels, one = painted[index], features.pop(index, None)
            if labels is not None:
                found[place] = labels[None] == run.values[:, None, None]
            elif one is not None:
                asked.append((place, one))
        if asked:
            with torch.inference_mode():
                maps = foreground([one for _, one in asked])
                found[[place for place, _ in asked]] = run.grid.to_native(maps).cpu().numpy()
            if run.network_maps is not None:
                for (place, _), one in zip(asked, maps.half().cpu(), strict=True):
                    run.network_maps.keep(part[place], one)
        yield from found


def _parts(
    indices: Sequence[int], features: Mapping[int, Features | None], classes: int
) -> Iterator[Sequence[int]]:
    """Slices to ask the network for at once.

    On a CPU these are as few as make as many maps as there are slices: all classes of all slices at once take several
    times the memory, and longer.
    """
    encoded = next((one for one in features.values() if one is not None), None)
    on_cpu = encoded is not None and encoded.grid.device.type == "cpu"
    size = max(1, len(indices) // classes if on_cpu else len(indices))
    for first in range(0, len(indices), size):
        yield indices[first : first + size]


def network_logits(run: PredictionState, place: int) -> Iterator[NDArray[np.float32]]:
    """Logits (h, w) of one class as the network saw it last, slice by slice, 0 at the threshold of the run."""
    for index in range(run.grid.n_slices):
        seen = None if run.network_maps is None else run.network_maps.of(index)
        if seen is None:
            yield np.full(run.grid.slice_shape, BELIEVED[0], np.float32)
            continue
        p = run.grid.to_native(seen[None, place : place + 1].float())[0, 0].numpy()
        logits = np.log((p + 0.004) / (1.004 - p)) - np.log(run.threshold / (1 - run.threshold))
        yield np.clip(logits, *BELIEVED).astype(np.float32)


def found_again(
    support: SupportSet,
    scan_of: Callable[[SupportSlice], FeatureCache],
    foreground: Foreground,
    threshold: float,
) -> Recognised:
    """Ask the network for the very slices that were painted, and for what lies beyond them.

    A class that the network does not find there it will not find in another patient either. And one that it also sees
    well beside or beyond the paint is another structure than what was painted: the whole liver, when its upper or left
    half was meant.
    """
    values = np.array(list(support.classes))[:, None, None]

    def answer(one: SupportSlice, index: int) -> NDArray[np.bool_]:
        scan = scan_of(one)
        (features,) = scan.features([index])
        if features is None:
            return np.zeros((len(values), *one.labels2d.shape), bool)
        with torch.inference_mode():
            return np.asarray(scan.grid.to_native(foreground([features]))[0].cpu().numpy() > threshold)

    overlap, size, seen, beside = (np.zeros(len(values)) for _ in range(4))
    for one in support.slices:
        truth, found = one.labels2d[None] == values, answer(one, one.index)
        if one.partial:
            known = np.stack([one.known_of(value) for value in support.classes])
            truth, found = truth & known, found & known
        overlap += 2 * np.count_nonzero(found & truth, (1, 2))
        size += np.count_nonzero(found, (1, 2)) + np.count_nonzero(truth, (1, 2))
        seen += np.count_nonzero(found & truth.any((1, 2), keepdims=True), (1, 2))
        beside += [_far_from(mask, paint, one) for mask, paint in zip(found, truth, strict=True)]
    again, goes_on = overlap / np.maximum(size, 1), [False] * len(values)
    errors, part = _BESIDE
    again *= 1 - np.clip((beside / np.maximum(seen, 1) - errors) / (part - errors), 0, 1)
    for place, value in enumerate(support.classes):
        for end, indices in beyond_paint(support, value, scan_of):
            painted = end.labels2d == value
            alike = min(dice(answer(end, index)[place], painted) for index in indices)
            ends, continues = _GOES_ON
            goes_on[place] |= bool(again[place] > 0 and alike > ends)
            again[place] *= 1 - np.clip((alike - ends) / (continues - ends), 0, 1)
    return Recognised([float(one) for one in again], goes_on)


def beyond_paint(
    support: SupportSet, value: int, scan_of: Callable[[SupportSlice], FeatureCache]
) -> Iterator[tuple[SupportSlice, list[int]]]:
    """Outermost painted slices of a class, each with slices once to twice as far beyond as painted slices are apart.

    Whoever leaves slices out between the painted ones goes through the whole structure, so that it is not there. Scans
    with fewer than three painted slices of a class, or with slices that follow each other, say nothing about its ends;
    nor do ends of the scan itself.
    """
    stacks: dict[tuple[int, int], list[SupportSlice]] = {}
    for one in support.slices:
        if (one.labels2d == value).any():
            stacks.setdefault((id(one.volume), one.axis), []).append(one)
    for stack in stacks.values():
        stack.sort(key=lambda one: one.index)
        gaps = np.diff([one.index for one in stack])
        if len(stack) < _FEWEST_TO_SPAN or np.median(gaps) < 2:
            continue
        for end, direction in ((stack[0], -1), (stack[-1], 1)):
            indices = [end.index + direction * round(times * float(np.median(gaps))) for times in _BEYOND]
            if min(indices) >= 0 and max(indices) < scan_of(end).grid.n_slices:
                yield end, indices


def _far_from(found: NDArray[np.bool_], paint: NDArray[np.bool_], one: SupportSlice) -> int:
    """Pixels that were found on a painted slice, further from the paint than errors at its outline are."""
    if not found.any() or not paint.any():
        return 0
    spacing = np.delete(np.array(one.volume.geometry.spacing), one.axis)
    distance = ndimage.distance_transform_edt(~paint, sampling=spacing)
    return int(np.count_nonzero(found & (distance > _BESIDE_MM)))
