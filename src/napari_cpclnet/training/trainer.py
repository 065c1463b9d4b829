"""Training on episodes, as a generator of reports.

Whoever consumes :meth:`Trainer.run` decides how long it goes on; stopping between two reports loses nothing, since
:meth:`Trainer.save` can be called at any of them and a new trainer resumes from there to the same weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from napari_cpclnet.episodes.episode import EpisodeBatch
from napari_cpclnet.model import CPCLNet
from napari_cpclnet.training.checkpoint import load_checkpoint, save_checkpoint
from napari_cpclnet.training.fabric import make_fabric
from napari_cpclnet.training.objective import AnatomyHeads, Objective
from napari_cpclnet.training.reports import StepReport
from napari_cpclnet.training.settings import TrainingSettings
from napari_cpclnet.training.sources import Source
from napari_cpclnet.training.validation import Example, example, validation_scores

_LABELS = "labels"
"""Source that judges where it is there: organs of patients, where others show phantoms, shapes or regions."""


class Trainer:
    """Trains a network on episodes.

    Parameters
    ----------
    settings : TrainingSettings
    sources : sequence of Source
        At least one; those of weight 0 are left out.
    device : torch.device
    start : CPCLNet, optional
        Weights to begin with, of the network that the settings describe; random ones where missing.
    fabric : Fabric, optional
        For several devices: every process has a trainer, all draw batches of their own and have the same weights, and
        only the first judges them.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        sources: Sequence[Source],
        device: torch.device,
        start: CPCLNet | None = None,
        fabric: Fabric | None = None,
    ) -> None:
        self.settings = settings
        self.device = device
        self.sources = [source for source in sources if source.weight > 0]
        torch.manual_seed(settings.seed)
        self.model = CPCLNet(settings.network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            self.model.load_state_dict(start.state_dict())
        self.heads = AnatomyHeads(settings.network.channels, settings.network.skip_channels).to(device)
        self.ema = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.objective = Objective(self.model, self.heads, settings.loss)
        self.optimiser = torch.optim.AdamW(
            self.objective.parameters(),
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=(0.9, 0.98),
        )
        self._fabric = fabric or make_fabric(device, settings.precision)
        self._wrapped, self._stepper = self._fabric.setup(self.objective, self.optimiser)
        self.rng = np.random.default_rng(settings.seed)
        self.generator = torch.Generator(device).manual_seed(settings.seed)
        named = any(source.anatomy for source in self.sources)
        self.anatomy_steps = settings.anatomy_steps if named and start is None else 0
        # fresh heads on trained weights would tear at the encoder before they name anything
        self.naming_steps = settings.warmup if start is not None else 0
        self.step = 0

    def learning_rate(self, step: int) -> float:
        """Warm-up, plateau, cosine to zero; the warm-up is repeated after the anatomy steps."""
        s = self.settings
        left = (s.steps - step) / (s.decay * s.steps)
        fall = 0.5 * (1 - math.cos(math.pi * min(1.0, max(0.0, left))))
        # what joins after the anatomy warms up afresh
        begun = step - self.anatomy_steps if step >= self.anatomy_steps else step
        return s.learning_rate * min(1.0, (begun + 1) / s.warmup) * fall

    def run(self) -> Iterator[StepReport]:
        """Train from the present step to the last one, one report per step.

        With several devices, closing it in the first process ends it in all of them.
        """
        try:
            yield from self._steps()
        except GeneratorExit:
            self._go_on(False)
            raise

    def _steps(self) -> Iterator[StepReport]:
        while self.step < self.settings.steps and self._go_on(True):
            self._reseed_rank()
            for group in self.optimiser.param_groups:
                group["lr"] = self.learning_rate(self.step)
            self.objective.train()
            few_shot = self.step >= self.anatomy_steps
            batch = self._draw(few_shot)
            levels = self._levels(batch) if few_shot else None
            naming = self.step < self.naming_steps
            losses, dice = self._wrapped(vars(batch), few_shot, levels, naming)
            self._stepper.zero_grad()
            self._fabric.backward(losses["total"])
            self._fabric.clip_gradients(
                self._wrapped, self._stepper, max_norm=self.settings.clip, error_if_nonfinite=False
            )
            self._stepper.step()
            self.step += 1
            self._average()
            due = self.step % self.settings.validate_every == 0 or self.step == self.settings.steps
            yield StepReport(
                self.step,
                self.settings.steps,
                {k: float(v.detach()) for k, v in losses.items()},
                float(dice),
                self.validate() if due and self._fabric.is_global_zero else {},
            )

    def _go_on(self, asked: bool) -> bool:
        """What the first process asks for; all processes must call this."""
        if self._fabric.world_size == 1:
            return asked
        flag = torch.tensor([int(asked)], device=self._fabric.device)
        torch.distributed.broadcast(flag, 0)
        return bool(flag.item())

    def _reseed_rank(self) -> None:
        """Give every process but the first its own randomness, which no checkpoint needs to hold."""
        rank = self._fabric.global_rank
        if rank:
            seeds = np.random.SeedSequence([self.settings.seed, rank, self.step])
            self.rng = np.random.default_rng(seeds)
            self.generator.manual_seed(int(seeds.generate_state(1)[0]))

    def _draw(self, few_shot: bool) -> EpisodeBatch:
        """The next batch; only from sources that name structures while the encoder alone learns."""
        sources = [source for source in self.sources if few_shot or source.anatomy]
        chosen = sources[0]
        if len(sources) > 1:
            weights = np.array([source.weight for source in sources])
            chosen = sources[int(self.rng.choice(len(sources), p=weights / weights.sum()))]
        return chosen.train.batch(self.rng, self.generator)

    def _levels(self, batch: EpisodeBatch) -> Tensor | None:
        """Levels of all slices to segment with, or None where the network's own are to do.

        Unknown ones (nan), or as good as those of a line through a scan.
        """
        unknown = self.rng.random() < self.settings.no_level_share
        if unknown or batch.support_levels is None or batch.query_levels is None:
            slices = len(batch.support) * (batch.support.shape[1] + batch.query.shape[1])
            return torch.full((slices,), torch.nan, device=batch.support.device)
        if self.rng.random() >= self.settings.true_level_share:
            return None
        levels = torch.cat([batch.support_levels.flatten(), batch.query_levels.flatten()])
        error = self.rng.normal(0, self.settings.level_noise, len(levels)).astype(np.float32)
        return levels + torch.from_numpy(error).to(levels.device)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.ema, self.step / (self.step + 20))
        new = dict(self.model.named_parameters())
        for name, old in self.ema.named_parameters():
            old.lerp_(new[name], 1 - decay)

    def validate(self) -> dict[str, float]:
        """Judge the averaged weights on held-out episodes, five support slices each.

        Where there are labelled scans they alone say how good the weights are, else all sources do.
        """
        batches = self.settings.validation_batches
        each = {s.name: validation_scores(self.ema, s.held_out, batches, self.device) for s in self.sources}
        if len(each) == 1:
            return next(iter(each.values()))
        asked = [each[_LABELS]] if _LABELS in each else list(each.values())
        found = {key: _mean([one[key] for one in asked]) for key in ("dice", "false")}
        return found | {f"{key}_{name}": value for name, one in each.items() for key, value in one.items()}

    def example(self) -> Example:
        """A held-out episode of the last source with the answer of the averaged weights."""
        return example(self.ema, self.sources[-1].held_out, self.device)

    def save(self, path: Path, run_state: dict[str, Any] | None = None) -> None:
        """Write a checkpoint from which :meth:`resume` goes on to the same weights.

        Parameters
        ----------
        path : Path
        run_state : dict, optional
            What else belongs to the run and can be written as JSON.
        """
        own = {name: getattr(self, name) for name in ("step", "anatomy_steps", "naming_steps")}
        # fp16 scales its losses, by a factor that it finds as it goes
        run_state = {**(run_state or {}), **own, "precision": self._fabric.strategy.precision.state_dict()}
        save_checkpoint(path, self._modules, self.optimiser, self.rng, self.generator, run_state)

    def resume(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint of :meth:`save`; returns the state of the run.

        Raises
        ------
        WeightsError
            If the file is damaged or belongs to a run with another network.
        """
        run_state = load_checkpoint(path, self._modules, self.optimiser, self.rng, self.generator)
        self._fabric.strategy.precision.load_state_dict(run_state.get("precision", {}))
        self.step = int(run_state["step"])
        for name in ("anatomy_steps", "naming_steps"):
            setattr(self, name, int(run_state.get(name, getattr(self, name))))
        return run_state

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, "heads": self.heads, "ema": self.ema}


def _mean(values: Sequence[float]) -> float:
    """Mean of what is known; nan where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
