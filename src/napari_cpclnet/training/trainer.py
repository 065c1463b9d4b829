"""Training on phantom episodes, as a generator of reports.

Whoever consumes :meth:`Trainer.run` decides how long it goes on; stopping between two reports loses nothing, since
:meth:`Trainer.save` can be called at any of them and a new trainer resumes from there to the same weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cpclnet.episodes.anatomy_table import STRUCTURES
from napari_cpclnet.episodes.sampling import EpisodeBatch, PhantomEpisodes
from napari_cpclnet.episodes.stack import PhantomStack
from napari_cpclnet.model import CPCLNet, Descriptors, Features
from napari_cpclnet.model.crpd import shrink_masks
from napari_cpclnet.model.losses import consistency_loss, segmentation_loss, spread_loss
from napari_cpclnet.training.checkpoint import load_checkpoint, save_checkpoint
from napari_cpclnet.training.settings import TrainingSettings


@dataclass(frozen=True)
class StepReport:
    """What one optimiser step did.

    Attributes
    ----------
    step : int
        Steps done.
    losses : dict of str to float
        Every term, unweighted, and ``total``.
    dice : float
        Mean soft Dice of the batch's queries that show their class.
    validation : dict of str to float
        ``dice`` (per class and episode, all slices pooled) and ``false`` (share of organ-free slices in which more
        than 20 pixels are marked) of the averaged weights on held-out phantoms; empty between validations.
    """

    step: int
    losses: dict[str, float]
    dice: float
    validation: dict[str, float]


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


class Trainer:
    """Trains a network on phantoms.

    Parameters
    ----------
    settings : TrainingSettings
    stack : PhantomStack
        The last ``held_out`` phantoms are never trained on.
    device : torch.device
    """

    def __init__(self, settings: TrainingSettings, stack: PhantomStack, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        torch.manual_seed(settings.seed)
        self.model = CPCLNet(settings.network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.heads = AnatomyHeads(settings.network.channels, settings.network.skip_channels).to(device)
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            [*self.model.parameters(), *self.heads.parameters()],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=(0.9, 0.98),
        )
        self.rng = np.random.default_rng(settings.seed)
        self.generator = torch.Generator(device).manual_seed(settings.seed)
        cut = len(stack.labels) - settings.held_out
        labels, levels = stack.labels.to(device), stack.levels.to(device)
        self.episodes = PhantomEpisodes(labels[:cut], levels[:cut], stack.spacing, settings.episodes)
        five = settings.episodes.model_copy(
            update={"shots": (5,), "shot_weights": (1.0,), "same_patient": 0.0}
        )
        self.held_out = PhantomEpisodes(labels[cut:], levels[cut:], stack.spacing, five)
        self.step = 0

    def learning_rate(self, step: int) -> float:
        """Warm-up, plateau, cosine to zero; the warm-up is repeated after the anatomy steps."""
        s = self.settings
        left = (s.steps - step) / (s.decay * s.steps)
        fall = 0.5 * (1 - math.cos(math.pi * min(1.0, max(0.0, left))))
        # what joins after the anatomy warms up afresh
        begun = step - s.anatomy_steps if step >= s.anatomy_steps else step
        return s.learning_rate * min(1.0, (begun + 1) / s.warmup) * fall

    def run(self) -> Iterator[StepReport]:
        """Train from the present step to the last one, one report per step."""
        while self.step < self.settings.steps:
            for group in self.optimiser.param_groups:
                group["lr"] = self.learning_rate(self.step)
            self.model.train()
            losses, dice = self._losses(self.episodes.batch(self.rng, self.generator))
            self.optimiser.zero_grad()
            torch.autograd.backward(losses["total"])
            parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.settings.clip)
            self.optimiser.step()
            self.step += 1
            self._average()
            due = self.step % self.settings.validate_every == 0 or self.step == self.settings.steps
            yield StepReport(
                self.step,
                {k: float(v.detach()) for k, v in losses.items()},
                dice,
                self.validate() if due else {},
            )

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.ema, self.step / (self.step + 20))
        new = dict(self.model.named_parameters())
        for name, old in self.ema.named_parameters():
            old.lerp_(new[name], 1 - decay)

    def _losses(self, batch: EpisodeBatch) -> tuple[dict[str, Tensor], float]:
        """All terms of the loss, with ``total``, and the soft Dice of the queries."""
        weights = self.settings.loss.model_dump()
        images = torch.cat([batch.support.flatten(0, 1), batch.query.flatten(0, 1)])
        features = self.model.encode(images.contiguous(memory_format=torch.channels_last))
        labels = torch.cat([batch.support_labels.flatten(0, 1), batch.query_labels.flatten(0, 1)])
        levels = torch.cat([batch.support_levels.flatten(), batch.query_levels.flatten()])
        losses = dict.fromkeys(("segmentation", *weights), images.new_zeros(()))
        losses["anatomy"] = self.heads(features, labels)
        losses["level"] = F.smooth_l1_loss(features.level, levels, beta=0.1)
        dice = math.nan
        if self.step >= self.settings.anatomy_steps:
            few_shot, dice = self._few_shot_losses(features, batch)
            losses |= few_shot
        total = losses["segmentation"]
        for name, weight in weights.items():
            total = total + weight * losses[name]
        return {**losses, "total": total}, dice

    def _few_shot_losses(self, features: Features, batch: EpisodeBatch) -> tuple[dict[str, Tensor], float]:
        e, k, q = *batch.support.shape[:2], batch.query.shape[1]
        support, query = features.select(slice(0, e * k)), features.select(slice(e * k, None))
        described: list[Descriptors] = []
        consistency = features.grid.new_zeros(())
        intra, inter = consistency, consistency
        for i in range(e):
            shots, asked = support.select(slice(i * k, i * k + k)), query.select(slice(i * q, i * q + q))
            own = self.model.describe([shots], [batch.support_masks[i]])
            described.append(own)
            truth = batch.query_masks[i].transpose(0, 1)
            mirrored = self.model.describe([asked], [truth]).prototypes
            consistency = consistency + consistency_loss(asked.grid, own.prototypes, shrink_masks(truth)) / e
            there = shrink_masks(batch.support_masks[i])
            consistency = consistency + consistency_loss(shots.grid, mirrored, there) / e
            if self.settings.loss.intra or self.settings.loss.inter:
                one, other = spread_loss(own.prototypes)
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
            dice = float((2 * both / either)[shown].mean()) if shown.any() else math.nan
        return losses, dice

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Judge the averaged weights on episodes of held-out phantoms, five support slices each."""
        rng = np.random.default_rng(0)
        generator = torch.Generator(self.device).manual_seed(0)
        dice: list[float] = []
        false: list[bool] = []
        for _ in range(self.settings.validation_batches):
            batch = self.held_out.batch(rng, generator)
            for i in range(len(batch.support)):
                answer = self.ema(batch.query[i], batch.support[i], batch.support_masks[i])
                marked = answer.logits[:, :, 1] > answer.logits[:, :, 0]
                target = batch.query_masks[i] > 0
                shown = target.any(3).any(2)
                both, either = (marked & target).sum((0, 2, 3)), marked.sum((0, 2, 3)) + target.sum((0, 2, 3))
                dice += (2 * both / either)[target.any(3).any(2).any(0)].tolist()
                false += (marked.sum((2, 3))[~shown] > 20).tolist()
        return {"dice": float(np.mean(dice)), "false": float(np.mean(false)) if false else math.nan}

    def save(self, path: Path) -> None:
        """Write a checkpoint from which :meth:`resume` goes on to the same weights."""
        modules = {"model": self.model, "heads": self.heads, "ema": self.ema}
        save_checkpoint(path, modules, self.optimiser, self.rng, self.generator, {"step": self.step})

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of :meth:`save`.

        Raises
        ------
        WeightsError
            If the file is damaged or belongs to a run with another network.
        """
        modules = {"model": self.model, "heads": self.heads, "ema": self.ema}
        facts = load_checkpoint(path, modules, self.optimiser, self.rng, self.generator)
        self.step = int(facts["step"])
