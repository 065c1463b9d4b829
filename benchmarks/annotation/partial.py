"""What do scribbles teach, compared with complete slices? A simulated annotator on the shared abdomen scans.

    python benchmarks/annotation/partial.py            # within one scan; prints a table
    python benchmarks/annotation/partial.py --network  # and scans of other patients, without registration; partial.md

Slices at fractions (i + 0.5) / k of the extent of the organs. On each the annotator paints all four organs completely;
or makes a scribble inside each and a loose line around them (`strokes.py`); or the scribbles inside alone. The same
scribbles taken as complete slices, as if unpainted meant background, show what a partial slice is for. Two complete
slices with scribbles on the others: what scribbles add. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from strokes import Seconds, outlines, scribbles

sys.path.insert(0, str(Path(__file__).parents[1] / "accuracy"))
from ct_to_mr import CT_CASES, DEFAULT_DATA, MR_CASES, dice
from decisions import ORGANS
from report import commit
from run import Subject, real, spread

from napari_cpclnet.imaging import BACKGROUND
from napari_cpclnet.model import load_weights
from napari_cpclnet.propagation import fill
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet

BUDGETS = (3, 5, 8)
WAYS = (
    "complete slices",
    "scribbles",
    "scribbles inside only",
    "scribbles taken as complete",
    "2 complete",
    "2 complete, scribbles on the rest",
)

Row = tuple[str, int, str, float, float]
"""Kind of result, slices, way, Dice and seconds."""


def drawn(
    subject: Subject, slices: list[int], way: str
) -> tuple[NDArray[np.uint8], list[int], list[int], float]:
    """Paint of one way of working, its complete and its partial slices, and the seconds it takes."""
    rng, seconds, time = np.random.default_rng(0), Seconds(), 0.0
    paint = np.zeros(subject.truth.shape, np.uint8)
    pixel = subject.volume.geometry.spacing[1:]
    complete, partial = [], []
    third = (len(slices) - 1) // 3
    ends = {slices[third], slices[-1 - third]} if way.startswith("2") else set()
    for index in slices:
        around = 0 if way == "scribbles inside only" else BACKGROUND
        loose = scribbles(subject.truth[index], list(ORGANS), pixel, around, rng)
        whole = outlines(subject.truth[index], list(ORGANS), pixel)
        if way == "complete slices" or index in ends:
            paint[index] = whole.paint
            time += seconds.outlines(whole.strokes, whole.mm)
            complete.append(index)
        elif way != "2 complete":
            paint[index] = loose.paint
            time += seconds.scribbles(loose.strokes, loose.mm)
            partial.append(index)
    if way == "scribbles taken as complete":
        paint[paint == BACKGROUND] = 0
        return paint, partial, [], time
    return paint, complete, partial, time


def scores(subject: Subject, labels: NDArray[np.integer]) -> float:
    """Mean Dice of the organs over all slices of the scan."""
    return float(np.mean([dice(labels, v, subject.truth, v) for v in ORGANS]))


def rows(subjects: list[tuple[Subject, Subject]], segmenter: Segmenter | None) -> Iterator[Row]:
    """What every way of working comes to on each scan."""
    for subject, other in subjects:
        for k in BUDGETS:
            slices = spread(*subject.extent, k)
            for way in WAYS:
                paint, complete, partial, time = drawn(subject, slices, way)
                found = fill(subject.volume, paint, slices=complete, partial=partial, classes=dict(ORGANS))
                yield "within", k, way, scores(subject, found.labels), time
                if segmenter is None or k != 5:
                    continue
                support = SupportSet(ORGANS)
                support.add(subject.volume, paint, slices=complete, partial=partial)
                segmenter.set_support(support)
                for _ in segmenter.predict(other.volume):
                    pass
                yield "across", k, way, scores(other, segmenter.result().labels), time


def table(found: list[Row], kind: str) -> list[str]:
    """Mean Dice and seconds by way and number of slices."""
    budgets = sorted({k for one, k, *_ in found if one == kind})
    lines = ["| painted | " + " | ".join(f"{k} slices: Dice | seconds" for k in budgets) + " |"]
    lines.append("| --- |" + " --- | --- |" * len(budgets))
    for way in WAYS:
        cells = []
        for k in budgets:
            here = [(d, t) for one, n, w, d, t in found if (one, n, w) == (kind, k, way)]
            cells += [f"{np.mean([d for d, _ in here]):.3f}", f"{np.mean([t for _, t in here]):.0f}"]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)))
    parser.add_argument("--network", action="store_true", help="also label another patient's scan")
    parser.add_argument("--scans", type=int, default=4, help="of each modality")
    options = parser.parse_args()
    mr, ct = (
        [real(options.data, m, n) for n in c[: options.scans]]
        for m, c in (("MR", MR_CASES), ("CT", CT_CASES))
    )
    pairs = [*zip(mr, ct, strict=True), *zip(ct, mr, strict=True)]
    segmenter = Segmenter(load_weights(), SegmentationSettings(align=False)) if options.network else None
    found = list(rows(pairs, segmenter))
    command = (
        f"python benchmarks/annotation/partial.py --scans {options.scans}{' --network' if segmenter else ''}"
    )
    print("# Scribbles and complete slices\n")
    print(
        f"Printed by `{command}`; commit {commit()}, weights {load_weights().metadata['hash']}. Mean 3-D Dice of"
    )
    print(
        f"{', '.join(ORGANS.values())}, all slices of {len(pairs)} scans (MR and CT), and the simulated annotator's"
    )
    print("seconds of painting (`strokes.py`).\n")
    print("## The rest of the painted scan\n")
    print("\n".join(table(found, "within")))
    if segmenter is not None:
        print("\n## A scan of another patient and modality, network alone\n")
        print("\n".join(table(found, "across")))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
