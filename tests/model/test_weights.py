"""Weights files: what goes in comes out, and nothing but our own files is taken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_cpclnet.errors import OutputError, WeightsError
from napari_cpclnet.model import (
    CPCLNet,
    CPCLNetSettings,
    bundled_weights,
    load_weights,
    read_metadata,
    save_weights,
    weights,
    weights_hash,
)

MakeNetwork = Callable[..., CPCLNet]
FACTS = {"preprocessing": {"mm_per_pixel": 3.0}, "seed": 4, "sources": ["phantoms"]}


@pytest.fixture
def saved(network: CPCLNet, tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "net.safetensors"
    save_weights(network, path, FACTS)
    return path


def test_round_trip_keeps_network_weights_and_metadata(network: CPCLNet, saved: Path) -> None:
    loaded = load_weights(saved)
    assert loaded.settings == network.settings
    assert not loaded.training
    for (name, new), old in zip(loaded.state_dict().items(), network.state_dict().values(), strict=True):
        assert new.dtype == torch.float32
        torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-6, msg=name)
    assert loaded.metadata["hash"] == weights_hash(saved) and len(weights_hash(saved)) == 12
    assert loaded.metadata["preprocessing"] == FACTS["preprocessing"] and loaded.metadata["sources"] == [
        "phantoms"
    ]
    assert CPCLNetSettings.model_validate(read_metadata(saved)["architecture"]) == network.settings


@torch.no_grad()
def test_the_loaded_network_answers_alike(network: CPCLNet, saved: Path) -> None:
    query, support, masks = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    masks[..., 10:40, 10:40] = 1
    one, two = (m(query, support, masks).logits.softmax(2) for m in (network, load_weights(saved)))
    torch.testing.assert_close(one, two, rtol=0, atol=0.02)


def test_saving_again_replaces_the_file_and_leaves_nothing_behind(network: CPCLNet, saved: Path) -> None:
    first = weights_hash(saved)
    save_weights(network, saved, {**FACTS, "seed": 5})
    assert weights_hash(saved) != first
    assert read_metadata(saved)["seed"] == 5
    assert [p.name for p in saved.parent.iterdir()] == ["net.safetensors"]


def test_bundled_path_lies_in_the_package() -> None:
    assert bundled_weights().name == "cpclnet.safetensors" and bundled_weights().parent.name == "weights"


@pytest.mark.parametrize("name", ["missing.safetensors", ""])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="There is no weights file at"):
        load_weights(tmp_path / name)


@pytest.mark.parametrize("keep", [0, 5, 100, -1000])
def test_a_damaged_file_is_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"net\.safetensors"):
        load_weights(saved)


def test_garbage_is_refused(saved: Path) -> None:
    saved.write_bytes(os.urandom(4096))
    with pytest.raises(WeightsError, match="may be damaged"):
        load_weights(saved)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_are_refused_and_never_run(tmp_path: Path, zipped: bool) -> None:
    path, trace = tmp_path / "best_model.pth", tmp_path / "ran"
    torch.save({"state": Bomb(trace)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"best_model\.pth"):
        load_weights(path)
    assert not trace.exists()


def test_safetensors_of_another_project_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="holds no CPCLNet weights"):
        load_weights(path)


def write(path: Path, tensors: dict[str, torch.Tensor], architecture: str, metadata: str = "{}") -> Path:
    save_file(tensors, path, {"format": weights.FORMAT, "architecture": architecture, "metadata": metadata})
    return path


def test_weights_of_another_network_are_refused(network: CPCLNet, tmp_path: Path) -> None:
    tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
    good = network.settings.model_dump()
    for i, architecture in enumerate(
        [{**good, "channels": 32}, {**good, "channels": 7}, {**good, "depth": 3}]
    ):
        path = write(tmp_path / f"{i}.safetensors", tensors, json.dumps(architecture))
        with pytest.raises(WeightsError, match="does not fit this version"):
            load_weights(path)
    tensors.pop("pfe.embed.weight")
    with pytest.raises(WeightsError, match="does not fit this version"):
        load_weights(write(tmp_path / "less.safetensors", tensors, json.dumps(good)))


@pytest.mark.parametrize(
    ("architecture", "metadata"),
    [
        ("{", "{}"),
        ("{}", "no json"),
        ("{}", "[1]"),
        ("{}", "3"),
        ("[" * 100_000, "{}"),
        ("{}", '{"a":' + "[" * 500 + "]" * 500 + "}"),
    ],
)
def test_damaged_metadata_is_refused(tmp_path: Path, architecture: str, metadata: str) -> None:
    path = write(tmp_path / "odd.safetensors", {"x": torch.zeros(1)}, architecture, metadata)
    with pytest.raises(WeightsError, match=r"odd\.safetensors"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("value", "words"),
    [(float("nan"), "no numbers"), (float("inf"), "no numbers"), (-6e4, "out of all bounds")],
)
@pytest.mark.parametrize("place", [0, -1])
def test_weights_that_no_training_leaves_are_refused(
    network: CPCLNet, tmp_path: Path, place: int, value: float, words: str
) -> None:
    tensors = {k: v.clone().contiguous() for k, v in network.state_dict().items()}
    name = sorted(tensors)[place]
    tensors[name].view(-1)[place] = value
    path = write(tmp_path / "odd.safetensors", tensors, network.settings.model_dump_json())
    with pytest.raises(WeightsError, match=rf"'odd\.safetensors' holds values {words}|are {words} .*{name}"):
        load_weights(path)


@pytest.mark.parametrize(
    "preprocessing", [{"mm_per_pixel": 0}, {"ct_window": [float("nan"), 1]}, {"colour": 1}, [1], "x"]
)
def test_weights_whose_scans_were_prepared_impossibly_are_refused(
    network: CPCLNet, tmp_path: Path, preprocessing: object
) -> None:
    tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
    facts = json.dumps({"preprocessing": preprocessing})
    path = write(tmp_path / "odd.safetensors", tensors, network.settings.model_dump_json(), facts)
    with pytest.raises(WeightsError, match=r"odd\.safetensors"):
        load_weights(path)


def test_an_architecture_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.safetensors", {"x": torch.zeros(1)}, "[1]")
    with pytest.raises(WeightsError, match=r"odd\.safetensors"):
        load_weights(path)


def test_a_folder_that_is_a_file_gives_an_output_error(network: CPCLNet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Cannot write the weights to"):
        save_weights(network, tmp_path / "file" / "net.safetensors", FACTS)


def test_a_folder_in_the_place_of_the_file_gives_an_output_error(network: CPCLNet, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors" / "x").mkdir(parents=True)
    with pytest.raises(OutputError, match="Cannot write the weights to"):
        save_weights(network, tmp_path / "net.safetensors", FACTS)
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere"
)
def test_a_read_only_folder_gives_an_output_error(network: CPCLNet, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Cannot write the weights to"):
        save_weights(network, tmp_path / "net.safetensors", FACTS)


def test_a_full_disk_gives_an_output_error_and_keeps_the_old_file(network: CPCLNet, saved: Path) -> None:
    """A limit on the size of files stands in for the full disk: the library reports both as its own error."""
    resource = pytest.importorskip("resource", reason="needs POSIX resource limits")
    signal = pytest.importorskip("signal")
    before = saved.read_bytes()
    old_limit, old_handler = (
        resource.getrlimit(resource.RLIMIT_FSIZE),
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old_limit[1]))
    try:
        with pytest.raises(OutputError, match="Cannot write the weights to"):
            save_weights(network, saved, {**FACTS, "seed": 6})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["net.safetensors"]


@torch.no_grad()
def test_weights_with_cmda_keep_it_and_unused_ones_are_left_out(
    make_network: MakeNetwork, tmp_path: Path
) -> None:
    with_cmda, path = make_network(alignment=True), tmp_path / "net.safetensors"
    save_weights(with_cmda, path, FACTS)
    found = load_weights(path)
    assert found.cmda is not None and found.settings.alignment
    # as they were written when every network held a CMDA, used or not
    with_cmda.settings = with_cmda.settings.model_copy(update={"alignment": False})
    save_weights(with_cmda, path, FACTS)
    found = load_weights(path)
    assert found.cmda is None and not any(name.startswith("cmda.") for name in found.state_dict())
    assert load_weights().cmda is None  # those of the package
