"""What each part of the method is worth: the same short training without it, judged on the same real scans.

    python benchmarks/ablation/run.py --out runs                   # trains what is missing, writes README.md
    python benchmarks/ablation/run.py --out runs --steps 2000 --only full "without RAMP"

Every variant begins with the same encoder, which learned nothing but to name structures of phantoms, and the same
random values of everything else; it has the same seed, phantoms and number of steps, far fewer than the bundled weights
have: the table compares variants with each other and with nothing else. A stopped run goes on where it was. Scans come
from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "accuracy"))

from ct_to_mr import DEFAULT_DATA, all_pairs, run_pair  # noqa: E402

from napari_cpclnet.files.atomic import atomic_write  # noqa: E402
from napari_cpclnet.model import CPCLNet, load_weights, save_weights  # noqa: E402
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter  # noqa: E402
from napari_cpclnet.training import EpochReport, TrainingSettings, train  # noqa: E402

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "without CMDA": {"network": {"alignment": False}},
    "without CRPD (masked means only)": {
        "network": {"foreground_descriptors": 1, "ring_descriptors": 1, "background_descriptors": 1}
    },
    "without RAMP (plain affinity)": {"network": {"blocks": 0}},
    "without consistency": {"loss": {"consistency": 0.0}},
    "without appearance (one scanner for both sides)": {"episodes": {"same_scanner": 1.0}},
    "without absent queries": {"episodes": {"anywhere": 0.0}},
    "without levels of lines": {"true_level_share": 0.0, "no_level_share": 0.0},
    "without random shapes": {"sources": {"shapes": 0.0}},
}


def settings_of(variant: str, steps: int, phantoms: int) -> TrainingSettings:
    """The recipe after its anatomy steps, shortened, without one part."""
    recipe = TrainingSettings()
    content = {
        "steps": steps,
        "phantoms": phantoms,
        "validate_every": steps,
        "learning_rate": recipe.learning_rate,
    }
    return TrainingSettings.model_validate(content | VARIANTS[variant])


def folder_of(name: str, out: Path) -> Path:
    return out / "".join(c if c.isalnum() else "-" for c in name)


def named(out: Path, steps: int, phantoms: int) -> Path:
    """Weights whose encoder has learned to name structures, and nothing else has learned anything."""
    settings = TrainingSettings(steps=steps, anatomy_steps=steps, phantoms=phantoms, validate_every=steps)
    return run(settings, folder_of("naming", out), None)


def begun(variant: str, out: Path, naming: Path, settings: TrainingSettings) -> Path:
    """Weights that a variant begins with: those of `naming` wherever it has such a part."""
    common = load_weights(naming)
    torch.manual_seed(settings.seed)
    model = CPCLNet(settings.network)
    own = model.state_dict()
    own.update({n: v for n, v in common.state_dict().items() if n in own and own[n].shape == v.shape})
    model.load_state_dict(own)
    path = folder_of(variant, out) / "start.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(model, path, {"preprocessing": common.metadata["preprocessing"]})
    return path


def run(settings: TrainingSettings, folder: Path, start: Path | None) -> Path:
    """Train in a folder, or go on there."""
    for report in train(settings, folder, resume=True, start=start):
        if isinstance(report, EpochReport):
            print(f"{folder.name}: step {report.step}, {report.validation}", flush=True)
    return folder / "models" / "last_model.safetensors"


def trained(variant: str, out: Path, steps: int, naming_steps: int, phantoms: int) -> tuple[Path, float]:
    """Weights of a variant and its Dice on held-out phantoms; trained if need be."""
    settings = settings_of(variant, steps, phantoms)
    naming = named(out, naming_steps, phantoms)
    made = f"phantoms-{settings.seed}-{phantoms}.safetensors"  # the same for all: made once
    start = begun(variant, out, naming, settings)
    if not (start.parent / made).exists():
        os.link(folder_of("naming", out) / made, start.parent / made)
    weights = run(settings, start.parent, start)
    found = load_weights(weights).metadata["validation"]
    return weights, float(found.get("dice_phantoms", found["dice"]))


def judged(weights: Path, data: Path) -> dict[str, float]:
    """Mean Dice of every direction on real scans, by the network alone."""
    segmenter = Segmenter(load_weights(weights), SegmentationSettings(align=False))
    return {
        direction: float(
            np.mean([np.mean(list(run_pair(segmenter, *pair, None, 5).network.values())) for pair in pairs])
        )
        for direction, pairs in all_pairs(data, 0).items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=1200, help="steps of every variant")
    parser.add_argument(
        "--naming-steps", type=int, default=1500, help="steps in which the encoder learns to name"
    )
    parser.add_argument("--phantoms", type=int, default=64, help="phantoms of every variant")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="some variants")
    parser.add_argument("--readme", type=Path, default=HERE / "README.md", help="file to write")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), help="test data"
    )
    options = parser.parse_args(arguments)
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=10"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    lines: list[str] = []
    for variant in options.only:
        weights, phantom = trained(
            variant, options.out, options.steps, options.naming_steps, options.phantoms
        )
        found = judged(weights, options.data)
        if not lines:
            lines = [
                "# Ablation",
                "",
                f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, {options.steps} steps on {options.phantoms} phantoms, "
                f"one seed, after {options.naming_steps} steps of naming that all have in common. Mean 3-D Dice of "
                "four organs on real scans by the network alone, honest protocol, five painted slices, four pairs a "
                "direction. Written by `python benchmarks/ablation/run.py --out DIR`.",
                "",
                f"| variant | phantoms | {' | '.join(found)} | mean |",
                "|" + " --- |" * (len(found) + 3),
            ]
        cells = " | ".join(f"{value:.3f}" for value in found.values())
        lines.append(f"| {variant} | {phantom:.3f} | {cells} | {np.mean(list(found.values())):.3f} |")
        print(lines[-1], flush=True)
        with atomic_write(options.readme, "the table") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
