"""Fit the linear read-out of the bundled weights' encoder that registration compares trunks by.

    python benchmarks/weights/anatomy_readout.py                  # writes it beside the bundled weights
    python benchmarks/weights/anatomy_readout.py --out other.safetensors --phantoms 4

Features of phantoms in CT, MR and PET, a share of each structure's cells, multinomial logistic regression. No scan of a
patient has a part in it. To be run again whenever the encoder changes: a read-out of another encoder is not used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.model import CPCLNet, bundled_weights, load_weights
from napari_cpclnet.phantoms.phantom import make_phantom, make_thorax
from napari_cpclnet.phantoms.render import render_phantom
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.registration.anatomy import cells_affine
from napari_cpclnet.registration.readout import BUNDLED, Readout, described, encoder_hash

PHANTOMS = 10
SEED = 4242
SLICES_MM = 8.0
CELLS = 500
"""Cells of a structure that a phantom gives at most."""
FEWEST = 40
"""Cells of a structure in all phantoms without which it is left out."""
DECAY = 1e-4
MODALITIES = ("CT", "MR", "CT", "MR", "PT")


def cells_of(network: CPCLNet, number: int) -> tuple[Tensor, Tensor]:
    """Features (n, C) and labels (n,) of cells of one phantom."""
    rng = np.random.default_rng((SEED, number))
    phantom = (make_thorax if number % 4 == 3 else make_phantom)(rng)
    volume = render_phantom(phantom, MODALITIES[number % len(MODALITIES)], rng)
    settings = PreprocessingSettings.model_validate(network.metadata["preprocessing"])
    grid = ModelGrid.for_volume(volume, "axial", settings)
    step = round(SLICES_MM / volume.geometry.spacing[grid.axis])
    indices = list(range(0, grid.n_slices, step))
    levels = torch.from_numpy(phantom.level[indices])
    with torch.inference_mode():
        features = torch.cat(
            [
                described(network.encode(grid.images(volume, [index]), level[None]))
                for index, level in zip(indices, levels, strict=True)
            ]
        )
    shape = (len(indices), *features.shape[2:])
    affine = cells_affine(volume, grid, 0, step)
    world = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    native = np.rint(volume.geometry.world_to_index(world)).astype(int)
    inside = ((native >= 0) & (native < volume.array.shape)).all(1)
    labels = np.zeros(len(native), np.int64)
    labels[inside] = phantom.labels[tuple(native[inside].T)]
    kept = [rng.permutation(np.flatnonzero(labels == label))[:CELLS] for label in np.unique(labels[inside])]
    chosen = np.concatenate(kept)
    return features.movedim(1, -1).flatten(0, 2)[torch.from_numpy(chosen)].clone(), torch.from_numpy(
        labels[chosen]
    )


def fit(features: Tensor, labels: Tensor, encoder: str) -> Readout:
    """Multinomial logistic regression on standardised features, written for the features as they are."""
    structures, counts = torch.unique(labels, return_counts=True)
    structures = structures[counts >= FEWEST]
    known = torch.isin(labels, structures)
    features, target = features[known], torch.searchsorted(structures, labels[known])
    mean, scale = features.mean(0), features.std(0) + 1e-4
    x = (features - mean) / scale
    weight = torch.zeros(len(structures), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(structures), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=80, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(x, weight, bias), target) + DECAY * weight.square().sum()
        torch.autograd.backward(value)
        return value

    optimiser.step(loss)
    right = (F.linear(x, weight, bias).argmax(1) == target).float().mean()
    print(f"{len(structures)} structures, {len(x)} cells, {float(right):.3f} of them named rightly")
    with torch.no_grad():
        weight /= scale
        bias -= weight @ mean
    return Readout(structures.to(torch.uint8), weight.detach(), bias.detach(), encoder)


def make_readout(weights: Path, out: Path, phantoms: int) -> None:
    """Fit the read-out of a network's encoder on so many phantoms, and write it."""
    network = load_weights(weights)
    parts = [cells_of(network, number) for number in range(phantoms)]
    features, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    fit(features, labels, encoder_hash(network)).save(out)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=bundled_weights())
    parser.add_argument("--out", type=Path, default=bundled_weights().with_name(BUNDLED))
    parser.add_argument("--phantoms", type=int, default=PHANTOMS)
    options = parser.parse_args(arguments)
    make_readout(options.weights, options.out, options.phantoms)
    print(f"Written: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
