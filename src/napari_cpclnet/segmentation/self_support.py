"""Self-support: a second pass over a scan, with its own most confident slices as the support.

A scan resembles itself more than any scan of another patient, let alone of another modality. After a first pass
over all slices with what was painted elsewhere, the slices on which a class came out clearest describe it anew, and all
slices are labelled again. A class that was not found, or seems to be absent, keeps its painted support, and a scan of
which slices were painted needs no second pass: it has better ones of its own.

(As in self-support matching, Fan et al., "Self-support few-shot semantic segmentation", ECCV 2022, over the slices of a
scan in place of the pixels of a picture.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.preprocessing import normalise
from napari_cpclnet.segmentation.summary import seems_absent
from napari_cpclnet.segmentation.support import SupportSet

if TYPE_CHECKING:
    from napari_cpclnet.segmentation.prediction import PredictionState

N_PSEUDO_SUPPORTS = 3
"""Slices that describe a class anew."""

MIN_AREA_SHARE = 0.5
"""Share of a class's median area that it must have on such a slice."""

BRIGHTNESS_RATIO = 1.35
"""Ratio of brightness up to which slices show the same: an organ has one brightness in a scan, but for the coil."""

_APART = 1 / 40
"""Share of the scan's slices that lie between two of them: neighbours show the same."""


def pseudo_supports(run: PredictionState, labels: NDArray[Any]) -> Iterator[tuple[int, SupportSet]]:
    """What a scan says of its classes by itself.

    Parameters
    ----------
    run : PredictionState
        A first pass over all slices.
    labels : ndarray (z, y, x) of unsigned integers
        What it found, post-processed.

    Yields
    ------
    int, SupportSet
        Place of a class among the classes, and the scan's clearest slices of that class alone.
    """
    grid = run.grid
    for place, (value, name) in enumerate(run.classes.items()):
        area, brightness = np.zeros(grid.n_slices, np.int64), np.zeros(grid.n_slices)
        for index in range(grid.n_slices):
            inside = grid.take(labels, index) == value
            area[index] = np.count_nonzero(inside)
            if area[index]:
                picture = np.asarray(grid.take(run.volume.array, index))
                brightness[index] = normalise(picture[inside], grid.value_range).mean()
        if seems_absent(run, place, int(area.sum())):
            continue
        own = SupportSet({value: name})
        for index in most_confident_slices(area, run.expected_errors[:, place], brightness):
            labels2d = grid.take(labels, index)
            own.add_slice(run.volume, index, np.where(labels2d == value, value, 0), plane=grid.plane)
        yield place, own


def most_confident_slices(
    area: NDArray[np.integer], expected_errors: NDArray[np.floating], brightness: NDArray[np.floating]
) -> list[int]:
    """The slices on which a class is large, as bright as it mostly is, and least uncertain, in their order.

    What is taken for a class by mistake may be larger than the class, and sure; but it is seldom as bright.

    Parameters
    ----------
    area, expected_errors : ndarray (slices,)
        Pixels of the class, and pixels that are probably wrong.
    brightness : ndarray (slices,)
        Mean of the class, from 0 to 1.
    """
    share = np.where(area > 0, expected_errors / np.maximum(area, 1), np.inf)
    sure = np.where(area > 0, np.clip(1 - share, 0.05, 1), 0) ** 2
    tone = np.log(np.maximum(brightness, 0.02))
    alike = np.abs(tone[:, None] - tone) <= np.log(BRIGHTNESS_RATIO)
    usual = alike[(alike @ sure * (area > 0)).argmax()] & (area > 0)
    if not usual.any():
        return []
    share[~usual | (area < MIN_AREA_SHARE * np.median(area[usual]))] = np.inf
    apart = max(1, int(len(area) * _APART))
    chosen: list[int] = []
    while len(chosen) < N_PSEUDO_SUPPORTS and np.isfinite(share.min()):
        best = int(share.argmin())
        chosen.append(best)
        share[max(0, best - apart) : best + apart + 1] = np.inf
    return sorted(chosen)
