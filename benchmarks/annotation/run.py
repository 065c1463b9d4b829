"""Does it save work to paint the slices that are suggested? A simulated annotator paints true masks, slice by slice.

    python benchmarks/annotation/run.py --out results               # the shared abdomen scans; writes README.md here
    python benchmarks/annotation/run.py --out results --phantoms 6  # phantoms, to choose the rule on; prints the table

Within: nothing is painted anywhere, and slices of one scan are painted to label the rest of it. Across: one slice of
another patient in the other modality is painted before (the one that shows most organs). Four organs at once. 3-D
Dice over the whole scan, painted slices included, as the annotator gets them, against the number of painted slices:

suggested       the first suggestion, painted, and again; it knows the names of the organs, no mask
even            at fractions (i + 0.5) / k of the extent of the organs, which it knows from the truth
even, blind     at fractions (i + 0.5) / k of the whole scan
random          any slices within the extent of the organs, which it knows from the truth; several seeds

A run that was stopped goes on where it was. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "accuracy"))
from ct_to_mr import CT_CASES, CT_CLASSES, DEFAULT_DATA, MR_CASES, MR_CLASSES, Case, dice, parse_classes
from decisions import ORGANS, scan
from report import FIELDS, markdown

from napari_cpclnet.imaging import Volume
from napari_cpclnet.model import load_weights
from napari_cpclnet.segmentation import Segmenter, SupportSet, suggest

BUDGETS = (1, 2, 3, 4, 6, 8)
STRATEGIES = ("suggested", "even", "even, blind", "random")
PROTOCOLS = ("within", "across")
FIRST_PHANTOM = 400
"""Phantoms of other numbers than those of the other benchmarks."""

Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Subject:
    """A scan and its truth, with the label values of `ORGANS`."""

    name: str
    volume: Volume
    truth: Labels

    @property
    def extent(self) -> tuple[int, int]:
        """First slice that shows an organ, and the one after the last."""
        hit = np.flatnonzero(self.truth.any((1, 2)))
        return int(hit[0]), int(hit[-1]) + 1

    @property
    def richest(self) -> int:
        """The slice that shows most organs, and of several the one that shows most of them."""
        areas = np.stack([(self.truth == value).sum((1, 2)) for value in ORGANS])
        shares = areas / np.maximum(areas.max(1, keepdims=True), 1)
        return int(((areas > 0).sum(0) + shares.mean(0)).argmax())


def real(data: Path, modality: str, number: int) -> Subject:
    """One of the shared scans."""
    folder, text = ("abdomen_ct", CT_CLASSES) if modality == "CT" else ("abdomen_mr", MR_CLASSES)
    stem = data / folder / f"{modality.lower()}_{number}"
    case = Case(Path(f"{stem}_image.nii.gz"), Path(f"{stem}_label.nii.gz"), parse_classes(text), modality)  # type: ignore[arg-type]
    volume = case.volume()
    labels = case.labels(volume).labels
    truth = np.zeros(labels.shape, np.uint8)
    for value, name in ORGANS.items():
        own = next(v for v, n in case.classes.items() if n == name)
        truth[labels == own] = value
    return Subject(f"{modality} {number}", volume, truth)


def phantom(modality: str, number: int) -> Subject:
    """One of the phantoms."""
    volume, truth = scan(FIRST_PHANTOM + number, modality)
    return Subject(f"phantom {modality} {number}", volume, truth)


def subjects(options: argparse.Namespace) -> Iterator[tuple[Subject, Subject]]:
    """Scans to paint, each with one of another patient in the other modality."""
    if options.phantoms:
        for n in range(options.phantoms):
            here, there = ("MR", "CT") if n % 3 < 2 else ("CT", "MR")
            yield phantom(here, n), phantom(there, n + 100)
        return
    for here, there, own, others in (("MR", "CT", MR_CASES, CT_CASES), ("CT", "MR", CT_CASES, MR_CASES)):
        for n, number in enumerate(own):
            if here in options.modalities:
                yield real(options.data, here, number), real(options.data, there, others[(n + 1) % 4])


def spread(first: int, beyond: int, count: int) -> list[int]:
    """Slices at fractions (i + 0.5) / count."""
    return sorted({int(first + (beyond - first) * (i + 0.5) / count) for i in range(count)})


def painted(strategy: str, subject: Subject, seed: int, most: int) -> Iterator[list[int]]:
    """Sets of painted slices that do not depend on any answer, by growing number."""
    order = np.random.default_rng(seed).permutation(np.arange(*subject.extent)).tolist()
    for k in (b for b in BUDGETS if b <= most):
        if strategy == "random":
            yield sorted(order[:k])
        else:
            yield spread(*(subject.extent if strategy == "even" else (0, len(subject.truth))), k)


def run_one(
    segmenter: Segmenter, subject: Subject, start: Subject | None, strategy: str, seed: int, most: int
) -> Iterator[dict[str, object]]:
    """Rows of one scan, protocol and strategy."""

    def support_of(slices: Sequence[int]) -> SupportSet:
        support = SupportSet(ORGANS)
        if slices:
            support.add(subject.volume, subject.truth, slices=slices)
        if start is not None:
            support.add(start.volume, start.truth, slices=[start.richest])
        return support

    def row(slices: Sequence[int]) -> dict[str, object]:
        support = support_of(slices)
        if any(s.labels2d.any() for s in support.slices):
            segmenter.set_support(support)
            for _ in segmenter.predict(subject.volume):
                pass
            labels = segmenter.result().labels
        else:  # slices without any organ teach nothing
            labels = np.zeros_like(subject.truth)
        scores = {name: dice(labels, value, subject.truth, value) for value, name in ORGANS.items()}
        return {"k": len(slices), "slices": " ".join(map(str, slices)), **scores}

    if start is not None:
        yield row([])
    if strategy != "suggested":
        for slices in painted(strategy, subject, seed, most):
            yield row(slices)
        return
    chosen: list[int] = []
    for _ in range(most):
        fresh = Segmenter(segmenter.model, segmenter.settings) if not chosen and start is None else segmenter
        (best,) = suggest(fresh, subject.volume, chosen, classes=ORGANS, count=1)
        chosen = sorted([*chosen, best.index])
        yield row(chosen)


def run(options: argparse.Namespace, table: Path) -> None:
    """Run everything that is not in the table yet."""
    done = {(r["scan"], r["protocol"], r["strategy"], r["seed"]) for r in read(table)}
    segmenter = Segmenter(load_weights(options.weights))
    for subject, other in subjects(options):
        for protocol in options.protocols:
            for strategy in options.strategies:
                for seed in range(options.seeds if strategy == "random" else 1):
                    if (subject.name, protocol, strategy, str(seed)) in done:
                        continue
                    start = other if protocol == "across" else None
                    head = {"scan": subject.name, "protocol": protocol, "strategy": strategy, "seed": seed}
                    rows = [
                        head | r for r in run_one(segmenter, subject, start, strategy, seed, options.most)
                    ]
                    append(table, rows)
                    means = {r["k"]: round(float(np.mean([r[o] for o in ORGANS.values()])), 3) for r in rows}  # type: ignore[arg-type]
                    print(subject.name, protocol, strategy, seed, means, flush=True)


def read(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def append(table: Path, rows: Sequence[dict[str, object]]) -> None:
    """Add rows; the file is whole at any time."""
    everything: list[dict[str, object]] = [*read(table), *rows]
    temporary = table.with_name(f".{table.name}")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*FIELDS, *ORGANS.values()])
        writer.writeheader()
        writer.writerows(everything)
    os.replace(temporary, table)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)))
    parser.add_argument("--phantoms", type=int, default=0, help="so many phantoms instead of the scans")
    parser.add_argument("--modalities", nargs="+", default=["MR", "CT"])
    parser.add_argument("--protocols", nargs="+", default=list(PROTOCOLS), choices=PROTOCOLS)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--most", type=int, default=8, help="painted slices at most")
    parser.add_argument("--seeds", type=int, default=2, help="of the random choice")
    parser.add_argument("--weights", type=Path, help="weights file; the bundled one if missing")
    parser.add_argument("--no-run", action="store_true", help="only write the table")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "rows.csv"
    if not options.no_run:
        run(options, table)
    digest = load_weights(options.weights).metadata["hash"]
    text = markdown(read(table), list(ORGANS.values()), digest)
    print(text)
    if not options.phantoms:
        temporary = Path(__file__).with_name(".README.md")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, Path(__file__).with_name("README.md"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
