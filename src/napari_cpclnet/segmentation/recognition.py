"""What the network recognises on single slices, and how well it recognises what was painted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from napari_cpclnet.model import Features
    from napari_cpclnet.segmentation.encoded import EncodedScan
    from napari_cpclnet.segmentation.run import Run
    from napari_cpclnet.segmentation.support import SupportSet, SupportSlice

Foreground = Callable[[Sequence["Features"]], Tensor]
"""Foreground probabilities (n, C, H, W) of slices, on any device."""

BELIEVED = (-3.0, 4.5)
"""Lowest and highest logit of the network that count: what it sees is there, what it does not see may be there."""


def slice_probabilities(
    run: Run, indices: Sequence[int], foreground: Foreground
) -> list[NDArray[np.float32]]:
    """Class probabilities (C, h, w) of slices; painted ones are certain, empty ones hold nothing."""
    found = np.zeros((len(indices), len(run.values), *run.grid.slice_shape), np.float32)
    open_places = []
    for place, index in enumerate(indices):
        painted = run.painted.slice(run.grid.axis, index)
        if painted is None:
            open_places.append(place)
        else:
            found[place] = painted[None] == run.values[:, None, None]
    encoded = run.scan.features([indices[place] for place in open_places])
    asked = [(place, one) for place, one in zip(open_places, encoded, strict=True) if one is not None]
    if asked:
        with torch.inference_mode():
            maps = foreground([one for _, one in asked])
            found[[place for place, _ in asked]] = run.grid.to_native(maps).cpu().numpy()
        if run.network_maps is not None:
            kept = maps.half().cpu()
            run.network_maps |= {indices[place]: one for (place, _), one in zip(asked, kept, strict=True)}
    return list(found)


def network_logits(run: Run, place: int) -> NDArray[np.float32]:
    """Logits (z, y, x) of one class as the network saw it last, 0 at the threshold of the run."""
    maps = run.network_maps or {}
    found = np.full(run.grid.shape, BELIEVED[0], np.float32)
    for index, one in maps.items():
        p = run.grid.to_native(one[None, place : place + 1].float())[0, 0].numpy()
        logits = np.log((p + 0.004) / (1.004 - p)) - np.log(run.threshold / (1 - run.threshold))
        run.grid.put(found, index, np.clip(logits, *BELIEVED))
    return found


def found_again(
    support: SupportSet,
    scan_of: Callable[[SupportSlice], EncodedScan],
    foreground: Foreground,
    threshold: float,
) -> list[float]:
    """For each class the Dice of the network's answer on the very slices that were painted.

    A class that the network does not find there it will not find in another patient either.
    """
    values = np.array(list(support.classes))[:, None, None]
    overlap, size = (np.zeros(len(values)) for _ in range(2))
    for one in support.slices:
        scan = scan_of(one)
        (features,) = scan.features([one.index])
        truth = one.labels2d[None] == values
        answer = np.zeros_like(truth)
        if features is not None:
            with torch.inference_mode():
                answer = scan.grid.to_native(foreground([features]))[0].cpu().numpy() > threshold
        overlap += 2 * np.count_nonzero(answer & truth, (1, 2))
        size += np.count_nonzero(answer, (1, 2)) + np.count_nonzero(truth, (1, 2))
    return [float(one) for one in overlap / np.maximum(size, 1)]
