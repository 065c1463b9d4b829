"""A training run in a folder: the one way to train, for the command line, the panel and programs.

The folder holds, each written whole::

    settings.yaml                     everything that was chosen
    training_log.csv                  losses, Dice and validation
    visualizations/epoch_001.png      a held-out episode after every validation
    models/best_model.safetensors     the averaged weights of the best validation
    models/last_model.safetensors     the averaged weights of the last validation
    folds.csv                         which labelled scans are for validation only
    checkpoint.safetensors            what a stopped run goes on from
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from napari_cpclnet._version import __version__
from napari_cpclnet.errors import OutputError, SettingsError, WeightsError
from napari_cpclnet.files.folder_lock import only_here
from napari_cpclnet.model import CPCLNet, choose_device, load_weights, save_weights
from napari_cpclnet.training.checkpoint import read_run_state
from napari_cpclnet.training.fabric import make_fabric
from napari_cpclnet.training.pictures import write_picture
from napari_cpclnet.training.preparation import (
    PICTURES,
    Given,
    consumed,
    prepare_sources,
)
from napari_cpclnet.training.reports import EpochReport, StepReport, TrainingReport
from napari_cpclnet.training.settings import TrainingSettings
from napari_cpclnet.training.settings_file import (
    CHECKPOINT,
    SETTINGS,
    read_settings,
    validated,
    write_settings,
)
from napari_cpclnet.training.trainer import Trainer
from napari_cpclnet.training.training_log import TimeRemaining, TrainingLog

LOG = "training_log.csv"

_PLACES = ("data_root", "labels")

FINE_TUNING_RATE = 1e-4
"""Learning rate where training begins with weights."""

MAY_CHANGE = frozenset({"steps", "validate_every", "validation_batches", "precision"})
"""Settings that may be others when a run goes on."""


def train(
    settings: TrainingSettings | None,
    out: Path,
    *,
    data_root: Path | None = None,
    labels: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    start: Path | None = None,
) -> Generator[TrainingReport, None, None]:
    """Train, and write everything that comes of it to a folder.

    Closing the generator stops the run after the step in work; it writes a checkpoint to go on from. A run that was
    killed goes on from its last validation. Either way the final weights are those of a run that was never stopped
    (on a CPU to the last bit, with the same number of threads).

    Parameters
    ----------
    settings : TrainingSettings or None
        None takes the defaults, or those of the run that is gone on with.
    out : Path
        Folder of the run; made if it is missing.
    data_root : Path, optional
        Folder of unlabelled scans to learn from, beside the phantoms unless these have weight 0.
    labels : Path, optional
        Labelled scans to learn from: a table of cases, or a folder with ``images`` and ``masks``. Patients of the fold
        that the settings name, or a tenth of all, only judge the run, and are in no other source either.
    resume : bool
        Go on with the run in `out`, if there is one.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    devices : int
        CUDA devices, or processes on the CPU, that train together, each on batches of its own. More than one is for
        commands only: every further process runs the same command again, and yields nothing.
    nodes : int
        Machines that train together, each with so many devices; see :func:`.fabric.make_fabric`.
        All need `out` and the data at the same place.
    start : Path, optional
        Weights to begin with; the network and its preprocessing are theirs.

    Yields
    ------
    PreparationReport, StepReport, EpochReport

    Raises
    ------
    OutputError
        If `out` holds a run already and `resume` is not set, or cannot be written.
    SettingsError
        If the settings fit neither each other nor the run that is gone on with.
    WeightsError
        If weights or checkpoint are damaged or belong to another network.
    ImageError
        If no scan of the data folder, or none of the labelled ones, can be used.
    DeviceError
        If the device does not exist.
    """
    chosen = choose_device(device)
    checkpoint = out / CHECKPOINT
    going_on = checkpoint.is_file()
    if going_on and not resume:
        raise OutputError(
            f"{out}: holds a training run already; go on with it (--resume) or choose another folder."
        )
    if going_on:
        settings, begun = _settings_of(out, settings), None
    else:
        settings = settings or TrainingSettings()
        begun = load_weights(start) if start else None
        if begun is not None:
            settings = _fitting(settings, begun, str(start))
    given = Given(data_root, labels)
    if going_on:
        given = _remembered(checkpoint, given)
    fabric = make_fabric(chosen, settings.precision, devices, nodes)
    with only_here(out, "a training run") if fabric.is_global_zero else nullcontext():
        yield from _train(settings, out, given, checkpoint if going_on else None, begun, fabric)


def _train(
    settings: TrainingSettings,
    out: Path,
    given: Given,
    checkpoint: Path | None,
    begun: CPCLNet | None,
    fabric: Fabric,
) -> Generator[TrainingReport, None, None]:
    """Train from a checkpoint, from weights, or from random ones."""
    chosen = fabric.device
    preparation = prepare_sources(settings, out, given, chosen, checkpoint is not None)
    if fabric.is_global_zero:
        sources = yield from preparation
        fabric.barrier()
    else:
        fabric.barrier()  # what the sources are read from is made by the first process
        sources = consumed(preparation)
    trainer = Trainer(settings, sources, chosen, begun, fabric)
    run_state: dict[str, Any] = {"started_from": begun.metadata["hash"] if begun else None}
    if checkpoint is not None:
        run_state = trainer.resume(checkpoint)
    fabric.barrier()
    if not fabric.is_global_zero:
        for _ in trainer.run():
            pass
        return
    run_state |= {
        name: str(place.resolve()) for name in _PLACES if (place := getattr(given, name)) is not None
    }
    run = _Run(out, trainer, run_state)
    write_settings(settings, out / SETTINGS)
    if checkpoint is None:
        run.save()
    yield from run.reports()


class _Run:
    """A trainer and the files it writes."""

    def __init__(self, out: Path, trainer: Trainer, run_state: dict[str, Any]) -> None:
        self.out = out
        self.trainer = trainer
        self.origin = {name: run_state.get(name) for name in ("started_from", *_PLACES)}
        self.best = float(run_state.get("best", -1.0))
        s = trainer.settings
        self.fold = f"{s.fold}/{s.folds}" if s.folds is not None else ""
        self.log = TrainingLog(out / LOG, run_state, trainer.step, self.fold)
        self.pace = TimeRemaining(trainer.anatomy_steps, trainer.settings.steps)

    def reports(self) -> Iterator[TrainingReport]:
        steps, warm = self.trainer.run(), False
        while True:
            begun = time.monotonic()
            report = next(steps, None)
            if report is None:
                return
            seconds = time.monotonic() - begun
            self.log.add(report, seconds)
            if warm:  # the first step builds the network, too
                self.pace.add(report.step, seconds)
            warm = True
            report = replace(report, seconds_left=self.pace.left(report.step))
            # files first: whoever stops at the report of a step loses none of them
            epoch = self._epoch(report) if report.validation else None
            try:
                yield report
                if epoch is not None:
                    yield epoch
            except GeneratorExit:
                self.save()
                raise

    def save(self) -> None:
        """Write the checkpoint."""
        run_state = {**self.log.run_state, "best": self.best, **self.origin}
        self.trainer.save(self.out / CHECKPOINT, run_state)

    def _epoch(self, report: StepReport) -> EpochReport:
        """Write what belongs to a validation; the checkpoint last, so that what a kill cuts off is done again."""
        settings = self.trainer.settings
        epoch = math.ceil(report.step / settings.validate_every)
        dice = report.validation["dice"]
        picture = self.out / PICTURES / f"epoch_{epoch:03d}.png"
        write_picture(self.trainer.example(), f"step {report.step}", picture)
        best, last = (self.out / "models" / f"{name}_model.safetensors" for name in ("best", "last"))
        metadata = self._metadata(report)
        save_weights(self.trainer.ema, last, metadata)
        score = 0.0 if math.isnan(dice) else dice
        if score > self.best:
            self.best = score
            save_weights(self.trainer.ema, best, metadata)
        means = self.log.take_epoch()
        self.save()
        return EpochReport(
            epoch,
            report.step,
            {name: value for name, value in means.items() if name != "dice"},
            means.get("dice", math.nan),
            report.validation,
            picture,
            best,
            report.seconds_left,
        )

    def _metadata(self, report: StepReport) -> dict[str, object]:
        settings = self.trainer.settings
        return {
            "preprocessing": settings.preprocessing.model_dump(),
            "recipe": settings.model_dump(exclude={"network", "preprocessing"}),
            "seed": settings.seed,
            "steps": report.step,
            "sources": [source.origin for source in self.trainer.sources],
            "fold": self.fold,
            "started_from": self.origin["started_from"],
            # no nan in JSON
            "validation": {k: round(v, 4) for k, v in report.validation.items() if not math.isnan(v)},
            "versions": {
                "napari-cpclnet": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }


def _remembered(checkpoint: Path, given: Given) -> Given:
    """Where a run finds its scans, unless another place is given now."""
    run_state = read_run_state(checkpoint)
    theirs = {name: Path(run_state[name]) for name in _PLACES if run_state.get(name)}
    return Given(**{name: getattr(given, name) or theirs.get(name) for name in _PLACES})


def _settings_of(out: Path, asked: TrainingSettings | None) -> TrainingSettings:
    """Settings of the run in `out`, with those changes that a run in progress allows."""
    path = out / SETTINGS
    if not path.is_file():
        if asked is None:
            raise SettingsError(f"{path}: is missing; give the settings of the run to go on with it.")
        return asked
    saved = read_settings(path)
    if asked is None:
        return saved
    changed = [n for n in type(saved).model_fields if getattr(saved, n) != getattr(asked, n)]
    fixed = [name for name in changed if name not in MAY_CHANGE]
    if fixed:
        raise SettingsError(
            f"{path}: the run was begun with another setting '{fixed[0]}'; go on without settings, or begin a new run."
        )
    return asked


def _fitting(settings: TrainingSettings, start: CPCLNet, where: str) -> TrainingSettings:
    """Settings with the network and the preprocessing of the weights that training begins with.

    The default learning rate is that of random weights and destroys trained ones: unless one is asked for, a
    careful one takes its place.
    """
    theirs = {"network": start.settings.model_dump(), "preprocessing": start.metadata.get("preprocessing")}
    if theirs["preprocessing"] is None:
        raise WeightsError(
            f"{where}: does not say how scans were prepared for it, so it cannot be trained on."
        )
    content = settings.model_dump() | theirs
    if "learning_rate" not in settings.model_fields_set:
        content["learning_rate"] = FINE_TUNING_RATE
    size = {"size": "min_size", "mm_per_pixel": "mm_per_pixel"}
    content["episodes"] |= {ours: theirs["preprocessing"][key] for ours, key in size.items()}
    found = validated(content, where)
    for name in theirs:
        if name in settings.model_fields_set and getattr(settings, name) != getattr(found, name):
            raise SettingsError(f"{where}: comes with its own '{name}'; leave it out of the settings.")
    return found
