"""The recipe of all bundled weights, from random values to the three files that ship.

    python benchmarks/weights/make.py --out runs                  # all of it, on a CPU some twelve hours
    python benchmarks/weights/make.py --out runs --minutes 60     # an hour of it; the same command goes on
    python benchmarks/weights/make.py --out runs --share 0.0001   # the same in little, to see that it works

The network in five stages, each with phantoms of its own: the first from random values, each further one from the one
before. Then the read-out of its encoder that registration compares trunks by, and the prior decoder. The files are put
into ``runs/weights``, with ``recipe.json``: seeds, settings and hashes of all stages, and versions,
and ``SHA256SUMS``, by which ``napari-cpclnet check`` knows them. Copy the four files that ship to the package together.
What is finished is not made again, and a run that was stopped or killed goes on where it was.

The network that ships was made in these stages, but phantoms and network were improved between them: see history.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anatomy_readout
import numpy as np
import torch

import napari_cpclnet
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.model import load_weights
from napari_cpclnet.model.weights import BUNDLED, SUMS, weights_hash
from napari_cpclnet.registration.readout import BUNDLED as READOUT
from napari_cpclnet.registration.readout import Readout, encoder_hash
from napari_cpclnet.training import EpochReport, TrainingSettings, train
from napari_cpclnet.training.prior_training import WEIGHTS as DECODER
from napari_cpclnet.training.prior_training import PriorValidation, train_prior_decoder
from napari_cpclnet.training.settings import PriorTrainingSettings


@dataclass(frozen=True)
class Stage:
    """One training run of the network: the stage it begins from, and how it differs from the default settings."""

    start: str | None
    changes: dict[str, Any] = field(default_factory=dict)


_CAREFUL = {"phantoms": 320, "learning_rate": 0.001}
STAGES = {
    "first": Stage(None),
    "second": Stage("first", _CAREFUL | {"seed": 2, "steps": 5400, "decay": 0.6}),
    "third": Stage("second", _CAREFUL | {"seed": 3, "steps": 5800, "decay": 0.6}),
    "fourth": Stage("third", _CAREFUL | {"seed": 4, "steps": 4800, "decay": 0.6}),
    "fifth": Stage("fourth", _CAREFUL | {"seed": 5, "steps": 4100, "decay": 0.6}),
}
PRIOR = PriorTrainingSettings()


class OutOfTimeError(Exception):
    """The minutes that were given are over; what is done is kept."""


@dataclass(frozen=True)
class Work:
    """Where to work, in what share of steps and phantoms, on what, and until when (of ``time.monotonic``)."""

    out: Path
    share: float
    device: str
    until: float

    def goes_on(self, reports: Iterator[Any]) -> Iterator[Any]:
        """The reports, as long as there is time; a run that is stopped writes its checkpoint."""
        with closing(reports):  # type: ignore[type-var]
            for report in reports:
                yield report
                if time.monotonic() > self.until:
                    raise OutOfTimeError


def weights_of(name: str, out: Path) -> Path:
    """Where a stage writes its last weights."""
    return out / name / "models" / "last_model.safetensors"


def settings_of(stage: Stage, share: float) -> TrainingSettings:
    """Settings of a stage; with a share below one, of a shorter run on fewer phantoms."""
    settings = TrainingSettings.model_validate(stage.changes)
    if share == 1:
        return settings
    steps = max(2, round(settings.steps * share))
    held_out = max(2, round(settings.held_out * share))
    shorter = settings.shortened(steps) | {
        "held_out": held_out,
        "phantoms": max(held_out + 2, round(settings.phantoms * share)),
        "validate_every": steps,
        "validation_batches": max(1, round(settings.validation_batches * share)),
    }
    return TrainingSettings.model_validate(stage.changes | shorter)


def prior_settings(share: float) -> PriorTrainingSettings:
    """Settings of the prior decoder's run, in the same way."""
    if share == 1:
        return PRIOR
    steps, held_out = max(2, round(PRIOR.steps * share)), max(1, round(PRIOR.held_out * share))
    shorter = {
        "steps": steps,
        "validate_every": steps,
        "held_out": held_out,
        "phantoms": max(held_out + 1, round(PRIOR.phantoms * share)),
        "validations": max(1, round(PRIOR.validations * share)),
    }
    return PRIOR.model_copy(update=shorter)


