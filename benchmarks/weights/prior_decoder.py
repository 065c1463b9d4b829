"""The recipe of the prior decoder's bundled weights.

    python benchmarks/weights/prior_decoder.py --out RUN                      # all of it
    python benchmarks/weights/prior_decoder.py --out RUN --minutes 20         # stop after so long ...
    python benchmarks/weights/prior_decoder.py --out RUN --resume             # ... and go on
    python benchmarks/weights/prior_decoder.py --out NEXT --start RUN/prior_decoder.safetensors --seed 2

Phantoms are made in the run's folder; a run can be stopped at any time. Prints one step in fifty, and each validation:
mean Dice of priors, grey-value refinement, and the decoder's first and second pass, by kind of class and of prior.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from napari_cpclnet.training.prior_training import PriorStep, PriorValidation, train_prior_decoder
from napari_cpclnet.training.settings import PriorTrainingSettings


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many minutes")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    parser.add_argument("--start", type=Path, help="weights to begin from")
    parser.add_argument("--steps", type=int, default=PriorTrainingSettings().steps)
    parser.add_argument("--seed", type=int, default=PriorTrainingSettings().seed)
    parser.add_argument("--phantoms", type=int, default=PriorTrainingSettings().phantoms)
    parser.add_argument("--learning-rate", type=float, default=PriorTrainingSettings().learning_rate)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    settings = PriorTrainingSettings(
        steps=options.steps, seed=options.seed, phantoms=options.phantoms, learning_rate=options.learning_rate
    )
    began = time.monotonic()
    recent: list[PriorStep] = []
    for report in train_prior_decoder(settings, options.out, options.resume, options.start):
        passed = (time.monotonic() - began) / 60
        if isinstance(report, PriorStep):
            recent.append(report)
            if report.step % 50 == 0:
                loss, prior, answer = (
                    sum(getattr(r, name) for r in recent) / len(recent)
                    for name in ("loss", "prior", "answer")
                )
                recent.clear()
                print(
                    f"{passed:5.1f} min, step {report.step} of {report.total}: loss {loss:.3f}, "
                    f"prior {prior:.3f}, answer {answer:.3f}",
                    flush=True,
                )
        elif isinstance(report, PriorValidation):
            for key, values in report.table.items():
                print(f"  {key:10s} " + " ".join(f"{v:.3f}" for v in values), flush=True)
        if passed > options.minutes:
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
