"""Choose on phantoms when a class seems absent and when a slice is doubtful; no real scan has a say in it.

    python benchmarks/annotation/absence.py --pairs 12

Four slices of one phantom are painted. The next one is an MR: whole, only its part above the kidneys, and only its part
below liver and spleen, so that each organ is absent from some scans.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "accuracy"))
from decisions import ORGANS, scan

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import load_weights
from napari_cpclnet.segmentation import Segmenter, SupportSet

FEWEST = 7
"""Slices of a part."""

Labels = NDArray[np.integer]


def parts(volume: Volume, truth: Labels) -> Iterator[tuple[Volume, Labels]]:
    """The whole scan, and those of its parts that are long enough."""
    count = len(truth)

    def last(values: tuple[int, int], default: int, step: int) -> int:
        hit = np.flatnonzero(np.isin(truth, values).any((1, 2)))
        return int(hit[step]) if hit.size else default

    for low, high in ((0, count), (last((2, 3), count // 2, -1) + 2, count), (0, last((1, 4), count, 0) - 1)):
        if high - low >= FEWEST:
            array = np.ascontiguousarray(volume.array[low:high])
            geometry = Geometry(array.shape, volume.geometry.spacing)
            yield Volume(array, geometry, volume.modality, volume.unit), truth[low:high]


def measure(pairs: int) -> tuple[list[tuple[bool, bool, float]], list[tuple[float, float]]]:
    """(present, nothing found, doubtful share) of classes; (doubtful share, Dice) of slices of whole scans."""
    segmenter = Segmenter(load_weights())
    classes, slices = [], []
    for number in range(pairs):
        painted, labels = scan(700 + number, "CT" if number % 2 else "MR")
        hit = np.flatnonzero(labels.any((1, 2)))
        support = SupportSet(ORGANS)
        support.add(painted, labels, slices=[int(hit[int(len(hit) * f)]) for f in (0.2, 0.4, 0.6, 0.8)])
        segmenter.set_support(support)
        shown = {v for v in ORGANS if any((s.labels2d == v).any() for s in support.slices)}
        whole = True
        for volume, truth in parts(*scan(800 + number, "MR")):
            run = segmenter.run_of(volume)
            found = segmenter.result().labels
            doubt, expected = run.first_pass
            for c, value in enumerate(ORGANS):
                if value not in shown:
                    continue
                share = doubt[c] / max(expected[c], 1)
                classes.append((bool((truth == value).any()), not (found == value).any(), float(share)))
                for z in range(len(truth)) if whole else ():
                    mine, true = found[z] == value, truth[z] == value
                    if mine.any() or true.any():
                        dice = 2 * (mine & true).sum() / (mine.sum() + true.sum())
                        slices.append(
                            (run.expected_errors[z, c] / max(run.expected_area[z, c], 1), float(dice))
                        )
            whole = False
        print(f"pair {number} done", file=sys.stderr)
    return classes, slices


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=12)
    classes, slices = measure(parser.parse_args(arguments).pairs)
    there = [(nothing, share) for present, nothing, share in classes if present]
    gone = [(nothing, share) for present, nothing, share in classes if not present]
    print(f"{len(there)} classes present, {len(gone)} absent.\n")
    print(
        "| doubtful share from | called absent though present | called absent where absent |\n| --- | --- | --- |"
    )
    for limit in (0.2, 0.25, 0.3, 0.35, 0.4, 0.5):
        wrong, right = (sum(n or s > limit for n, s in group) for group in (there, gone))
        print(f"| {limit} | {wrong} of {len(there)} | {right} of {len(gone)} |")
    bad = sum(dice < 0.7 for _, dice in slices)
    print(f"\n{len(slices)} classes on slices, {bad} with a Dice below 0.7.\n")
    print(
        "| doubtful share from | slices | of these below 0.7 | of those below 0.7 |\n| --- | --- | --- | --- |"
    )
    for limit in (0.15, 0.2, 0.25, 0.3):
        called = [dice for share, dice in slices if share >= limit]
        hits = sum(dice < 0.7 for dice in called)
        print(f"| {limit} | {len(called)} | {hits / max(len(called), 1):.2f} | {hits / max(bad, 1):.2f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