def make_network(name: str, work: Work) -> Path:
    """Train one stage, after those that it begins from; returns its weights."""
    stage = STAGES[name]
    start = make_network(stage.start, work) if stage.start is not None else None
    found = weights_of(name, work.out)
    settings = settings_of(stage, work.share)
    if found.is_file() and load_weights(found).metadata.get("steps") == settings.steps:
        return found
    reports = train(settings, work.out / name, resume=True, start=start, device=work.device)
    for report in work.goes_on(reports):
        if isinstance(report, EpochReport):
            print(f"{name}: step {report.step}, {report.validation}", flush=True)
    return found


def make_readout(network: Path, work: Work) -> Path:
    """Fit the read-out of the network's encoder, unless it is there."""
    found = work.out / "readout" / READOUT
    if not (found.is_file() and Readout.load(found).encoder == encoder_hash(load_weights(network))):
        anatomy_readout.make_readout(network, found, readout_phantoms(work.share))
    return found


def readout_phantoms(share: float) -> int:
    """Phantoms that the read-out is fitted on."""
    return max(1, round(anatomy_readout.PHANTOMS * share))


def make_decoder(work: Work) -> Path:
    """Train the prior decoder."""
    folder = work.out / "prior_decoder"
    for report in work.goes_on(train_prior_decoder(prior_settings(work.share), folder, resume=True)):
        if isinstance(report, PriorValidation):
            print(f"prior decoder: step {report.step}, {report.table['all']}", flush=True)
    return folder / DECODER


def put_together(last: str, files: dict[str, Path], work: Work) -> Path:
    """Copy the files that ship to one folder, and write what they were made by beside them."""
    folder = work.out / "weights"
    for name, path in files.items():
        with atomic_write(folder / name, "the weights") as temporary:
            temporary.write_bytes(path.read_bytes())
    stages, name = [], last
    while name:
        settings = settings_of(STAGES[name], work.share)
        stages.append(
            {
                "stage": name,
                "begins_from": STAGES[name].start,
                "seed": settings.seed,
                "hash": weights_hash(weights_of(name, work.out)),
                "settings": settings.model_dump(mode="json"),
            }
        )
        name = STAGES[name].start or ""
    prior = prior_settings(work.share)
    recipe = {
        "command": "python benchmarks/weights/make.py --out DIR"
        + (f" --share {work.share}" if work.share != 1 else ""),
        "network": stages[::-1],
        "prior_decoder": {"seed": prior.seed, "settings": prior.model_dump(mode="json")},
        "readout": {"seed": anatomy_readout.SEED, "phantoms": readout_phantoms(work.share)},
        "files": {name: weights_hash(folder / name) for name in files},
        "versions": {
            "napari-cpclnet": napari_cpclnet.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    with atomic_write(folder / "recipe.json", "the recipe") as temporary:
        temporary.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(files)]
    with atomic_write(folder / SUMS, "the checksums") as temporary:
        temporary.write_text("".join(sums), encoding="ascii")
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    last = list(STAGES)[-1]
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--share", type=float, default=1.0, help="share of steps and phantoms, to try it out")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many minutes")
    parser.add_argument("--last", choices=STAGES, default=last, help="make the network up to this stage only")
    parser.add_argument(
        "--device", default="auto", help="of the network; the prior decoder is made on the CPU"
    )
    options = parser.parse_args(arguments)
    if not 0 < options.share <= 1:
        parser.error("--share is a number above 0, up to 1")
    until = time.monotonic() + 60 * options.minutes
    work = Work(options.out, options.share, options.device, until)
    try:
        network = make_network(options.last, work)
        files = {BUNDLED: network, READOUT: make_readout(network, work), DECODER: make_decoder(work)}
    except OutOfTimeError:
        print("Stopped; the same command goes on.")
        return 1
    print(f"Weights: {put_together(options.last, files, work)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
