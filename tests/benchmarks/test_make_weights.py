"""All bundled weights by one command, in a budget of seconds."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.training.conftest import TINY
from tests.training.test_prior_training import SETTINGS as TINY_PRIOR

from napari_cpclnet.model import load_weights
from napari_cpclnet.model.weights import load_prior_decoder, weights_hash
from napari_cpclnet.registration.readout import Readout, encoder_hash

MAKE = Path(__file__).parents[2] / "benchmarks" / "weights"
FILES = {"cpclnet.safetensors", "anatomy_readout.safetensors", "prior_decoder.safetensors"}


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The command, with two stages of a tiny network and a tiny decoder."""
    monkeypatch.syspath_prepend(str(MAKE))
    import make as command  # type: ignore[import-not-found]

    tiny: dict[str, Any] = TINY | {"steps": 3, "validate_every": 3}
    stages = {
        "first": command.Stage(None, tiny),
        "second": command.Stage("first", tiny | {"seed": 2, "steps": 2}),
    }
    monkeypatch.setattr(command, "STAGES", stages)
    monkeypatch.setattr(command, "PRIOR", TINY_PRIOR)
    monkeypatch.setattr(command.anatomy_readout, "PHANTOMS", 1)
    yield command
    for name in ("make", "anatomy_readout"):
        sys.modules.pop(name, None)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_command_makes_all_weights_is_stopped_and_goes_on(make: ModuleType, tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--device", "cpu"]
    assert make.main([*words, "--minutes", "0"]) == 1
    assert not (tmp_path / "weights").exists()
    assert make.main(words) == 0
    folder = tmp_path / "weights"
    assert {p.name for p in folder.iterdir()} == FILES | {"recipe.json", "SHA256SUMS"}
    network = load_weights(folder / "cpclnet.safetensors")
    assert network.metadata["seed"] == 2
    assert network.metadata["started_from"] == weights_hash(make.weights_of("first", tmp_path))
    assert Readout.load(folder / "anatomy_readout.safetensors").encoder == encoder_hash(network)
    load_prior_decoder(folder / "prior_decoder.safetensors")
    recipe = json.loads((folder / "recipe.json").read_text())
    assert [(s["stage"], s["begins_from"], s["seed"]) for s in recipe["network"]] == [
        ("first", None, 1),
        ("second", "first", 2),
    ]
    assert recipe["prior_decoder"]["seed"] == TINY_PRIOR.seed and recipe["readout"]["seed"]
    assert recipe["files"] == {name: weights_hash(folder / name) for name in FILES}

    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors") if p.parent != folder}
    assert make.main(words) == 0  # nothing is made again
    assert {p: p.stat().st_mtime_ns for p in made} == made
    assert json.loads((folder / "recipe.json").read_text()) == recipe


def test_a_share_keeps_seeds_and_shortens_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(MAKE))
    import make as command

    try:
        for stage in command.STAGES.values():
            whole, part = command.settings_of(stage, 1), command.settings_of(stage, 0.01)
            assert part.seed == whole.seed and part.network == whole.network
            assert part.steps == pytest.approx(whole.steps / 100, abs=1)
            assert part.held_out < part.phantoms < whole.phantoms
        assert len({command.settings_of(stage, 1).seed for stage in command.STAGES.values()}) == len(
            command.STAGES
        )
        assert command.prior_settings(0.01).steps == command.PRIOR.steps // 100
    finally:
        for name in ("make", "anatomy_readout"):
            sys.modules.pop(name, None)
