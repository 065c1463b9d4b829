"""A batch of training episodes, and the interface of whatever draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from napari_cpclnet.episodes.settings import EpisodeSettings


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes of one number of shots.

    Attributes
    ----------
    support : Tensor, shape (E, K, 3, S, S)
        Intensities in [0, 1]; planes before, at and after the slice.
    support_masks : Tensor, shape (E, classes, K, S, S)
    query : Tensor, shape (E, Q, 3, S, S)
    query_masks : Tensor, shape (E, Q, classes, S, S)
    support_labels, query_labels : Tensor of int64, shape (E, K or Q, S, S), or None
        Structure of every pixel, for the dense supervision of the encoder; None where nobody knows.
    support_levels, query_levels : Tensor, shape (E, K or Q), or None
        Level in the body; None where nobody knows.
    same_scan : Tensor of bool, shape (E,), or None
        Whether support and query are slices of one scan, in one and the same look; None where none are.
    """

    support: Tensor
    support_masks: Tensor
    query: Tensor
    query_masks: Tensor
    support_labels: Tensor | None = None
    query_labels: Tensor | None = None
    support_levels: Tensor | None = None
    query_levels: Tensor | None = None
    same_scan: Tensor | None = None


class EpisodeSource(Protocol):
    """Something that draws batches of episodes."""

    def batch(self, rng: np.random.Generator, generator: torch.Generator) -> EpisodeBatch:
        """Draw one batch: `rng` chooses what is shown, `generator` makes the pixels."""


def random_shots(settings: EpisodeSettings, rng: np.random.Generator) -> int:
    """Number of painted slices of one batch, drawn by the weights of the settings."""
    weights = np.array(settings.shot_weights)
    return int(rng.choice(settings.shots, p=weights / weights.sum()))
