"""Accuracy on real scans: five painted slices of one patient, all slices of another, across modalities.

The honest protocol: support slices are chosen from the support's mask alone, every slice of the query counts
(organ-free ones included), the query's mask is opened after the prediction is final. Beside the network stands a
baseline without any learning: each query slice near enough gets a copy of the painted mask at the nearest relative
position along the scan, aligned at the centres of the bodies, in millimetres.

    python benchmarks/accuracy/ct_to_mr.py              # CT 10 to MR 1
    python benchmarks/accuracy/ct_to_mr.py --all        # four pairs in each of four directions

Scans come from the folder CPCLNET_TEST_DATA (default ../shared/data beside the repository).
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.evaluation.baselines.registry import make_baseline
from napari_cpclnet.imaging import Modality, Segmentation, Volume, plane_axis, read_segmentation, read_volume
from napari_cpclnet.model import CPCLNet, load_weights
from napari_cpclnet.segmentation import PostprocessingSettings, SegmentationSettings, Segmenter, SupportSet

CT_CLASSES = "6=liver,2=right kidney,3=left kidney,1=spleen"
MR_CLASSES = "1=liver,2=right kidney,3=left kidney,4=spleen"
CT_CASES, MR_CASES = (10, 16, 20, 28), (1, 3, 8, 15)
DEFAULT_DATA = Path(__file__).parents[2].parent / "shared" / "data"


@dataclass(frozen=True)
class Case:
    """A scan, its mask and what the mask's values mean."""

    image: Path
    mask: Path
    classes: dict[int, str]
    modality: Modality | None = None

    def volume(self) -> Volume:
        return read_volume(self.image, modality=self.modality)

    def labels(self, like: Volume) -> Segmentation:
        return read_segmentation(self.mask, classes=self.classes, like=like)


@dataclass(frozen=True)
class Score:
    """Dice per organ of the network and of the copied masks."""

    network: dict[str, float]
    copied: dict[str, float]
    seconds: float


def choose_slices(labels: NDArray[np.integer], classes: Sequence[int], axis: int, count: int) -> list[int]:
    """Slices at fractions (i + 0.5) / count of the extent that all organs have together."""
    others = tuple(a for a in range(3) if a != axis)
    hit = np.flatnonzero(np.isin(labels, list(classes)).any(axis=others))
    if not hit.size:
        raise SystemExit("The support's mask holds none of the classes.")
    first, extent = hit[0], hit[-1] + 1 - hit[0]
    return sorted({int(first + extent * (i + 0.5) / count) for i in range(count)})


def dice(labels: NDArray[np.integer], value: int, truth: NDArray[np.integer], true_value: int) -> float:
    """3-D Dice of one class."""
    a, b = labels == value, truth == true_value
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def run_pair(
    segmenter: Segmenter, support_case: Case, query_case: Case, slices: Sequence[int] | None, shots: int
) -> Score:
    """Segment one query with one support, then open its mask."""
    started = time.perf_counter()
    volume = support_case.volume()
    labels = support_case.labels(volume).labels
    axis = plane_axis(volume.geometry, "axial")
    chosen = list(slices) if slices else choose_slices(labels, list(support_case.classes), axis, shots)
    support = SupportSet(support_case.classes)
    support.add(volume, labels, slices=chosen)
    query = query_case.volume()
    segmenter.set_support(support)
    for _ in segmenter.predict(query):
        pass
    found = segmenter.result().labels
    seconds = time.perf_counter() - started
    copied = make_baseline("copy", segmenter).predict(support, query)
    truth = query_case.labels(query).labels
    true_values = {name: value for value, name in query_case.classes.items()}
    common = {value: name for value, name in support_case.classes.items() if name in true_values}
    return Score(
        {name: dice(found, value, truth, true_values[name]) for value, name in common.items()},
        {name: dice(copied, value, truth, true_values[name]) for value, name in common.items()},
        seconds,
    )


