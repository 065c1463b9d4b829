"""The phantom that is bent."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.phantoms.phantom import Phantom, make_phantom
from napari_cpclnet.phantoms.settings import PhantomSettings


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """A trunk in voxels of 5 x 4 x 4 mm."""
    return make_phantom(
        np.random.default_rng(1), PhantomSettings(shape=(84, 96, 108), spacing=(5.0, 4.0, 4.0))
    )
