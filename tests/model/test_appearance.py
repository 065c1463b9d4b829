"""Appearance model: what plain values of a scan say, against histograms counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cpclnet.model import CPCLNet
from napari_cpclnet.model.appearance import (
    BINS,
    INTENSITY_FEATURES,
    MAPS,
    AppearanceModel,
    fit_appearance,
    intensity_features,
    log_likelihood_maps,
)

MakeNetwork = Callable[..., CPCLNet]
OWN = torch.ones(1, dtype=torch.bool)


def slices(grey: Tensor) -> Tensor:
    """A picture (H, W) as a slice with its neighbours."""
    return grey.expand(1, 3, -1, -1)


def scene(lung: float = 0.1, spleen: float = 0.8, other: float = 0.45) -> tuple[Tensor, Tensor]:
    """A body with a spleen and a lung, and the mask of the spleen (1, 1, H, W)."""
    grey = torch.zeros(64, 64)
    grey[4:60, 4:60] = other
    grey[8:24, 8:24] = lung
    grey[34:50, 34:50] = spleen
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 34:50, 34:50] = 1
    return slices(grey), mask


def maps_of(query: Tensor, known: AppearanceModel) -> Tensor:
    return log_likelihood_maps(
        intensity_features(query), AppearanceModel(known.tables[None], known.known[None])
    )[0, 0]


def test_brightness_is_the_mean_of_nine_pixels_and_texture_their_deviation() -> None:
    picture = torch.rand(16, 16)
    found = intensity_features(slices(picture))[0]
    patch = picture[4:7, 8:11].double()
    assert found.shape == (INTENSITY_FEATURES, 16, 16)
    assert float(found[0, 5, 9]) == pytest.approx(float(patch.mean()), abs=1e-6)
    expected = min(1.0, 4 * float(patch.std(unbiased=False)))
    assert float(found[2, 5, 9]) == pytest.approx(expected, abs=1e-4)


def test_relative_brightness_does_not_care_how_dark_the_whole_slice_is() -> None:
    image, _ = scene(lung=0.3)
    bright, dark = intensity_features(image), intensity_features(0.4 * image)
    torch.testing.assert_close(bright[:, 1], dark[:, 1], rtol=1e-3, atol=1e-3)
    assert (bright[:, 0] - dark[:, 0]).abs().max() > 0.3


def test_tables_are_the_histograms_of_mask_ring_and_rest() -> None:
    torch.manual_seed(0)
    image, mask = slices(torch.rand(64, 64) * 0.6 + 0.2), torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    seen = intensity_features(image)
    found = fit_appearance([seen], [mask], [OWN]).tables[0].exp().numpy()
    ring = np.zeros((64, 64), bool)
    ring[13:47, 13:47] = True
    inside = mask[0, 0].numpy() > 0
    for row, region in enumerate((inside, ring & ~inside, ~ring)):
        counts = np.zeros(BINS)
        for value in seen[0, 0].numpy()[region] * (BINS - 1):
            low = min(int(value), BINS - 2)
            counts[low] += low + 1 - value
            counts[low + 1] += value - low
        smooth = np.convolve(np.pad(counts, 1, "edge"), [0.25, 0.5, 0.25], "valid")
        expected = 0.98 * smooth / smooth.sum() + 0.02 / BINS
        np.testing.assert_allclose(found[row, 0], expected, atol=1e-4)


def test_a_white_spleen_is_like_itself_and_a_black_lung_is_not() -> None:
    image, mask = scene()
    known = fit_appearance([intensity_features(image)], [mask], [OWN])
    maps = maps_of(image, known)
    assert maps.shape == (MAPS, 64, 64)
    spleen, lung, other = maps[:, 42, 42], maps[:, 16, 16], maps[:, 30, 56]
    assert (spleen[:2] > 0.5).all()  # brightness speaks for it, against ring and ...
    assert spleen[INTENSITY_FEATURES] > 0.5  # ... rest
    assert (
        lung[2 * INTENSITY_FEATURES] < -0.5 and other[2 * INTENSITY_FEATURES] < -0.5
    )  # and no such value was seen in it
    assert (maps[-1] == 1).all()


def test_nothing_is_said_of_another_scan_or_of_a_class_that_was_not_seen() -> None:
    image, mask = scene()
    both = torch.cat([mask, torch.zeros_like(mask)])
    elsewhere = fit_appearance([intensity_features(image)], [both], None)
    assert not elsewhere.known.any() and not maps_of(image, elsewhere).any()
    here = fit_appearance([intensity_features(image)], [both], [OWN])
    assert here.known.tolist() == [True, False]
    maps = log_likelihood_maps(
        intensity_features(image), AppearanceModel(here.tables[None], here.known[None])
    )
    assert maps[:, 0].any() and not maps[:, 1].any()


def test_slices_of_other_scans_do_not_count() -> None:
    (image, mask), (other, _) = scene(), scene(spleen=0.3)
    alone = fit_appearance([intensity_features(image)], [mask], [OWN])
    seen, masks = intensity_features(torch.cat([image, other])), mask.repeat(1, 2, 1, 1)
    mixed = fit_appearance([seen], [masks], [torch.tensor([True, False])])
    torch.testing.assert_close(mixed.tables, alone.tables)
    apart = fit_appearance([intensity_features(image), intensity_features(other)], [mask, mask], [OWN, ~OWN])
    torch.testing.assert_close(apart.tables, alone.tables)


@torch.no_grad()
def test_the_answer_changes_within_a_scan_and_only_there(make_network: MakeNetwork) -> None:
    network = make_network()
    image, mask = scene()
    features = network.encode(image)
    elsewhere, unmarked = network.describe([features], [mask]), network.describe([features], [mask], [~OWN])
    here = network.describe([features], [mask], [OWN])
    plain = network.segment(features, elsewhere).logits
    torch.testing.assert_close(network.segment(features, unmarked).logits, plain)
    assert (network.segment(features, here).logits - plain).abs().max() > 1e-3


@torch.no_grad()
def test_likeness_goes_with_the_class_it_belongs_to(make_network: MakeNetwork) -> None:
    network = make_network()
    image, mask = scene()
    features = network.encode(image)
    two = network.describe([features], [torch.cat([mask, mask.flip(3)])])
    own = network.describe([features], [mask], [OWN])
    mixed = two.replaced(0, own)
    assert mixed.appearance.known.tolist() == [True, False]
    torch.testing.assert_close(
        network.segment(features, mixed).logits[:, 0], network.segment(features, own).logits[:, 0]
    )
