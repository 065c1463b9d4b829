"""RAMP: Q-shift against a loop, plain cosines at the start, descriptors without order."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.model.crpd import Prototypes
from napari_cpclnet.model.ramp import EMPTY, RAMP, q_shift


def prototypes(b: int = 2, channels: int = 16, *, count: int = 7) -> Prototypes:
    vectors = F.normalize(torch.randn(b, count, channels), dim=2)
    valid = torch.ones(b, count, dtype=torch.bool)
    valid[0, 2] = valid[1, 4] = False
    roles = torch.tensor([0, 0, 2, 3, 0, 1, 3])
    return Prototypes(vectors * valid[..., None], valid, roles)


def awake(blocks: int = 2, seed: int = 0) -> RAMP:
    torch.manual_seed(seed)
    module = RAMP(16, blocks, 2)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return module.eval()


@pytest.mark.parametrize("channels", [8, 6])
def test_q_shift_matches_a_loop(channels: int) -> None:
    h, w = 3, 5
    tokens = torch.randn(2, h * w, channels)
    grid = tokens.view(2, h, w, channels)
    expected = torch.zeros_like(grid)
    quarter = channels // 4
    for y in range(h):
        for x in range(w):
            for c in range(channels):
                dy, dx = [(-1, 0), (1, 0), (0, -1), (0, 1)][min(c // quarter, 3)]
                if 0 <= y + dy < h and 0 <= x + dx < w:
                    expected[:, y, x, c] = grid[:, y + dy, x + dx, c]
    assert torch.equal(q_shift(tokens, (h, w)).view_as(grid), expected)


@pytest.mark.parametrize("blocks", [0, 3])
@torch.no_grad()
def test_starts_as_the_plain_cosine(blocks: int) -> None:
    module = RAMP(16, blocks, 2)
    query, support = torch.randn(2, 16, 8, 6), prototypes()
    affinity, refined = module(query, support)
    assert affinity.shape == (2, 3, 7, 8, 6)
    assert torch.equal(refined, query)
    for b in range(2):
        for d in torch.nonzero(support.valid[b]).flatten():
            for y, x in ((0, 0), (5, 3)):
                cell, vector = query[b, :, y, x], support.vectors[b, d]
                parts = [(cell, vector), (cell[:8], vector[:8]), (cell[8:], vector[8:])]
                expected = torch.stack([10 * F.cosine_similarity(p, q, dim=0) for p, q in parts])
                torch.testing.assert_close(affinity[b, :, d, y, x], expected, rtol=0, atol=1e-4)


@torch.no_grad()
def test_order_of_the_descriptors_means_nothing() -> None:
    module, query, support = awake(), torch.randn(2, 16, 8, 8), prototypes()
    order = torch.tensor([4, 2, 6, 0, 1, 5, 3])
    turned = Prototypes(support.vectors[:, order], support.valid[:, order], support.roles[order])
    affinity, refined = module(query, support)
    permuted, same = module(query, turned)
    torch.testing.assert_close(same, refined, rtol=0, atol=1e-5)
    torch.testing.assert_close(permuted, affinity[:, :, order], rtol=0, atol=1e-4)


@torch.no_grad()
def test_padding_has_no_influence() -> None:
    module, query, support = awake(), torch.randn(2, 16, 8, 8), prototypes()
    wild = replace(support, vectors=torch.where(support.valid[..., None], support.vectors, 3.0))
    affinity, refined = module(query, support)
    wild_affinity, wild_refined = module(query, wild)
    torch.testing.assert_close(wild_refined, refined)
    torch.testing.assert_close(wild_affinity, affinity)
    for b, d in ((0, 2), (1, 4)):
        assert (affinity[b, :, d] == EMPTY).all()


@torch.no_grad()
def test_descriptors_and_cells_refine_each_other() -> None:
    module, query, support = awake(), torch.randn(2, 16, 8, 8), prototypes()
    _, refined = module(query, support)
    _, other = module(query, replace(support, vectors=support.vectors.flip(2)))
    assert (refined - other).abs().max() > 1e-3
    assert (refined - query).abs().max() > 1e-3


@torch.no_grad()
def test_each_query_is_answered_alone() -> None:
    module, query, support = awake(), torch.randn(2, 16, 8, 8), prototypes()
    together = module(query, support)
    for i in range(2):
        one = Prototypes(support.vectors[i : i + 1], support.valid[i : i + 1], support.roles)
        for a, b in zip(module(query[i : i + 1], one), together, strict=True):
            torch.testing.assert_close(a[0], b[i], rtol=1e-4, atol=1e-4)


def test_zeros_never_give_nan() -> None:
    module = awake()
    query = torch.zeros(1, 16, 8, 8, requires_grad=True)
    nothing = Prototypes(torch.zeros(1, 3, 16), torch.zeros(1, 3, dtype=torch.bool), torch.tensor([0, 2, 3]))
    affinity, refined = module(query, nothing)
    (affinity.sum() + refined.sum()).backward()
    tensors: list[Tensor | None] = [affinity, refined, query.grad, *(p.grad for p in module.parameters())]
    assert all(x is None or x.isfinite().all() for x in tensors)


def test_temperature_starts_at_ten() -> None:
    assert module_temperatures(RAMP(16, 1, 4)) == pytest.approx([10.0] * 5)


def module_temperatures(module: RAMP) -> list[float]:
    return [math.exp(x) for x in module.log_temperature.tolist()]


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="16 channels cannot be split into 3 heads"):
        RAMP(16, 1, 3)
