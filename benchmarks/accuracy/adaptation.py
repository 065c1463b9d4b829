"""Does adapting to the support help? The pairs of `ct_to_mr.py --all`, without and with it.

    python benchmarks/accuracy/adaptation.py --steps 30

Scans come from the folder CPCLNET_TEST_DATA. Every pair starts from the same weights.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ct_to_mr import DEFAULT_DATA, all_pairs, choose_slices, dice

from napari_cpclnet.model import load_weights
from napari_cpclnet.segmentation import Segmenter, SupportSet
from napari_cpclnet.training.adaptation import adapt
from napari_cpclnet.training.settings import AdaptationSettings


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), help="test data"
    )
    parser.add_argument("--weights", type=Path, help="weights file; the bundled one if missing")
    parser.add_argument("--steps", type=int, default=30, help="steps of the adaptation")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    options = parser.parse_args(arguments)
    settings = AdaptationSettings(steps=options.steps, learning_rate=options.learning_rate)
    network = load_weights(options.weights)
    print(f"Weights {network.metadata['hash']}, {settings.steps} steps at {settings.learning_rate}\n")
    print("| support to query | pairs | as bundled | adapted | change | pairs better |")
    print("| --- | --- | --- | --- | --- | --- |")
    for direction, pairs in all_pairs(options.data, 0).items():
        before, after = [], []
        for support_case, query_case in pairs:
            painted = support_case.volume()
            labels = support_case.labels(painted).labels
            support = SupportSet(support_case.classes)
            support.add(painted, labels, slices=choose_slices(labels, list(support_case.classes), 0, 5))
            query = query_case.volume()
            true_values = {name: value for value, name in query_case.classes.items()}
            for scores, steps in ((before, False), (after, True)):
                segmenter = Segmenter(copy.deepcopy(network))
                if steps:
                    for _ in adapt(segmenter, support, settings):
                        pass
                segmenter.set_support(support)
                for _ in segmenter.predict(query):
                    pass
                found, truth = segmenter.result().labels, query_case.labels(query).labels
                each = [dice(found, v, truth, true_values[n]) for v, n in support_case.classes.items()]
                scores.append(float(np.mean(each)))
        better = sum(b > a for a, b in zip(before, after, strict=True))
        means = float(np.mean(before)), float(np.mean(after))
        change = f"{means[1] - means[0]:+.3f}"
        print(
            f"| {direction} | {len(pairs)} | {means[0]:.3f} | {means[1]:.3f} | {change} | {better} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
