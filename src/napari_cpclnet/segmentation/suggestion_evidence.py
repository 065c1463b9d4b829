"""Evidence for a suggestion: predictions and uncertainty on every slice of a scan, and what its slices look like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_cpclnet.errors import SupportError
from napari_cpclnet.model.body_level import positions_mm

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume
    from napari_cpclnet.model import Features
    from napari_cpclnet.segmentation.segmenter import Segmenter
    from napari_cpclnet.segmentation.support import SupportSlice

_CELLS = 8
"""Rows and columns of the coarse picture of a slice that is compared."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SuggestionEvidence:
    """What is known of a scan of n slices and C classes.

    Parameters
    ----------
    names : tuple of str
        Of the classes.
    painted : tuple of int
        Slices of the scan that are painted.
    known : ndarray (C,) of bool
        Classes that some painted slice of any scan shows.
    typical : ndarray (C,)
        Largest painted cross-section of each class, in pixels of this scan; 0 if none.
    expected_area, expected_errors : ndarray (n, C)
        Pixels each class has, and pixels of it that are probably wrong.
    positions : ndarray (n,)
        Along the body, in mm.
    levels : ndarray (n,)
        In the body; nan where unknown.
    visible : ndarray (n,) of bool
        Slices that show anything.
    similarity : ndarray (n, n)
        Correlation of what the network sees on two slices, after what all slices share is taken away.
    """

    names: tuple[str, ...]
    painted: tuple[int, ...]
    known: NDArray[np.bool_]
    typical: Array
    expected_area: Array
    expected_errors: Array
    positions: Array
    levels: Array
    visible: NDArray[np.bool_]
    similarity: Array


def gather(
    segmenter: Segmenter,
    volume: Volume,
    painted: Iterable[int] = (),
    classes: Mapping[int, str] | None = None,
) -> SuggestionEvidence:
    """SuggestionEvidence from a segmenter; segments the scan if its last prediction was not of it with this support."""
    support = segmenter.support
    wanted = dict(classes or (support.classes if support is not None else {}))
    if not wanted:
        raise SupportError(
            "Nothing is painted yet: name the classes that you want before asking for a slice."
        )
    scan = segmenter.scan(volume)
    count, axis = scan.grid.n_slices, scan.grid.axis
    expected_area, expected_errors = np.zeros((count, len(wanted))), np.zeros((count, len(wanted)))
    taken = set(painted)
    slices = () if support is None else support.slices
    if support is not None:
        run = segmenter.run_of(volume)
        columns = {value: c for c, value in enumerate(run.classes)}
        for c, value in enumerate(wanted):
            if value in columns:
                expected_area[:, c], expected_errors[:, c] = (
                    run.expected_area[:, columns[value]],
                    run.expected_errors[:, columns[value]],
                )
        taken |= {s.index for s in support.painted_on(volume) if s.axis == axis}
    features = scan.features(range(count))
    typical = _largest(slices, list(wanted), _pixel_mm2(volume, axis))
    return SuggestionEvidence(
        names=tuple(wanted.values()),
        painted=tuple(sorted(taken)),
        known=typical > 0,
        typical=typical,
        expected_area=expected_area,
        expected_errors=expected_errors,
        positions=positions_mm(volume, scan.grid, range(count)),
        levels=np.array([np.nan if f is None else float(f.level[0]) for f in features]),
        visible=np.array([f is not None for f in features]),
        similarity=_similarity(features),
    )


def _similarity(features: Sequence[Features | None]) -> Array:
    """Similarity of slices to each other; slices that show nothing are like none."""
    shown = [place for place, f in enumerate(features) if f is not None]
    out = np.zeros((len(features), len(features)))
    if shown:
        pictures = np.stack([_picture(f) for f in features if f is not None])
        pictures -= pictures.mean(0, keepdims=True)
        unit = pictures / np.maximum(np.linalg.norm(pictures, axis=1, keepdims=True), 1e-6)
        out[np.ix_(shown, shown)] = unit @ unit.T
    return out


def _picture(features: Features) -> NDArray[np.float32]:
    cells = F.adaptive_avg_pool2d(features.grid.float(), _CELLS)
    return np.asarray(cells.flatten().cpu().numpy())


def _largest(slices: Sequence[SupportSlice], values: list[int], pixel_mm2: float) -> Array:
    areas = np.zeros(len(values))
    for one in slices:
        own = _pixel_mm2(one.volume, one.axis)
        found = [np.count_nonzero(one.labels2d == v) * own / pixel_mm2 for v in values]
        areas = np.maximum(areas, found)
    return areas


def _pixel_mm2(volume: Volume, axis: int) -> float:
    first, second = (s for a, s in enumerate(volume.geometry.spacing) if a != axis)
    return first * second
