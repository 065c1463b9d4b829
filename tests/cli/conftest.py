"""A network with random weights, which is quick to make and to run."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from napari_cpclnet.model import CPCLNet, CPCLNetSettings, save_weights
    from napari_cpclnet.preprocessing import PreprocessingSettings

    torch.manual_seed(0)
    model = CPCLNet(CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1))
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(model, path, {"preprocessing": PreprocessingSettings().model_dump(), "recipe": "random"})
    return path
