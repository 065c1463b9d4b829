"""Does the network add anything within the scan that was painted?

    python benchmarks/propagation/network_share.py --scans ct_10 mr_1_

Five painted slices of each structure; the logits of the network, with these slices as its support, are added with a
few weights to the scores that carry them. Prints a Markdown table of Dice on the unpainted slices. Scans come from the
folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from painted import Structure, dice, structures

from napari_cpclnet.model import load_weights
from napari_cpclnet.preprocessing import ModelGrid
from napari_cpclnet.propagation import ClassScores, PropagationSettings, propagating
from napari_cpclnet.segmentation import FixedLabels, SegmentationSettings, Segmenter, SupportSet
from napari_cpclnet.segmentation.prediction import PredictionState
from napari_cpclnet.segmentation.recognition import network_logits, slice_probabilities

SHARES = (0.0, 0.1, 0.2, 0.35, 0.5)


def network(segmenter: Segmenter, one: Structure) -> np.ndarray:
    """Logits (z, y, x) of the network for a structure, its painted slices being the support."""
    support = SupportSet({1: "structure"})
    support.add(one.volume, one.mask.astype(np.uint8), slices=one.slices, plane="native")
    segmenter.set_support(support)
    own = support.painted_on(one.volume)
    descriptors = segmenter._describe(support, own)
    scan = segmenter.scan(one.volume)
    run = PredictionState(scan, FixedLabels(), support, segmenter.settings.threshold, False, keep_maps=True)
    grid: ModelGrid = scan.grid
    for _ in slice_probabilities(
        run, range(grid.n_slices), lambda features: segmenter._foreground(features, descriptors)
    ):
        pass
    return np.stack(list(network_logits(run, 0)))


def carried(one: Structure) -> ClassScores:
    """Scores of a structure, carried from its painted slices."""
    z, y, x = (float(s) for s in one.volume.geometry.spacing)
    painted = {i: one.mask[i].astype(np.uint8) for i in one.slices}
    *_, last = propagating(np.asarray(one.volume.array), (z, y, x), painted, 1, PropagationSettings())
    assert last is not None
    return last


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", nargs="+", default=["ct_10", "mr_1_"], help="parts of the names of scans")
    options = parser.parse_args()
    data = Path(
        os.environ.get("CPCLNET_TEST_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
    )
    segmenter = Segmenter(load_weights(), SegmentationSettings(device="cpu", plane="native"))
    print("| structure | network | " + " | ".join(f"carried + {s:g} network" for s in SHARES) + " |")
    print("|---" * (len(SHARES) + 2) + "|")
    table = []
    for one in structures(data, ("abdomen13", "abdomen")):
        if not any(name in one.name for name in options.scans) or one.set == "abdomen CT":
            continue
        logits, scores, rest = network(segmenter, one), carried(one), one.rest
        values = [dice((logits > 0)[rest], one.mask[rest])]
        for share in SHARES:
            found = np.zeros(one.mask.shape, bool)
            grid = scores.grid
            for index in range(grid.slices[0], grid.slices[-1] + 1):
                box = (index, grid.rows, grid.columns)
                found[box] = grid.native(scores.scores, index) + share * logits[box] > 0
            values.append(dice(found[rest], one.mask[rest]))
        table.append(values)
        print(f"| {one.name} | " + " | ".join(f"{v:.3f}" for v in values) + " |", flush=True)
    print("| **mean** | " + " | ".join(f"**{v:.3f}**" for v in np.mean(table, 0)) + " |")


if __name__ == "__main__":
    main()
