"""Where and in which number format a training step computes."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric

from napari_cpclnet.model import choose_precision

_NAMES: dict[torch.dtype, Any] = {
    torch.float32: "32-true",
    torch.bfloat16: "bf16-mixed",
    torch.float16: "16-mixed",
}


def make_fabric(device: torch.device, precision: str) -> Fabric:
    """Fabric for one device; weights and optimiser stay in float32, whatever the products are in.

    Parameters
    ----------
    device : torch.device
    precision : str
        ``auto``, ``fp32``, ``bf16`` or ``fp16``.

    Raises
    ------
    DeviceError
        If the device cannot compute in this precision.
    """
    name = _NAMES[choose_precision(precision, device)]
    devices = [device.index or 0] if device.type == "cuda" else 1
    return Fabric(accelerator=device.type, devices=devices, precision=name)
