"""The sources of a run: what it learns from, and what is kept back to judge it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from napari_cpclnet.episodes.sampling import EpisodeSettings, PhantomEpisodes
from napari_cpclnet.episodes.source import EpisodeSource
from napari_cpclnet.episodes.stack import PhantomStack
from napari_cpclnet.training.settings import TrainingSettings


@dataclass(frozen=True)
class Source:
    """Episodes to learn from and episodes to be judged by, from one kind of data.

    Attributes
    ----------
    name : str
        "phantoms" or "scans".
    train, held_out : EpisodeSource
        `held_out` shows nothing that `train` shows.
    weight : float
        How often a batch comes from here, relative to the other sources.
    anatomy : bool
        Whether its batches name the structure of every pixel.
    origin : str
        One sentence for the metadata of the weights.
    """

    name: str
    train: EpisodeSource
    held_out: EpisodeSource
    weight: float = 1.0
    anatomy: bool = False
    origin: str = ""


def judged_by(settings: EpisodeSettings) -> EpisodeSettings:
    """Settings of held-out episodes: five support slices, and another patient's queries."""
    return settings.model_copy(update={"shots": (5,), "shot_weights": (1.0,), "same_patient": 0.0})


def phantom_source(stack: PhantomStack, settings: TrainingSettings, device: torch.device) -> Source:
    """The phantoms of `stack`; the last ``held_out`` of them are never trained on."""
    cut = len(stack.labels) - settings.held_out
    labels, levels = stack.labels.to(device), stack.levels.to(device)
    return Source(
        "phantoms",
        PhantomEpisodes(labels[:cut], levels[:cut], stack.spacing, settings.episodes),
        PhantomEpisodes(labels[cut:], levels[cut:], stack.spacing, judged_by(settings.episodes)),
        settings.sources.phantoms,
        anatomy=True,
        origin="procedural phantoms of this package (BSD-3-Clause)",
    )
