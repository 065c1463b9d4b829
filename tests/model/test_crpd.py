"""Descriptors: clustering against a loop per group, masks against a loop per cell."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_cpclnet.model import CPCLNetSettings
from napari_cpclnet.model.crpd import (
    BACKGROUND,
    BOUNDARY_IN,
    FOREGROUND,
    RING,
    Prototypes,
    cluster,
    describe,
    mask_fractions,
    rings,
)


def disc(h: int, w: int, centre: tuple[float, float], radius: float) -> Tensor:
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    return ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2).float()


def test_cells_hold_the_fraction_that_the_mask_covers() -> None:
    masks = (torch.rand(2, 3, 8, 12) > 0.5).float()
    cells = mask_fractions(masks)
    assert cells.shape == (2, 3, 2, 3)
    for y in range(2):
        for x in range(3):
            expected = masks[:, :, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].mean((2, 3))
            torch.testing.assert_close(cells[:, :, y, x], expected)


def test_rings_match_a_loop_over_cells() -> None:
    masks = torch.rand(2, 2, 7, 9) * disc(7, 9, (2, 3), 2.5)
    ring, rim = rings(masks)
    for y in range(7):
        for x in range(9):
            here = masks[:, :, y, x]
            around = masks[:, :, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].amax((2, 3))
            near = masks[:, :, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].amin((2, 3))
            torch.testing.assert_close(ring[:, :, y, x], around * (1 - here))
            torch.testing.assert_close(rim[:, :, y, x], here * (1 - near))


def naive_cluster(tokens: Tensor, weights: Tensor, count: int, iterations: int, tau: float) -> list[Tensor]:
    """One group at a time, in float64; only the clusters that exist."""
    tokens, weights = tokens.double(), weights.double()
    result = []
    for weight in weights:
        if weight.max() <= 1e-6:
            result.append(torch.zeros(0, tokens.shape[1], dtype=torch.float64))
            continue
        k = min(count, max(1, int((weight > 0.25).sum())))
        mean = F.normalize(sum((m * f for m, f in zip(weight, tokens, strict=True)), torch.zeros(())), dim=0)
        members = [n for n in range(len(tokens)) if weight[n] > 0]
        first = max(members, key=lambda n: float(mean @ tokens[n] + weight[n]))
        seeds = [tokens[first]]
        while len(seeds) < k:
            gaps = [
                float((1 - max(float(s @ tokens[n]) for s in seeds)) * weight[n]) for n in range(len(tokens))
            ]
            seeds.append(tokens[int(torch.tensor(gaps).argmax())])
        centres = torch.stack(seeds)
        for _ in range(iterations):
            share = [weight[n] * torch.softmax(centres @ tokens[n] / tau, 0) for n in range(len(tokens))]
            sums = [sum(share[n][j] * tokens[n] for n in range(len(tokens))) for j in range(k)]
            centres = torch.stack([F.normalize(torch.as_tensor(s), dim=0) for s in sums])
        result.append(centres)
    return result


@pytest.mark.parametrize("seed", range(4))
def test_clustering_matches_a_loop_per_group(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    tokens = F.normalize(torch.randn(40, 6, generator=g), dim=1)
    weights = torch.rand(5, 40, generator=g)
    weights[1] *= torch.rand(40, generator=g) > 0.7
    weights[2] = 0
    weights[3] = 0
    weights[3, 4], weights[3, 9] = 1.0, 0.8  # two members for five clusters
    weights[4] = 0.1 * (torch.arange(40) == 7)  # a sliver of one cell
    centres, valid = cluster(tokens, weights, 5, 4, 0.1)
    assert valid.sum(1).tolist() == [5, min(5, int((weights[1] > 0.25).sum())), 0, 2, 1]
    for found, good, expected in zip(centres, valid, naive_cluster(tokens, weights, 5, 4, 0.1), strict=True):
        torch.testing.assert_close(found[good].double(), expected, rtol=0, atol=1e-4)
        assert not found[~good].any()


def test_clusters_that_lie_apart_are_found() -> None:
    directions = torch.eye(3, 8)
    tokens = F.normalize(directions.repeat_interleave(30, 0) + 0.05 * torch.randn(90, 8), dim=1)
    centres, valid = cluster(tokens, torch.ones(1, 90), 3, 5, 0.1)
    assert valid.all()
    assert ((centres[0] @ directions.T).amax(0) > 0.98).all()


def test_gradient_reaches_the_tokens_and_is_finite() -> None:
    tokens = torch.randn(30, 6, requires_grad=True)
    weights = torch.stack([torch.rand(30), torch.zeros(30)])
    centres, _ = cluster(F.normalize(tokens, dim=1), weights, 4, 3, 0.1)
    (centres * torch.randn_like(centres)).sum().backward()
    assert tokens.grad is not None and tokens.grad.isfinite().all() and tokens.grad.abs().max() > 0


@pytest.fixture
def settings() -> CPCLNetSettings:
    return CPCLNetSettings(foreground_descriptors=4, ring_descriptors=3, background_descriptors=5)


@pytest.fixture
def grids() -> Tensor:
    return torch.randn(3, 6, 10, 12, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def masks() -> Tensor:
    one = torch.stack([disc(10, 12, (4, 5), 3), disc(10, 12, (5, 5), 2), disc(10, 12, (6, 4), 1)])
    two = torch.stack([disc(10, 12, (8, 9), 2.5), torch.zeros(10, 12), disc(10, 12, (7, 9), 0.5)])
    return torch.stack([one, two])


def assert_same(a: Prototypes, b: Prototypes, atol: float = 1e-4) -> None:
    assert torch.equal(a.valid, b.valid) and torch.equal(a.roles, b.roles)
    torch.testing.assert_close(a.vectors, b.vectors, rtol=0, atol=atol)


def test_descriptors_are_unit_vectors_or_absent(
    grids: Tensor, masks: Tensor, settings: CPCLNetSettings
) -> None:
    found = describe([grids], [masks], settings)
    assert found.vectors.shape == (2, 4 + 3 + 5 + 4, 6)
    object_first = [FOREGROUND] * 5 + [BOUNDARY_IN]
    assert found.roles.tolist() == object_first + [RING] * 3 + [BACKGROUND] * 5 + [RING, BACKGROUND]
    length = found.vectors.norm(dim=2)
    torch.testing.assert_close(length, found.valid.float(), rtol=0, atol=1e-4)


def test_each_side_ends_in_its_two_means(grids: Tensor, masks: Tensor, settings: CPCLNetSettings) -> None:
    found = describe([grids], [masks], settings)
    tokens = F.normalize(grids.double(), dim=1)
    ring, rim = rings(masks)
    for place, weights in {4: masks, 5: rim, -2: ring, -1: 1 - masks}.items():
        for k in range(2):
            mean = F.normalize((tokens * weights[k][:, None]).sum((0, 2, 3)), dim=0)
            torch.testing.assert_close(found.vectors[k, place].double(), mean, rtol=0, atol=1e-5)


def test_order_of_the_shots_means_nothing(grids: Tensor, masks: Tensor, settings: CPCLNetSettings) -> None:
    order = torch.tensor([2, 0, 1])
    assert_same(describe([grids], [masks], settings), describe([grids[order]], [masks[:, order]], settings))


def test_slices_may_come_apart(grids: Tensor, masks: Tensor, settings: CPCLNetSettings) -> None:
    apart = describe([grids[:1], grids[1:]], [masks[:, :1], masks[:, 1:]], settings)
    assert_same(describe([grids], [masks], settings), apart)


def test_slices_may_differ_in_size(grids: Tensor, masks: Tensor, settings: CPCLNetSettings) -> None:
    """A slice of other size with the same cells, laid out wider, gives the same means."""
    other = torch.randn(1, 6, 8, 20)
    found = describe([grids, other], [masks, torch.zeros(2, 1, 8, 20)], settings)
    alone = describe([grids], [masks], settings)
    front = (found.roles == FOREGROUND) | (found.roles == BOUNDARY_IN)
    torch.testing.assert_close(found.vectors[:, front], alone.vectors[:, front])
    cells = torch.cat(
        [F.normalize(g, dim=1).flatten(2).transpose(1, 2).flatten(0, 1) for g in (grids, other)]
    )
    outside = torch.cat([1 - masks.flatten(1), torch.ones(2, 160)], 1)
    torch.testing.assert_close(found.vectors[:, -1], F.normalize(outside @ cells, dim=1), rtol=0, atol=1e-5)


def test_slices_without_the_class_feed_the_background_only(
    grids: Tensor, masks: Tensor, settings: CPCLNetSettings
) -> None:
    alone = describe([grids[:2]], [masks[:, :2]], settings)
    empty = torch.zeros(2, 1, 10, 12)
    more = describe([grids], [torch.cat([masks[:, :2], empty], 1)], settings)
    for role in (FOREGROUND, BOUNDARY_IN, RING):
        same = alone.roles == role
        torch.testing.assert_close(more.vectors[:, same], alone.vectors[:, same], rtol=0, atol=1e-5)
    background = alone.roles == BACKGROUND
    assert (more.vectors[:, background] - alone.vectors[:, background]).abs().amax((1, 2)).min() > 1e-3


def test_a_class_seen_nowhere_has_background_only(grids: Tensor, settings: CPCLNetSettings) -> None:
    found = describe([grids], [torch.zeros(1, 3, 10, 12)], settings)
    assert torch.equal(found.valid[0], found.roles == BACKGROUND)
    assert found.vectors.isfinite().all()


def test_a_class_that_fills_the_slices_has_no_background(grids: Tensor, settings: CPCLNetSettings) -> None:
    found = describe([grids], [torch.ones(1, 3, 10, 12)], settings)
    assert torch.equal(found.valid[0].nonzero().flatten(), torch.tensor([0, 1, 2, 3, 4]))


def test_constant_features_never_give_nan(settings: CPCLNetSettings) -> None:
    grid = torch.zeros(1, 6, 10, 12, requires_grad=True)
    found = describe([grid], [disc(10, 12, (4, 5), 3)[None, None]], settings)
    found.vectors.sum().backward()
    assert found.vectors.isfinite().all()
    assert grid.grad is not None and grid.grad.isfinite().all()
