"""Adapt to support: some seconds of training on the painted slices, before others are segmented with them.

Each step is an episode among the painted slices: some are the support, one or two the query, and each side is bent and
shown by its own random scanner, so that the network learns these organs, not these grey values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.episodes.style import random_style, restyle, similar_style
from napari_cpclnet.episodes.warp import random_grid
from napari_cpclnet.errors import SupportError
from napari_cpclnet.model import CPCLNet, Descriptors
from napari_cpclnet.model.losses import segmentation_loss
from napari_cpclnet.segmentation import EncodedSlices, Segmenter, SupportSet
from napari_cpclnet.training.settings import AdaptationSettings

_QUERIES = 2


@dataclass(frozen=True)
class AdaptationReport:
    """What one step did: `step` of `total`, and its loss."""

    step: int
    total: int
    loss: float


def adapt(
    segmenter: Segmenter, support: SupportSet, settings: AdaptationSettings | None = None
) -> Iterator[AdaptationReport]:
    """Train the segmenter's own network on a support set; hand in a segmenter with a copy to keep the original.

    Closing the iterator ends it after the step in work, and the network is as far as it came.

    Parameters
    ----------
    segmenter : Segmenter
        Its network is changed.
    support : SupportSet
    settings : AdaptationSettings, optional

    Yields
    ------
    AdaptationReport
        After every step.

    Raises
    ------
    SupportError
        If no slice shows a class.
    """
    settings = settings or AdaptationSettings()
    groups = [group for group in segmenter.encode_support(support) if group.masks.any()]
    if not groups:
        raise SupportError("The support shows no class: paint a class on at least one slice.")
    rng = np.random.default_rng(settings.seed)
    generator = torch.Generator(segmenter.device).manual_seed(settings.seed)
    model = segmenter.model
    optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=0.0)
    shares = np.array([len(group.images) for group in groups], float)
    try:
        for step in range(settings.steps):
            group = groups[int(rng.choice(len(groups), p=shares / shares.sum()))]
            model.train()
            with torch.enable_grad():
                loss = _episode_loss(model, group, settings, rng, generator)
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
            model.eval()
            yield AdaptationReport(step + 1, settings.steps, float(loss.detach()))
    finally:
        model.eval()


def _episode_loss(
    model: CPCLNet,
    group: EncodedSlices,
    settings: AdaptationSettings,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Tensor:
    """Loss of one episode among the slices of a group."""
    partial = bool(group.known.numel())
    order = rng.permutation(len(group.images)).tolist()
    queries = order[: max(1, min(_QUERIES, len(order) // 2))]
    supports = order[len(queries) :]
    if not supports or not group.masks[:, supports].any():  # a single slice is its own query, shown twice
        supports = order
    style = random_style(rng)
    other = similar_style(style, rng) if rng.random() < settings.same_scanner else random_style(rng)
    sides = []
    for indices, look in ((supports, style), (queries, other)):
        masks = group.masks[:, indices]
        if partial:  # what is known is bent with it
            masks = torch.cat([masks, group.known[:, indices]])
        images, masks = _deformed(group.images[indices], masks, rng, generator)
        sides.append((restyle(images[None], [look], generator)[0], masks, group.levels[indices]))
    (shown, painted, low), (asked, truth, high) = sides
    sure = told = None
    if partial:
        (painted, sure), (truth, told) = painted.chunk(2), truth.chunk(2)
        told = told.transpose(0, 1)
    levels = torch.cat([low, high])
    features = model.encode(torch.cat([shown, asked]).contiguous(memory_format=torch.channels_last), levels)
    features = replace(features, level=levels)
    k = len(shown)
    descriptors = model.describe(
        [features.select(slice(0, k))], [painted], known=None if sure is None else [sure]
    )
    answer = model.segment(features.select(slice(k, None)), Descriptors.stack([descriptors]))
    # a class that none of these support slices shows cannot be asked for
    known = painted.flatten(1).any(1).to(answer.logits.dtype).expand(len(asked), -1)
    return segmentation_loss(answer.logits, truth.transpose(0, 1), known, told)


def _deformed(
    images: Tensor, masks: Tensor, rng: np.random.Generator, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Slices (K, 3, H, W) and masks (classes, K, H, W) after one random deformation, as squares."""
    k, _, h, w = images.shape
    size = max(h, w)
    grid = random_grid((1, k), size, (size / h, size / w), rng, generator, images.device)
    bent = F.grid_sample(images, grid, align_corners=False)
    flat = F.grid_sample(masks.transpose(0, 1), grid, align_corners=False)
    return bent, (flat.transpose(0, 1) > 0.5).to(images.dtype)
