"""The discrete search and the continuous one against their definitions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from typing import TypeVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.registration.descent import (
    Adam,
    Lookup,
    Smoothing,
    descending,
    on_finer,
    roughness,
    spread,
)
from napari_cpclnet.registration.features import box_mean
from napari_cpclnet.registration.lattice import Lattice
from napari_cpclnet.registration.search import (
    composed,
    displacements,
    doubled,
    halved,
    measuring,
    mirror_costs,
    place_points,
    searching,
    searching_twice,
)
from napari_cpclnet.registration.settings import RegistrationSettings

T = TypeVar("T")


def finished(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def features(seed: int, *shape: int) -> Tensor:
    values = np.random.default_rng(seed).standard_normal(shape)
    return torch.from_numpy(ndimage.gaussian_filter(values, [0, *[1.2] * 3])).float()


def test_the_cost_of_a_displacement_is_the_mean_difference_around_a_place() -> None:
    query, support = features(0, 4, 9, 9, 9), features(1, 4, 9, 9, 9)
    costs = finished(measuring(query, support, torch.ones(9, 9, 9), 1))
    assert costs.shape == (27, 9, 9, 9)
    for row, (a, b, c) in enumerate(displacements(1, query.device).T.int().tolist()):
        moved = support[:, 3 + a : 6 + a, 3 + b : 6 + b, 3 + c : 6 + c]
        expected = (query[:, 3:6, 3:6, 3:6] - moved).square().sum(0).mean()
        assert float(costs[row, 4, 4, 4]) == pytest.approx(float(expected), rel=1e-4)


def test_mirrored_costs_are_those_of_the_other_direction() -> None:
    query, support = features(0, 3, 11, 11, 11), features(1, 3, 11, 11, 11)
    weight = torch.ones(11, 11, 11)
    mirrored = finished(measuring(query, support, weight, 2))
    mirror_costs(mirrored, 2)
    other = finished(measuring(support, query, weight, 2))
    inner = (slice(None), *(slice(3, 8),) * 3)
    assert torch.allclose(mirrored[inner], other[inner], atol=1e-4)


def test_the_search_finds_a_shift_in_both_directions() -> None:
    both = features(2, 6, 20, 20, 20)
    # what lies at a place of the query lies at (+2, -1, +1) from there in the support
    query, support = both[:, 2:18, 2:18, 2:18], both[:, 0:16, 3:19, 1:17]
    weights = RegistrationSettings().coupling
    forward, backward = finished(searching(query, support, torch.ones(16, 16, 16), 3, weights))
    middle = (slice(None), *(slice(4, 12),) * 3)
    true = torch.tensor([2.0, -1.0, 1.0]).view(3, 1, 1, 1)
    assert float((forward[middle] - true).abs().max()) < 0.2
    assert float((backward[middle] + true).abs().max()) < 0.2
    assert float(composed(forward, backward)[middle].abs().max()) < 0.2


def test_a_search_on_two_grids_finds_a_shift_that_lies_beyond_the_finer_one() -> None:
    values = np.random.default_rng(4).standard_normal((6, 40, 40, 40))
    both = torch.from_numpy(ndimage.gaussian_filter(values, [0, 2.5, 2.5, 2.5])).float()
    query, support = both[:, 2:33, 2:34, 2:34], both[:, 2:33, 7:39, 0:32]
    reaches, weights = (3, 2), RegistrationSettings().coupling
    forward, backward = finished(searching_twice(query, support, torch.ones(31, 32, 32), reaches, weights))
    middle = (slice(None), *(slice(10, 20),) * 3)
    true = torch.tensor([0.0, -5.0, 2.0]).view(3, 1, 1, 1)
    assert float((forward[middle] - true).abs().max()) < 1
    assert float((backward[middle] + true).abs().max()) < 1


def test_half_the_places_and_twice_as_many_agree_on_a_linear_field() -> None:
    shape = (7, 8, 9)
    linear = 0.25 * place_points(shape, torch.device("cpu"))
    found = doubled(halved(linear) / 2, shape)
    assert found.shape == linear.shape
    inner = (slice(None), *(slice(1, n - 2) for n in shape))
    assert torch.allclose(found[inner], linear[inner], atol=1e-5)


def test_lookup_interpolates_linearly_and_knows_its_slope() -> None:
    values = torch.rand(3, 5, 6, 7, generator=torch.Generator().manual_seed(0)).half()  # as they are kept
    points = torch.tensor([[1.3, 2.6, 3.1], [0.2, 4.9, 5.7]], dtype=torch.float64, requires_grad=True)
    found = Lookup(values)(points)
    expected = [
        ndimage.map_coordinates(channel, points.detach().numpy().T, order=1)
        for channel in values.double().numpy()
    ]
    assert found.detach().numpy() == pytest.approx(np.array(expected).T)
    assert torch.autograd.gradcheck(Lookup(values), (points,))


def test_lookup_holds_the_border_outside() -> None:
    values = torch.arange(8.0).view(1, 2, 2, 2)
    found = Lookup(values)(torch.tensor([[-5.0, -5.0, -5.0], [9.0, 9.0, 9.0], [1.0, 1.0, 1.0]]))
    assert found[:, 0].tolist() == [0.0, 7.0, 7.0]


def test_the_descent_sharpens_a_coarse_start() -> None:
    both = features(3, 6, 28, 28, 28)
    query, support = both[:, :24, 2:26, 2:26], both[:, 2:26, 1:25, 2:26]
    start = torch.zeros(3, 12, 12, 12)
    settings = RegistrationSettings(iterations=60, smoothness=0.1, learning_rate=0.2)
    places = torch.arange(24**3)
    generator = torch.Generator().manual_seed(0)
    found = spread(finished(descending(start, query, support, places, settings, generator)), (24, 24, 24))
    middle = (slice(None), *(slice(6, 18),) * 3)
    true = torch.tensor([-2.0, 1.0, 0.0]).view(3, 1, 1, 1)
    assert float((found[middle] - true).norm(dim=0).mean()) < 0.3


def test_roughness_is_the_mean_squared_slope() -> None:
    z = torch.arange(5.0).view(1, 5, 1, 1).expand(3, 5, 4, 4)
    # one step of displacement on each of three components over two grid steps, along one axis of three
    assert float(roughness(z)) == pytest.approx(0.25)


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 2, 9)])
def test_smoothing_is_three_box_means_whose_border_is_held(shape: tuple[int, int, int]) -> None:
    control = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    expected = control
    for _ in range(3):
        padded = F.pad(expected[None], (1,) * 6, mode="replicate")
        expected = F.avg_pool3d(padded, 3, stride=1)[0]
    assert torch.allclose(Smoothing(shape, control.device)(control), expected, atol=1e-6)
    assert torch.allclose(box_mean(box_mean(box_mean(control))), expected, atol=1e-6)


def test_displacements_mean_the_same_on_a_finer_lattice() -> None:
    scan = Volume(np.zeros((30, 40, 50), np.float32), Geometry((30, 40, 50), (4.0, 3.0, 2.0)), "MR")
    settings = RegistrationSettings(points=1_500, fine_points=40_000, step_mm=(1.0, 20.0))
    coarse = Lattice.over(scan, settings)
    fine = coarse.finer(settings)
    assert fine.step < 0.5 * coarse.step

    def linear(lattice: Lattice) -> torch.Tensor:
        """Displacements that grow by a tenth of the native place, in steps of the lattice."""
        points = torch.stack(
            torch.meshgrid(*(torch.arange(float(n)) for n in lattice.half_shape), indexing="ij"), -1
        )
        native = points @ torch.tensor(lattice.half_to_native[:3, :3].T, dtype=torch.float32)
        native += torch.tensor(lattice.half_to_native[:3, 3], dtype=torch.float32)
        mm = 0.1 * native * torch.tensor(lattice.spacing, dtype=torch.float32)
        return mm.movedim(-1, 0) / lattice.step

    found = on_finer(linear(coarse), coarse, fine)
    inner = (slice(None), *(slice(n // 4, 3 * n // 4) for n in fine.half_shape))
    assert torch.allclose(found[inner], linear(fine)[inner], atol=1e-3)
    # in mm, the middle of the scan moves as it did
    middle = [found[0].shape[k] // 2 for k in range(3)]
    assert float(found[0][middle[0], middle[1], middle[2]] * fine.step) == pytest.approx(
        0.1 * 15 * 4.0, rel=0.1
    )


def test_steps_are_those_of_torchs_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    begun = torch.randn(3, 4, 5, 6, generator=generator)
    slopes = [torch.randn(begun.shape, generator=generator) * 10.0 ** (k % 7 - 3) for k in range(60)]
    mine, theirs = begun.clone(), begun.clone().requires_grad_(True)
    ours, reference = Adam(mine), torch.optim.Adam([theirs], lr=0.3, foreach=False)
    for slope in slopes:
        ours.step(slope, 0.3)
        theirs.grad = slope.clone()
        reference.step()
    assert torch.equal(mine, theirs)


def test_a_registration_does_not_load_torchs_compiler() -> None:
    code = """
import sys, torch
from napari_cpclnet.registration.descent import descending
from napari_cpclnet.registration.settings import RegistrationSettings
here = torch.rand(4, 8, 8, 8)
settings = RegistrationSettings(iterations=2, samples=500)
for _ in descending(torch.zeros(3, 4, 4, 4), here, here, torch.arange(512), settings, torch.Generator()):
    pass
print([name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
