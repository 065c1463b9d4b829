"""A network and phantoms so small that a run takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from napari_cpclnet.episodes.phantom_dataset import PhantomDataset
from napari_cpclnet.training import TrainingSettings

SMALL: dict[str, Any] = {
    "episodes": {
        "size": 64,
        "episodes": 1,
        "queries": 2,
        "classes": 2,
        "shots": (1, 2),
        "shot_weights": (0.5, 0.5),
    },
    "preprocessing": {"mm_per_pixel": 4.0, "min_size": 64},
    "network": {
        "channels": 16,
        "skip_channels": 8,
        "latent_channels": 8,
        "foreground_descriptors": 4,
        "ring_descriptors": 4,
        "background_descriptors": 4,
        "blocks": 1,
        "heads": 2,
    },
}
"""Settings of a network so small that a step takes a fraction of a second."""

TINY: dict[str, Any] = {
    "phantoms": 4,
    "held_out": 2,
    "steps": 6,
    "anatomy_steps": 2,
    "warmup": 2,
    "validate_every": 2,
    "validation_batches": 1,
    "sources": {"shapes": 0.0},
    **SMALL,
}


@pytest.fixture(scope="session")
def tiny() -> Callable[..., TrainingSettings]:
    """Settings of a tiny run, with changes."""
    return lambda **changes: TrainingSettings.model_validate({**TINY, **changes})


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, phantom_stack: PhantomDataset) -> Callable[[str], Path]:
    """Folders of runs that find their phantoms made."""

    def make(name: str) -> Path:
        out = tmp_path_factory.mktemp(name)
        arrays = {name: getattr(phantom_stack, name) for name in ("labels", "levels", "parts")}
        save_file(arrays, out / "phantoms-1-4.safetensors")
        return out

    return make
