"""Choice of the computing device and of the numeric precision, one place for all commands."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import torch

from napari_cpclnet.errors import DeviceError
from napari_cpclnet.threads import share_cores

NVIDIA_DRIVER = Path("/proc/driver/nvidia")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

share_cores()


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called `name`, after checking that it is there.

    Parameters
    ----------
    name : str
        ``auto`` (CUDA, else Apple's MPS, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    DeviceError
        If the name is unknown or this machine has no such device.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        msg = f"Unknown device '{name}': use auto, cpu, cuda, cuda:N or mps."
        raise DeviceError(msg)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            built = (
                "this PyTorch was built without CUDA"
                if torch.version.cuda is None
                else "no CUDA device is visible"
            )
            msg = f"Device '{name}' is not available: {built}; use --device cpu or install a CUDA build of PyTorch."
            raise DeviceError(msg)
        index = int(name.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            there = ", ".join(f"cuda:{number}" for number in range(torch.cuda.device_count()))
            msg = f"Device '{name}' does not exist: use one of {there}, cpu or auto."
            raise DeviceError(msg)
    if name == "mps" and not torch.backends.mps.is_available():
        msg = "Device 'mps' is not available: it needs a Mac with Apple silicon; use --device cpu."
        raise DeviceError(msg)
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type in which the network's large products run on `device`.

    ``auto`` means bfloat16 on CUDA devices that compute in it and float32 everywhere else.

    Raises
    ------
    DeviceError
        If the name is unknown, or float16 is asked of a CPU.
    """
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    if name not in _DTYPES:
        msg = f"Unknown precision '{name}': use auto, fp32, bf16 or fp16."
        raise DeviceError(msg)
    if name == "fp16" and device.type == "cpu":
        msg = "Precision fp16 needs a GPU; use --precision fp32 or bf16 on the CPU."
        raise DeviceError(msg)
    return _DTYPES[name]


def unused_gpu() -> str:
    """What to install when this machine has an NVIDIA GPU that PyTorch cannot use, in one sentence; else nothing.

    A GPU that was hidden on purpose, by the environment variable CUDA_VISIBLE_DEVICES, is not spoken of.
    """
    if torch.cuda.is_available() or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ""
    if shutil.which("nvidia-smi") is None and not NVIDIA_DRIVER.exists():
        return ""
    if torch.version.cuda is None:
        return (
            "This computer has an NVIDIA GPU, but the installed PyTorch was built without CUDA: install PyTorch for "
            "CUDA with the command that its 'Get started' page shows, and the network runs on the GPU."
        )
    return (
        "This computer has an NVIDIA GPU, but PyTorch finds none: install a newer NVIDIA driver "
        f"(this PyTorch needs one for CUDA {torch.version.cuda}), and the network runs on the GPU."
    )
