"""All structures of a CT painted together, beside each of them painted alone.

    python benchmarks/accuracy/together.py --out benchmarks/accuracy/together.md

The 13 structures of one patient's CT are looked for in the CT of another. Five slices of each are painted, and on all
of these slices either one structure or every one. Classes that are painted together share the scan: what one of them
has, the others have not. Scans come from the folder CPCLNET_TEST_DATA.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from make_cases import CT_STRUCTURES
from numpy.typing import NDArray
from parts import SHOTS, dice, main
from table import current_commit, table

from napari_cpclnet import Segmenter, SupportSet
from napari_cpclnet.evaluation.protocols import choose_slices
from napari_cpclnet.imaging import Volume, read_volume
from napari_cpclnet.model import load_weights

NAMES = {int(value): name for value, name in (one.split("=") for one in CT_STRUCTURES.split(";"))}

Labels = NDArray[np.uint8]


def answer(
    segmenter: Segmenter, support: Volume, painted: Labels, slices: list[int], query: Volume
) -> Labels:
    """What the tool finds of the classes of a label map of which some slices are painted."""
    values = [int(v) for v in np.unique(painted) if v]
    asked = SupportSet({value: f"structure {value}" for value in values})
    asked.add(support, painted, slices=slices)
    segmenter.set_support(asked)
    for _ in segmenter.predict(query):
        pass
    return np.asarray(segmenter.result().labels)


def measure(data: Path, numbers: Sequence[int]) -> dict[int, list[tuple[float, float]]]:
    """Dice by structure and pair of scans: painted alone, and painted together with the others."""
    scans = {n: read_volume(data / "abdomen_ct" / f"ct_{n}_image.nii.gz") for n in numbers}
    labels = {
        n: np.rint(read_volume(data / "abdomen_ct" / f"ct_{n}_label.nii.gz").array).astype(np.uint8)
        for n in numbers
    }
    found: dict[int, list[tuple[float, float]]] = {value: [] for value in NAMES}
    segmenter = Segmenter(load_weights())
    for support, query in pairwise([*numbers, numbers[0]]):
        whole, true = labels[support], labels[query]
        shared = [value for value in NAMES if (whole == value).any() and (true == value).any()]
        slices = sorted(
            {i for value in shared for i in choose_slices((whole == value).sum((1, 2)).tolist(), SHOTS)}
        )
        painted = np.where(np.isin(whole, shared), whole, 0).astype(np.uint8)
        together = answer(segmenter, scans[support], painted, slices, scans[query])
        for value in shared:
            only = np.where(whole == value, whole, 0).astype(np.uint8)
            alone = answer(segmenter, scans[support], only, slices, scans[query])
            pair = dice(alone == value, true == value), dice(together == value, true == value)
            found[value].append(pair)
            print(f"{support} to {query}: {NAMES[value]} {pair[0]:.3f} {pair[1]:.3f}", flush=True)
    return found


def markdown(found: dict[int, list[tuple[float, float]]], weights: str) -> str:
    """The table."""
    means = {NAMES[value]: np.mean(pairs, 0) for value, pairs in found.items() if pairs}
    rows = [[name, f"{alone:.3f}", f"{together:.3f}"] for name, (alone, together) in means.items()]
    alone, together = np.mean(list(means.values()), 0)
    rows.append(["**mean**", f"**{alone:.3f}**", f"**{together:.3f}**"])
    return "\n".join(
        [
            "# Painted together",
            "",
            f"Commit {current_commit()}, weights {weights}. Written by `python benchmarks/accuracy/together.py`; not "
            "edited by hand.",
            "",
            f"CT of one patient to CT of another, {max(len(pairs) for pairs in found.values())} pairs, {SHOTS} painted "
            "slices of each structure. Dice with the truth where it alone is painted on these slices, and where all "
            "structures are.",
            "",
            *table(["structure", "alone", "together"], rows),
            "",
        ]
    )


def page(data: Path, numbers: Sequence[int], weights: str) -> str:
    return markdown(measure(data, numbers), weights)


if __name__ == "__main__":
    raise SystemExit(main(words=__doc__, out="together.md", page=page))
