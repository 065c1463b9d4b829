"""What the bundled network makes of a trunk, and where it thinks that it lies."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import CPCLNet, load_weights
from napari_cpclnet.phantoms.phantom import Phantom
from napari_cpclnet.phantoms.render import render_phantom
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.registration import RegistrationSettings, register
from napari_cpclnet.registration.anatomy import (
    Anatomy,
    by_landmarks,
    cells_affine,
    common_features,
    landmarks,
    seeing,
)
from napari_cpclnet.registration.readout import Readout

from .bent_phantoms import bend, errors, make_pair

T = TypeVar("T")


def finished(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def network() -> CPCLNet:
    return load_weights()


@pytest.fixture(scope="module")
def anatomy(phantom: Phantom, network: CPCLNet) -> Anatomy:
    scan = render_phantom(phantom, "MR", np.random.default_rng(4))
    found = finished(seeing(scan, network, Readout.load()))
    assert found is not None
    return found


def test_the_read_out_of_the_package_is_that_of_the_bundled_weights(network: CPCLNet) -> None:
    assert Readout.load().fits(network)


def test_a_read_out_of_another_encoder_does_not_fit() -> None:
    torch.manual_seed(0)
    assert not Readout.load().fits(CPCLNet())


def test_a_read_out_comes_back_from_its_file(tmp_path: Path) -> None:
    made = Readout(torch.tensor([1, 5], dtype=torch.uint8), torch.rand(2, 96), torch.rand(2), "0123456789ab")
    made.save(tmp_path / "a.safetensors")
    found = Readout.load(tmp_path / "a.safetensors")
    assert found.encoder == made.encoder
    assert all(torch.equal(getattr(found, n), getattr(made, n)) for n in ("structures", "weight", "bias"))


def test_something_else_is_no_read_out(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match=r"a\.safetensors"):
        Readout.load(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"b\.safetensors"):
        Readout.load(tmp_path / "b.safetensors")


@pytest.mark.parametrize("seed", range(3))
def test_cells_lie_where_the_network_sees_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    direction = Rotation.from_euler("xyz", rng.uniform(-12, 12, 3), degrees=True).as_matrix()
    direction = direction[:, rng.permutation(3)] * rng.choice([-1, 1], 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array([2.0, 2.5, 3.0])
    geometry = Geometry.from_affine((60, 62, 64), affine)
    array = np.zeros(geometry.shape, np.float32)
    volume = Volume(array, geometry, modality="MR")
    array[10:50, 10:50, 10:50] = 1
    grid = ModelGrid.for_volume(volume, "axial", PreprocessingSettings(mm_per_pixel=4.0, min_size=96))
    voxel = tuple(int(i) for i in rng.integers(20, 40, 3))
    marked = np.zeros(geometry.shape, np.uint8)
    marked[voxel] = 1
    (mask,) = grid.masks(marked, 1, [voxel[grid.axis]]).numpy()
    pixel = [float((mask * i).sum() / mask.sum()) for i in np.indices(mask.shape)]
    cell = np.array([(voxel[grid.axis] - 1) / 2, *((p - 0.5) / 2 for p in pixel), 1.0])
    found = cells_affine(volume, grid, 1, 2) @ cell
    # the middle of the pixels that it touches may be half a pixel off
    assert np.linalg.norm(found[:3] - geometry.index_to_world([voxel])[0]) < 2.9


def test_structures_of_a_phantom_are_found_near_where_they_lie(phantom: Phantom, anatomy: Anatomy) -> None:
    found = landmarks(anatomy)
    geometry = Geometry(phantom.labels.shape, phantom.spacing)
    for name in ("liver", "spleen"):
        label = phantom.structures[name]
        true = geometry.index_to_world(np.argwhere(phantom.labels == label)).mean(0)
        assert np.linalg.norm(found[label][0] - true) < 25


def test_levels_follow_the_height_in_the_world(phantom: Phantom, anatomy: Anatomy) -> None:
    start, slope = anatomy.level
    heights = np.arange(len(phantom.level)) * phantom.spacing[0]
    inner = (phantom.level > 0) & (phantom.level < 1)
    assert np.abs(start + slope * heights - phantom.level)[inner].mean() < 0.08


def test_what_is_no_trunk_is_not_looked_at(phantom: Phantom, network: CPCLNet) -> None:
    scan = render_phantom(phantom, "MR", np.random.default_rng(4))
    crop = scan.array[:, 20:44, 30:60].copy()
    small = Volume(crop, Geometry(crop.shape, scan.geometry.spacing), modality="MR")
    assert finished(seeing(small, network, Readout.load())) is None


def test_landmarks_give_scales_and_shifts_whatever_one_of_them_says() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-150, 150, (12, 3))
    scales, shifts = np.array([1.08, 0.93, 1.0]), np.array([30.0, -12.0, 5.0])
    query = {k: (p, 50.0) for k, p in enumerate(places)}
    support = {k: (scales * p + shifts, 50.0) for k, p in enumerate(places)}
    support[3] = (support[3][0] + 200, 50.0)
    found = by_landmarks(query, support, np.eye(4))
    assert found is not None
    moved = places @ found[:3, :3].T + found[:3, 3]
    assert np.abs(moved - places * scales - shifts).max() < 6
    assert by_landmarks({k: query[k] for k in range(4)}, support, np.eye(4)) is None


def test_common_features_keep_the_distances_of_the_square_roots() -> None:
    generator = torch.Generator().manual_seed(0)
    made = [
        Anatomy(
            torch.rand(6, 3, 4, 5, generator=generator).softmax(0), np.eye(4), torch.arange(6), (0.0, 1.0)
        )
        for _ in range(2)
    ]
    one, two = common_features(made[0], made[1], 6, generator)
    roots = [a.probabilities.sqrt() for a in made]
    expected = (roots[0] - roots[1]).square().sum(0)
    assert torch.allclose((one - two).square().sum(0), expected, atol=1e-5)


@pytest.mark.slow
def test_the_network_helps_where_modalities_differ(phantom: Phantom, network: CPCLNet) -> None:
    pair = make_pair(
        phantom, bend(11.0, 1.06, (45.0, -9.0, 6.0), np.array([207.5, 190.0, 214.0])), ("MR", "CT")
    )
    settings = RegistrationSettings(device="cpu", step_mm=(1.0, 7.0), points=100_000, iterations=60)
    field = register(pair.support, pair.query, settings, network=network)
    assert field.used_network
    assert np.median(errors(pair, field.at)) < 8


@pytest.mark.slow
def test_any_number_of_threads_gives_the_same_field(phantom: Phantom, network: CPCLNet) -> None:
    pair = make_pair(
        phantom, bend(8.0, 1.03, (10.0, 4.0, 0.0), np.array([207.5, 190.0, 214.0])), ("MR", "CT")
    )
    settings = RegistrationSettings(device="cpu", step_mm=(1.0, 9.0), points=60_000, iterations=20)
    before = torch.get_num_threads()
    fields = []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            fields.append(register(pair.support, pair.query, settings, network=network))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert fields[0].used_network
    for other in fields[1:]:
        assert torch.allclose(fields[0].displacement, other.displacement, rtol=0, atol=1e-3)
