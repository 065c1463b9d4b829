"""Classes that leave the support's field of view and go on in the query."""

from __future__ import annotations

import numpy as np
import torch

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model.weights import load_prior_decoder
from napari_cpclnet.registration import Field, RegistrationSettings
from napari_cpclnet.registration.lattice import Lattice
from napari_cpclnet.segmentation.boxed import Boxed
from napari_cpclnet.segmentation.continuation import Exit, exits, following

SHAPE, SPACING = (60, 64, 64), (2.0, 1.5, 1.5)
SHOWN = slice(20, 36)
"""Slices of the body that the support shows."""


def tube(end: int = SHAPE[0], contrast: float = 100.0) -> tuple[Volume, np.ndarray]:
    """A slanted tube in a body, up to a slice."""
    z, y, x = np.indices(SHAPE)
    inside = (y - 22 - 0.25 * z) ** 2 + (x - 38 + 0.1 * z) ** 2 < 6**2
    inside &= z < end
    body = (y - 32) ** 2 + (x - 32) ** 2 < 30**2
    grey = 300.0 * body + contrast * inside + np.random.default_rng(3).normal(0, 12, SHAPE)
    return Volume(grey.astype(np.float32), Geometry(SHAPE, SPACING), "MR"), inside


def shown_part(query: Volume) -> Geometry:
    """Grid of those slices of a query that the support shows."""
    z, y, x = (float(v) for v in query.geometry.index_to_world([[SHOWN.start, 0, 0]])[0])
    return Geometry((SHOWN.stop - SHOWN.start, *SHAPE[1:]), SPACING, (z, y, x))


def perfect(query: Volume) -> Field:
    """The registration of a query with a support that shows some slices of the same body."""
    lattice = Lattice.over(query, RegistrationSettings(points=2_000))
    flat, still = torch.zeros(lattice.shape), torch.zeros(3, *lattice.shape)
    return Field(query.geometry, shown_part(tube()[0]), lattice, still, np.eye(4), 0.0, flat, flat, 0.0)


def carried(field: Field, inside: np.ndarray) -> tuple[Boxed, Boxed]:
    """The class in the support, and as it arrives in the query."""
    painted = inside[SHOWN]
    return Boxed.around(painted), Boxed.around(field.warp(painted))


def followed(query: Volume, mask: Boxed, ways: list[Exit]) -> np.ndarray:
    decoder = load_prior_decoder()
    for way in ways:
        work = following(decoder, query, 0, mask, way, 0.5)
        while True:
            try:
                assert next(work) == 0.5
            except StopIteration as end:
                mask = end.value
                break
    return mask.whole()


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_a_tube_is_followed_to_both_ends_of_the_query() -> None:
    query, inside = tube()
    field = perfect(query)
    painted, arrived = carried(field, inside)
    ways = list(exits(field, painted, arrived))
    assert [(way.axis, way.step, way.last) for way in ways] == [(0, -1, 20), (0, 1, 35)]
    assert dice(arrived.whole(), inside) < 0.5
    assert dice(followed(query, arrived, ways), inside) > 0.9


def test_it_ends_where_the_tube_ends() -> None:
    query, inside = tube(end=45)
    field = perfect(query)
    painted, arrived = carried(field, inside)
    found = followed(query, arrived, list(exits(field, painted, arrived)))
    assert np.flatnonzero(found.any((1, 2))).max() in range(42, 49)
    assert dice(found, inside) > 0.85


def test_what_looks_like_its_neighbours_is_not_followed() -> None:
    query, inside = tube(contrast=2.0)
    field = perfect(query)
    painted, arrived = carried(field, inside)
    ways = list(exits(field, painted, arrived))
    assert len(ways) == 2
    assert np.array_equal(followed(query, arrived, ways), arrived.whole())


def test_what_ends_within_the_support_is_not_followed() -> None:
    query, inside = tube()
    inside[:24] = inside[32:] = False
    field = perfect(query)
    assert not list(exits(field, *carried(field, inside)))


def test_what_leaves_the_query_as_well_is_not_followed() -> None:
    whole, inside = tube()
    query = Volume(whole.array[SHOWN], shown_part(whole), "MR")
    arrived = Boxed.around(inside[SHOWN])
    assert not list(exits(perfect(query), arrived, arrived))


def test_what_another_support_shows_there_is_kept() -> None:
    query, inside = tube()
    field = perfect(query)
    painted, arrived = carried(field, inside)
    (down, _) = exits(field, painted, arrived)
    assert np.array_equal(followed(query, Boxed.around(inside), [down]), inside)


def test_what_several_supports_carried_less_far_is_left_as_it_is() -> None:
    query, inside = tube()
    field = perfect(query)
    ways = list(exits(field, *carried(field, inside)))
    shorter = inside & np.isin(np.arange(SHAPE[0]), range(24, 30))[:, None, None]
    assert np.array_equal(followed(query, Boxed.around(shorter), ways), shorter)
    assert not followed(query, Boxed.nothing(SHAPE), ways).any()
