"""What all tests share."""

from __future__ import annotations

import locale
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_cpclnet.threads import usable_cores

if TYPE_CHECKING:
    from napari_cpclnet.episodes.phantom_dataset import PhantomDataset


MOST_WORKERS = 4
"""Each takes more than a gigabyte, and starts processes of its own."""


def pytest_configure() -> None:
    """Speak the language of the desktop, as every program with a window does: numbers may have a comma.

    Of several test processes each computes in its share of the cores, unless the user said otherwise.
    """
    locale.setlocale(locale.LC_ALL, "")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // workers)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many test processes ``-n auto`` starts."""
    return min(usable_cores(), MOST_WORKERS)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real scans, named by CPCLNET_TEST_DATA; tests that need it are skipped where it is missing."""
    default = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("CPCLNET_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real scans in {folder}; set CPCLNET_TEST_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def phantom_stack() -> PhantomDataset:
    """Four coarse phantoms (8 x 6 x 6 mm), made once."""
    import numpy as np
    import torch

    from napari_cpclnet.episodes.phantom_dataset import PhantomDataset
    from napari_cpclnet.phantoms.phantom import make_phantom
    from napari_cpclnet.phantoms.settings import PhantomSettings

    coarse = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))
    made = [make_phantom(np.random.default_rng((3, i)), coarse) for i in range(4)]
    labels, levels = (
        torch.from_numpy(np.stack(x)) for x in ([m.labels for m in made], [m.level for m in made])
    )
    return PhantomDataset(labels, levels, torch.zeros(4, dtype=torch.int64), coarse.spacing)
