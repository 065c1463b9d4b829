"""How many minutes does an annotator need until MR scans are labelled? A simulated annotator, four organs.

    python benchmarks/annotation/minutes.py --out benchmarks/annotation/minutes.md

The scans are the four shared abdomen MRs and six phantoms. Every scan is worked on until the mean 3-D Dice of the four
organs is 0.9:

mended           three slices of a CT of another patient are painted once; every MR is labelled from them, and mended by
                 scribbles (`corrections.py`), worst slice first; what they do not mend on a slice is painted there
mended, filled   the same labels; on two, three, four, six or eight slices what is wrong is set right, they become the
                 support of this scan, and the rest is filled from them
fill             slices of the MR itself are painted, two, three, four, six or eight, and filled by `fill`
fill, scribbles  the same, but the slices are only scribbled on (`strokes.py`)
interpolation    slices are painted, and the outlines interpolated, as other viewers do
by hand          slice after slice is painted, largest first

The annotator's seconds are those of `strokes.Seconds`; seconds that the computer needs are not counted. Scans come from
the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from corrections import Correction, correcting
from numpy.typing import NDArray
from strokes import Seconds, outlines, scribbles

sys.path.insert(0, str(Path(__file__).parents[1] / "accuracy"))
from ct_to_mr import CT_CASES, DEFAULT_DATA, MR_CASES, dice
from decisions import ORGANS
from report import commit
from run import Subject, phantom, real, spread

from napari_cpclnet.imaging import BACKGROUND
from napari_cpclnet.model import load_weights
from napari_cpclnet.propagation import PropagationSettings, fill
from napari_cpclnet.segmentation import Segmenter, SupportSet

GOAL = 0.9
ACCEPTED = 0.9
"""Dice of a class on a slice from which the annotator leaves it as it is."""
PAINTED = 3
MOST_SECONDS = 3600.0
MOST_SLICES = (2, 3, 4, 6, 8)
"""Numbers of slices that are tried where the rest is filled."""
COST = Seconds()
VALUES = list(ORGANS)
Result = tuple[float, int, float]
"""Seconds, clicks and Dice at the end."""


def score(subject: Subject, labels: NDArray[np.integer]) -> float:
    """Mean Dice of the organs."""
    return float(np.mean([dice(labels, v, subject.truth, v) for v in ORGANS]))


def painting(subject: Subject, index: int) -> tuple[float, int]:
    """Seconds and clicks of painting a slice completely."""
    drawn = outlines(subject.truth[index], VALUES, subject.volume.geometry.spacing[1:])
    return COST.outlines(drawn.strokes, drawn.mm), 2 * drawn.strokes


def by_hand(subject: Subject) -> Result:
    """Slice after slice, those with most to paint first."""
    labels, seconds, clicks = np.zeros_like(subject.truth), 0.0, 0
    for index in np.argsort(-np.isin(subject.truth, VALUES).sum((1, 2))).tolist():
        if score(subject, labels) >= GOAL:
            break
        labels[index] = subject.truth[index]
        more, pressed = painting(subject, index)
        seconds, clicks = seconds + more, clicks + pressed
    return seconds, clicks, score(subject, labels)


def filled(subject: Subject, *, grey: bool = True, scribbled: bool = False) -> Result:
    """As many slices at even distances as it takes, and what lies between them filled."""
    pixel = subject.volume.geometry.spacing[1:]
    best: Result = (np.inf, 0, 0.0)
    for count in MOST_SLICES:
        slices = spread(*subject.extent, count)
        paint, seconds, clicks = np.zeros(subject.truth.shape, np.uint8), 0.0, 0
        rng = np.random.default_rng(0)
        for index in slices:
            if scribbled:
                drawn = scribbles(subject.truth[index], VALUES, pixel, BACKGROUND, rng)
                paint[index] = drawn.paint
                seconds, clicks = seconds + COST.scribbles(drawn.strokes, drawn.mm), clicks + drawn.strokes
            else:
                paint[index] = subject.truth[index]
                more, pressed = painting(subject, index)
                seconds, clicks = seconds + more, clicks + pressed
        settings = PropagationSettings(grey_values=grey)
        kinds = {"slices": [], "partial": slices} if scribbled else {"slices": slices}
        found = fill(subject.volume, paint, classes=dict(ORGANS), settings=settings, **kinds)
        best = (seconds, clicks, score(subject, found.labels))
        if best[2] >= GOAL:
            break
    return best


def mended(subject: Subject, labels: NDArray[np.uint8], done: list[Correction]) -> Result:
    """A result corrected by scribbles."""
    seconds, clicks = COST.page, 0
    if score(subject, labels) < GOAL:
        for one in correcting(subject, labels, VALUES, COST):
            done.append(one)
            seconds, clicks = seconds + one.seconds, clicks + one.clicks
            if score(subject, labels) >= GOAL or seconds > MOST_SECONDS:
                break
    return seconds, clicks, score(subject, labels)


def refilled(subject: Subject, labels: NDArray[np.uint8]) -> Result:
    """A result of which as many slices as it takes are set right, class by class, and filled between."""
    if score(subject, labels) >= GOAL:
        return COST.page, 0, score(subject, labels)
    pixel = subject.volume.geometry.spacing[1:]
    best: Result = (np.inf, 0, 0.0)
    for count in MOST_SLICES:
        slices = spread(*subject.extent, count)
        paint, seconds, clicks = np.zeros(subject.truth.shape, np.uint8), 0.0, 0
        for index in slices:
            there = [v for v in VALUES if (labels[index] == v).any() or (subject.truth[index] == v).any()]
            right = [v for v in there if dice(labels[index], v, subject.truth[index], v) >= ACCEPTED]
            paint[index] = np.where(np.isin(labels[index], right), labels[index], 0)
            drawn = outlines(subject.truth[index], [v for v in VALUES if v not in right], pixel)
            paint[index][drawn.paint > 0] = drawn.paint[drawn.paint > 0]
            seconds, clicks = seconds + COST.outlines(drawn.strokes, drawn.mm), clicks + 2 * drawn.strokes + 1
        found = fill(subject.volume, paint, slices=slices, classes=dict(ORGANS))
        best = (seconds, clicks, score(subject, found.labels))
        if best[2] >= GOAL:
            break
    return best


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="table to write, anew after every scan")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)))
    parser.add_argument("--scans", type=int, default=4, help="real scans")
    parser.add_argument("--phantoms", type=int, default=6)
    options = parser.parse_args()
    ct = real(options.data, "CT", CT_CASES[0])
    subjects = [real(options.data, "MR", n) for n in MR_CASES[: options.scans]]
    subjects += [phantom("MR", n) for n in range(options.phantoms)]
    segmenter = Segmenter(load_weights())
    support, slices = SupportSet(ORGANS), spread(*ct.extent, PAINTED)
    support.add(ct.volume, ct.truth, slices=slices)
    segmenter.set_support(support)
    once = [painting(ct, index) for index in slices]
    found: dict[str, list[Result]] = {}
    firsts, done = [], list[Correction]()
    for number, subject in enumerate(subjects, start=1):
        for _ in segmenter.predict(subject.volume):
            pass
        labels = segmenter.result().labels.astype(np.uint8)
        firsts.append(score(subject, labels))
        found.setdefault("mended, filled", []).append(refilled(subject, labels))
        found.setdefault("mended", []).append(mended(subject, labels, done))
        found.setdefault("fill", []).append(filled(subject))
        found.setdefault("fill, scribbles", []).append(filled(subject, scribbled=True))
        found.setdefault("interpolation", []).append(filled(subject, grey=False))
        found.setdefault("by hand", []).append(by_hand(subject))
        temporary = options.out.with_name(f".{options.out.name}")
        temporary.write_text(
            "\n".join(lines(subjects[:number], found, firsts, done, once)) + "\n", encoding="utf-8"
        )
        os.replace(temporary, options.out)
    return 0


def lines(
    subjects: list[Subject],
    found: dict[str, list[Result]],
    firsts: list[float],
    done: list[Correction],
    once: list[tuple[float, int]],
) -> Iterator[str]:
    """Both tables."""
    digest, here = load_weights().metadata["hash"], len(subjects)
    yield f"# Minutes until {here} scans are labelled\n"
    yield "Written by `python benchmarks/annotation/minutes.py --out FILE`, whose first lines say what is compared;"
    yield f"commit {commit()}, weights {digest}. Simulated; minutes follow a model of seconds per stroke"
    yield f"(`strokes.py`): {COST.aim} s to aim, {COST.exact} s per mm of an exact outline, {COST.loose} s per mm of a"
    yield f"loose scribble, {COST.page} s to go to a slice. A goal of {GOAL} mean Dice over four organs; *reached*"
    yield f"counts the scans, with at most {MOST_SLICES[-1]} slices where slices are filled. The CT slices are part of"
    yield "the first two ways."
    yield "\n| way | minutes | clicks and strokes | reached | minutes, real | minutes, phantoms |"
    yield "| --- | --- | --- | --- | --- | --- |"
    real_ones = np.array(["phantom" not in one.name for one in subjects])
    for way, results in found.items():
        seconds, shared = np.array([r[0] for r in results]), way.startswith("mended")
        total = seconds.sum() + shared * sum(s for s, _ in once)
        clicks = sum(r[1] for r in results) + shared * sum(c for _, c in once)
        reached = sum(r[2] >= GOAL for r in results)
        parts = [seconds[real_ones].sum() / 60, seconds[~real_ones].sum() / 60]
        yield f"| {way} | {total / 60:.0f} | {clicks} | {reached} of {here} | {parts[0]:.0f} | {parts[1]:.0f} |"
    kinds = {kind: sum(one.kind == kind for one in done) for kind in ("mended", "undone", "painted")}
    minutes, before = sum(s for s, _ in once) / 60, ", ".join(f"{one:.2f}" for one in firsts)
    yield f"\nPainting the {len(once)} CT slices takes {minutes:.1f} minutes. Without any correction the Dice of the"
    yield f"scans is {before} ({', '.join(one.name for one in subjects)})."
    yield f"Corrections of *mended*: scribbles helped {kinds['mended']} times and were undone {kinds['undone']} times;"
    yield f"{kinds['painted']} slices were painted."
    asked = [one for one in done if one.slice_s]
    if asked:
        yield "\n| answer to a scribble, one core | median s | longest s |"
        yield "| --- | --- | --- |"
        for name, times in (
            ("slice", [one.slice_s for one in asked]),
            ("slice and around", [one.around_s for one in asked]),
        ):
            yield f"| {name} | {np.median(times):.3f} | {max(times):.3f} |"


if __name__ == "__main__":
    raise SystemExit(main())
