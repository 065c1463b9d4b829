"""Training of the prior decoder on phantoms, in a folder, from which it goes on after it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cpclnet.episodes.prior_bodies import making_bodies, random_shapes
from napari_cpclnet.episodes.prior_classes import KINDS, Body
from napari_cpclnet.episodes.prior_episodes import ERRORS, PriorEpisode, PriorEpisodes
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.model.prior_decoder import PriorDecoder
from napari_cpclnet.model.prior_inputs import (
    decoder_facts,
    decoder_maps,
    grey_evidence,
    grey_logits,
    plane_distance,
)
from napari_cpclnet.model.weights import load_prior_decoder, save_weights
from napari_cpclnet.phantoms.settings import PhantomSettings
from napari_cpclnet.training.checkpoint import load_checkpoint, save_checkpoint
from napari_cpclnet.training.settings import PriorTrainingSettings

WEIGHTS = "prior_decoder.safetensors"
CHECKPOINT = "checkpoint.safetensors"
_SAVE_EVERY = 100
_BAND_MM = 14.0


@dataclass(frozen=True)
class PriorStep:
    """One step: its number of `total`, loss, and mean Dice of priors and of answers."""

    step: int
    total: int
    loss: float
    prior: float
    answer: float


@dataclass(frozen=True)
class PriorValidation:
    """Mean Dice on held-out phantoms, by kind of class and of prior.

    Of the prior, of grey-value refinement, of the first and of the second pass.
    """

    step: int
    table: dict[str, tuple[float, float, float, float]]


@dataclass(frozen=True)
class PhantomMade:
    """`done` of `total` phantoms are there."""

    done: int
    total: int


class PriorTrainer:
    """One run: decoder, its running mean, optimiser and random generators.

    Parameters
    ----------
    settings : PriorTrainingSettings
    bodies : list of Body
        All phantoms, the held-out ones last.
    """

    def __init__(self, settings: PriorTrainingSettings, bodies: list[Body]) -> None:
        self.settings = settings
        torch.manual_seed(settings.seed)
        self.model = PriorDecoder(settings.network)
        self.average = PriorDecoder(settings.network).eval()
        self.average.load_state_dict(self.model.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.rng = np.random.default_rng(settings.seed)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.step = 0
        self.episodes = PriorEpisodes(bodies[: -settings.held_out], self._shapes(), settings.sampling)
        self._held_out = bodies[-settings.held_out :]
        self._validation: list[PriorEpisode] = []

    def train_step(self) -> PriorStep:
        """Draw episodes and learn from them."""
        s = self.settings
        if s.shapes:  # a new anatomy each time
            self.episodes.shapes[self.step % s.shapes] = self._shape(self.step + s.shapes)
        drawn = self.episodes.batch(self.rng, self.generator, s.episodes)
        for group in self.optimiser.param_groups:
            group["lr"] = s.learning_rate * self._rate()
        self.model.train()
        logits = answer(self.model, drawn, None)
        loss = prior_loss(logits, drawn, s.harm)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        if self.rng.random() < s.second_pass:
            again = answer(self.model, drawn, [one.detach() for one in logits])
            torch.autograd.backward(prior_loss(again, drawn, s.harm))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(s.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
        before = float(np.mean([dice(one.distance > 0, one.truth) for one in drawn]))
        after = float(np.mean([dice(z > 0, one.truth) for z, one in zip(logits, drawn, strict=True)]))
        return PriorStep(self.step, s.steps, float(loss.detach()), before, after)

    def _shapes(self) -> list[Body]:
        """Those that the steps until now have left: the last ones that were made, each in its place."""
        count = self.settings.shapes
        made = {number % count: number for number in range(self.step, self.step + count)}
        return [self._shape(made[place]) for place in range(count)]

    def _shape(self, number: int) -> Body:
        """A nameless anatomy that depends on the seed and its number alone, so that no checkpoint needs to hold it."""
        seeds = np.random.SeedSequence([self.settings.seed, number])
        generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        return random_shapes(np.random.default_rng(seeds), generator)

    def _rate(self) -> float:
        s = self.settings
        left = (s.steps - self.step) / max(1.0, s.steps * s.decay)
        return float(min(1.0, (self.step + 1) / 50, max(left, 0.01)))

    @torch.no_grad()
    def validate(self) -> PriorValidation:
        """Measure the running mean of the weights on held-out phantoms, always on the same episodes."""
        rows: dict[str, list[tuple[float, float, float, float]]] = {}
        for one in self._validation or self._draw_validation():
            first = answer(self.average, [one], None)
            second = answer(self.average, [one], first)
            grey = grey_logits(one.distance, grey_evidence(one.images, one.distance, one.pixel_mm))
            four = tuple(
                dice(m, one.truth) for m in (one.distance > 0, grey > 0, first[0] > 0, second[0] > 0)
            )
            for key in (one.kind, one.error, "all"):
                rows.setdefault(key, []).append((four[0], four[1], four[2], four[3]))
        table = {}
        for key, values in sorted(rows.items()):
            means = [round(float(v), 4) for v in np.mean(values, 0)]
            table[key] = (means[0], means[1], means[2], means[3])
        return PriorValidation(self.step, table)

    def _draw_validation(self) -> list[PriorEpisode]:
        rng, generator = np.random.default_rng(99), torch.Generator().manual_seed(99)
        shapes = [random_shapes(rng, generator) for _ in range(4)]
        episodes = PriorEpisodes(self._held_out, shapes, self.settings.sampling)
        kinds = [*KINDS, *(["shape"] if self.settings.shapes else [])]
        for kind in kinds:
            for error in ERRORS:
                self._validation += episodes.batch(rng, generator, self.settings.validations, kind, error)
        return self._validation

    def save(self, path: Path) -> None:
        """Write the state to go on from."""
        save_checkpoint(path, self._modules(), self.optimiser, self.rng, self.generator, {"step": self.step})

    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "average": self.average}

    def load(self, path: Path) -> None:
        """Go on from where :meth:`save` was."""
        metadata = load_checkpoint(path, self._modules(), self.optimiser, self.rng, self.generator)
        self.step = int(metadata["step"])
        self.episodes.shapes[:] = self._shapes()


def train_prior_decoder(
    settings: PriorTrainingSettings, folder: Path, resume: bool = False, start: Path | None = None
) -> Iterator[PhantomMade | PriorStep | PriorValidation]:
    """Train in a folder; closing the iterator stops the run after the step in work, from where `resume` goes on.

    A run that was killed goes on from its last checkpoint; either way it ends in the weights of a run that was never
    stopped, on a CPU with the same number of threads.

    Parameters
    ----------
    settings : PriorTrainingSettings
    folder : Path
        Gets phantoms, checkpoint, ``validation.jsonl`` and `WEIGHTS`.
    resume : bool
        Go on from the folder's checkpoint, if there is one.
    start : Path, optional
        Weights to begin from.

    Raises
    ------
    OutputError, SettingsError, WeightsError
        If a file cannot be written, or is damaged.
    """
    phantoms = PhantomSettings(shape=settings.shape, spacing=settings.spacing)
    bodies = []
    for body in making_bodies(settings.phantoms, settings.seed, phantoms, folder / "phantoms"):
        bodies.append(body)
        yield PhantomMade(len(bodies), settings.phantoms)
    trainer = PriorTrainer(settings, bodies)
    if start is not None:
        _begin_from(trainer, start)
    checkpoint = folder / CHECKPOINT
    if resume and checkpoint.is_file():
        trainer.load(checkpoint)
    table: dict[str, Any] = {}
    while trainer.step < settings.steps:
        report = trainer.train_step()
        last = trainer.step == settings.steps
        judged = None
        if last or trainer.step % settings.validate_every == 0:
            judged = trainer.validate()
            table = judged.table
            _append(folder / "validation.jsonl", {"step": judged.step, **table})
        if last or trainer.step % _SAVE_EVERY == 0:
            metadata = {"settings": settings.model_dump(), "step": trainer.step, "validation": table}
            if start is not None:
                metadata["start"] = start.name
            save_weights(trainer.average, folder / WEIGHTS, metadata)
            trainer.save(checkpoint)  # last, so that what a kill cuts off is done again
        try:
            yield report
            if judged is not None:
                yield judged
        except GeneratorExit:
            trainer.save(checkpoint)
            raise


def answer(model: PriorDecoder, episodes: list[PriorEpisode], logits: list[Tensor] | None) -> list[Tensor]:
    """Logits (N, H, W) of each episode, from its prior or, as a second pass, from earlier `logits`."""
    maps, facts = [], []
    for i, one in enumerate(episodes):
        if logits is None:
            distance = one.distance
        else:
            distance = torch.from_numpy(plane_distance((logits[i] > 0).numpy(), one.pixel_mm))
        evidence = grey_evidence(one.images, distance, one.pixel_mm)
        maps.append(decoder_maps(one.images, distance, one.distance, one.rivals, evidence))
        told = decoder_facts(one.pixel_mm, one.context_mm, evidence.strength, one.error_mm)
        facts.append(told.repeat(len(one.images), 1))
    with torch.autocast("cpu", torch.bfloat16):
        found = model(torch.cat(maps).contiguous(memory_format=torch.channels_last), torch.cat(facts))
    return list(found.split([len(m) for m in maps]))


def prior_loss(logits: list[Tensor], episodes: list[PriorEpisode], harm: float) -> Tensor:
    """Mean over the episodes of cross-entropy near the outlines, Dice, and Dice lost against the prior."""
    losses = []
    for z, one in zip(logits, episodes, strict=True):
        truth = one.truth.float()
        near = (one.distance > -_BAND_MM) | one.truth
        weight = near.float() + 0.02
        entropy = F.binary_cross_entropy_with_logits(z, truth, weight, reduction="sum") / weight.sum()
        soft = torch.sigmoid(z)
        overlap = (2 * (soft * truth).sum() + 4) / (soft.sum() + truth.sum() + 4)
        before = dice(one.distance > 0, one.truth)
        losses.append(2 * entropy + (1 - overlap) + harm * F.relu(before - overlap))
    return torch.stack(losses).mean()


def dice(one: Tensor, other: Tensor) -> float:
    """Dice of two masks; 1 if both are empty."""
    both = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / both if both else 1.0


def _begin_from(trainer: PriorTrainer, start: Path) -> None:
    state = load_prior_decoder(start).state_dict()
    trainer.model.load_state_dict(state)
    trainer.average.load_state_dict(state)


def _append(path: Path, row: dict[str, Any]) -> None:
    old = path.read_text() if path.is_file() else ""
    with atomic_write(path, "the validation") as temporary:
        temporary.write_text(old + json.dumps(row) + "\n")
