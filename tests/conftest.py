"""What all tests share."""

from __future__ import annotations

import locale
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from napari_cpclnet.episodes.phantom_dataset import PhantomDataset


def pytest_configure() -> None:
    """Speak the language of the desktop, as every program with a window does: numbers may have a comma."""
    locale.setlocale(locale.LC_ALL, "")


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
