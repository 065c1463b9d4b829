"""State of a training run on disk: safetensors for the tensors, JSON for the rest, no pickle."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import load_json
from napari_cpclnet.model.weights import check_values


def save_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    rng: np.random.Generator,
    generator: torch.Generator,
    run_state: dict[str, Any],
) -> None:
    """Write modules, optimiser and random generators, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        tensors |= {f"{name}.{k}": v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    state = optimiser.state_dict()
    for index, entries in state["state"].items():
        tensors |= {
            f"optimiser.{index}.{k}": torch.as_tensor(v).cpu().contiguous() for k, v in entries.items()
        }
    text = {
        "groups": json.dumps(state["param_groups"]),
        "numpy": json.dumps(rng.bit_generator.state),
        "torch": base64.b64encode(bytes(generator.get_state().tolist())).decode(),
        "facts": json.dumps(run_state),
    }
    with atomic_write(path, "the checkpoint") as temporary:
        save_file(tensors, temporary, text)


def read_run_state(path: Path) -> dict[str, Any]:
    """State of a run from its checkpoint, without reading the tensors.

    Raises
    ------
    WeightsError
        If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            run_state: dict[str, Any] = dict(load_json(file.metadata()["facts"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        msg = f"The checkpoint '{path}' is damaged; begin a new run."
        raise WeightsError(msg) from error
    return run_state


def load_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> dict[str, Any]:
    """Bring everything back to the state that :func:`save_checkpoint` wrote; return the state of the run.

    Raises
    ------
    WeightsError
        If the file is damaged or belongs to another run.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        check_values(
            {name: t for name, t in tensors.items() if not name.startswith("optimiser.")}, f"'{path}'"
        )
        for name, module in modules.items():
            prefix = f"{name}."
            module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".", 2)
                state.setdefault(int(index), {})[key] = tensor
        optimiser.load_state_dict({"state": state, "param_groups": load_json(text["groups"])})
        rng.bit_generator.state = load_json(text["numpy"])
        random = base64.b64decode(text["torch"], validate=True)
        generator.set_state(torch.tensor(list(random), dtype=torch.uint8))
        run_state: dict[str, Any] = dict(load_json(text["facts"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        msg = f"The checkpoint '{path}' is damaged or belongs to a run with other settings."
        raise WeightsError(msg) from error
    return run_state
