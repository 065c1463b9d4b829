"""Judge the prior decoder in one scan: five painted slices of each structure, interpolated, then corrected.

    python benchmarks/accuracy/prior_decoder.py --data DATA --sets abdomen_ct abdomen_mr wide/acdc wide/vb2 --scans 2

Painted slices lie at fractions of a structure's extent. Between them signed distances are interpolated; beyond the
outermost the outline shrinks by a millimetre a millimetre, for half a gap. Prints the mean 3-D Dice of the
slices that were not painted: of the interpolation, grey-value refinement, and the decoder after one and two passes; of
the filling between slices, and the decoder after that.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cpclnet.imaging import Volume, read_segmentation, read_volume
from napari_cpclnet.model.prior_decoder import PriorDecoder
from napari_cpclnet.model.prior_inputs import GreyReference, grey_evidence, grey_logits, plane_distance
from napari_cpclnet.model.weights import load_prior_decoder
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.preprocessing.intensity import intensity_range, normalise
from napari_cpclnet.propagation import PropagationSettings, propagating
from napari_cpclnet.segmentation.prior_decoding import DecodedPrior, decode_priors, painted_reference

COLUMNS = ("interpolated", "grey values", "decoder", "twice", "filled", "decoder")


def painted_slices(mask: NDArray[np.bool_], count: int) -> list[int]:
    """Slices of a structure at fractions of its extent."""
    shown = np.flatnonzero(mask.any((1, 2)))
    return sorted({int(shown[int((i + 0.5) / count * len(shown))]) for i in range(count)})


def interpolate(
    mask: NDArray[np.bool_], painted: Sequence[int], spacing: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Signed distances of all slices from those of the painted ones, and how far the next painted slice is, in mm."""
    known = {z: plane_distance(mask[z : z + 1], (spacing[1], spacing[2]))[0] for z in painted}
    out = np.full(mask.shape, -20.0, np.float32)
    away = np.array([min(abs(z - p) for p in painted) * spacing[0] for z in range(len(mask))], np.float32)
    gap = (painted[-1] - painted[0]) / max(1, len(painted) - 1)
    for z in range(len(mask)):
        before = [p for p in painted if p <= z]
        after = [p for p in painted if p >= z]
        if before and after:
            a, b = before[-1], after[0]
            share = (z - a) / max(1, b - a)
            out[z] = (1 - share) * known[a] + share * known[b]
        elif away[z] <= gap / 2 * spacing[0]:
            out[z] = known[painted[0] if after else painted[-1]] - away[z]
    return out, away


def grey_values(
    volume: Volume, distance: NDArray[np.float32], image: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Grey-value refinement of a prior on native pixels."""
    there = np.argwhere(distance > 0)
    pixel = float(np.sqrt(volume.geometry.spacing[1] * volume.geometry.spacing[2]))
    margin = [0, *(int(np.ceil(25 / mm)) for mm in volume.geometry.spacing[1:])]
    box = tuple(
        slice(max(0, int(a) - m), int(b) + m + 1)
        for a, b, m in zip(there.min(0), there.max(0), margin, strict=True)
    )
    near = torch.from_numpy(distance[box])
    logits = grey_logits(near, grey_evidence(torch.from_numpy(image[box]), near, pixel))
    found = np.zeros(distance.shape, bool)
    found[box] = logits.numpy() > 0
    return found


def propagated(volume: Volume, mask: NDArray[np.bool_], painted: Sequence[int]) -> NDArray[np.bool_]:
    """The structure as it is filled between its painted slices."""
    slices = {z: mask[z].astype(np.uint8) for z in painted}
    *_, scores = propagating(volume.array, volume.geometry.spacing, slices, 1, PropagationSettings())
    found = np.zeros(mask.shape, bool)
    if scores is not None:
        grid = scores.grid
        for z in range(grid.slices[0], grid.slices[-1] + 1):
            found[z, grid.rows, grid.columns] = grid.native(scores.scores, z) > 0
    found[list(painted)] = mask[list(painted)]
    return found


def corrected(
    decoder: PriorDecoder,
    volume: Volume,
    prior: NDArray[Any],
    errors: NDArray[np.floating],
    known: dict[int, GreyReference],
    passes: int,
) -> NDArray[np.bool_]:
    """A prior after the decoder."""
    mask = np.zeros(prior.shape, bool)
    for one in decode_priors(
        decoder, volume, {1: prior}, error_mm={1: errors}, references=known, passes=passes
    ):
        if isinstance(one, DecodedPrior):
            mask[one.box] = one.logits > 0
    return mask


def judge(decoder: PriorDecoder, volume: Volume, labels: NDArray[Any], shots: int) -> dict[int, list[float]]:
    """Dice of every structure by method; without those that five slices show completely."""
    spacing = volume.geometry.spacing
    image = normalise(volume.array, intensity_range(volume, PreprocessingSettings()))
    table = {}
    for value in np.unique(labels)[1:]:
        truth = labels == value
        painted = painted_slices(truth, shots)
        rest = np.ones(len(labels), bool)
        rest[painted] = False
        if not truth[rest].any():
            continue
        distance, away = interpolate(truth, painted, spacing)
        filled = propagated(volume, truth, painted)
        known = painted_reference(volume, {1: truth}, slices=painted)
        errors = 0.4 + 0.15 * away
        found = [
            distance > 0,
            grey_values(volume, distance, image),
            *(corrected(decoder, volume, distance, errors, known, passes) for passes in (1, 2)),
            filled,
            corrected(decoder, volume, filled, errors, known, 1),
        ]
        table[int(value)] = [
            2 * float((f[rest] & truth[rest]).sum()) / max(1, f[rest].sum() + truth[rest].sum())
            for f in found
        ]
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled scans")
    parser.add_argument("--sets", nargs="+", default=["abdomen_ct"], help="folders in it")
    parser.add_argument("--scans", type=int, default=1, help="of each set")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--weights", type=Path, help="weights file; the bundled one where missing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    decoder = load_prior_decoder(options.weights)
    print(f"weights {decoder.metadata['hash']}; columns: {', '.join(COLUMNS)}")
    for name in options.sets:
        rows = []
        for path in sorted((options.data / name).glob("*_image.nii.gz"))[: options.scans]:
            volume = read_volume(path)
            truth = read_segmentation(path.with_name(path.name.replace("_image", "_label")), like=volume)
            began = time.process_time()
            table = judge(decoder, volume, truth.labels, options.shots)
            print(f"{path.name}, {time.process_time() - began:.1f} s")
            for value, row in table.items():
                print(f"  {value:3d}  " + "  ".join(f"{v:.3f}" for v in row), flush=True)
            rows += list(table.values())
        print(f"{name}: " + "  ".join(f"{v:.3f}" for v in np.mean(rows, 0)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
