"""The bundled prior decoder on a phantom that it was not trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_cpclnet.imaging import Volume
from napari_cpclnet.model.weights import BUNDLED_PRIOR, bundled_weights, load_prior_decoder
from napari_cpclnet.phantoms.phantom import Phantom, make_phantom
from napari_cpclnet.phantoms.render import render_phantom
from napari_cpclnet.segmentation.boxed import Boxed
from napari_cpclnet.segmentation.prior_decoding import DecodedPrior, decode_priors

ORGANS = ("liver", "spleen", "right kidney", "left kidney", "aorta", "stomach")


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(np.random.default_rng(987))


def _deformed(
    mask: np.ndarray, spacing: tuple[float, ...], rms_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """A mask under a smooth random deformation."""
    moves = []
    for mm in spacing:
        field = ndimage.gaussian_filter(rng.normal(size=mask.shape), [12 / s for s in spacing], mode="wrap")
        moves.append(field / field.std() * rms_mm / 3**0.5 / mm)
    places = np.indices(mask.shape, np.float32) + np.stack(moves)
    result: np.ndarray = ndimage.map_coordinates(mask.astype(np.uint8), places, order=0) > 0
    return result


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def _decoded(scan: Volume, priors: dict[int, np.ndarray], **options: object) -> dict[int, np.ndarray]:
    found = {value: np.zeros(scan.array.shape, bool) for value in priors}
    masks = {value: Boxed.around(mask) for value, mask in priors.items()}
    for one in decode_priors(load_prior_decoder(), scan, masks, **options):  # type: ignore[arg-type]
        if isinstance(one, DecodedPrior):
            found[one.value][one.box] = one.logits > 0
    return found


def test_the_bundled_weights_are_small_and_say_where_they_come_from() -> None:
    decoder = load_prior_decoder()
    assert bundled_weights().with_name(BUNDLED_PRIOR).stat().st_size < 2**20
    assert decoder.metadata["step"] > 0 and decoder.metadata["settings"]["seed"] >= 0
    assert all(bool(torch.isfinite(p).all()) for p in decoder.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_bent_organs_come_nearer_to_the_truth(phantom: Phantom, modality: str) -> None:
    rng = np.random.default_rng(3)
    scan = render_phantom(phantom, modality, rng)  # type: ignore[arg-type]
    truth = {i: phantom.mask(name) for i, name in enumerate(ORGANS) if phantom.mask(name).sum() > 200}
    priors = {i: _deformed(mask, phantom.spacing, 7.0, rng) for i, mask in truth.items()}
    before = np.mean([_dice(priors[i], truth[i]) for i in truth])
    found = _decoded(scan, priors, error_mm=4.0)
    after = np.mean([_dice(found[i], truth[i]) for i in truth])
    assert after > before + 0.03


@pytest.mark.slow
def test_a_region_without_an_edge_is_left_alone(phantom: Phantom) -> None:
    """Halves of the liver: the cut through it is nowhere to be seen."""
    rng = np.random.default_rng(4)
    scan = render_phantom(phantom, "CT", rng)
    liver = phantom.mask("liver")
    x = np.argwhere(liver)[:, 2]
    half = liver & (np.arange(liver.shape[2]) > np.median(x))
    found = _decoded(scan, {1: half, 2: liver & ~half})
    assert _dice(found[1], half) > 0.93
