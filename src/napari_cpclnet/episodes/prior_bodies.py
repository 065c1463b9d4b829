"""Phantoms for the prior decoder: finer than those of the network, kept on disk one by one."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from napari_cpclnet.episodes.phantom_dataset import make_part
from napari_cpclnet.episodes.prior_classes import Body
from napari_cpclnet.episodes.shape_episodes import random_pair
from napari_cpclnet.errors import SettingsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.phantoms.settings import PhantomSettings


def making_bodies(count: int, seed: int, settings: PhantomSettings, folder: Path) -> Iterator[Body]:
    """Phantoms one after another, read where `folder` holds them and else made and kept there.

    Phantom `i` depends on `seed`, `i` and the settings alone.

    Raises
    ------
    SettingsError
        If a file is damaged or of another grid.
    OutputError
        If a file cannot be written.
    """
    for i in range(count):
        path = folder / f"phantom-{seed}-{i}.npz"
        if not path.is_file():
            phantom = make_part(seed, i, settings)
            with atomic_write(path, "a phantom") as temporary:
                np.savez_compressed(temporary, labels=phantom.labels)
        try:
            with np.load(path, allow_pickle=False) as file:
                labels = file["labels"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise SettingsError(f"'{path}' is damaged: remove it, and it is made again.") from error
        if labels.shape != settings.shape or labels.dtype != np.uint8:
            raise SettingsError(f"'{path}' is a phantom of another grid: remove it, and it is made again.")
        yield Body(labels, settings.spacing)


def random_shapes(rng: np.random.Generator, generator: torch.Generator) -> Body:
    """A body of nameless shapes."""
    pair = random_pair(rng, generator, torch.device("cpu"))
    z, y, x = (float(v) for v in rng.uniform((3.0, 1.6, 1.6), (6.0, 3.0, 3.0)))
    return Body(pair[0].numpy(), (z, y, x), anatomy=False)
