"""Where, on how many devices, and in which number format a training step computes."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from napari_cpclnet.errors import DeviceError
from napari_cpclnet.model import choose_precision

_NAMES: dict[torch.dtype, Any] = {
    torch.float32: "32-true",
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
}


def make_fabric(device: torch.device, precision: str, devices: int = 1) -> Fabric:
    """Fabric for one device, or for several of one machine; weights and optimiser stay in float32.

    With several, this process starts one more per further device, each of which runs the same command again and
    comes back from this call knowing its number; they meet on the loopback interface.

    Parameters
    ----------
    device : torch.device
    precision : str
        ``auto``, ``fp32``, ``bf16`` or ``fp16``.
    devices : int
        GPUs, or processes on the CPU.

    Raises
    ------
    DeviceError
        If the device cannot compute in this precision, or there are fewer of them.
    """
    name = _NAMES[choose_precision(precision, device)]
    if devices == 1:
        only = [device.index or 0] if device.type == "cuda" else 1
        return Fabric(accelerator=device.type, devices=only, precision=name)
    if device.type == "mps":
        raise DeviceError("There is one Apple GPU: --devices is for CUDA devices and processes on the CPU.")
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise DeviceError(
            f"--devices {devices}: this machine has {torch.cuda.device_count()} CUDA device(s)."
        )
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    for backend in ("GLOO", "NCCL"):
        os.environ.setdefault(f"{backend}_SOCKET_IFNAME", loopback)
    # A batch may leave out parts of the network: matching while the encoder alone learns, naming where nobody can.
    strategy = DDPStrategy(find_unused_parameters=True)
    fabric = Fabric(accelerator=device.type, devices=devices, strategy=strategy, precision=name)
    fabric.launch()
    return fabric
