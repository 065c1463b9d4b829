"""Decoder: the summary of affinity maps against plain numbers."""

from __future__ import annotations

import math

import pytest
import torch

from napari_cpclnet.model.appearance import MAPS
from napari_cpclnet.model.crpd import BACKGROUND, BOUNDARY_IN, FOREGROUND, RING
from napari_cpclnet.model.decoder import Decoder, summarise, summary_channels
from napari_cpclnet.model.ramp import EMPTY

ROLES = torch.tensor([FOREGROUND] * 4 + [BOUNDARY_IN] + [RING] * 2 + [BACKGROUND] * 2 + [RING, BACKGROUND])
SIDES = range(5), range(5, 11)


def test_summary_holds_what_it_says() -> None:
    affinity = torch.randn(1, 3, 11, 2, 2) * 5
    affinity[:, :, [1, 6]] = EMPTY
    found = summarise(affinity, ROLES)[0, :, 1, 0]
    maps = affinity[0, :, :, 1, 0].tolist()
    front, back = ([math.log(sum(math.exp(row[d]) for d in side)) for row in maps] for side in SIDES)
    numbers = [*(a - b for a, b in zip(front, back, strict=True)), *front, *back]
    for side in SIDES:
        whole = [maps[0][d] for d in side]
        best = sorted(whole, reverse=True)[:3]
        numbers += [best[0], sum(best) / 3, *whole[-2:]]
    assert len(numbers) == summary_channels(2) == len(found)
    torch.testing.assert_close(found, torch.tensor(numbers))


def test_order_of_the_clusters_means_nothing() -> None:
    affinity = torch.randn(2, 3, 11, 4, 4) * 5
    order = torch.tensor([2, 0, 1, 3, 4, 8, 5, 7, 6, 9, 10])  # the means keep their place
    torch.testing.assert_close(summarise(affinity[:, :, order], ROLES[order]), summarise(affinity, ROLES))


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_without_descriptors_speaks_for_the_other(side: int) -> None:
    affinity = torch.randn(1, 3, 11, 2, 2)
    affinity[:, :, list(SIDES[side])] = EMPTY
    found = summarise(affinity, ROLES)
    assert found.isfinite().all()
    towards_the_object = found[:, :3]
    assert (towards_the_object < -10).all() if side == 0 else (towards_the_object > 10).all()


def test_one_descriptor_a_side_is_enough() -> None:
    roles = torch.tensor([FOREGROUND, FOREGROUND, BOUNDARY_IN, RING, BACKGROUND, RING, BACKGROUND])
    assert summarise(torch.randn(1, 2, 7, 3, 3), roles).shape[1] == summary_channels(1)


@torch.no_grad()
def test_two_logits_at_full_resolution_for_every_class_of_every_query() -> None:
    decoder = Decoder(16, 8, 2)
    maps, levels, refined = (
        torch.randn(6, summary_channels(2), 8, 6),
        torch.randn(6, 3),
        torch.randn(6, 16, 8, 6),
    )
    skip, appearance = torch.randn(3, 8, 16, 12), torch.randn(6, MAPS, 32, 24)
    for layer in (decoder.like, decoder.like_fine):
        layer.weight.normal_(0, 0.1)
    logits = decoder(maps, levels, refined, skip, appearance)
    assert logits.shape == (6, 2, 32, 24) and logits.dtype == torch.float32
    for row in range(6):  # two classes share each query's skip
        one = slice(row, row + 1)
        own = skip[row // 2 : row // 2 + 1]
        alone = decoder(maps[one], levels[one], refined[one], own, appearance[one])
        torch.testing.assert_close(alone, logits[one], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_bare_answer_reaches_the_logits_directly() -> None:
    decoder = Decoder(16, 8, 2)
    decoder.logits.weight.zero_()
    decoder.logits.bias.zero_()
    maps = torch.randn(1, summary_channels(2), 8, 6)
    maps[:, 0] = 3.0
    skip, appearance = torch.randn(1, 8, 16, 12), torch.randn(1, MAPS, 32, 24)
    logits = decoder(maps, torch.randn(1, 3), torch.randn(1, 16, 8, 6), skip, appearance)
    torch.testing.assert_close(logits[:, 1], torch.full_like(logits[:, 1], 1.5))
    assert not logits[:, 0].any()