def show(title: str, scores: Sequence[Score]) -> None:
    """Print means over pairs, per organ and over organs."""
    names = list(scores[0].network)
    print(f"\n{title}")
    print(f"  {'':16}" + "".join(f"{name:>14}" for name in [*names, "mean"]))
    for label, key in (("CPCLNet", "network"), ("copied masks", "copied")):
        means = [float(np.mean([getattr(s, key)[name] for s in scores])) for name in names]
        print(f"  {label:16}" + "".join(f"{m:14.3f}" for m in [*means, float(np.mean(means))]))
    print(f"  {np.mean([s.seconds for s in scores]):.1f} s a pair, reading included", flush=True)


def all_pairs(data: Path, seed: int) -> dict[str, list[tuple[Case, Case]]]:
    """Each query once, with one support of another patient; CT and MR come from different patients anyway."""
    ct = [
        Case(
            data / f"abdomen_ct/ct_{n}_image.nii.gz",
            data / f"abdomen_ct/ct_{n}_label.nii.gz",
            parse_classes(CT_CLASSES),
            "CT",
        )
        for n in CT_CASES
    ]
    mr = [
        Case(
            data / f"abdomen_mr/mr_{n}_image.nii.gz",
            data / f"abdomen_mr/mr_{n}_label.nii.gz",
            parse_classes(MR_CLASSES),
            "MR",
        )
        for n in MR_CASES
    ]
    rng = random.Random(seed)
    pairs: dict[str, list[tuple[Case, Case]]] = {}
    for title, supports, queries in (
        ("CT to MR", ct, mr),
        ("MR to CT", mr, ct),
        ("MR to MR", mr, mr),
        ("CT to CT", ct, ct),
    ):
        shift = rng.randrange(1, 4)
        pairs[title] = [(supports[(i + shift) % 4], query) for i, query in enumerate(queries)]
    return pairs


def parse_classes(text: str) -> dict[int, str]:
    """Read "6=liver,1=spleen" as {6: "liver", 1: "spleen"}."""
    return {int(value): name.strip() for value, name in (part.split("=", 1) for part in text.split(","))}


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    data = Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data, help="folder of the test data")
    parser.add_argument("--support", type=Path, help="scan with painted slices")
    parser.add_argument("--support-mask", type=Path, help="its mask")
    parser.add_argument("--query", type=Path, help="scan to segment")
    parser.add_argument("--truth", type=Path, help="its true mask")
    parser.add_argument("--classes", default=CT_CLASSES, help="values and names in the support's mask")
    parser.add_argument("--truth-classes", default=MR_CLASSES, help="values and names in the true mask")
    parser.add_argument(
        "--slices", help="painted slices, for example 60,75,90; chosen from the support if missing"
    )
    parser.add_argument("--shots", type=int, default=5, help="number of painted slices if they are chosen")
    parser.add_argument("--weights", type=Path, help="weights file; the bundled one if missing")
    parser.add_argument("--all", action="store_true", help="four pairs in each of four directions")
    parser.add_argument("--seed", type=int, default=0, help="which support each query gets in --all")
    parser.add_argument("--device", default="auto")
    default = SegmentationSettings().threshold
    parser.add_argument("--threshold", type=float, default=default)
    parser.add_argument("--postprocessing", default="{}", help="settings as JSON, to compare")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        model: CPCLNet = load_weights(options.weights)
        settings = SegmentationSettings(
            device=options.device,
            threshold=options.threshold,
            postprocessing=PostprocessingSettings.model_validate_json(options.postprocessing),
        )
        segmenter = Segmenter(model, settings)
        print(f"weights {model.metadata['hash']}, {segmenter.device}, {torch.get_num_threads()} threads")
        if options.all:
            for title, pairs in all_pairs(options.data, options.seed).items():
                show(title, [run_pair(segmenter, *pair, None, options.shots) for pair in pairs])
            return 0
        data = options.data
        support = Case(
            options.support or data / "abdomen_ct/ct_10_image.nii.gz",
            options.support_mask or data / "abdomen_ct/ct_10_label.nii.gz",
            parse_classes(options.classes),
        )
        query = Case(
            options.query or data / "abdomen_mr/mr_1_image.nii.gz",
            options.truth or data / "abdomen_mr/mr_1_label.nii.gz",
            parse_classes(options.truth_classes),
        )
        slices = [int(i) for i in options.slices.split(",")] if options.slices else None
        score = run_pair(segmenter, support, query, slices, options.shots)
        show(f"{support.image.name} to {query.image.name}", [score])
    except CpclnetError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
