"""The sources of a run: what it learns from, and what is kept back to judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_cpclnet.episodes.episode import EpisodeSource
from napari_cpclnet.episodes.phantom_dataset import PhantomDataset
from napari_cpclnet.episodes.phantom_episodes import PhantomEpisodes
from napari_cpclnet.episodes.prepared_scans import ScanFile
from napari_cpclnet.episodes.scan_episodes import ScanEpisodes
from napari_cpclnet.episodes.settings import EpisodeSettings
from napari_cpclnet.episodes.shape_episodes import ShapeEpisodes
from napari_cpclnet.errors import ImageError
from napari_cpclnet.training.settings import TrainingSettings

_HELD_OUT = 0.1
LOWER_PART = 0.8
"""What is trained on of a scan whose upper slices are held out."""


@dataclass(frozen=True)
class Source:
    """Episodes to learn from and episodes to be judged by, from one kind of data.

    Attributes
    ----------
    name : str
        "phantoms", "shapes", "scans" or "labels".
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


def validation_settings(settings: EpisodeSettings) -> EpisodeSettings:
    """Settings of held-out episodes: five support slices, and another patient's queries."""
    return settings.model_copy(update={"shots": (5,), "shot_weights": (1.0,), "same_patient": 0.0})


def phantom_source(stack: PhantomDataset, settings: TrainingSettings, device: torch.device) -> Source:
    """The phantoms of `stack`; the last ``held_out`` of them are never trained on."""
    cut = len(stack.labels) - settings.held_out
    labels, levels, parts = (array.to(device) for array in (stack.labels, stack.levels, stack.parts))
    spacing, episodes = stack.spacing, settings.episodes
    return Source(
        "phantoms",
        PhantomEpisodes(labels[:cut], levels[:cut], parts[:cut], spacing, episodes),
        PhantomEpisodes(labels[cut:], levels[cut:], parts[cut:], spacing, validation_settings(episodes)),
        settings.sources.phantoms,
        anatomy=True,
        origin="procedural phantoms of this package (BSD-3-Clause)",
    )


def shape_source(settings: TrainingSettings, device: torch.device) -> Source:
    """Random smooth shapes; every batch has its own, so that nothing needs to be held back."""
    return Source(
        "shapes",
        ShapeEpisodes(settings.episodes, device),
        ShapeEpisodes(validation_settings(settings.episodes), device),
        settings.sources.shapes,
        origin="random smooth shapes of this package (BSD-3-Clause)",
    )


def scan_source(scans: Sequence[ScanFile], settings: TrainingSettings, device: torch.device) -> Source:
    """Unlabelled scans; a tenth of them, at least one, is never trained on. Of a single scan, the upper fifth.

    Raises
    ------
    ImageError
        If there is too little to hold anything back.
    """
    episodes, judged = settings.episodes, validation_settings(settings.episodes)
    if len(scans) > 1:
        order = np.random.default_rng(settings.seed).permutation(len(scans))
        cut = max(1, round(_HELD_OUT * len(scans)))
        train = ScanEpisodes([scans[i] for i in order[cut:]], episodes, device)
        held_out = ScanEpisodes([scans[i] for i in order[:cut]], judged, device)
    else:
        train = ScanEpisodes(scans, episodes, device, (0.0, LOWER_PART))
        held_out = ScanEpisodes(scans, judged, device, (LOWER_PART, 1.0))
    if not len(train) or not len(held_out):
        raise ImageError(
            "The scans are too few: training needs two pictures or one volume with regions all over."
        )
    return Source(
        "scans", train, held_out, settings.sources.scans, origin=f"{len(scans)} unlabelled scans of the user"
    )
