"""Choose threshold, post-processing and number of looks on phantoms that the network never saw: no real mask has a say.

    python benchmarks/accuracy/decisions.py                  # prints the table
    python benchmarks/accuracy/decisions.py --pairs 6 --weights other.safetensors

Six phantoms as CT (4 mm slices) and as MR (8 mm slices that fade towards the ends of the coil, upper abdomen only),
every scan in a scanner of its own as training draws them, any weighting and any contrast phase; five painted slices of
one, all slices of the next, four organs at once. Mean 3-D Dice over organs and pairs.
"""

from __future__ import annotations

import argparse
import copy
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ct_to_mr import choose_slices, dice
from numpy.typing import NDArray

from napari_cpclnet.episodes.appearance import render, sample_appearance
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import CPCLNet, load_weights
from napari_cpclnet.phantoms.phantom import Phantom, make_phantom
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.segmentation import (
    PostprocessingSettings,
    SegmentationSettings,
    Segmenter,
    SupportSet,
    postprocess,
)

ORGANS = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
DIRECTIONS = (("CT", "MR"), ("MR", "CT"), ("MR", "MR"), ("CT", "CT"))
KINDS = {"CT": 0, "MR": 1}
PHANTOMS = 6
SMALLEST_ML = 60
SEED = 1009
"""The bundled weights are trained on phantoms of the seeds 1 to 5."""

NOTHING = PostprocessingSettings(largest_component=False)
CHOICES: dict[str, tuple[float, PostprocessingSettings]] = {
    **{f"threshold {t}": (t, PostprocessingSettings()) for t in (0.4, 0.5, 0.6, 0.7, 0.8)},
    "threshold 0.6, all pieces": (0.6, NOTHING),
    "threshold 0.6, pieces from 5 ml": (0.6, NOTHING.model_copy(update={"minimum_ml": 5.0})),
    "threshold 0.6, gaps closed to 4 mm": (0.6, PostprocessingSettings(closing_mm=2.0)),
    "threshold 0.6, holes filled": (0.6, PostprocessingSettings(fill_holes=True)),
}

ONE_LOOK = "threshold 0.6, one look"
BLIND = "threshold 0.6, two looks without likeness"

Labels = NDArray[np.uint8]


@functools.lru_cache(PHANTOMS)
def patient(number: int) -> Phantom:
    """A phantom with all four organs, none of them tiny."""
    for attempt in itertools.count():
        phantom = make_phantom(np.random.default_rng((SEED, number, attempt)))
        ml = np.prod(phantom.spacing) / 1000
        if all(phantom.mask(name).sum() * ml >= SMALLEST_ML for name in ORGANS.values()):
            break
    return phantom


def scan(number: int, modality: str, organs: Mapping[int, str] = ORGANS) -> tuple[Volume, Labels]:
    """A phantom in a scanner of its own, and its labels."""
    phantom = patient(number)
    labels = np.zeros(phantom.labels.shape, np.uint8)
    for value, name in organs.items():
        labels[phantom.mask(name)] = value
    structures, spacing = phantom.labels.astype(np.int64), phantom.spacing
    rng = np.random.default_rng((SEED, number, KINDS[modality]))
    if modality == "MR":
        # every other slice, of the upper abdomen
        upper = slice(int(0.3 * len(labels)), int(0.9 * len(labels)), 2)
        structures, labels, spacing = structures[upper], labels[upper], (2 * spacing[0], *spacing[1:])
    look = replace(sample_appearance(rng, KINDS[modality]), gain=0.0, view=(2.0, 2.0))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    planes = torch.from_numpy(structures)[None, :, None]
    array = render(planes, [look], generator)[0, :, 0].numpy()
    if modality == "MR":
        count = len(array)
        middle, half = count * rng.uniform(0.35, 0.55), count * rng.uniform(0.25, 0.4)
        beyond = np.clip(np.abs(np.arange(count) - middle) - half, 0, None)
        array = array * np.clip(np.exp(-beyond / (0.1 * count)), 0.12, 1)[:, None, None]
    low, high = PreprocessingSettings().ct_window if modality == "CT" else (0, 1000)
    z, y, x = array.shape
    return Volume(
        np.rint(low + array * (high - low)).astype(np.int16),
        Geometry((z, y, x), spacing),
        "CT" if modality == "CT" else "MR",
        "HU" if modality == "CT" else "",
        name=f"phantom {number} {modality}",
    ), np.ascontiguousarray(labels)


def blinded(model: CPCLNet) -> CPCLNet:
    """The same network, whose decoder does not see likeness."""
    other = copy.deepcopy(model)
    for layer in (other.decoder.like, other.decoder.like_fine):
        torch.nn.init.zeros_(layer.weight)
    return other


def scores(segmenter: Segmenter, pairs: int) -> Iterator[tuple[str, str, float]]:
    """(direction, choice, mean Dice of one pair)."""
    blind = Segmenter(blinded(segmenter.model))
    for first, second in DIRECTIONS:
        for number in range(pairs):
            painted, labels = scan(number % PHANTOMS, first)
            query, truth = scan((number + 1) % PHANTOMS, second)
            support = SupportSet(ORGANS)
            support.add(painted, labels, slices=choose_slices(labels, list(ORGANS), 0, 5))
            segmenter.set_support(support)
            for _ in segmenter.predict(query, keep_probabilities=True):
                pass
            probabilities = segmenter.result_probabilities()
            grid = ModelGrid.for_volume(query, "axial", segmenter.preprocessing)
            for name, (threshold, settings) in CHOICES.items():
                best = np.where(probabilities.max(0) >= 255 * threshold, probabilities.argmax(0) + 1, 0)
                found = postprocess(best.astype(np.uint8), query, grid, settings)
                yield f"{first} to {second}", name, mean_dice(found, truth)
            blind.set_support(support)
            for _ in blind.predict(query):
                pass
            yield f"{first} to {second}", BLIND, mean_dice(blind.result().labels, truth)
            segmenter.configure(SegmentationSettings(self_support=False))
            for _ in segmenter.predict(query):
                pass
            yield f"{first} to {second}", ONE_LOOK, mean_dice(segmenter.result().labels, truth)
            segmenter.configure(SegmentationSettings())


def mean_dice(found: NDArray[np.integer], truth: Labels) -> float:
    """Mean 3-D Dice over the organs."""
    return float(np.mean([dice(found, v, truth, v) for v in ORGANS]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=3, help="pairs in each direction")
    parser.add_argument("--weights", type=Path, help="weights file; the bundled one if missing")
    options = parser.parse_args(arguments)
    segmenter = Segmenter(load_weights(options.weights))
    found: dict[str, dict[str, list[float]]] = {name: {} for name in (*CHOICES, BLIND, ONE_LOOK)}
    for direction, name, value in scores(segmenter, options.pairs):
        found[name].setdefault(direction, []).append(value)
    directions = [f"{a} to {b}" for a, b in DIRECTIONS]
    print(f"Weights {segmenter.model.metadata['hash']}, {options.pairs} pairs a direction\n")
    print(f"| choice | {' | '.join(directions)} | mean |\n|{' --- |' * (len(directions) + 2)}")
    for name, by_direction in found.items():
        means = [float(np.mean(by_direction[d])) for d in directions]
        print(f"| {name} | {' | '.join(f'{m:.3f}' for m in means)} | {np.mean(means):.3f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
