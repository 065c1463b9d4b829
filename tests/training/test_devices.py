"""Several devices, here processes on the CPU: same weights everywhere, batches of their own, one set of files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from napari_cpclnet.errors import DeviceError
from napari_cpclnet.training import TrainingSettings, train
from napari_cpclnet.training.fabric import make_fabric
from napari_cpclnet.training.settings_file import write_settings

Folder = Callable[[str], Path]
Tiny = Callable[..., TrainingSettings]


def command(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = ["train", "--phantoms", "--out", str(out), "--device", "cpu", *options]
    return subprocess.run(
        [sys.executable, "-m", "napari_cpclnet", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "models" / "last_model.safetensors")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo needs the name of the loopback interface")
def test_two_processes_train_one_network(folder: Folder, tiny: Tiny, tmp_path: Path) -> None:
    whole, parts, alone = folder("whole"), folder("parts"), folder("alone")
    # with a rate that does not fall, a run of four steps begins as one of six
    for steps in (4, 6):
        write_settings(tiny(steps=steps, decay=0.01), tmp_path / f"{steps}.yaml")
    done = command(whole, "--settings", str(tmp_path / "6.yaml"), "--devices", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Step 6:") == 1 and "Traceback" not in done.stderr
    assert (whole / "training_log.csv").read_text().count("\n") == 4

    for _ in train(tiny(decay=0.01), alone, device="cpu"):
        pass
    one, two = weights(alone), weights(whole)
    assert any(not torch.equal(tensor, two[name]) for name, tensor in one.items())  # twice the batches

    # the further process draws the same batches again after a stop, though no file says where it was
    assert command(parts, "--settings", str(tmp_path / "4.yaml"), "--devices", "2").returncode == 0
    done = command(parts, "--resume", "--steps", "6", "--devices", "2")
    assert done.returncode == 0, done.stderr
    assert all(torch.equal(tensor, two[name]) for name, tensor in weights(parts).items())


def test_there_is_one_apple_gpu() -> None:
    with pytest.raises(DeviceError, match="one Apple GPU"):
        make_fabric(torch.device("mps"), "fp32", 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="gloo needs the name of the loopback interface")
def test_two_machines_train_what_two_processes_of_one_do(folder: Folder, tiny: Tiny, tmp_path: Path) -> None:
    one, two = folder("one"), folder("two")
    file = tmp_path / "settings.yaml"
    write_settings(tiny(steps=4), file)
    assert command(one, "--settings", str(file), "--devices", "2").returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    lo = "lo0" if sys.platform == "darwin" else "lo"
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": lo}
    words = [
        "train",
        "--phantoms",
        "--out",
        str(two),
        "--device",
        "cpu",
        "--settings",
        str(file),
        "--nodes",
        "2",
    ]
    machines = [
        subprocess.Popen(
            [sys.executable, "-m", "napari_cpclnet", *words],
            env={**os.environ, **shared, "NODE_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("1", "0")
    ]
    try:
        said = [machine.communicate(timeout=600)[1] for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert "Step 4:" in said[1] and "Step" not in said[0] and "Traceback" not in "".join(said)
    assert all(torch.equal(tensor, weights(two)[name]) for name, tensor in weights(one).items())


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "set MASTER_ADDR, MASTER_PORT, NODE_RANK"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "2"}, "at most 1"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "first"}, "must be a number"),
    ],
)
def test_machines_that_do_not_know_where_to_meet_are_told(
    environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DeviceError, match=words):
        make_fabric(torch.device("cpu"), "fp32", 1, 2)
