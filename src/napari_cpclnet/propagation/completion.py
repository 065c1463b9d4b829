"""Scribbled slices of a scan completed with what its completely painted slices say of them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.propagation.carrying import LIMIT, propagating
from napari_cpclnet.propagation.scribbles import Completed, Scribbled, complete
from napari_cpclnet.propagation.settings import PropagationSettings

_BELIEVED = LIMIT / 2
"""Largest score of other slices that counts."""


def completing(
    pictures: NDArray[Any],
    spacing: tuple[float, float, float],
    painted: Mapping[int, NDArray[Any]],
    scribbled: Mapping[int, Scribbled],
    values: Sequence[int],
    settings: PropagationSettings,
) -> Generator[None, None, dict[int, Completed]]:
    """Complete the scribbled slices of a scan, in short steps.

    Parameters
    ----------
    pictures, spacing
        As in :func:`~napari_cpclnet.propagation.carrying.propagating`.
    painted : mapping of int to ndarray (h, w)
        Label values of completely painted slices.
    scribbled : mapping of int to Scribbled
        Slices of which only some pixels are known.
    values : sequence of int
        Label values of the classes.
    settings : PropagationSettings

    Returns
    -------
    dict of int to Completed
        The scribbled slices.
    """
    priors: dict[tuple[int, int], NDArray[np.float32]] = {}
    for value in values:
        asked = [i for i, one in scribbled.items() if (one.labels == value).any()]
        if not asked or not any((labels == value).any() for labels in painted.values()):
            continue
        for found in propagating(pictures, spacing, painted, value, settings):
            yield
            if found is None:
                continue
            grid = found.grid
            for index in asked:
                if grid.slices[0] <= index <= grid.slices[-1]:
                    score = np.full(pictures.shape[1:], -_BELIEVED, np.float32)
                    score[grid.rows, grid.columns] = grid.native(found.scores, index)
                    priors[index, value] = np.clip(score, -_BELIEVED, _BELIEVED)
    done = {}
    for index, one in complete(pictures, spacing, scribbled, values, priors):
        done[index] = one
        yield
    return done
