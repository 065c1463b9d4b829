from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_cpclnet.imaging import Geometry, Sliced, plane_axis, plane_like
from napari_cpclnet.imaging.planes import NAMES, attitude_of, axis_plane, named_plane, view_of

SHAPE = (20, 30, 40)
# Directions (S, P, L) of the long axis of a heart, base to apex, and two across it: slices lie between all planes.
HEART = np.array([[-0.45, -0.60, 0.66], [0.70, -0.70, -0.16], [0.55, 0.39, 0.73]]).T


def oriented(matrix: NDArray[np.float64], spacing: tuple[float, float, float] = (1, 1, 1)) -> Geometry:
    u, _, v = np.linalg.svd(matrix)  # the nearest orthogonal one
    return Geometry(SHAPE, spacing, direction=tuple(map(tuple, (u @ v).tolist())))


def turned(matrix: NDArray[np.float64], degrees: float, axis: int = 0) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_euler("xyz"[axis], degrees, degrees=True).as_matrix() @ matrix)


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((1, 1, 1), 0), ((5, 1, 1), 0), ((1, 4, 1), 1), ((1, 1, 3.3), 2), ((1, 1.2, 1), 0), ((2, 4, 4), 0)],
)
def test_without_paint_the_distinctly_thickest_axis_is_sliced_else_the_axial_one(
    spacing: tuple[float, float, float], axis: int
) -> None:
    assert plane_axis(Geometry(SHAPE, spacing), "auto") == axis


def test_a_single_picture_is_sliced_as_it_is() -> None:
    assert plane_axis(Geometry((40, 1, 40), (1, 8, 1)), "auto") == 1
    assert plane_axis(Geometry((40, 40, 1), (1, 1, 1)), "auto") == 2


@given(st.permutations((0, 1, 2)), st.tuples(*[st.booleans()] * 3), st.floats(-35, 35), st.integers(0, 2))
def test_every_axis_has_one_name_and_every_name_one_axis(
    order: list[int], signs: tuple[bool, ...], lean: float, about: int
) -> None:
    matrix = np.eye(3)[:, order] * np.where(signs, -1, 1)
    geometry = oriented(turned(matrix, lean, about))
    assert {axis_plane(geometry, axis) for axis in range(3)} == set(NAMES)
    for name in NAMES:
        assert axis_plane(geometry, plane_axis(geometry, name)) == name
    # leaning by less than 45 degrees changes no name
    assert [axis_plane(geometry, axis) for axis in range(3)] == [NAMES[world] for world in order]


@given(st.permutations((0, 1, 2)), st.tuples(*[st.booleans()] * 3), st.floats(-35, 35), st.integers(0, 2))
def test_pictures_are_upright_in_every_plane_and_orientation(
    order: list[int], signs: tuple[bool, ...], lean: float, about: int
) -> None:
    matrix = np.eye(3)[:, order] * np.where(signs, -1, 1)
    geometry = oriented(turned(matrix, lean, about))
    upright = {
        "axial": np.eye(3),
        "coronal": np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
        "sagittal": np.array([[0, 0, 1], [-1, 0, 0], [0, 1, 0]]),
    }
    for plane in (*NAMES, "native", "auto"):
        view = view_of(geometry, plane)
        found = np.array(view.attitude(geometry))
        assert np.all((found * upright[view.plane]).sum(1) > np.cos(np.radians(36)))
        if plane == "native":
            assert view.axes[0] == 0


@given(st.permutations((0, 1, 2)), st.tuples(*[st.booleans()] * 3), st.sampled_from(NAMES))
def test_a_scan_is_seen_in_the_plane_of_the_support_however_it_is_stored(
    order: list[int], signs: tuple[bool, ...], plane: str
) -> None:
    geometry = oriented(np.eye(3)[:, order] * np.where(signs, -1, 1), (4, 1, 1))
    support = [Sliced(Geometry(SHAPE, (1, 1, 3)), plane)]
    assert plane_like(geometry, support) == plane
    assert view_of(geometry, plane, attitude_of(support)) == view_of(geometry, plane)


def test_most_slices_say_the_plane_and_those_of_the_scan_itself_before_all_others() -> None:
    first, second, asked = (Geometry(SHAPE, origin=(z, 0.0, 0.0)) for z in (0.0, 50.0, 100.0))
    support = [Sliced(first, "axial", 2), Sliced(second, "sagittal", 3)]
    for order in itertools.permutations(support):
        assert plane_like(asked, order) == "sagittal"
        assert plane_like(first, order) == "axial"
    assert plane_like(asked, []) == "axial"
    assert plane_like(Geometry(SHAPE, (1, 5, 1)), []) == "coronal"


@pytest.mark.parametrize(("degrees", "about"), itertools.product((-25, -10, 10, 25), range(3)))
def test_a_heart_is_seen_along_its_short_axis_as_the_support_was(degrees: float, about: int) -> None:
    painted = oriented(HEART, (10.0, 1.5, 1.5))
    support = [Sliced(painted, axis_plane(painted, 0), 4)]
    like = attitude_of(support)
    for order in itertools.permutations(range(3)):  # the short axis may be any axis of the array
        spacing = np.array((8.0, 1.4, 1.4))[list(order)]
        query = oriented(turned(HEART, degrees, about)[:, list(order)], tuple(spacing))
        plane = plane_like(query, support)
        assert plane_axis(query, plane) == order.index(0)
        view = view_of(query, plane, like)
        both = np.array(view.attitude(query)) @ np.array(like).T
        assert np.all(np.diag(both) > np.cos(np.radians(26)))  # nor is it turned by a quarter, or mirrored
        assert np.linalg.det(both) > 0


def test_native_is_named_after_the_first_axis() -> None:
    sagittal = oriented(np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]]))
    assert named_plane(sagittal, "native") == "sagittal"
    assert named_plane(sagittal, "auto") == "axial"
