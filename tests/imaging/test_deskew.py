from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.imaging import Geometry
from napari_cpclnet.imaging.deskew import deskew, shear_of, upright


def tilted(shape=(6, 40, 30), slip=0.8) -> Geometry:
    """Slices of 2 mm that slip along the rows' axis by ``slip`` mm each, as with a tilted gantry."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([2.0, 1.0, 0.5])
    affine[1, 0] = slip
    affine[:3, 3] = 5, -7, 9
    return Geometry.from_affine(shape, affine)


def test_a_tilted_stack_keeps_its_pixels_and_slice_distance() -> None:
    grid = upright(tilted())
    assert shear_of(tilted()) > 0.3
    assert shear_of(grid) < 1e-9
    assert grid.spacing == pytest.approx((2.0, 1.0, 0.5))
    assert grid.shape == (6, 44, 30)  # five steps of 0.8 mm need four rows more
    assert grid.origin == pytest.approx((5, -7, 9))


def test_values_stay_at_their_place_in_the_patient() -> None:
    geometry = tilted()
    world = geometry.index_to_world(np.indices(geometry.shape).reshape(3, -1).T).T.reshape(3, *geometry.shape)
    field = 3 * world[0] - 2 * world[1] + world[2]  # linear interpolation is exact on it
    array, grid = deskew(field, geometry)
    points = np.indices(grid.shape).reshape(3, -1).T
    inside = geometry.world_to_index(grid.index_to_world(points))
    inside = np.all((inside >= 0) & (inside <= np.array(geometry.shape) - 1), axis=1)
    expected = grid.index_to_world(points) @ (3, -2, 1)
    np.testing.assert_allclose(array.ravel()[inside], expected[inside], atol=1e-3)
    assert np.all(array.ravel()[~inside] <= array.max())


def test_labels_move_as_simpleitk_moves_them() -> None:
    geometry = tilted(slip=0.7)
    labels = np.random.default_rng(0).integers(0, 5, geometry.shape).astype(np.uint8)
    moved, grid = deskew(labels, geometry, labels=True)
    reference = sitk.Resample(
        geometry.to_sitk(labels),
        grid.to_sitk(np.zeros(grid.shape, np.uint8)),
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
    )
    inner = sitk.GetArrayFromImage(reference)
    agreeing = (moved == inner)[:, 4:36]
    assert moved.dtype == np.uint8
    assert agreeing.mean() > 0.999


def test_axes_in_one_plane_are_refused() -> None:
    affine = np.eye(4)
    affine[1, 0], affine[0, 0] = 1.0, 0.005
    with pytest.raises(GeometryError, match="almost in one plane"):
        upright(Geometry.from_affine((3, 4, 5), affine))


def test_a_skew_that_would_explode_is_refused() -> None:
    affine = np.eye(4)
    affine[1, 0], affine[2, 0] = 20.0, 20.0
    with pytest.raises(GeometryError, match="skewed so much"):
        upright(Geometry.from_affine((200, 20, 20), affine))
