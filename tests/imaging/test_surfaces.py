"""Surfaces of known bodies: closed, in their place, and of their size."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.imaging import Geometry
from napari_cpclnet.imaging.surfaces import lit, smooth_surface


def enclosed(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume inside a closed surface, by the divergence theorem."""
    a, b, c = (vertices[faces[:, n]].astype(float) for n in range(3))
    return abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6)


def is_closed(faces: np.ndarray) -> bool:
    """Whether each edge belongs to two triangles."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.0, 1.0), (1.0, 2.0, 3.0)])
@pytest.mark.parametrize("most", [400_000, 6_000])
def test_a_ball_is_a_ball_on_any_grid(spacing: tuple[float, float, float], most: int) -> None:
    shape = tuple(int(70 / s) for s in spacing)
    middle = np.array([33.0, 35.0, 37.0])
    places = np.stack(
        np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"), -1
    )
    mask = np.linalg.norm(places - middle, axis=-1) <= 25
    vertices, faces = smooth_surface(mask, spacing, most)
    found = vertices * np.array(spacing)
    assert is_closed(faces)
    radii = np.linalg.norm(found - middle, axis=1)
    assert radii.min() > 25 - max(spacing) and radii.max() < 25 + max(spacing)
    assert np.abs(found.mean(0) - middle).max() < max(spacing) / 2
    assert enclosed(found, faces) == pytest.approx(mask.sum() * np.prod(spacing), rel=0.06)


def test_what_touches_the_border_is_closed_and_what_is_tiny_is_seen() -> None:
    full = np.ones((6, 7, 8), bool)
    vertices, faces = smooth_surface(full, (2.0, 1.0, 1.0))
    assert is_closed(faces) and enclosed(vertices, faces) == pytest.approx(6 * 7 * 8, rel=0.15)
    dot = np.zeros((5, 5, 5), bool)
    dot[2, 3, 1] = True
    vertices, faces = smooth_surface(dot, (5.0, 1.0, 1.0))
    assert is_closed(faces) and len(faces)
    np.testing.assert_allclose(vertices.mean(0), (2, 3, 1), atol=0.3)


def test_nothing_has_no_surface() -> None:
    vertices, faces = smooth_surface(np.zeros((3, 4, 5), bool), (1.0, 1.0, 1.0))
    assert len(vertices) == len(faces) == 0


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_the_front_is_brighter_than_the_side_below_on_mirrored_grids_too(mirror: float) -> None:
    direction = ((1.0, 0.0, 0.0), (0.0, mirror, 0.0), (0.0, 0.0, 1.0))
    geometry = Geometry((40, 40, 40), (1.0, 1.0, 1.0), (5.0, 900.0, -40.0), direction)
    places = np.argwhere(np.ones(geometry.shape, bool))
    mask = (np.linalg.norm(places - 20, axis=1) <= 12).reshape(geometry.shape)
    vertices, faces = smooth_surface(mask, geometry.spacing)
    light = lit(vertices, faces, geometry)
    world = geometry.index_to_world(vertices)
    front, below = world[:, 1].argmin(), world[:, 0].argmin()
    assert light.min() >= 0.3 and light.max() <= 1
    assert light[front] > light[below] + 0.3
