"""Devices and precision of training, through Lightning Fabric."""

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


def make_fabric(device: torch.device, precision: str, devices: int = 1, nodes: int = 1) -> Fabric:
    """Fabric for one device, or for several of one machine or of more; weights and optimiser stay in float32.

    With several devices, this process starts one more per further device of this machine, each of which runs the same
    command again and comes back from this call knowing its number; they meet on the loopback interface. Of several
    machines each runs the command, and they meet where ``MASTER_ADDR`` and ``MASTER_PORT`` say; ``NODE_RANK`` is the
    number of the machine.

    Parameters
    ----------
    device : torch.device
    precision : str
        ``auto``, ``fp32``, ``bf16`` or ``fp16``.
    devices : int
        GPUs, or processes on the CPU, of each machine.
    nodes : int
        Machines.

    Raises
    ------
    DeviceError
        If the device cannot compute in this precision, there are fewer of them, or the environment does not say how
        the machines find one another.
    """
    name = _NAMES[choose_precision(precision, device)]
    if devices == nodes == 1:
        only = [device.index or 0] if device.type == "cuda" else 1
        return Fabric(accelerator=device.type, devices=only, precision=name)
    if device.type == "mps":
        raise DeviceError(
            "There is one Apple GPU: --devices and --nodes are for CUDA devices and processes on the CPU."
        )
    if device.type == "cuda" and devices > torch.cuda.device_count():
        raise DeviceError(
            f"--devices {devices}: this machine has {torch.cuda.device_count()} CUDA device(s)."
        )
    if nodes > 1:
        _check_meeting(nodes)
    else:
        loopback = "lo0" if sys.platform == "darwin" else "lo"
        for backend in ("GLOO", "NCCL"):
            os.environ.setdefault(f"{backend}_SOCKET_IFNAME", loopback)
    # A batch may leave out parts of the network: matching while the encoder alone learns, naming where nobody can.
    strategy = DDPStrategy(find_unused_parameters=True)
    fabric = Fabric(
        accelerator=device.type, devices=devices, num_nodes=nodes, strategy=strategy, precision=name
    )
    fabric.launch()
    return fabric


def is_first_process() -> bool:
    """Whether this process, of several that train together, shows, writes and decides when to stop."""
    return not (local_rank() or node_rank())


def local_rank() -> int:
    """Number of this process among those of its machine, as its first process gives it to the others."""
    return _number("LOCAL_RANK")


def node_rank() -> int:
    """Number of this machine among those that train together, as the user gives it."""
    return _number("NODE_RANK")


def _number(name: str) -> int:
    text = os.environ.get(name, "0")
    if not text.isdecimal():
        raise DeviceError(f"{name} is '{text}': it must be a number from 0.")
    return int(text)


def _check_meeting(nodes: int) -> None:
    if missing := [name for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK") if name not in os.environ]:
        raise DeviceError(
            f"--nodes {nodes}: set {', '.join(missing)}: address and a free port of the first machine, the same on "
            "all, and the number of this one from 0."
        )
    if node_rank() >= nodes:
        raise DeviceError(f"NODE_RANK is {node_rank()}: with --nodes {nodes} it is at most {nodes - 1}.")
