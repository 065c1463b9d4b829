"""CMDA against the same transfer of statistics written out channel by channel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_cpclnet.model.cmda import CMDA, LatentStatistics

EPS = 1e-5


def awake(channels: int = 16, latent: int = 8, seed: int = 0) -> CMDA:
    torch.manual_seed(seed)
    module = CMDA(channels, latent)
    torch.nn.init.normal_(module.restore.weight)
    return module.double()


def latent_of(module: CMDA, vectors: Tensor) -> Tensor:
    """(N, C) -> (N, L), one product at a time."""
    weight = module.project.weight[:, :, 0, 0]
    assert module.project.bias is not None
    return torch.stack([torch.stack([row @ w for w in weight]) for row in vectors]) + module.project.bias


@torch.no_grad()
def test_statistics_match_the_plain_definition() -> None:
    module = awake().float()
    tokens, masks = torch.randn(20, 16), torch.rand(3, 20)
    masks[1], masks[2] = 0, 1
    found = module.statistics(tokens, masks)
    latent = latent_of(module, tokens)
    mean = latent.mean(0)
    inside = (masks[0][:, None] * latent).sum(0) / masks[0].sum()
    outside = ((1 - masks[0])[:, None] * latent).sum(0) / (1 - masks[0]).sum()
    for row in range(3):
        torch.testing.assert_close(found.mean[row], mean)
        torch.testing.assert_close(found.std[row], (latent.var(0, unbiased=False) + EPS).sqrt())
    torch.testing.assert_close(found.inside, torch.stack([inside, mean, mean]))
    torch.testing.assert_close(found.outside, torch.stack([outside, mean, mean]))


@torch.no_grad()
def test_starts_as_the_identity() -> None:
    module = CMDA(16, 8)
    query = torch.randn(3, 16, 5, 7)
    aligned, align = module(query, module.statistics(torch.randn(40, 16) * 3 + 1, torch.rand(2, 40)))
    assert aligned.shape == (3, 2, 16, 5, 7)
    assert torch.equal(aligned, query[:, None].expand_as(aligned))
    assert align.ndim == 0 and align > 0


def slowly(module: CMDA, query: Tensor, support: LatentStatistics) -> tuple[Tensor, Tensor]:
    b, _, h, w = query.shape
    classes = support.mean.shape[-2]
    out = torch.empty(b, classes, *query.shape[1:], dtype=query.dtype)
    terms = []
    for i in range(b):
        vectors = query[i].flatten(1).T
        latent = latent_of(module, vectors)
        mean, std = latent.mean(0), (latent.var(0, unbiased=False) + EPS).sqrt()
        for k in range(classes):
            row = i if support.mean.shape[0] == b else 0
            s = [x[row, k] for x in (support.mean, support.std, support.inside, support.outside)]
            gate = torch.sigmoid(module.gates(torch.cat([mean, std, *s])))
            moved = gate * ((latent - mean) / std * s[1] + s[0])
            restored = moved @ module.restore.weight[:, :, 0, 0].T
            out[i, k] = (vectors + restored).T.reshape(-1, h, w)
            terms.append(gate * ((s[0] - mean) ** 2 + (s[1] - std) ** 2) / s[1] ** 2)
    return out, torch.stack(terms).mean()


@pytest.mark.parametrize("sides", [1, 3])
@torch.no_grad()
def test_transfer_matches_the_slow_version(sides: int) -> None:
    module = awake()
    query = torch.randn(3, 16, 4, 6, dtype=torch.float64) * 2 + 1
    shape = (sides, 2, 8)
    support = LatentStatistics(
        torch.randn(shape).double(),
        torch.rand(shape).double() + 0.3,
        torch.randn(shape).double(),
        torch.randn(shape).double(),
    )
    aligned, align = module(query, support)
    slow, slow_align = slowly(module, query, support)
    # the module keeps its statistics in float32
    torch.testing.assert_close(aligned, slow, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(align.double(), slow_align, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_full_gates_and_a_square_restore_give_the_support_statistics() -> None:
    module = CMDA(8, 8)
    module.project.weight.copy_(torch.eye(8)[:, :, None, None])
    module.project.bias.zero_()
    module.gates[-1].weight.zero_()
    module.gates[-1].bias.fill_(50.0)
    module.restore.weight.copy_(torch.eye(8)[:, :, None, None])
    query, other = torch.randn(1, 8, 16, 16) * 3 - 1, torch.randn(300, 8) * 0.5 + 2
    aligned, _ = module(
        query,
        LatentStatistics(*(x[None] for x in vars(module.statistics(other, torch.rand(1, 300))).values())),
    )
    moved = (aligned[0, 0] - query[0]).flatten(1)
    torch.testing.assert_close(moved.mean(1), other.mean(0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        moved.std(1, unbiased=False), other.std(0, unbiased=False), rtol=1e-3, atol=1e-3
    )


def test_constant_features_never_give_nan() -> None:
    module = awake().float()
    query = torch.zeros(2, 16, 4, 4, requires_grad=True)
    statistics = module.statistics(torch.zeros(10, 16), torch.zeros(2, 10))
    aligned, align = module(query, LatentStatistics(*(x[None] for x in vars(statistics).values())))
    (aligned.square().mean() + align).backward()
    assert aligned.isfinite().all() and align.isfinite()
    assert query.grad is not None and query.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_statistics_of_many_cells_survive_half_precision(dtype: torch.dtype) -> None:
    module = awake().float()
    tokens, masks = torch.randn(90_000, 16) + 20, torch.ones(1, 90_000)
    wide = module.statistics(tokens, masks)
    with torch.autocast("cpu", dtype):
        narrow = module.statistics(tokens, masks)
    for name in ("mean", "std", "inside", "outside"):
        torch.testing.assert_close(getattr(narrow, name), getattr(wide, name), rtol=0.02, atol=0.1)
