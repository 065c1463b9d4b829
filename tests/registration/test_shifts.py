"""Scans that show different pieces of the body are laid over each other by trying every shift."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.phantoms.phantom import Phantom
from napari_cpclnet.registration import RegistrationSettings, register
from napari_cpclnet.registration.affine import Start, improbability
from napari_cpclnet.registration.shifts import masked_costs

from .bent_phantoms import bend, errors, make_pair

MIDDLE = np.array([207.5, 190.0, 214.0])


def test_costs_of_shifts_are_those_of_what_both_show() -> None:
    draw = torch.Generator().manual_seed(0)
    query, support = torch.rand(3, 4, 5, 3, generator=draw), torch.rand(3, 6, 4, 5, generator=draw)
    in_query, in_support = ((torch.rand(x.shape[1:], generator=draw) > 0.2).float() for x in (query, support))
    costs = masked_costs(query, support, in_query, in_support)
    assert costs.shape == (9, 8, 7)
    counts, expected = np.zeros((2, *costs.shape))
    for index in np.ndindex(*costs.shape):
        shift = np.array(index) - (3, 4, 2)
        for place in np.argwhere(in_query.numpy()):
            other = place + shift
            if (other >= 0).all() and (other < in_support.shape).all() and in_support[tuple(other)]:
                counts[index] += 1
                one, two = query[(slice(None), *place)], support[(slice(None), *other)]
                expected[index] += float((one - two).square().sum())
    counted = counts >= 0.5 * counts.max()
    np.testing.assert_allclose(costs.numpy()[counted], (expected / np.maximum(counts, 1))[counted], atol=1e-4)
    assert np.isinf(costs.numpy()[~counted]).all()


def part(volume: Volume, low: tuple[int, int, int], shape: tuple[int, int, int]) -> Volume:
    """A block of a scan as a scan of its own."""
    affine = volume.geometry.affine.copy()
    affine[:3, 3] = volume.geometry.index_to_world([low])[0]
    window = tuple(slice(a, a + n) for a, n in zip(low, shape, strict=True))
    return volume.replaced(array=volume.array[window].copy(), geometry=Geometry.from_affine(shape, affine))


@pytest.mark.slow
@pytest.mark.parametrize("shifts", [0, 2])
def test_a_block_is_found_in_a_scan_whose_middle_is_far_away(phantom: Phantom, shifts: int) -> None:
    pair = make_pair(phantom, bend(4.0, 1.0, (-20.0, 8.0, -12.0), MIDDLE), ("CT", "MR"))
    low, shape = (4, 24, 20), (30, 60, 64)
    query = part(pair.query, low, shape)
    index = query.geometry.world_to_index(pair.body)
    shown = ((index > 0) & (index < np.array(shape) - 1)).all(1)
    settings = RegistrationSettings(device="cpu", step_mm=(1.0, 7.0), points=60_000, shifts=shifts)
    after = errors(pair, register(pair.support, query, settings).at)[shown]
    if shifts:
        assert np.median(after) < 12
    else:
        assert np.median(after) > 30


def test_what_is_stretched_or_far_off_is_less_likely() -> None:
    geometry = Geometry.from_affine((10, 20, 30), np.diag([5.0, 2.0, 2.0, 1.0]))
    same, far = np.eye(4), np.eye(4)
    far[0, 3] = 30.0
    wide = np.diag([1.3, 1.3, 1.0, 1.0])
    assert improbability(Start(same, ""), geometry, geometry) == 1
    assert 1 < improbability(Start(far, ""), geometry, geometry) < 1.2
    assert 1 < improbability(Start(wide, ""), geometry, geometry) < 1.2
