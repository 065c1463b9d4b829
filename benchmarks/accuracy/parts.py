"""Structures without a name in other patients: halves and cores of organs, unions, a ball; and the swap test.

    python benchmarks/accuracy/parts.py --out benchmarks/accuracy/parts.md

Five slices of a structure that no anatomist has a word for are painted in one abdominal CT, and it is looked for in the
CT of another patient. The swap test asks for both halves of an organ, each on its own, and compares the two answers:
whoever names organs instead of looking at the paint gives the same answer twice. Scans come from the folder
CPCLNET_TEST_DATA.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from make_cases import DEFAULT_DATA
from numpy.typing import NDArray
from scipy import ndimage
from table import current_commit, table

from napari_cpclnet import Segmenter, SupportSet
from napari_cpclnet.evaluation.protocols import choose_slices
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.imaging import Volume, read_volume
from napari_cpclnet.model import load_weights

HERE = Path(__file__).resolve().parent
SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, LIVER, STOMACH, AORTA = 1, 2, 3, 6, 7, 8
SHOTS = 5
BALL_MM, CORE_MM = 25.0, 10.0

Mask = NDArray[np.bool_]
Part = Callable[[NDArray[np.uint8], Volume], Mask]


def half(organ: int, direction: tuple[float, float, float], side: int) -> Part:
    """The half of an organ on one side of its middle, along a direction (superior, posterior, left)."""

    def part(labels: NDArray[np.uint8], volume: Volume) -> Mask:
        whole = labels == organ
        places = volume.geometry.index_to_world(np.argwhere(whole)) @ np.array(direction)
        mask = np.zeros_like(whole)
        mask[whole] = side * (places - np.median(places)) > 0
        return mask

    return part


def core(organ: int) -> Part:
    """What lies deeper than 10 mm within an organ."""

    def part(labels: NDArray[np.uint8], volume: Volume) -> Mask:
        return np.asarray(
            ndimage.distance_transform_edt(labels == organ, sampling=volume.geometry.spacing) > CORE_MM
        )

    return part


def union(*organs: int) -> Part:
    """Organs together."""
    return lambda labels, _volume: np.isin(labels, organs)


def ball(labels: NDArray[np.uint8], volume: Volume) -> Mask:
    """A ball of 25 mm radius in the spine: 40 mm behind the aorta, at the height of the kidneys' middles."""
    kidneys, aorta = (
        volume.geometry.index_to_world(np.argwhere(np.isin(labels, organs)))
        for organs in ((RIGHT_KIDNEY, LEFT_KIDNEY), (AORTA,))
    )
    height = np.median(kidneys[:, 0])
    near = aorta[np.abs(aorta[:, 0] - height) < BALL_MM]
    middle = np.array([height, *np.median(near[:, 1:], axis=0)]) + (0.0, 40.0, 0.0)
    index = np.indices(labels.shape).reshape(3, -1).T
    distance = np.linalg.norm(volume.geometry.index_to_world(index) - middle, axis=1)
    return (distance < BALL_MM).reshape(labels.shape)


HALVES = {
    "upper and lower liver": (half(LIVER, (1, 0, 0), 1), half(LIVER, (1, 0, 0), -1)),
    "left and right liver": (half(LIVER, (0, 0, 1), 1), half(LIVER, (0, 0, 1), -1)),
    "front and back of the spleen": (half(SPLEEN, (0, 1, 0), -1), half(SPLEEN, (0, 1, 0), 1)),
    "upper and lower right kidney": (half(RIGHT_KIDNEY, (1, 0, 0), 1), half(RIGHT_KIDNEY, (1, 0, 0), -1)),
}
OTHERS: dict[str, Part] = {
    "core of the liver": core(LIVER),
    "liver and spleen": union(LIVER, SPLEEN),
    "both kidneys": union(RIGHT_KIDNEY, LEFT_KIDNEY),
    "liver, right kidney and stomach": union(LIVER, RIGHT_KIDNEY, STOMACH),
    "ball at the spine": ball,
}


def dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / max((one.sum() + other.sum()), 1))


