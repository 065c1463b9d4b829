"""A network small enough for tests, with every layer that starts at zero woken up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from napari_cpclnet.model import CPCLNet, CPCLNetSettings

MakeNetwork = Callable[..., CPCLNet]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def small() -> CPCLNetSettings:
    return CPCLNetSettings(
        channels=16,
        skip_channels=8,
        latent_channels=8,
        foreground_descriptors=4,
        ring_descriptors=3,
        background_descriptors=5,
        blocks=1,
        heads=2,
    )


@pytest.fixture(scope="session")
def make_network(small: CPCLNetSettings) -> MakeNetwork:
    """Build a seeded network; as it starts, some layers are zero and would hide mistakes, so they are woken."""

    def build(*, seed: int = 0, **changes: object) -> CPCLNet:
        torch.manual_seed(seed)
        network = CPCLNet(small.model_copy(update=changes))
        with torch.no_grad():
            for parameter in network.parameters():
                if not parameter.any():
                    parameter.normal_(0, 0.1)
        return network.eval()

    return build


@pytest.fixture(scope="session")
def network(make_network: MakeNetwork) -> CPCLNet:
    return make_network()
