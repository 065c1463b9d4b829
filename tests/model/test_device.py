"""Devices and precisions are chosen in one place and refused in one sentence."""

from __future__ import annotations

import pytest
import torch

from napari_cpclnet.errors import DeviceError
from napari_cpclnet.model import choose_device, choose_precision, unused_gpu
from napari_cpclnet.model import device as device_module

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without accelerators."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


@pytest.fixture
def two_gpus(machine: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: 2)
    return machine


@pytest.mark.usefixtures("machine")
def test_auto_falls_back_on_the_cpu() -> None:
    assert choose_device() == CPU
    assert choose_device("cpu") == CPU


@pytest.mark.usefixtures("two_gpus")
def test_auto_prefers_cuda_over_all() -> None:
    assert choose_device("auto").type == "cuda"
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu") == CPU


def test_auto_takes_mps_where_there_is_no_cuda(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").type == "mps"
    assert choose_device("mps").type == "mps"


@pytest.mark.parametrize("name", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "auto "])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="Unknown device"):
        choose_device(name)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_devices_that_are_not_there_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match=f"Device '{name}' is not available.*use --device cpu"):
        choose_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_a_device_number_too_high_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"'cuda:2' does not exist: use one of cuda:0, cuda:1, cpu"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    ("name", "expected"), [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_precision_on_the_cpu(name: str, expected: torch.dtype) -> None:
    assert choose_precision(name, CPU) == expected


@pytest.mark.parametrize(("able", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_precision_on_cuda_asks_the_device(
    monkeypatch: pytest.MonkeyPatch, able: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: able)
    assert choose_precision("auto", torch.device("cuda")) == expected
    assert choose_precision("fp16", torch.device("cuda")) == torch.float16


def test_half_precision_needs_a_gpu() -> None:
    with pytest.raises(DeviceError, match="fp16 needs a GPU"):
        choose_precision("fp16", CPU)


@pytest.mark.parametrize("name", ["", "half", "FP32"])
def test_unknown_precisions_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="Unknown precision"):
        choose_precision(name, CPU)


@pytest.mark.parametrize(
    ("cuda", "words"), [(None, "install PyTorch for CUDA"), ("12.8", "install a newer NVIDIA driver")]
)
def test_an_unused_gpu_is_told_with_what_to_install(monkeypatch, cuda, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(device_module.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert words in unused_gpu()


def test_without_a_gpu_or_with_one_in_use_or_hidden_nothing_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(device_module, "NVIDIA_DRIVER", tmp_path / "none")
    monkeypatch.setattr(device_module.shutil, "which", lambda _: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert unused_gpu() == ""
    monkeypatch.setattr(device_module, "NVIDIA_DRIVER", tmp_path)
    assert unused_gpu() != ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert unused_gpu() == ""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert unused_gpu() == ""
