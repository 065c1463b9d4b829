"""The mean of several runs: the mean it is, and of nothing that does not belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.model import CPCLNet, CPCLNetSettings, load_weights, save_weights
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.training.averaging import average_weights

SMALL = CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1)


def run(folder: Path, seed: int, **changes: Any) -> Path:
    torch.manual_seed(seed)
    facts = {
        "preprocessing": PreprocessingSettings().model_dump(),
        "started_from": "0123456789ab",
        "seed": seed,
        "steps": 10 * seed,
        "validation": {"dice": 0.1 * seed},
    }
    path = folder / f"run-{seed}.safetensors"
    save_weights(CPCLNet(changes.pop("network", SMALL)), path, facts | changes)
    return path


def test_every_tensor_is_the_mean_and_the_file_says_of_what(tmp_path: Path) -> None:
    paths = [run(tmp_path, seed) for seed in (1, 2, 3)]
    model = average_weights(paths)
    states = [load_weights(path).state_dict() for path in paths]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, sum(s[name] for s in states) / 3)
    assert model.metadata["started_from"] == "0123456789ab" and "seed" not in model.metadata
    assert [one["seed"] for one in model.metadata["averaged"]] == [1, 2, 3]
    assert len({one["hash"] for one in model.metadata["averaged"]}) == 3
    out = tmp_path / "mean.safetensors"
    save_weights(model, out, model.metadata)
    again = load_weights(out)
    assert again.metadata["averaged"][1]["steps"] == 20
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(again.encode(image).grid, model.encode(image).grid, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"started_from": "ba9876543210"}, "started from"),
        (
            {"network": CPCLNetSettings(channels=16, skip_channels=8, latent_channels=16, blocks=1)},
            "architecture",
        ),
        ({"preprocessing": PreprocessingSettings(context_mm=4.0).model_dump()}, "preprocessing"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    with pytest.raises(WeightsError, match=word):
        average_weights([run(tmp_path, 1), run(tmp_path, 2, **changes)])
