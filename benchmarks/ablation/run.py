"""What each part of the network is worth: trained on for a little with and without it, judged on real scans.

    python benchmarks/ablation/run.py --out runs                             # trains what is missing, writes README.md
    python benchmarks/ablation/run.py --out runs --seeds 2 --readme two.md   # a seed in a process of its own

Every variant begins with the bundled weights of the parts that it has, and goes on training, all with the same
phantoms, seed by seed, and the same number of steps: what is lost after the rest had time to make up for it. Rates are
low and fall to zero, so that the whole method ends near where it began whatever the seed. What only training has, such
as the loss of consistency, cannot be judged so: trained weights do not lose it. A stopped run goes on where it was, and
what was judged is not judged again. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
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
from table import current_commit  # noqa: E402

from napari_cpclnet.files.atomic import atomic_write  # noqa: E402
from napari_cpclnet.model import CPCLNet, load_weights, save_weights  # noqa: E402
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter  # noqa: E402
from napari_cpclnet.training import EpochReport, TrainingSettings, train  # noqa: E402

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "with CMDA": {"network": {"alignment": True}},
    "without CRPD (masked means only)": {
        "network": {"foreground_descriptors": 1, "ring_descriptors": 1, "background_descriptors": 1}
    },
    "without RAMP (plain affinity)": {"network": {"blocks": 0}},
}
RESULT = "result.json"
LEARNING_RATE = 2e-4


def settings_of(variant: str, seed: int, steps: int, phantoms: int) -> TrainingSettings:
    """The recipe, shortened, without one part."""
    content = {
        "seed": seed,
        "steps": steps,
        "phantoms": phantoms,
        "validate_every": steps,
        "warmup": max(1, steps // 10),
        "learning_rate": LEARNING_RATE,
        # heads that name structures do not travel with weights: new ones would tear at the encoder
        "loss": {"anatomy": 0.0},
    }
    return TrainingSettings.model_validate(content | VARIANTS[variant])


def started(settings: TrainingSettings, path: Path) -> None:
    """Write weights to begin with: those of the package for every part that the variant has."""
    bundled = load_weights()
    torch.manual_seed(settings.seed)
    model = CPCLNet(settings.network)
    own = model.state_dict()
    shared = {
        name: v for name, v in bundled.state_dict().items() if name in own and own[name].shape == v.shape
    }
    model.load_state_dict(own | shared)
    save_weights(model, path, {"preprocessing": bundled.metadata["preprocessing"]})


def trained(settings: TrainingSettings, folder: Path, made: Path) -> Path:
    """Train in a folder, or go on there; phantoms are those of the file `made`, once it is there."""
    start, own = folder / "start.safetensors", folder / made.name
    folder.mkdir(parents=True, exist_ok=True)
    if not start.exists():
        started(settings, start)
    if made.exists() and not own.exists():
        os.link(made, own)
    for report in train(settings, folder, resume=True, start=start):
        if not made.exists() and own.exists():
            os.link(own, made)
        if isinstance(report, EpochReport):
            print(f"{folder.name}: step {report.step}, {report.validation}", flush=True)
    return folder / "models" / "last_model.safetensors"


def judged(weights: Path, data: Path) -> dict[str, float]:
    """Mean Dice of held-out phantoms and of every direction on real scans."""
    network = load_weights(weights)
    found = network.metadata["validation"]
    segmenter = Segmenter(network, SegmentationSettings(align=False))
    return {"phantoms": float(found.get("dice_phantoms", found["dice"]))} | {
        direction: float(
            np.mean([np.mean(list(run_pair(segmenter, *pair, None, 5).network.values())) for pair in pairs])
        )
        for direction, pairs in all_pairs(data, 0).items()
    }


def result_of(variant: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """What a variant reached with a seed; trained and judged if need be."""
    settings = settings_of(variant, seed, options.steps, options.phantoms)
    folder = options.out / f"{''.join(c if c.isalnum() else '-' for c in variant)}-{seed}"
    kept = folder / RESULT
    if not kept.exists():
        made = options.out / f"phantoms-{seed}-{options.phantoms}.safetensors"
        found = judged(trained(settings, folder, made), options.data)
        with atomic_write(kept, "the result") as temporary:
            temporary.write_text(json.dumps(found), encoding="utf-8")
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def page(results: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> str:
    """The variants in Markdown: means over seeds, and how far below the full method each seed is."""
    names = list(results["full"][0])
    lines = [
        "# Ablation of the network",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {current_commit()}, {options.steps} steps on {options.phantoms} "
        f"phantoms from the bundled weights {load_weights().metadata['hash']} of the parts that a variant has, means "
        f"over {len(results['full'])} seeds. Dice of held-out phantom slices, and 3-D Dice of four organs on real "
        "scans in a *quick* run, honest protocol, five painted slices, four pairs a direction; *mean* is that of the "
        "real scans. The last column says what the full method has more, seed by seed. Written by "
        "`python benchmarks/ablation/run.py --out DIR`; not edited by hand.",
        "",
        f"| variant | {' | '.join(names)} | mean | full - variant |",
        "|" + " --- |" * (len(names) + 3),
    ]
    full = [_mean(one) for one in results["full"]]
    for variant, found in results.items():
        cells = [np.mean([one[name] for one in found]) for name in names]
        own = [_mean(one) for one in found]
        less = ", ".join(f"{a - b:+.3f}" for a, b in zip(full, own, strict=False))
        numbers = " | ".join(f"{value:.3f}" for value in [*cells, np.mean(own)])
        lines.append(f"| {variant} | {numbers} | {'' if variant == 'full' else less} |")
    return "\n".join(lines) + "\n"


def _mean(result: dict[str, float]) -> float:
    """Of the real scans."""
    return float(np.mean([value for name, value in result.items() if name != "phantoms"]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=150, help="steps of every variant")
    parser.add_argument("--phantoms", type=int, default=32, help="phantoms of every seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="some variants")
    parser.add_argument("--readme", type=Path, default=HERE / "README.md", help="file to write")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), help="test data"
    )
    options = parser.parse_args(arguments)
    results: dict[str, list[dict[str, float]]] = {}
    for seed in options.seeds:
        for variant in ["full", *(v for v in options.only if v != "full")]:
            results.setdefault(variant, []).append(result_of(variant, seed, options))
            with atomic_write(options.readme, "the table") as temporary:
                temporary.write_text(page(results, options), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
