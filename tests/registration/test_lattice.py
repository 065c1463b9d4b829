"""The lattice covers all that a query shows, at a step that suits its size."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.registration import RegistrationSettings
from napari_cpclnet.registration.lattice import Lattice, tissue_box


def coil_image() -> Volume:
    """Tissue in planes 20 to 139 of 160 that fades from the near end to the far one, above noise."""
    rng = np.random.default_rng(0)
    array = rng.rayleigh(3.0, (160, 60, 60))
    array[20:140, 10:50, 10:50] += np.linspace(1000, 120, 120)[:, None, None]
    return Volume(array.astype(np.float32), Geometry(array.shape, (2.0, 2.0, 2.0)), modality="MR")


def test_tissue_far_from_the_coil_is_in_the_box() -> None:
    for (low, high), (first, last) in zip(
        tissue_box(coil_image()), ((20, 139), (10, 49), (10, 49)), strict=True
    ):
        assert first - 6 <= low <= first and last <= high <= last + 6


def test_a_scan_that_shows_nothing_is_all_box() -> None:
    empty = Volume(np.zeros((9, 20, 20), np.int16), Geometry((9, 20, 20)), modality="MR")
    assert tissue_box(empty) == ((-0.5, 8.5), (-0.5, 19.5), (-0.5, 19.5))


def test_the_lattice_reaches_over_the_box_on_all_sides() -> None:
    volume = coil_image()
    lattice = Lattice.over(volume, RegistrationSettings(points=20_000))
    corners = np.array([[0, 0, 0, 1], [*(n - 1 for n in lattice.shape), 1]]) @ lattice.to_native.T
    for axis, (low, high) in enumerate(tissue_box(volume)):
        assert corners[0, axis] <= low and corners[1, axis] >= high
    assert all(n % 2 == 0 for n in lattice.shape)


@pytest.mark.parametrize(
    ("shape", "spacing", "step"),
    [((40, 40, 40), 1.0, 1.0), ((100, 100, 100), 4.0, 5.0), ((60, 60, 60), 2.0, 3.0)],
)
def test_the_step_follows_the_size_within_its_limits(
    shape: tuple[int, int, int], spacing: float, step: float
) -> None:
    full = Volume(np.full(shape, 100, np.int16), Geometry(shape, (spacing,) * 3), modality="MR")
    assert Lattice.over(full, RegistrationSettings(points=64_000)).step == pytest.approx(step)


def test_a_very_large_body_has_a_longer_step() -> None:
    shape = (100, 100, 100)
    full = Volume(np.full(shape, 100, np.int16), Geometry(shape, (10.0,) * 3), modality="MR")
    lattice = Lattice.over(full, RegistrationSettings(most_points=100_000))
    assert lattice.step == pytest.approx(1e9 ** (1 / 3) / 1e5 ** (1 / 3))


def test_the_finer_lattice_reaches_as_far_or_is_none() -> None:
    volume = coil_image()
    settings = RegistrationSettings(points=20_000, fine_points=160_000)
    coarse = Lattice.over(volume, settings)
    fine = coarse.finer(settings)
    assert 0.45 < fine.step / coarse.step < 0.6
    first, last = (
        [
            (lattice.to_native @ [*(end * (n - 1) + edge for n in lattice.shape), 1])[:3]
            for lattice in (coarse, fine)
        ]
        for end, edge in ((0, -0.5), (1, 0.5))
    )
    assert (first[1] <= first[0] + 1e-6).all() and (last[1] >= last[0] - 1e-6).all()
    assert coarse.finer(settings.model_copy(update={"fine_points": 25_000})) is coarse
    assert coarse.finer(settings.model_copy(update={"step_mm": (coarse.step, 5.0)})) is coarse
