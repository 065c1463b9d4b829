"""Fit and check the Dice to expect of a result: phantoms, scans of other patients, and scans that show nothing of it.

    python benchmarks/accuracy/confidence.py --rows rows.csv                 # runs or resumes, then prints the table
    python benchmarks/accuracy/confidence.py --rows rows.csv --no-run --out benchmarks/accuracy/confidence.md

Five slices of one scan are painted with all classes of its set, and every answer for another scan becomes a row: what
was known without the truth, and its Dice. The fit is judged on sets that it did not see, one left out at a time. Scans
come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from decisions import scan as phantom
from make_cases import DEFAULT_DATA, MAKERS, Row
from numpy.typing import NDArray
from parts import HALVES, OTHERS, Part, dice
from scipy import optimize
from table import current_commit, table

from napari_cpclnet import Segmenter, SupportSet
from napari_cpclnet.evaluation.protocols import choose_slices
from napari_cpclnet.imaging import Volume, read_volume
from napari_cpclnet.model import load_weights
from napari_cpclnet.segmentation import SegmentationSettings
from napari_cpclnet.segmentation.confidence import UNLIKELY, Evidence, describe_evidence, expected_dice

SHOTS = 5
RIDGE = 1e-4
TEXTS = ("family", "pair", "label")
NUMBERS = {"True": 1.0, "False": 0.0}
PHANTOMS = 4
NAMES = ("liver", "right kidney", "left kidney", "spleen", "stomach", "aorta", "pancreas", "gallbladder")
STRUCTURES = dict(enumerate(NAMES, 1))

Labels = NDArray[np.integer[Any]]
Scan = tuple[Volume, Labels]


@dataclass(frozen=True)
class Pair:
    """A scan of which slices are painted, and one that is asked for; neither is read before it is needed."""

    family: str
    name: str
    support: Callable[[], Scan]
    query: Callable[[], Scan]
    classes: dict[int, str]


def real(row: Row) -> Scan:
    """A scan of the test data with the labels that count, by their place among the classes from 1."""
    image, label, classes = row[2:]
    volume = read_volume(image)
    found = np.rint(read_volume(label).array).astype(np.uint8)
    labels = np.zeros_like(found)
    for place, one in enumerate(classes.split(";"), 1):
        labels[found == int(one.split("=")[0])] = place
    return volume, labels


def parts_of(row: Row, parts: dict[str, Part]) -> Scan:
    """A CT with parts of its structures as labels."""
    volume = read_volume(row[2])
    whole = np.rint(read_volume(row[3]).array).astype(np.uint8)
    labels = np.zeros_like(whole)
    for value, part in enumerate(parts.values(), 1):
        labels[part(whole, volume)] = value
    return volume, labels


def names_of(row: Row) -> dict[int, str]:
    return {place: one.split("=")[1] for place, one in enumerate(row[4].split(";"), 1)}


def pairs(data: Path) -> Iterator[Pair]:
    """All pairs; the kinds take turns, so that a run that was ended has some of each."""
    rows = {name: list(MAKERS[name](data)) for name in ("abdomen", "abdomen13", "sarcoma", "wide")}
    wide: dict[str, list[Row]] = {}
    for row in rows["wide"]:
        wide.setdefault(row[2].parent.name, []).append(row)
    mr = rows["abdomen"][4:]
    kinds = [
        abdomen(rows["abdomen13"], rows["abdomen"][:4], mr),
        *(others(name, scans) for name, scans in wide.items()),
        tumours(rows["sarcoma"]),
        nameless(rows["abdomen13"]),
        elsewhere([*wide.values(), mr]),
        phantoms(),
    ]
    for turn in itertools.zip_longest(*kinds):
        yield from filter(None, turn)


def abdomen(structures: Sequence[Row], ct: Sequence[Row], mr: Sequence[Row]) -> Iterator[Pair]:
    for i in range(4):
        yield whole("abdomen", structures[i], structures[(i + 1) % 4])
        for here, there in ((mr, mr), (ct, mr), (mr, ct)):
            yield whole("abdomen", here[i], there[(i + 1) % 4])


def others(name: str, scans: Sequence[Row]) -> Iterator[Pair]:
    for one, other in zip(scans, [*scans[1:], scans[0]], strict=True):
        if one[0] != other[0]:
            yield whole(name, one, other)


def tumours(rows: Sequence[Row]) -> Iterator[Pair]:
    patients = list(dict.fromkeys(row[0] for row in rows))
    scans = {(row[0], row[1]): row for row in rows}
    for shift, (here, there) in itertools.product((0, 4), itertools.product(("CT", "MR", "PT"), repeat=2)):
        yield whole("sarcoma", scans[patients[shift], here], scans[patients[shift + 3], there])


def elsewhere(sets: Sequence[Sequence[Row]]) -> Iterator[Pair]:
    """Scans of another part of the body than was painted: nothing is to be found."""
    for one, other in itertools.permutations(sets, 2):
        yield whole("elsewhere", one[0], other[-1])


def phantoms() -> Iterator[Pair]:
    for number in range(PHANTOMS):
        for here, there in itertools.product(("CT", "MR"), repeat=2):
            scans = (partial(phantom, n + number, m, STRUCTURES) for n, m in ((700, here), (800, there)))
            yield Pair("phantoms", f"{number} {here} {there}", *scans, STRUCTURES)


def whole(family: str, one: Row, other: Row) -> Pair:
    name = f"{one[2].name} {other[2].name}".replace("_image.nii.gz", "")
    if family == "sarcoma":
        name = f"{one[0]} {one[1]} {other[0]} {other[1]}"
    query = partial(real, other) if family != "elsewhere" else partial(lacking, other)
    return Pair(family, name, partial(real, one), query, names_of(one))


def lacking(row: Row) -> Scan:
    """A scan of another part of the body."""
    volume = read_volume(row[2])
    return volume, np.zeros(volume.array.shape, np.uint8)


def nameless(rows: Sequence[Row]) -> Iterator[Pair]:
    """Halves, cores, unions and a ball in CT; those that share no voxel together."""
    halves = {f"{name}, {k}": part for name, both in HALVES.items() for k, part in enumerate(both)}
    crossing = ("left and right liver, 0", "left and right liver, 1")
    together = [
        {name: part for name, part in halves.items() if name not in crossing},
        {name: halves[name] for name in crossing} | {"both kidneys": OTHERS["both kidneys"]},
        {name: OTHERS[name] for name in ("core of the liver", "ball at the spine")},
        {"liver and spleen": OTHERS["liver and spleen"]},
    ]
    for one, other in itertools.pairwise([*rows, rows[0]]):
        for k, parts in enumerate(together):
            name = f"{one[2].name} {other[2].name} {k}".replace("_image.nii.gz", "")
            here, there = (partial(parts_of, row, parts) for row in (one, other))
            yield Pair("nameless", name, here, there, dict(enumerate(parts, 1)))


def answers(segmenter: Segmenter, pair: Pair) -> Iterator[dict[str, Any]]:
    """What is known of the answer to each class that was painted, and its Dice."""
    (painted, labels), (query, truth) = pair.support(), pair.query()
    shown = [value for value in pair.classes if (labels == value).any()]
    slices = {i for v in shown for i in choose_slices((labels == v).sum((1, 2)).tolist(), SHOTS)}
    support = SupportSet(pair.classes)
    support.add(painted, labels, slices=sorted(slices), plane="native")
    segmenter.set_support(support)
    run = segmenter.run_of(query)
    found = segmenter.result().labels
    for place, (value, name) in enumerate(pair.classes.items()):
        if value not in shown or (pair.family != "elsewhere" and not (truth == value).any()):
            continue
        mine = found == value
        inside, likely = run.max_probability[mine].sum(dtype=float) / 255, run.expected_area[:, place].sum()
        yield {
            "family": pair.family,
            "pair": pair.name,
            "label": name,
            "dice": dice(mine, truth == value),
            "ml": mine.sum() * query.geometry.voxel_ml,
            "sharpness": 2 * inside / max(mine.sum() + max(inside, likely), 1),
            **asdict(run.evidence[place]),
        }


def collect(path: Path, data: Path, most: int | None) -> None:
    """Run what is not in the table yet of the first `most` pairs, and write it down pair by pair."""
    done = {(row["family"], row["pair"]) for row in rows_of(path)} if path.exists() else set()
    segmenter = Segmenter(load_weights(), SegmentationSettings(plane="native"))
    for pair in itertools.islice(pairs(data), most):
        if (pair.family, pair.name) in done:
            continue
        rows = list(answers(segmenter, pair))
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if fresh:
                writer.writeheader()
            writer.writerows(rows)
        print(pair.family, pair.name, *(f"{row['dice']:.2f}" for row in rows), flush=True)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The table with numbers where there are numbers."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {k: v if k in TEXTS else NUMBERS[v] if v in NUMBERS else float(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def inputs(rows: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """What the fit is given, (rows, numbers)."""
    names = [one.name for one in fields(Evidence)]
    described = [
        describe_evidence(Evidence(**{k: row[k] for k in names}), row["sharpness"], row["ml"]) for row in rows
    ]
    return np.array([list(one.values()) for one in described])


def fitted(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of the logistic function with the least squared error, drawn towards zero but for the first."""

    def loss(w: NDArray[np.float64]) -> float:
        return float(
            (weight * (1 / (1 + np.exp(-x @ w)) - y) ** 2).sum() / weight.sum() + RIDGE * (w[1:] ** 2).sum()
        )

    return np.asarray(optimize.minimize(loss, np.zeros(x.shape[1])).x)


