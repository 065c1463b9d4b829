"""Checkpoints: everything comes back, damage is named, nothing is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_cpclnet.errors import OutputError, WeightsError
from napari_cpclnet.training.checkpoint import load_checkpoint, save_checkpoint


class Run:
    """The least that a checkpoint is made of."""

    def __init__(self, seed: int, width: int = 3) -> None:
        torch.manual_seed(seed)
        self.modules: dict[str, nn.Module] = {"model": nn.Linear(4, width), "heads": nn.Linear(width, 2)}
        parameters = [p for m in self.modules.values() for p in m.parameters()]
        self.optimiser = torch.optim.AdamW(parameters, 0.01)
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def step(self) -> float:
        x = torch.randn(5, 4, generator=self.generator) * float(self.rng.normal())
        loss = self.modules["heads"](self.modules["model"](x)).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def save(self, path: Path) -> None:
        save_checkpoint(path, self.modules, self.optimiser, self.rng, self.generator, {"step": 7})

    def load(self, path: Path) -> dict[str, object]:
        return load_checkpoint(path, self.modules, self.optimiser, self.rng, self.generator)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Run, Path]:
    run = Run(1)
    for _ in range(3):
        run.step()
    path = tmp_path / "deep" / "checkpoint.safetensors"
    run.save(path)
    return run, path


def test_the_next_steps_are_the_same(saved: tuple[Run, Path]) -> None:
    run, path = saved
    other = Run(2)
    other.step()
    other.optimiser.param_groups[0]["lr"] = 5.0
    assert other.load(path) == {"step": 7}
    assert other.optimiser.param_groups[0]["lr"] == 0.01
    assert [other.step() for _ in range(4)] == [run.step() for _ in range(4)]


def test_a_run_that_has_not_begun_can_be_saved(tmp_path: Path) -> None:
    run, other = Run(1), Run(2)
    run.save(tmp_path / "c.safetensors")
    other.load(tmp_path / "c.safetensors")
    assert other.step() == run.step()


def test_saving_again_replaces_the_file_and_leaves_nothing_behind(saved: tuple[Run, Path]) -> None:
    run, path = saved
    before = path.read_bytes()
    run.step()
    run.save(path)
    assert path.read_bytes() != before
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.parametrize("keep", [0, 7, 200, -50])
def test_damage_is_named(saved: tuple[Run, Path], keep: int) -> None:
    run, path = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="is damaged or belongs to a run with other settings"):
        run.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.safetensors"):
        Run(1).load(tmp_path / "gone.safetensors")


def test_a_checkpoint_of_another_network_is_refused(saved: tuple[Run, Path]) -> None:
    with pytest.raises(WeightsError, match="other settings"):
        Run(1, width=5).load(saved[1])


def test_other_safetensors_are_refused(saved: tuple[Run, Path], tmp_path: Path) -> None:
    run, _ = saved
    same_shapes = {f"{n}.{k}": v for n, m in run.modules.items() for k, v in m.state_dict().items()}
    for name, tensors in {"foreign": {"x": torch.zeros(1)}, "bare": same_shapes}.items():
        path = tmp_path / name
        save_file(tensors, path)
        with pytest.raises(WeightsError, match=name):
            run.load(path)


@pytest.mark.parametrize("key", ["groups", "numpy", "torch", "facts"])
def test_broken_facts_are_refused(saved: tuple[Run, Path], key: str) -> None:
    run, path = saved
    data = bytearray(path.read_bytes())
    start = f'"{key}":"'.encode()
    data[data.index(start) + len(start)] = ord("~")
    path.write_bytes(data)
    with pytest.raises(WeightsError):
        run.load(path)


def test_pickles_are_refused(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "c.pth")
    with pytest.raises(WeightsError, match=r"c\.pth"):
        Run(1).load(tmp_path / "c.pth")


def test_a_place_that_cannot_be_written_gives_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "c.safetensors" / "x").mkdir(parents=True)
    with pytest.raises(OutputError, match="Cannot write the checkpoint to"):
        Run(1).save(tmp_path / "c.safetensors")
    assert os.listdir(tmp_path) == ["c.safetensors"]


def test_a_network_that_is_no_number_any_more_is_not_gone_on_with(saved: tuple[Run, Path]) -> None:
    run, path = saved
    with torch.no_grad():
        run.modules["heads"].bias[0] = float("nan")
    run.save(path)
    with pytest.raises(WeightsError, match=r"no numbers \(heads\.bias\)"):
        Run(2).load(path)
