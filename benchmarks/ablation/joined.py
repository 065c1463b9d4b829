"""What each part of the joined method is worth: the same weights, one part left out, on the same pairs of scans.

    python benchmarks/ablation/joined.py --rows FILE --out benchmarks/ablation/joined.md

Network, registration, prior decoder and their joining are left out one at a time when a scan is labelled; nothing is
trained. Pairs are those of `benchmarks/accuracy/confidence.py`: organs of the abdomen, hearts, cords, hippocampi,
spines, parts of organs, tumours, phantoms. A run that was stopped goes on where it was. Scans come from the folder
CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "accuracy"))

from confidence import SHOTS, Pair, main, pairs  # noqa: E402
from table import current_commit, table  # noqa: E402

from napari_cpclnet import Segmenter, SupportSet  # noqa: E402
from napari_cpclnet.evaluation.metrics import normalised_surface_dice  # noqa: E402
from napari_cpclnet.evaluation.protocols import choose_slices  # noqa: E402
from napari_cpclnet.model import load_weights  # noqa: E402
from napari_cpclnet.segmentation import SegmentationSettings, fusion, prior_decoding, segmenter  # noqa: E402
from napari_cpclnet.segmentation.boxed import Boxed  # noqa: E402
from napari_cpclnet.segmentation.confidence import dice  # noqa: E402
from napari_cpclnet.segmentation.prior_decoding import DecodedPrior  # noqa: E402
from napari_cpclnet.segmentation.recognition import Recognised  # noqa: E402

TOLERANCE_MM = 2.0
SETTINGS = SegmentationSettings(plane="native")


def blind(support: SupportSet, *_: Any) -> Recognised:
    """A network that finds nothing of what was painted again, so that it is not believed."""
    return Recognised([0.0] * len(support.classes), [False] * len(support.classes))


def undecoded(
    _decoder: Any, _query: Any, _axis: int, mask: Boxed, _error: float, done: float
) -> Iterator[float]:
    """A prior as it is, in place of what the decoder makes of it."""
    yield done
    box = tuple(slice(0, n) for n in mask.shape)
    return DecodedPrior(1, (box[0], box[1], box[2]), np.where(mask.whole(), 8, -8).astype(np.float32), 0.5)


VARIANTS: dict[str, tuple[dict[str, Any], list[tuple[Any, str, Any]]]] = {
    "full": ({}, []),
    "without registration": ({"align": False}, []),
    "without the network": ({}, [(segmenter, "found_again", blind)]),
    "without the prior decoder": ({}, [(fusion, "_decoded", undecoded)]),
    "prior decoder on 4 mm": ({}, [(prior_decoding, "_FINENESS", ((np.inf, 4.0),))]),
    "without the second pass": ({"self_support": False}, []),
    "registration believed whatever its cycle": ({}, [(fusion, "_STEADY", (1e9, 1e8))]),
}
"""Settings, and what is put in the place of what, by variant."""


@contextmanager
def variant(one: Segmenter, name: str) -> Iterator[None]:
    """A segmenter without a part."""
    settings, replaced = VARIANTS[name]
    one.configure(SETTINGS.model_copy(update=settings))
    patches = [mock.patch.object(*patch) for patch in replaced]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def answers(one: Segmenter, pair: Pair) -> Iterator[dict[str, Any]]:
    """Dice and surface Dice of each class, by variant."""
    (painted, labels), (query, truth) = pair.support(), pair.query()
    shown = [v for v in pair.classes if (labels == v).any() and (truth == v).any()]
    slices = {i for v in shown for i in choose_slices((labels == v).sum((1, 2)).tolist(), SHOTS)}
    support = SupportSet({v: pair.classes[v] for v in shown})
    support.add(painted, np.where(np.isin(labels, shown), labels, 0), slices=sorted(slices), plane="native")
    for name in VARIANTS:
        with variant(one, name):
            one.set_support(support)
            for _ in one.predict(query):
                pass
            found = one.result().labels
        for value in shown:
            mine, true = found == value, truth == value
            surface = normalised_surface_dice(mine, true, query.geometry.spacing, TOLERANCE_MM)
            yield {
                "family": pair.family,
                "pair": pair.name,
                "variant": name,
                "label": pair.classes[value],
                "dice": dice(mine, true),
                "surface": surface,
            }


def collect(path: Path, data: Path, most: int | None) -> None:
    """Run the pairs that are not in the table yet, and write each down when it is done."""
    done = {(row["family"], row["pair"]) for row in rows_of(path)} if path.exists() else set()
    one = Segmenter(load_weights(), SETTINGS)
    chosen = (pair for pair in pairs(data) if pair.family != "elsewhere")
    for pair in itertools.islice(chosen, most):
        if (pair.family, pair.name) in done:
            continue
        rows = list(answers(one, pair))
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if fresh:
                writer.writeheader()
            writer.writerows(rows)
        print(pair.family, pair.name, flush=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def markdown(rows: Sequence[dict[str, str]], weights: str) -> str:
    """The table: mean Dice and surface Dice by variant and kind of scans."""
    families = list(dict.fromkeys(row["family"] for row in rows))

    def cell(name: str, family: str) -> list[float]:
        here = [r for r in rows if r["variant"] == name and r["family"] == family]
        return [float(np.mean([float(r[k]) for r in here])) for k in ("dice", "surface")]

    body = []
    for name in VARIANTS:
        found = np.array([cell(name, family) for family in families])
        body.append([name, *(f"{d:.3f} / {s:.3f}" for d, s in [*found, found.mean(0)])])
    count = len({(row["family"], row["pair"]) for row in rows})
    lines = [
        "# What each part of the joined method is worth",
        "",
        f"Commit {current_commit()}, weights {weights}. Written by `python benchmarks/ablation/joined.py --rows FILE "
        "--out benchmarks/ablation/joined.md`; not edited by hand.",
        "",
        f"{count} pairs of scans of different patients, {SHOTS} painted slices, all classes of a set at once. Mean "
        f"Dice / surface Dice at {TOLERANCE_MM:.0f} mm; the last column counts each kind of scans once. The weights "
        "were trained for the whole: these are parts of the method left out afterwards, not other trainings.",
        "",
        *table(["", *families, "mean"], body),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main(None, __doc__, collect, lambda path, weights: markdown(rows_of(path), weights)))
