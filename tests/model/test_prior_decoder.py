"""The prior decoder and its weights file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.model import weights
from napari_cpclnet.model.prior_decoder import SCALE_MM, PriorDecoder
from napari_cpclnet.model.prior_inputs import FACTS, MAPS, REACH_MM
from napari_cpclnet.model.settings import PriorDecoderSettings
from napari_cpclnet.model.weights import load_prior_decoder, save_weights

SMALL = PriorDecoderSettings(fine=8, middle=8, coarse=16)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = PriorDecoder(SMALL)
    torch.nn.init.normal_(model.correction.weight)
    save_weights(model, tmp_path / "prior.safetensors", {"step": 7})
    return tmp_path / "prior.safetensors"


@torch.no_grad()
def test_before_training_the_answer_is_the_prior() -> None:
    maps, facts = torch.randn(2, MAPS, 24, 40), torch.randn(2, FACTS)
    found = PriorDecoder(SMALL)(maps, facts)
    torch.testing.assert_close(found, maps[:, 4] * REACH_MM / SCALE_MM)


def test_every_parameter_learns() -> None:
    model = PriorDecoder(SMALL)
    torch.nn.init.normal_(model.correction.weight)
    model(torch.randn(2, MAPS, 16, 16), torch.randn(2, FACTS)).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_the_decoder_is_small() -> None:
    assert sum(p.numel() for p in PriorDecoder().parameters()) < 400_000


@torch.no_grad()
def test_a_round_trip_keeps_answers_and_metadata(saved: Path) -> None:
    one, two = load_prior_decoder(saved), load_prior_decoder(saved)
    maps, facts = torch.randn(1, MAPS, 16, 16), torch.randn(1, FACTS)
    torch.testing.assert_close(one(maps, facts), two(maps, facts))
    assert one.settings == SMALL and one.metadata["step"] == 7 and len(one.metadata["hash"]) == 12
    assert not one.training and all(p.dtype == torch.float32 for p in one.parameters())


@torch.no_grad()
def test_a_file_with_the_two_channels_of_before_gives_the_same_answers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    old, sliced = PriorDecoder(SMALL), PriorDecoder(SMALL)
    old.stem = nn.Conv2d(MAPS + 2, SMALL.fine, 3, 1, 1)
    for p in old.parameters():
        p.copy_(torch.randn_like(p).mul(0.1).half())
    save_weights(old, tmp_path / "old.safetensors", {"settings": {"sampling": {"reference": 0.65}}})
    state = old.state_dict()
    sliced.load_state_dict(state | {"stem.weight": state["stem.weight"][:, :MAPS]})
    maps, facts = torch.randn(2, MAPS, 24, 16), torch.randn(2, FACTS)
    found = load_prior_decoder(tmp_path / "old.safetensors")(maps, facts)
    assert torch.equal(found, sliced(maps, facts))
    nothing = torch.zeros(2, 2, 24, 16)  # what the two channels held
    torch.testing.assert_close(found, old(torch.cat([maps, nothing], 1), facts))


@pytest.mark.parametrize("channels", [MAPS - 1, MAPS + 1, MAPS + 3])
def test_a_file_with_any_other_number_of_channels_is_refused(tmp_path: Path, channels: int) -> None:
    model = PriorDecoder(SMALL)
    model.stem = nn.Conv2d(channels, SMALL.fine, 3, 1, 1)
    save_weights(model, tmp_path / "other.safetensors", {})
    with pytest.raises(WeightsError, match="made by another version"):
        load_prior_decoder(tmp_path / "other.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no weights file at"):
        load_prior_decoder(tmp_path / "none.safetensors")


@pytest.mark.parametrize("keep", [0, 7, 200, -500])
def test_a_damaged_file_is_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"prior\.safetensors"):
        load_prior_decoder(saved)


def _changed(path: Path, **text: str) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **text}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    "text",
    [
        {"format": "cpclnet-1"},
        {"architecture": "[]"},
        {"architecture": json.dumps({"fine": 9})},
        {"architecture": json.dumps({"fine": 16})},
        {"metadata": "{"},
        {"metadata": "3"},
    ],
)
def test_a_file_of_another_kind_is_refused(saved: Path, text: dict[str, str]) -> None:
    _changed(saved, **text)
    with pytest.raises(WeightsError, match=r"prior\.safetensors"):
        load_prior_decoder(saved)


def test_weights_that_are_no_numbers_are_refused(saved: Path, tmp_path: Path) -> None:
    model = load_prior_decoder(saved)
    with torch.no_grad():
        model.stem.weight[0, 0, 0, 0] = torch.inf
    save_weights(model, tmp_path / "broken.safetensors", {})
    with pytest.raises(WeightsError, match="no numbers"):
        load_prior_decoder(tmp_path / "broken.safetensors")


def test_a_huge_file_is_not_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "LARGEST_PRIOR", 100)
    with pytest.raises(WeightsError, match="too large"):
        load_prior_decoder(saved)
