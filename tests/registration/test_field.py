"""Fields carry arrays between grids of any slant, exactly where the map says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.imaging import Geometry
from napari_cpclnet.registration import Field
from napari_cpclnet.registration import field as field_module
from napari_cpclnet.registration.lattice import Lattice


def geometry(seed: int, shape: tuple[int, int, int]) -> Geometry:
    """A slanted grid with swapped, flipped axes and unequal spacing."""
    rng = np.random.default_rng(seed)
    direction = Rotation.from_euler("xyz", rng.uniform(-25, 25, 3), degrees=True).as_matrix()
    direction = direction[:, rng.permutation(3)] * rng.choice([-1, 1], 3)
    spacing = rng.uniform(1.5, 4.0, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Geometry.from_affine(shape, affine)


def made(seed: int = 0, bend: float = 2.0) -> Field:
    """A field between two slanted grids, with an affine part and bends of some lattice steps."""
    rng = np.random.default_rng(seed)
    query, support = geometry(seed, (14, 17, 20)), geometry(seed + 100, (14, 15, 12))
    lattice = Lattice((6, 8, 8), 5.0, (0.5, -0.3, 0.2), query.spacing, query.affine)
    affine = np.eye(4)
    affine[:3, :3] += rng.uniform(-0.1, 0.1, (3, 3))
    affine[:3, 3] = rng.uniform(-5, 5, 3)
    displacement = torch.from_numpy(rng.uniform(-bend / 2, bend / 2, (3, 6, 8, 8)).astype(np.float32))
    cycle = torch.from_numpy(rng.uniform(0, 4, (6, 8, 8)).astype(np.float32))
    return Field(query, support, lattice, displacement, affine, 0.3, cycle / 4, cycle, 2.0)


def support_index(field: Field) -> NDArray[np.float64]:
    """Where every voxel of the query lies in the support's array, (3, z, y, x), by the world positions."""
    shape = field.query.shape
    world = field.query.index_to_world(np.indices(shape).reshape(3, -1).T)
    return field.support.world_to_index(field.at(world)).T.reshape(3, *shape)


@pytest.mark.parametrize("seed", range(4))
def test_at_adds_the_displacement_and_applies_the_affine_map(seed: int) -> None:
    field = made(seed)
    nodes = np.argwhere(np.ones(field.lattice.shape))[::7]
    world = nodes @ field.lattice.affine[:3, :3].T + field.lattice.affine[:3, 3]
    shift = field.displacement.numpy()[:, nodes[:, 0], nodes[:, 1], nodes[:, 2]].T
    moved = world + shift @ field.lattice.affine[:3, :3].T
    expected = moved @ field.affine[:3, :3].T + field.affine[:3, 3]
    assert field.at(world) == pytest.approx(expected, abs=1e-4)


def test_a_step_of_the_lattice_is_its_length_along_the_axes_of_the_query() -> None:
    field = made(3)
    columns = field.lattice.affine[:3, :3]
    assert np.linalg.norm(columns, axis=0) == pytest.approx([5.0] * 3)
    assert columns / 5.0 == pytest.approx(np.array(field.query.direction))


@pytest.mark.parametrize("seed", range(4))
def test_labels_come_from_the_nearest_voxel(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_module, "_PIECE", 700)  # several pieces
    field = made(seed)
    labels = np.random.default_rng(9).integers(1, 200, field.support.shape).astype(np.uint16)
    index = support_index(field)
    # where two voxels are equally near, rounding decides
    clear = (np.abs(index - np.floor(index) - 0.5) > 1e-3).all(0)
    expected = ndimage.map_coordinates(labels, index, order=0, mode="grid-constant", cval=7)
    whole = np.floor(index + 0.5)
    inside = ((whole >= 0) & (whole < np.array(labels.shape).reshape(3, 1, 1, 1))).all(0)
    expected[~inside] = 7
    found = field.warp(labels, outside=7)
    assert found.dtype == np.uint16 and inside.any() and not inside.all()
    assert (found == expected)[clear].all()


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_interpolated_linearly(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_module, "_PIECE", 700)
    field = made(seed)
    values = np.random.default_rng(9).standard_normal((2, *field.support.shape)).astype(np.float32)
    index = support_index(field)
    found = field.warp(values, order=1, outside=-9)
    size = np.array(field.support.shape).reshape(3, 1, 1, 1)
    inside = ((index > 0) & (index < size - 1)).all(0)
    outside = ((index < -0.51) | (index > size - 0.49)).any(0)
    for channel, one in zip(values, found, strict=True):
        expected = ndimage.map_coordinates(channel, index, order=1)
        assert one[inside] == pytest.approx(expected[inside], abs=2e-3)
        assert (one[outside] == -9).all()


def test_a_box_is_a_part_of_the_whole() -> None:
    field = made(1)
    labels = np.random.default_rng(9).integers(0, 200, field.support.shape).astype(np.uint8)
    box = (slice(3, 9), slice(0, 5), slice(7, None))
    assert (field.warp(labels, box=box) == field.warp(labels)[box]).all()
    nothing = (slice(3, 3), slice(0, 5), slice(7, None))
    assert field.warp(labels, box=nothing).shape == (0, 5, 13)


def test_a_field_that_moves_nothing_copies_the_array() -> None:
    grid = geometry(5, (12, 11, 10))
    lattice = Lattice((6, 6, 6), 6.0, (-1.0, 0.0, 1.0), grid.spacing, grid.affine)
    flat = torch.zeros(6, 6, 6)
    field = Field(grid, grid, lattice, torch.zeros(3, 6, 6, 6), np.eye(4), 0.0, flat, flat, 0.0)
    values = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    assert (field.warp(values) == values).all()
    assert field.warp(values, order=1) == pytest.approx(values, abs=1e-4)
    corner = grid.index_to_world([[0, 0, 0], [-2, 0, 0]])
    assert field.inside(corner).tolist() == [True, False]


def test_cycle_and_cost_of_a_region_are_those_of_its_place() -> None:
    field = made(2)
    region = np.zeros(field.query.shape, bool)
    region[4, 5, 6] = True
    position = (np.array([4, 5, 6]) - field.lattice.start) * field.lattice.spacing / field.lattice.step
    expected = ndimage.map_coordinates(field.cycle_mm.numpy(), position[:, None], order=1)[0]
    assert field.cycle_of(region) == pytest.approx(expected, abs=1e-4)
    assert field.cost_of(region) == pytest.approx(expected / 4, abs=1e-4)
    assert np.isnan(field.cycle_of(np.zeros(field.query.shape, bool)))


def test_an_array_of_another_grid_is_refused() -> None:
    with pytest.raises(GeometryError, match="does not lie on the support's grid"):
        made().warp(np.zeros((3, 3, 3)))
