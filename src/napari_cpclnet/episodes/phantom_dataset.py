"""A stack of phantoms on disk, made once by all cores and read back whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.phantoms.phantom import (
    Phantom,
    make_brain,
    make_head,
    make_heart,
    make_legs,
    make_pelvis,
    make_phantom,
    make_spine,
    make_thorax,
)
from napari_cpclnet.phantoms.settings import PhantomSettings
from napari_cpclnet.threads import usable_cores
from napari_cpclnet.worker_process import fresh_context, work_beside_others


@dataclass(frozen=True)
class PhantomDataset:
    """Phantoms of one grid.

    Attributes
    ----------
    labels : Tensor of uint8, shape (P, Z, Y, X)
    levels : Tensor, shape (P, Z)
        nan where there is no level: in legs, heads, brains and spines, and in a heart in short axis.
    parts : Tensor of int64, shape (P,)
        What each shows: a number of `PARTS`.
    spacing : tuple of float
        (z, y, x) in mm.
    """

    labels: Tensor
    levels: Tensor
    parts: Tensor
    spacing: tuple[float, float, float]


PARTS = ("trunk", "thorax", "heart", "legs", "head", "brain", "spine", "pelvis")
"""Names of the parts of the body that phantoms show; a part's number is its place here."""

_SHOWN = (
    "trunk", "trunk", "thorax", "trunk", "trunk", "trunk", "trunk", "heart", "trunk", "legs",
    "trunk", "thorax", "trunk", "trunk", "head", "trunk", "thorax", "trunk", "trunk", "legs",
    "trunk", "brain", "trunk",
    "spine", "trunk", "spine", "trunk",
    "pelvis", "trunk", "pelvis", "trunk",
)  # fmt: skip
"""What phantoms show one after another; then it begins again."""


def part_of(index: int) -> str:
    """Part of the body that phantom `index` of a stack shows."""
    return _SHOWN[index % len(_SHOWN)]


def make_part(seed: int, index: int, settings: PhantomSettings | None = None) -> Phantom:
    """Phantom `index` of a stack; it depends on both numbers and the settings alone."""
    makers: dict[str, Callable[[np.random.Generator, PhantomSettings | None], Phantom]] = {
        "trunk": make_phantom,
        "thorax": make_thorax,
        "heart": make_heart,
        "legs": make_legs,
        "head": make_head,
        "brain": make_brain,
        "spine": make_spine,
        "pelvis": make_pelvis,
    }
    return makers[part_of(index)](np.random.default_rng((seed, index)), settings)


def _one(seed: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    phantom = make_part(*seed)
    return phantom.labels, phantom.level


def make_stack(count: int, seed: int, path: Path, workers: int | None = None) -> PhantomDataset:
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
    for _ in generating_dataset(count, seed, path, workers):
        pass
    return read_stack(count, path)


def generating_dataset(count: int, seed: int, path: Path, workers: int | None = None) -> Iterator[int]:
    """As :func:`make_stack`, yielding how many are done; closing it cancels. Nothing is made if `path` exists."""
    if path.is_file():
        return
    made = []
    with ProcessPoolExecutor(workers or usable_cores(), fresh_context(), work_beside_others) as pool:
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
        "parts": np.array([PARTS.index(part_of(i)) for i in range(count)]),
    }
    with atomic_write(path, "the phantoms") as temporary:
        save_file(arrays, temporary)


def read_stack(count: int, path: Path) -> PhantomDataset:
    """The first `count` phantoms of a file; errors as in :func:`make_stack`."""
    try:
        with safe_open(path, framework="pt") as file:
            labels, levels, parts = (file.get_tensor(name)[:count] for name in ("labels", "levels", "parts"))
    except (OSError, SafetensorError) as error:
        msg = f"'{path}' holds no phantoms or is damaged: remove it, and it is made again."
        raise SettingsError(msg) from error
    if len(labels) < count:
        msg = f"'{path}' holds {len(labels)} phantoms, not {count}: remove it, and it is made again."
        raise SettingsError(msg)
    return PhantomDataset(labels, levels, parts, PhantomSettings().spacing)
