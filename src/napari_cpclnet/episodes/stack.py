"""A stack of phantoms on disk, made once by all cores and read back whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from napari_cpclnet.episodes.phantom import PhantomSettings, make_legs, make_phantom
from napari_cpclnet.errors import SettingsError
from napari_cpclnet.whole_file import whole_file


@dataclass(frozen=True)
class PhantomStack:
    """Phantoms of one grid.

    Attributes
    ----------
    labels : Tensor of uint8, shape (P, Z, Y, X)
    levels : Tensor, shape (P, Z)
        nan in legs.
    spacing : tuple of float
        (z, y, x) in mm.
    """

    labels: Tensor
    levels: Tensor
    spacing: tuple[float, float, float]


LEGS_EVERY = 10
"""Of so many phantoms, the last shows legs; the others are trunks."""


def _one(seed: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    make = make_legs if seed[1] % LEGS_EVERY == LEGS_EVERY - 1 else make_phantom
    phantom = make(np.random.default_rng(seed))
    return phantom.labels, phantom.level


def make_stack(count: int, seed: int, path: Path, workers: int | None = None) -> PhantomStack:
    """Make `count` phantoms, or read them if `path` already holds them.

    Phantom `i` depends on `seed` and `i` alone, so a longer stack begins with the shorter one.

    Parameters
    ----------
    count, seed : int
    path : Path
        A safetensors file; written whole or not at all.
    workers : int, optional
        Processes; all cores where missing.

    Raises
    ------
    SettingsError
        If `path` holds another kind of file, or fewer phantoms.
    OutputError
        If the file cannot be written.
    """
    for _ in making_stack(count, seed, path, workers):
        pass
    return read_stack(count, path)


def making_stack(count: int, seed: int, path: Path, workers: int | None = None) -> Iterator[int]:
    """As :func:`make_stack`, yielding how many are done; closing it cancels. Nothing is made if `path` exists."""
    if path.is_file():
        return
    made = []
    # a fresh interpreter per worker: forking a process that has used torch's threads may hang
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        try:
            for phantom in pool.map(_one, [(seed, i) for i in range(count)], chunksize=4):
                made.append(phantom)
                yield len(made)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    arrays: dict[str, NDArray[Any]] = {
        "labels": np.stack([m[0] for m in made]),
        "levels": np.stack([m[1] for m in made]),
    }
    with whole_file(path, "the phantoms") as temporary:
        save_file(arrays, temporary)


def read_stack(count: int, path: Path) -> PhantomStack:
    """The first `count` phantoms of a file; errors as in :func:`make_stack`."""
    try:
        with safe_open(path, framework="pt") as file:
            labels, levels = file.get_tensor("labels")[:count], file.get_tensor("levels")[:count]
    except (OSError, SafetensorError) as error:
        msg = f"'{path}' holds no phantoms or is damaged: remove it, and it is made again."
        raise SettingsError(msg) from error
    if len(labels) < count:
        msg = f"'{path}' holds {len(labels)} phantoms, not {count}: remove it, and it is made again."
        raise SettingsError(msg)
    return PhantomStack(labels, levels, PhantomSettings().spacing)
