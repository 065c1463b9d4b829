"""MIND-SSC against its definition, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_cpclnet.registration.features import box_mean, mind_ssc, scale_pair


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(9, 10, 11, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_mind_is_what_its_definition_says_at_a_voxel() -> None:
    x = image()
    found = mind_ssc(x)
    values = x.numpy()
    six = [np.array(s) for s in ((0, 0, -1), (0, 0, 1), (0, -1, 0), (0, 1, 0), (-1, 0, 0), (1, 0, 0))]
    pairs = [(a, b) for i, a in enumerate(six) for b in six[:i] if ((a - b) ** 2).sum() == 2]
    assert len(pairs) == 12

    def distances(centre: tuple[int, int, int]) -> list[float]:
        patch = [np.array(p) - 1 for p in np.ndindex(3, 3, 3)]
        at = [[tuple(np.array(centre) + p + n) for p in patch] for n in six]
        where = {tuple(n): cells for n, cells in zip(six, at, strict=True)}
        return [
            float(
                np.mean(
                    [
                        (values[i] - values[j]) ** 2
                        for i, j in zip(where[tuple(a)], where[tuple(b)], strict=True)
                    ]
                )
            )
            for a, b in pairs
        ]

    for centre in ((4, 5, 5), (3, 4, 6)):
        d = np.array(distances(centre))
        d -= d.min()
        expected = np.sort(np.exp(-d / d.mean()))
        assert np.sort(found[:, *centre].numpy()) == pytest.approx(expected, abs=1e-9)


def test_mind_does_not_care_which_tissue_is_brighter() -> None:
    x = image()
    assert torch.allclose(mind_ssc(1 - 0.4 * x), mind_ssc(x))


def test_a_constant_image_has_neither_edges_nor_noise() -> None:
    assert torch.equal(mind_ssc(torch.full((6, 6, 6), 0.3)), torch.ones(12, 6, 6, 6))


def test_box_mean_is_pooling_over_cubes_and_so_are_its_gradients() -> None:
    x = torch.randn(2, 5, 1, 7, dtype=torch.float64, requires_grad=True)
    pooled = F.avg_pool3d(F.pad(x[None], (1,) * 6, mode="replicate"), 3, stride=1)[0]
    found = box_mean(x)
    torch.testing.assert_close(found, pooled, rtol=0, atol=1e-12)
    weights = torch.randn_like(x)
    one, two = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, pooled))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def test_box_mean_holds_the_border() -> None:
    x = torch.arange(4.0).view(1, 4, 1, 1)
    assert box_mean(x).flatten().tolist() == pytest.approx([1 / 3, 1.0, 2.0, 8 / 3])


def test_places_taken_at_random_differ_by_the_weight() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.rand(5, 20, 20, 20, generator=generator) for _ in range(2))
    where = torch.ones(20, 20, 20, dtype=torch.bool)
    one, two = a.clone(), b.clone()
    scale_pair(one, two, 3.0, where, generator)
    i, j = (torch.randint(8000, (20000,), generator=generator) for _ in range(2))
    assert float((one.flatten(1)[:, i] - two.flatten(1)[:, j]).square().sum(0).mean()) == pytest.approx(
        3, rel=0.05
    )
    assert torch.allclose(one / a, two / b)
