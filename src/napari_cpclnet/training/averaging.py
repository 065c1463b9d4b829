"""Mean of the weights of several runs that began with the same ones.

Runs that part from one trained network at a moderate learning rate stay in one valley of the loss, and the middle of
the valley is better than its sides: Wortsman et al., *Model soups*, ICML 2022. The runs need nothing of each other, so
they may be made one after another or on different machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.model import CPCLNet, load_weights

_SHARED = ("architecture", "preprocessing", "started_from")


def average_weights(paths: Sequence[Path]) -> CPCLNet:
    """Average weights files.

    Parameters
    ----------
    paths : sequence of Path
        At least one; weights of runs that began with the same weights.

    Returns
    -------
    CPCLNet
        Its ``metadata`` are those of the first file; ``averaged`` holds hash, seed, steps and validation of every one.

    Raises
    ------
    WeightsError
        If a file is missing or damaged, or the runs have another network, preprocessing or beginning.
    """
    models = [load_weights(path) for path in paths]
    first = models[0].metadata
    for path, model in zip(paths, models, strict=True):
        for name in _SHARED:
            if model.metadata.get(name) != first.get(name):
                raise WeightsError(
                    f"'{path.name}' differs from '{paths[0].name}' in its {name.replace('_', ' ')}: only runs that "
                    "began with the same weights can be averaged."
                )
    states = [model.state_dict() for model in models]
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    result = models[0]
    result.load_state_dict(mean)
    own: tuple[str, ...] = ("hash", "seed", "steps", "validation")
    averaged: list[dict[str, Any]] = [{key: m.metadata.get(key) for key in own} for m in models]
    left = {key: value for key, value in first.items() if key not in own}
    result.metadata = {**left, "averaged": averaged}
    return result
