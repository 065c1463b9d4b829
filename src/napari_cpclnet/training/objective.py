"""Training objective: all terms of the loss of a batch of episodes, as one module."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cpclnet.episodes.episode import EpisodeBatch
from napari_cpclnet.model import CPCLNet, Descriptors, Features
from napari_cpclnet.model.crpd import mask_fractions
from napari_cpclnet.model.losses import consistency_loss, intra_inter_loss, segmentation_loss
from napari_cpclnet.phantoms.structures import STRUCTURES
from napari_cpclnet.training.settings import LossWeights


class AnatomyHeads(nn.Module):
    """Names the structure of every pixel at strides 4 and 2; teaches the encoder, then goes."""

    def __init__(self, channels: int, skip_channels: int) -> None:
        super().__init__()
        self.grid = nn.Conv2d(channels, len(STRUCTURES), 1)
        self.skip = nn.Conv2d(skip_channels, len(STRUCTURES), 1)

    def forward(self, features: Features, labels: Tensor) -> Tensor:
        """Cross-entropy for features of `B` slices and labels (B, H, W)."""
        weight = torch.ones(len(STRUCTURES), device=labels.device)
        weight[STRUCTURES["air"]] = 0.2  # most of every slice, and easy
        coarse = F.cross_entropy(self.grid(features.grid), labels[:, 1::4, 1::4], weight)
        fine = F.cross_entropy(self.skip(features.skip), labels[:, ::2, ::2], weight)
        return coarse + fine


class Objective(nn.Module):
    """The loss of a batch of episodes.

    One forward pass per step, so that precision and several devices can be arranged around it.

    Parameters
    ----------
    model : CPCLNet
    heads : AnatomyHeads
    weights : LossWeights
    """

    def __init__(self, model: CPCLNet, heads: AnatomyHeads, weights: LossWeights) -> None:
        super().__init__()
        self.model = model
        self.heads = heads
        self.weights = weights

    def forward(
        self,
        tensors: dict[str, Tensor | None],
        few_shot: bool,
        levels: Tensor | None = None,
        naming: bool = False,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """All terms of the loss, with ``total``, and the soft Dice of the queries that show their class.

        Parameters
        ----------
        tensors : dict
            The fields of an :class:`EpisodeBatch`. Without labels or levels the terms ``anatomy`` and ``level`` are
            left out.
        few_shot : bool
            Whether the queries are segmented; else the encoder alone learns, and the Dice is nan.
        levels : Tensor, shape (E * (K + Q),), optional
            Levels of all slices, the supports' first, that they are encoded and segmented with instead of the network's
            own; nan is unknown.
        naming : bool
            Whether naming teaches the helper heads alone, and the encoder nothing.
        """
        batch = EpisodeBatch(**tensors)  # type: ignore[arg-type]
        weights = self.weights.model_dump()
        images = torch.cat([batch.support.flatten(0, 1), batch.query.flatten(0, 1)])
        features = self.model.encode(images.contiguous(memory_format=torch.channels_last), levels)
        losses = dict.fromkeys(("segmentation", *weights), images.new_zeros(()))
        if batch.support_labels is not None and batch.query_labels is not None:
            labels = torch.cat([batch.support_labels.flatten(0, 1), batch.query_labels.flatten(0, 1)])
            known = features
            if naming:
                known = replace(features, grid=features.grid.detach(), skip=features.skip.detach())
            losses["anatomy"] = self.heads(known, labels)
        else:
            del losses["anatomy"]
        if batch.support_levels is not None and batch.query_levels is not None:
            true = torch.cat([batch.support_levels.flatten(), batch.query_levels.flatten()])
            on_scale = true.isfinite()
            error = F.smooth_l1_loss(features.level, true.nan_to_num(), beta=0.1, reduction="none")
            losses["level"] = (error * on_scale).sum() / on_scale.sum().clamp(min=1)
        else:
            del losses["level"]
        dice = images.new_tensor(math.nan)
        if few_shot:
            if levels is not None:
                features = replace(features, level=levels)
            terms, dice = self._few_shot_losses(features, batch)
            losses |= terms
        total = losses["segmentation"]
        for name, weight in weights.items():
            if name in losses:
                total = total + weight * losses[name]
        return {**losses, "total": total}, dice

    def _few_shot_losses(self, features: Features, batch: EpisodeBatch) -> tuple[dict[str, Tensor], Tensor]:
        e, k, q = *batch.support.shape[:2], batch.query.shape[1]
        support, query = features.select(slice(0, e * k)), features.select(slice(e * k, None))
        described: list[Descriptors] = []
        consistency = features.grid.new_zeros(())
        intra, inter = consistency, consistency
        for i in range(e):
            shots, asked = support.select(slice(i * k, i * k + k)), query.select(slice(i * q, i * q + q))
            same = None if batch.same_scan is None else [batch.same_scan[i].expand(k)]
            own = self.model.describe([shots], [batch.support_masks[i]], same)
            described.append(own)
            truth = batch.query_masks[i].transpose(0, 1)
            mirrored = self.model.describe([asked], [truth]).prototypes
            consistency = (
                consistency + consistency_loss(asked.grid, own.prototypes, mask_fractions(truth)) / e
            )
            there = mask_fractions(batch.support_masks[i])
            consistency = consistency + consistency_loss(shots.grid, mirrored, there) / e
            if self.weights.intra or self.weights.inter:
                one, other = intra_inter_loss(own.prototypes)
                intra, inter = intra + one / e, inter + other / e
        answer = self.model.segment(query, Descriptors.stack([d for d in described for _ in range(q)]))
        target = batch.query_masks.flatten(0, 1)
        losses = {
            "segmentation": segmentation_loss(answer.logits, target),
            "consistency": consistency,
            "align": answer.align,
            "intra": intra,
            "inter": inter,
        }
        with torch.no_grad():
            probability = answer.logits.softmax(2)[:, :, 1]
            both = (probability * target).sum((2, 3))
            either = (probability.sum((2, 3)) + target.sum((2, 3))).clamp(min=1)
            shown = target.sum((2, 3)) > 0
            dice = (2 * both / either)[shown].mean()  # nan where no query shows its class
        return losses, dice
