"""Judge the prior decoder across patients: labels of one scan carried over by registration, then corrected.

    python benchmarks/accuracy/prior_decoder_pairs.py --pair CT_A_image.nii.gz CT_B_image.nii.gz
    python benchmarks/accuracy/prior_decoder_pairs.py --pair CT_A_image.nii.gz MR_image.nii.gz --classes 6=1,2=2,3=3,1=4

Labels lie beside the images (``_label`` for ``_image``). Where both scans are CT, the support's grey values
are told. Prints the 3-D Dice of every class: carried over, after grey-value refinement, and after one to three
passes of the decoder, classes competing; last, what the decoder gains on the support's own labels when they are bent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from prior_decoder import grey_values

from napari_cpclnet import load_weights
from napari_cpclnet.imaging import Volume, read_segmentation, read_volume
from napari_cpclnet.model.prior_inputs import plane_distance
from napari_cpclnet.model.prior_weights import load_prior_decoder
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.preprocessing.intensity import intensity_range, normalise
from napari_cpclnet.registration import register
from napari_cpclnet.segmentation.prior_decoding import (
    DecodedPrior,
    decode_priors,
    fused_labels,
    painted_reference,
)
from napari_cpclnet.segmentation.prior_trust import TriedPrior, trying_priors

Labels = NDArray[np.unsignedinteger]
COLUMNS = ("carried over", "grey values", "decoder", "twice", "thrice", "own gain")


def read(path: Path) -> tuple[Volume, Labels]:
    """A scan and its labels."""
    volume = read_volume(path)
    return volume, read_segmentation(
        path.with_name(path.name.replace("_image", "_label")), like=volume
    ).labels


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2 * float((one & other).sum()) / max(1, int(one.sum()) + int(other.sum()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pair", nargs=2, type=Path, required=True, metavar=("SUPPORT", "QUERY"))
    parser.add_argument(
        "--classes", help="label values of support and query, such as 6=1,2=2; all where missing"
    )
    parser.add_argument("--error", type=float, default=5.0, help="how far priors are off, in mm")
    parser.add_argument("--weights", type=Path, help="weights file; the bundled one where missing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    decoder = load_prior_decoder(options.weights)
    (support, painted), (query, truth) = (read(path) for path in options.pair)
    pairs = {int(v): int(v) for v in np.unique(painted) if v}
    if options.classes:
        pairs = {int(a): int(b) for a, b in (one.split("=") for one in options.classes.split(","))}
    field = register(support, query, network=load_weights())
    carried = field.warp(painted)
    priors = {b: carried == a for a, b in pairs.items() if (truth == b).any() and (carried == a).any()}
    known = None
    own = {b: painted == a for a, b in pairs.items() if b in priors}
    if support.modality == query.modality == "CT":
        known = painted_reference(support, own)
    image = normalise(query.array, intensity_range(query, PreprocessingSettings()))
    rows = {
        value: [
            dice(prior, truth == value),
            dice(
                grey_values(query, plane_distance(prior, query.geometry.spacing[1:]), image), truth == value
            ),
        ]
        for value, prior in priors.items()
    }
    for passes in (1, 2, 3):
        reports = decode_priors(
            decoder, query, priors, error_mm=options.error, references=known, passes=passes
        )
        labels = fused_labels((r for r in reports if isinstance(r, DecodedPrior)), query.geometry.shape)
        for value, row in rows.items():
            row.append(dice(labels == value, truth == value))
    tried = [r for r in trying_priors(decoder, support, own, options.error) if isinstance(r, TriedPrior)]
    gains = {one.value: one.gain for one in tried}
    for value, row in rows.items():
        row.append(gains.get(value, 0.0))
    print(f"weights {decoder.metadata['hash']}; columns: {', '.join(COLUMNS)}")
    for value, row in rows.items():
        print(f"  {value:3d}  " + "  ".join(f"{v:.3f}" for v in row))
    print("mean  " + "  ".join(f"{v:.3f}" for v in np.mean(list(rows.values()), 0)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
