"""What the prior decoder is told: distances within slices, and what grey values say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cpclnet.model.prior_inputs import (
    FACTS,
    MAPS,
    REACH_MM,
    GreyEvidence,
    decoder_facts,
    decoder_maps,
    grey_evidence,
    grey_logits,
    plane_distance,
)


def _disc(n: int = 3, size: int = 40, radius: float = 9.0) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return np.repeat((y**2 + x**2 < radius**2)[None], n, 0)


@pytest.mark.parametrize("pixel", [1.0, 2.5, (1.0, 3.0)])
def test_distances_are_those_of_pixel_centres_within_each_slice(pixel: float | tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((3, 9, 11)) < 0.4
    mask[1] = False
    height, width = pixel if isinstance(pixel, tuple) else (pixel, pixel)
    found = plane_distance(mask, pixel)
    half = min(height, width) / 2
    for z, plane in enumerate(mask):
        places = np.argwhere(np.ones_like(plane)) * [height, width]
        for (y, x), value in np.ndenumerate(plane):
            others = places[(plane != value).ravel()]
            if not len(others):
                expected = REACH_MM if value else -REACH_MM
            else:
                far = np.sqrt(((others - [y * height, x * width]) ** 2).sum(1)).min() - half
                expected = min(far, REACH_MM) * (1 if value else -1)
            assert found[z, y, x] == pytest.approx(expected, abs=1e-4)


def test_a_full_mask_is_far_from_any_outline() -> None:
    assert (plane_distance(np.ones((2, 5, 6), bool), 2.0) == REACH_MM).all()
    assert (plane_distance(np.zeros((2, 5, 6), bool), 2.0) == -REACH_MM).all()


def test_grey_values_that_part_inside_and_ring_are_strong_evidence() -> None:
    mask = torch.from_numpy(_disc())
    distance = torch.from_numpy(plane_distance(mask.numpy(), 2.0))
    noise = 0.05 * torch.randn(mask.shape, generator=torch.Generator().manual_seed(0))
    clear = grey_evidence((0.3 + 0.4 * mask + noise).clamp(0, 1), distance, 2.0)
    none = grey_evidence((0.5 + noise).clamp(0, 1), distance, 2.0)
    assert clear.strength > 0.97
    assert 0.4 < none.strength < 0.62
    assert (clear.maps[:, :2][mask[:, None].expand(-1, 2, -1, -1)] > 0).float().mean() > 0.95
    assert none.maps[:, 0].abs().mean() < 0.5


def test_the_strength_is_the_area_under_the_curve() -> None:
    mask = torch.from_numpy(_disc(1, 30, 6.0))
    distance = torch.from_numpy(plane_distance(mask.numpy(), 2.0))
    images = (
        0.4 + 0.1 * mask + 0.1 * torch.randn(mask.shape, generator=torch.Generator().manual_seed(1))
    ).clamp(0, 1)
    evidence = grey_evidence(images, distance, 2.0)
    both = evidence.maps[:, :2].sum(1)
    inside, ring = both[mask], both[(distance <= 0) & (distance > -18)]
    wins = (inside[:, None] > ring).float().mean() + 0.5 * (inside[:, None] == ring).float().mean()
    assert evidence.strength == pytest.approx(float(wins), abs=0.02)


def test_grey_values_move_a_shifted_mask_to_the_edge() -> None:
    truth = torch.from_numpy(_disc())
    prior = torch.roll(truth, 3, 2)
    distance = torch.from_numpy(plane_distance(prior.numpy(), 2.0))
    images = 0.3 + 0.4 * truth.float()
    found = grey_logits(distance, grey_evidence(images, distance, 2.0)) > 0

    def dice(mask: torch.Tensor) -> float:
        return 2 * int((mask & truth).sum()) / int(mask.sum() + truth.sum())

    assert dice(found) > dice(prior) + 0.05


def test_neighbours_are_the_slices_beside_and_the_ends_their_own() -> None:
    images = torch.arange(5.0)[:, None, None].expand(5, 8, 8) / 4
    distance = images * 10
    none = torch.full_like(images, -REACH_MM)
    evidence = GreyEvidence(torch.zeros(5, 3, 8, 8), 0.5)
    maps = decoder_maps(images, distance, distance, none, evidence, offset=2)
    assert maps.shape == (5, MAPS, 8, 8)
    shown = ((maps[:, :3, 0, 0] + 0.5) / 2 * 4).round().int().tolist()
    assert shown == [[0, 0, 2], [0, 1, 3], [0, 2, 4], [1, 3, 4], [2, 4, 4]]
    torch.testing.assert_close(maps[:, 3:6, 0, 0], maps[:, :3, 0, 0] * 0.25 + 0.125)
    part = decoder_maps(images, distance, distance, none, evidence, 2, slice(1, 3))
    torch.testing.assert_close(part, maps[1:3])


def test_unknown_errors_are_told_as_such() -> None:
    known, unknown = (decoder_facts(2.0, 5.0, 0.8, error) for error in (6.0, None))
    assert known.shape == unknown.shape == (FACTS,)
    torch.testing.assert_close(known[-2:], torch.tensor([np.log(2.0), 1.0], dtype=torch.float32))
    assert unknown[-2:].tolist() == [0.0, 0.0]
    torch.testing.assert_close(known[:-2], unknown[:-2])


def test_distances_do_not_depend_on_how_many_slices_are_measured_at_once(monkeypatch) -> None:
    mask = np.random.default_rng(0).random((11, 20, 24)) > 0.7
    mask[3], mask[6] = False, True
    whole = plane_distance(mask, (0.8, 2.1))
    monkeypatch.setattr("napari_cpclnet.model.prior_inputs._PIECE", 3 * 20 * 24)
    assert np.array_equal(plane_distance(mask, (0.8, 2.1)), whole)
