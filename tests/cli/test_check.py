"""``check`` says whether an installation works, and of a broken one what is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from napari_cpclnet import model
from napari_cpclnet.cli.check import run_checks
from napari_cpclnet.model import weights

from .test_segment import Run, run  # noqa: F401


def outcomes(device: str = "cpu") -> dict[str, bool]:
    return {one.name: one.ok for one in run_checks(device)}


@pytest.mark.slow
def test_all_is_well_here(run: Run) -> None:  # noqa: F811
    code, out, err = run(["check", "--device", "cpu"])
    assert code == 0, err
    *lines, last = out.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * 7
    assert last == "This installation works."


@pytest.mark.slow
def test_damaged_weights_a_missing_device_and_a_network_that_knows_nothing_are_told(
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bundled = weights.bundled_weights()
    copy = shutil.copytree(bundled.parent, tmp_path / "weights") / bundled.name
    copy.write_bytes(copy.read_bytes()[:-1] + b"\x01")
    untrained = model.load_weights()
    generator = torch.Generator().manual_seed(0)
    for parameter in untrained.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    monkeypatch.setattr(weights, "bundled_weights", lambda: copy)
    monkeypatch.setattr(model, "load_weights", lambda *_: untrained)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, out, _ = run(["check", "--device", "cuda"])
    assert code == 1
    by_name = {line.split()[1]: line for line in out.splitlines()[:-1]}
    assert by_name["device"].startswith("failed") and "--device cpu" in by_name["device"]
    assert by_name["weights"].startswith("failed") and "cpclnet.safetensors is damaged" in by_name["weights"]
    assert outcomes() == dict.fromkeys(("versions", "device", "files", "napari", "fill"), True) | {
        "weights": False,
        "segmentation": False,
    }


def test_the_sums_are_those_of_all_bundled_weights() -> None:
    folder = weights.bundled_weights().parent
    listed = [line.split()[1] for line in (folder / weights.SUMS).read_text().splitlines()]
    assert listed == sorted(path.name for path in folder.glob("*.safetensors"))
