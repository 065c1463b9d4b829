from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.imaging import Geometry

sizes = st.tuples(*[st.integers(1, 12)] * 3)
lengths = st.tuples(*[st.floats(0.2, 8.0)] * 3)
places = st.tuples(*[st.floats(-500, 500)] * 3)


@st.composite
def directions(draw, oblique: bool = True):
    """Signed permutations, and rotations of them."""
    matrix = np.eye(3)[list(draw(st.permutations(range(3))))] * draw(
        st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
    )
    if oblique and draw(st.booleans()):
        angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
        matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ matrix
    return tuple(tuple(row) for row in matrix.tolist())


def geometries(oblique: bool = True):
    return st.builds(Geometry, sizes, lengths, places, directions(oblique))


@given(geometries(), st.lists(st.tuples(*[st.integers(-20, 20)] * 3), min_size=1, max_size=5))
def test_index_to_world_agrees_with_simpleitk(geometry: Geometry, points) -> None:
    image = geometry.to_sitk(np.zeros(geometry.shape, np.uint8))
    expected = [image.TransformIndexToPhysicalPoint(point[::-1])[::-1] for point in points]
    np.testing.assert_allclose(geometry.index_to_world(points), expected, atol=1e-6)
    np.testing.assert_allclose(geometry.world_to_index(expected), points, atol=1e-6)


@given(geometries())
def test_geometry_survives_the_way_through_simpleitk(geometry: Geometry) -> None:
    image = geometry.to_sitk(np.arange(np.prod(geometry.shape)).reshape(geometry.shape))
    assert Geometry.from_sitk(image) == geometry
    assert Geometry.from_affine(geometry.shape, geometry.affine).isclose(geometry)


@given(geometries())
def test_voxel_volume_is_the_product_of_the_spacing(geometry: Geometry) -> None:
    assert geometry.voxel_ml == pytest.approx(np.prod(geometry.spacing) / 1000)


@given(geometries(oblique=False))
def test_anatomical_axes_undo_any_flip_and_permutation(geometry: Geometry) -> None:
    axes = geometry.anatomical_axes
    assert sorted(axis for axis, _ in axes) == [0, 1, 2]
    for world, (axis, flip) in enumerate(axes):
        assert geometry.direction[world][axis] == (-1 if flip else 1)


@given(geometries())
def test_anatomical_axes_agree_with_the_oracle_of_simpleitk(geometry: Geometry) -> None:
    matrix = np.array(geometry.direction)
    sizes = np.sort(np.abs(matrix), axis=1)
    if (sizes[:, 2] - sizes[:, 1]).min() < 0.05 or len({*np.abs(matrix).argmax(axis=1)}) < 3:
        return  # near 45 degrees no answer is the right one
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(matrix[::-1, ::-1].ravel().tolist())
    letters = {
        "S": (0, False),
        "I": (0, True),
        "P": (1, False),
        "A": (1, True),
        "L": (2, False),
        "R": (2, True),
    }
    found = {letters[letter][0]: (2 - axis, letters[letter][1]) for axis, letter in enumerate(code)}
    assert geometry.anatomical_axes == (found[0], found[1], found[2])


@given(geometries(oblique=False), st.sampled_from([0, 1, 2]))
def test_napari_transform_of_flipped_axes_puts_voxels_at_their_world_place(geometry: Geometry, axis) -> None:
    keys = geometry.napari_transform()
    point = np.eye(3)[axis] * 3
    local = np.array(keys["scale"]) * point + np.array(keys["translate"])
    shown = (keys.get("affine", np.eye(4)) @ [*local, 1.0])[:3]
    if geometry.is_axis_aligned:
        np.testing.assert_allclose(shown, geometry.index_to_world([point])[0], atol=1e-9)
    else:
        np.testing.assert_allclose(shown, point * geometry.spacing)


def test_oblique_scans_are_shown_in_their_index_axes() -> None:
    tilted = Rotation.from_euler("x", 20, degrees=True).as_matrix()
    geometry = Geometry((4, 5, 6), (3.0, 1.0, 2.0), (10.0, 20.0, 30.0), tuple(map(tuple, tilted)))
    assert geometry.is_oblique
    assert geometry.napari_transform() == {"scale": (3.0, 1.0, 2.0), "translate": (0.0, 0.0, 0.0)}


def test_swapped_axes_are_not_oblique() -> None:
    geometry = Geometry((2, 3, 4), direction=((0, 1, 0), (-1, 0, 0), (0, 0, 1)))
    assert not geometry.is_oblique
    assert "affine" not in geometry.napari_transform()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": (4, 5, 7)}, "size"),
        ({"spacing": (3.0, 1.0, 2.1)}, "spacing"),
        ({"origin": (0.0, 0.0, 1.0)}, "origin"),
        ({"direction": ((1, 0, 0), (0, -1, 0), (0, 0, 1))}, "direction"),
    ],
)
def test_differences_name_what_differs(change: dict, word: str) -> None:
    geometry = Geometry((4, 5, 6), (3.0, 1.0, 2.0))
    other = replace(geometry, **change)
    assert not geometry.isclose(other)
    (sentence,) = geometry.differences(other)
    assert sentence.startswith(word)


def test_rounding_of_a_float32_header_is_no_difference() -> None:
    geometry = Geometry((100, 512, 512), (3.27, 0.9765625, 0.9765625), (-766.5, -249.51, -437.51))
    rounded = Geometry(
        geometry.shape,
        tuple(np.float32(geometry.spacing)),
        tuple(np.float32(geometry.origin)),
        geometry.direction,
    )
    assert geometry.isclose(rounded)
    assert geometry.differences(rounded) == ()


def test_a_two_dimensional_image_is_one_slice() -> None:
    image = sitk.GetImageFromArray(np.zeros((5, 7), np.uint8))
    image.SetSpacing((0.5, 0.25))
    assert Geometry.from_sitk(image) == Geometry((1, 5, 7), (1.0, 0.25, 0.5))


@pytest.mark.parametrize(
    "bad",
    [
        {"shape": (0, 1, 1)},
        {"shape": (1, 1)},
        {"spacing": (1.0, 0.0, 1.0)},
        {"spacing": (1.0, float("nan"), 1.0)},
        {"spacing": (1e-200, 1e-200, 1e-200)},
        {"spacing": (1.0, 1.0, 1e200)},
        {"origin": (float("inf"), 0.0, 0.0)},
        {"origin": (0.0, -1e300, 0.0)},
        {"direction": ((1, 0, 0), (1, 0, 0), (0, 0, 1))},
    ],
)
def test_impossible_grids_are_refused(bad: dict) -> None:
    with pytest.raises(GeometryError):
        Geometry(**{"shape": (2, 2, 2), **bad})


def test_an_array_of_another_shape_does_not_fit() -> None:
    with pytest.raises(GeometryError, match="does not fit"):
        Geometry((2, 3, 4)).to_sitk(np.zeros((4, 3, 2)))