def markdown(rows: Sequence[dict[str, Any]], weights: str) -> str:
    """The table: how far the expected Dice is off, on sets that the fit did not see and in all."""
    found = [row for row in rows if row["ml"] > 0]
    x, y = inputs(found), np.array([row["dice"] for row in found])
    family = np.array([row["family"] for row in found])
    # each set counts the same, whether it has four answers or a hundred
    weight = np.array([1 / (family == one).sum() for one in family])
    names = list(describe_evidence(Evidence(), 0.5, 1.0))
    apart, shipped = np.zeros(len(y)), np.zeros(len(y))
    for one in dict.fromkeys(family):
        rest = family != one
        apart[~rest] = 1 / (1 + np.exp(-x[~rest] @ fitted(x[rest], y[rest], weight[rest])))
    for k, row in enumerate(found):
        evidence = Evidence(**{one.name: row[one.name] for one in fields(Evidence)})
        shipped[k] = expected_dice(evidence, row["sharpness"], row["ml"])
    plain = np.array([row["sharpness"] for row in found])
    everything = fitted(x, y, weight)
    lines = [
        "# Whether a result knows how good it is",
        "",
        f"Commit {current_commit()}, weights {weights}. Written by `python benchmarks/accuracy/confidence.py --rows "
        "FILE --out benchmarks/accuracy/confidence.md`; not edited by hand.",
        "",
        f"{len(found)} answers in the first {len({(row['family'], row['pair']) for row in rows})} pairs of scans "
        f"(`--pairs`), {SHOTS} painted slices, all classes of a set at once, other patients. *Expected* is "
        "the Dice that comes with an answer; *not seen* is the same fit without the set of that row; *probabilities* "
        "is what the probabilities expect of themselves. Error is the mean absolute difference to the Dice that was "
        "reached. *Elsewhere* are scans of another part of the body, where any answer is wrong.",
        "",
    ]
    cells = []
    for one in [*dict.fromkeys(family), "all"]:
        here = family == one if one != "all" else np.ones(len(y), bool)
        part = [apart[here], shipped[here], plain[here]]
        errors = [f"{np.abs(p - y[here]).mean():.3f}" for p in part]
        cells.append([one, str(here.sum()), f"{y[here].mean():.3f}", f"{part[0].mean():.3f}", *errors])
    lines += table(
        [
            "set",
            "answers",
            "Dice",
            "expected (not seen)",
            "error (not seen)",
            "error",
            "error of probabilities",
        ],
        cells,
    )
    lines += ["", "By what was expected, each set not seen by its fit:", ""]
    order = np.array_split(np.argsort(apart), 8)
    lines += table(
        ["expected", "reached", "answers"],
        [[f"{apart[p].mean():.2f}", f"{y[p].mean():.2f}", str(len(p))] for p in order],
    )
    low = apart < UNLIKELY
    lines += [
        "",
        f"Below {UNLIKELY} an answer is called *probably not found*: {low.sum()} answers, of which "
        f"{(y[low] < 0.5).sum()} have a Dice below 0.5; {((y < 0.2) & ~low).sum()} of {(y < 0.2).sum()} answers with a "
        "Dice below 0.2 are not among them.",
        "",
        "Weights of the fit to all sets, as in `segmentation/confidence.py`:",
        "",
        *table(["of", "weight"], [[n, f"{w:.2f}"] for n, w in zip(names, everything, strict=True)]),
    ]
    return "\n".join(lines) + "\n"


def main(
    arguments: Sequence[str] | None = None,
    words: str | None = __doc__,
    collect: Callable[[Path, Path, int | None], None] = collect,
    page: Callable[[Path, str], str] = lambda path, weights: markdown(rows_of(path), weights),
) -> int:
    """Collect answers pair by pair, as far as they are not there, and make a page of them."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", type=Path, required=True, help="CSV file of answers; what it holds is not run again"
    )
    parser.add_argument("--pairs", type=int, help="only so many pairs, of all kinds in turn")
    parser.add_argument("--no-run", action="store_true", help="take the answers that are there")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args(arguments)
    if not options.no_run:
        collect(options.rows, Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), options.pairs)
    text = page(options.rows, str(load_weights().metadata.get("hash", ""))[:12])
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
