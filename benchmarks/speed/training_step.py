"""Where the time of a training step goes: the network (forward, backward, optimiser) or the making of its data.

    python benchmarks/speed/training_step.py                        # phantoms, the recipe's sizes
    python benchmarks/speed/training_step.py --data-root SCANS --steps 100 --device cuda
    python benchmarks/speed/training_step.py --settings FILE --encoder-alone

Prints seconds per step and shares of both. Goal: the network takes at least 90 % of a step.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from napari_cpclnet.episodes.episode import EpisodeBatch, EpisodeSource
from napari_cpclnet.episodes.phantom_dataset import make_stack
from napari_cpclnet.episodes.prepared_scans import open_scan, prepare_scans
from napari_cpclnet.imaging import find_scans
from napari_cpclnet.model import choose_device
from napari_cpclnet.training import Trainer, TrainingSettings, read_settings
from napari_cpclnet.training.sources import Source, phantom_source, scan_source

WARM_UP = 5


class Timed:
    """A source that keeps the seconds of every batch."""

    def __init__(self, source: EpisodeSource, device: torch.device) -> None:
        self.source = source
        self.device = device
        self.seconds: list[float] = []

    def batch(self, rng: np.random.Generator, generator: torch.Generator) -> EpisodeBatch:
        begun = now(self.device)
        batch = self.source.batch(rng, generator)
        self.seconds.append(now(self.device) - begun)
        return batch


def now(device: torch.device) -> float:
    """The time when the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()


def source_of(arguments: argparse.Namespace, settings: TrainingSettings, device: torch.device) -> Source:
    with tempfile.TemporaryDirectory() as folder:
        if arguments.data_root is None:
            path = Path(folder) / "phantoms.safetensors"
            return phantom_source(make_stack(settings.phantoms, settings.seed, path), settings, device)
    # the files of scans are read during training
    prepared = prepare_scans(find_scans(arguments.data_root), arguments.folder, settings.preprocessing)
    scans = [open_scan(path) for _, path, _ in prepared if path is not None]
    return scan_source(scans, settings, device)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, help="folder of scans; phantoms where missing")
    parser.add_argument("--folder", type=Path, default=Path("outputs/scans"), help="of prepared scans")
    parser.add_argument("--settings", type=Path, help="YAML with settings that differ from the defaults")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print a line of JSON")
    parser.add_argument("--encoder-alone", action="store_true", help="measure the steps at the start")
    arguments = parser.parse_args()

    device = choose_device(arguments.device)
    settings = read_settings(arguments.settings) if arguments.settings else TrainingSettings()
    total = arguments.steps + WARM_UP
    # neither a validation nor the end may come
    changes = {"steps": 2 * total, "validate_every": 3 * total, "phantoms": 12, "held_out": 2}
    changes["anatomy_steps"] = 2 * total if arguments.encoder_alone else 0
    settings = settings.model_copy(update=changes)
    source = source_of(arguments, settings, device)
    timed = Timed(source.train, device)
    trainer = Trainer(
        settings, [Source(source.name, timed, source.held_out, 1.0, anatomy=source.anatomy)], device
    )
    steps: list[float] = []
    computing = 0.0
    begun = now(device)
    for report in trainer.run():
        ended = now(device)
        steps.append(ended - begun)
        begun = ended
        if report.step == WARM_UP:
            computing = time.process_time()
        if report.step == total:
            break
    computing = (time.process_time() - computing) / arguments.steps
    step, data = np.mean(steps[WARM_UP:]), np.mean(timed.seconds[WARM_UP:])
    network = 1 - data / step
    if arguments.json:
        print(json.dumps({"step, s": step, "data, s": data, "computing a step, s": computing}))
        return
    print(f"{source.name} on {device}, {torch.get_num_threads()} threads, {arguments.steps} steps")
    print(f"step     {1000 * step:8.1f} ms")
    print(f"network  {1000 * (step - data):8.1f} ms  {100 * network:5.1f} %")
    print(f"data     {1000 * data:8.1f} ms  {100 * (1 - network):5.1f} %")
    print("goal of 90 % network:", "met" if network >= 0.9 else "missed")


if __name__ == "__main__":
    main()