def answer(segmenter: Segmenter, support: Volume, painted: Mask, query: Volume) -> Mask:
    """What the tool finds of a structure of which five slices are painted."""
    areas = painted.sum((1, 2))
    slices = SupportSet({1: "structure"})
    slices.add(support, painted.astype(np.uint8), slices=choose_slices(areas.tolist(), SHOTS))
    segmenter.set_support(slices)
    for _ in segmenter.predict(query):
        pass
    return np.asarray(segmenter.result().labels == 1)


def measure(
    data: Path, numbers: Sequence[int]
) -> tuple[dict[str, list[float]], dict[str, list[float]], float]:
    """Dice with the truth by structure, Dice between the answers to two halves, and seconds of one answer."""
    scans = {n: read_volume(data / "abdomen_ct" / f"ct_{n}_image.nii.gz") for n in numbers}
    labels = {
        n: np.rint(read_volume(data / "abdomen_ct" / f"ct_{n}_label.nii.gz").array).astype(np.uint8)
        for n in numbers
    }
    found: dict[str, list[float]] = {}
    swapped: dict[str, list[float]] = {}
    segmenter, seconds = Segmenter(load_weights()), []

    def asked(part: Part, support: int, query: int) -> tuple[Mask, float]:
        begun = time.perf_counter()
        painted = part(labels[support], scans[support])
        mask = answer(segmenter, scans[support], painted, scans[query])
        seconds.append(time.perf_counter() - begun)
        return mask, dice(mask, part(labels[query], scans[query]))

    for support, query in pairwise([*numbers, numbers[0]]):
        for name, both in HALVES.items():
            answers = [asked(part, support, query) for part in both]
            found.setdefault(name, []).append(float(np.mean([score for _, score in answers])))
            swapped.setdefault(name, []).append(dice(answers[0][0], answers[1][0]))
            print(
                f"{support} to {query}: {name} {found[name][-1]:.3f}, swap {swapped[name][-1]:.3f}",
                flush=True,
            )
        for name, part in OTHERS.items():
            found.setdefault(name, []).append(asked(part, support, query)[1])
            print(f"{support} to {query}: {name} {found[name][-1]:.3f}", flush=True)
    return found, swapped, float(np.mean(seconds))


def markdown(
    found: dict[str, list[float]], swapped: dict[str, list[float]], seconds: float, weights: str
) -> str:
    """The table."""
    rows = [
        [
            name,
            f"{np.mean(values):.3f}",
            f"{min(values):.3f}",
            f"{np.mean(swapped[name]):.3f}" if name in swapped else "",
        ]
        for name, values in found.items()
    ]
    means = [float(np.mean([np.mean(v) for v in group.values()])) for group in (found, swapped)]
    rows.append(["**mean**", f"**{means[0]:.3f}**", "", f"**{means[1]:.3f}**"])
    return "\n".join(
        [
            "# Structures without a name",
            "",
            f"Commit {current_commit()}, weights {weights}. Written by `python benchmarks/accuracy/parts.py`; not "
            "edited by hand.",
            "",
            f"CT of one patient to CT of another, {SHOTS} painted slices, {len(next(iter(found.values())))} pairs, "
            f"{seconds:.0f} s for an answer in the mean. Dice with the truth; of halves, the mean of both, and "
            "how much the answers to both overlap (Dice, 0 is right).",
            "",
            *table(["structure", "Dice", "worst pair", "overlap of the answers"], rows),
            "",
        ]
    )


def main(
    arguments: Sequence[str] | None = None,
    words: str | None = __doc__,
    out: str = "parts.md",
    page: Callable[[Path, Sequence[int], str], str] = lambda data, numbers, weights: markdown(
        *measure(data, numbers), weights
    ),
) -> int:
    """Make a page of what was found in the CTs, each the support of the next."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("CPCLNET_TEST_DATA", DEFAULT_DATA)), help="test data"
    )
    parser.add_argument(
        "--numbers", type=int, nargs="+", default=[10, 16, 20, 28], help="CTs, each to the next"
    )
    parser.add_argument("--out", type=Path, default=HERE / out, help="file to write")
    options = parser.parse_args(arguments)
    text = page(options.data, options.numbers, str(load_weights().metadata["hash"]))
    with atomic_write(options.out, "the table") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
