"""Validation during training, on held-out episodes, the same ones every time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.episodes.episode import EpisodeSource
from napari_cpclnet.model import CPCLNet

_FALSE_PIXELS = 20
"""More marked pixels than these in a slice without the class are a false alarm."""


@dataclass(frozen=True, eq=False)
class Example:
    """One held-out episode with the network's answer, for a picture.

    Attributes
    ----------
    support : ndarray (K, H, W), support_masks : ndarray (C, K, H, W) of bool
    query : ndarray (Q, H, W), truth, prediction : ndarray (Q, C, H, W) of bool
    """

    support: NDArray[np.float32]
    support_masks: NDArray[np.bool_]
    query: NDArray[np.float32]
    truth: NDArray[np.bool_]
    prediction: NDArray[np.bool_]


@torch.inference_mode()
def validation_scores(
    model: CPCLNet, source: EpisodeSource, batches: int, device: torch.device
) -> dict[str, float]:
    """Dice and false positives, means over held-out episodes.

    Returns
    -------
    dict of str to float
        ``dice`` (per class and episode, all slices pooled, if any shows the class) and ``false`` (share of slices
        without the class in which more than 20 pixels are marked).
    """
    rng, generator = _fixed(device)
    dice: list[float] = []
    false: list[bool] = []
    for _ in range(batches):
        batch = source.batch(rng, generator)
        for i in range(len(batch.support)):
            answer = model(batch.query[i], batch.support[i], batch.support_masks[i])
            marked = answer.logits[:, :, 1] > answer.logits[:, :, 0]
            target = batch.query_masks[i] > 0
            shown = target.any(3).any(2)
            both, either = (marked & target).sum((0, 2, 3)), marked.sum((0, 2, 3)) + target.sum((0, 2, 3))
            dice += (2 * both / either)[target.any(3).any(2).any(0)].tolist()
            false += (marked.sum((2, 3))[~shown] > _FALSE_PIXELS).tolist()
    return {
        "dice": float(np.mean(dice)) if dice else math.nan,
        "false": float(np.mean(false)) if false else math.nan,
    }


@torch.inference_mode()
def example(model: CPCLNet, source: EpisodeSource, device: torch.device) -> Example:
    """The first held-out episode, as the network answers it."""
    batch = source.batch(*_fixed(device))
    logits = model(batch.query[0], batch.support[0], batch.support_masks[0]).logits

    def array(x: Tensor) -> NDArray[np.float32]:
        values: NDArray[np.float32] = x.float().cpu().numpy()
        return values

    return Example(
        array(batch.support[0, :, 1]),
        array(batch.support_masks[0]) > 0.5,
        array(batch.query[0, :, 1]),
        array(batch.query_masks[0]) > 0.5,
        array(logits[:, :, 1]) > array(logits[:, :, 0]),
    )


def _fixed(device: torch.device) -> tuple[np.random.Generator, torch.Generator]:
    return np.random.default_rng(0), torch.Generator(device).manual_seed(0)
