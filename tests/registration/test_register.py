"""Phantoms with known deformations are found again, whatever the modality, grid and slant."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.phantoms.phantom import Phantom
from napari_cpclnet.registration import (
    Registrar,
    RegistrationProgress,
    RegistrationSettings,
    register,
    registering,
)

from .bent_phantoms import bend, errors, make_pair

QUICK = RegistrationSettings(device="cpu", step_mm=(1.0, 7.0), points=100_000, iterations=60)
MIDDLE = np.array([207.5, 190.0, 214.0])


@pytest.mark.slow
@pytest.mark.parametrize(("modalities", "median_mm"), [(("CT", "CT"), 4.0), (("MR", "CT"), 8.0)])
def test_a_bent_patient_is_found_in_any_modality(
    phantom: Phantom, modalities: tuple[str, str], median_mm: float
) -> None:
    pair = make_pair(phantom, bend(11.0, 1.06, (18.0, -9.0, 6.0), MIDDLE), modalities)
    field = register(pair.support, pair.query, QUICK)
    before, after = errors(pair, lambda points: points), errors(pair, field.at)
    assert np.median(before) > 15
    assert np.median(after) < median_mm
    warped = field.warp(pair.support_labels)
    assert dice(warped, pair.query_labels, "liver", phantom) > 0.8
    assert 0 < field.cost < 0.6


@pytest.mark.slow
def test_a_slanted_query_with_swapped_axes_is_registered_in_the_world(phantom: Phantom) -> None:
    tilt = Rotation.from_euler("xyz", (14, -9, 7), degrees=True).as_matrix()
    affine = np.eye(4)
    # array axes: left to right, inferior to superior, front to back
    affine[:3, :3] = (tilt @ np.array([[0, 1, 0], [0, 0, 1], [-1, 0, 0]])) * np.array([5.0, 4.0, 4.5])
    shape = (84, 96, 84)
    affine[:3, 3] = MIDDLE - affine[:3, :3] @ (np.array(shape) - 1) / 2
    grid = Geometry.from_affine(shape, affine)
    pair = make_pair(phantom, bend(8.0, 1.0, (10.0, 5.0, -6.0), MIDDLE), ("CT", "CT"), grid)
    after = errors(pair, register(pair.support, pair.query, QUICK).at)
    assert np.median(after) < 4 and np.percentile(after, 90) < 11


def test_what_is_asked_is_where_a_place_of_the_query_lies_in_the_support(phantom: Phantom) -> None:
    pair = make_pair(phantom, bend(0.0, 1.0, (12.0, 0.0, 0.0), MIDDLE), ("CT", "CT"))
    settings = QUICK.model_copy(update={"step_mm": (1.0, 10.0), "points": 30_000, "iterations": 30})
    field = register(pair.support, pair.query, settings)
    shift = np.median(field.at(pair.body) - pair.body, axis=0)
    assert shift == pytest.approx([12.0, 0.0, 0.0], abs=3.0)


def test_the_same_seed_gives_the_same_field(phantom: Phantom) -> None:
    pair = make_pair(phantom, bend(5.0, 1.0, (5.0, 0.0, 0.0), MIDDLE), ("CT", "MR"))
    settings = QUICK.model_copy(update={"step_mm": (1.0, 14.0), "iterations": 10})
    first, second = (register(pair.support, pair.query, settings) for _ in range(2))
    assert (first.displacement == second.displacement).all()


def test_work_comes_in_short_pieces_and_the_last_report_holds_the_field(phantom: Phantom) -> None:
    pair = make_pair(phantom, bend(5.0, 1.0, (5.0, 0.0, 0.0), MIDDLE), ("CT", "CT"))
    reports: list[RegistrationProgress] = []
    longest, before = 0.0, time.process_time()
    for report in registering(pair.support, pair.query, QUICK):
        longest, before = max(longest, time.process_time() - before), time.process_time()
        reports.append(report)
    assert longest < 1.0
    done = [report.done for report in reports]
    assert done == sorted(done) and done[0] < 0.1 and done[-1] == 1.0
    assert all(report.field is None for report in reports[:-1]) and reports[-1].field is not None


def test_closing_it_ends_the_work(phantom: Phantom) -> None:
    pair = make_pair(phantom, bend(5.0, 1.0, (5.0, 0.0, 0.0), MIDDLE), ("CT", "CT"))
    work = registering(pair.support, pair.query, QUICK)
    next(work)
    work.close()
    assert list(work) == []


def test_a_pair_that_was_registered_is_remembered_by_its_content(phantom: Phantom) -> None:
    pair = make_pair(phantom, bend(5.0, 1.0, (5.0, 0.0, 0.0), MIDDLE), ("CT", "CT"))
    settings = QUICK.model_copy(update={"step_mm": (1.0, 14.0), "iterations": 2})
    registrar = Registrar(settings=settings)
    first = registrar.register(pair.support, pair.query)
    copy = pair.query.replaced(array=pair.query.array.copy())
    (only,) = registrar.registering(pair.support, copy)
    assert only.field is first
    other = pair.query.replaced(array=pair.query.array + 1)
    assert registrar.register(pair.support, other) is not first
    assert registrar.register(pair.query, pair.support) is not first


@pytest.mark.parametrize("shape", [(1, 40, 44), (3, 40, 44), (30, 2, 44)])
def test_scans_of_few_slices_are_registered(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    grid = Geometry(shape, (5.0, 2.0, 2.0))
    support, query = (Volume(rng.random(shape, np.float32), grid, name="few slices") for _ in range(2))
    settings = QUICK.model_copy(update={"iterations": 3, "points": 2_000})
    assert np.isfinite(register(support, query, settings).at([[0.0, 10.0, 10.0]])).all()


def test_scans_that_show_nothing_are_laid_over_each_other() -> None:
    grid = Geometry((12, 30, 30), (5.0, 4.0, 4.0))
    empty = Volume(np.zeros(grid.shape, np.int16), grid, modality="MR")
    moved = empty.replaced(geometry=replace(grid, origin=(100.0, 0.0, 0.0)))
    found = register(empty, moved, QUICK.model_copy(update={"iterations": 3})).at([[100.0, 40.0, 40.0]])
    assert found == pytest.approx(np.array([[0.0, 40.0, 40.0]]), abs=12)


def dice(a: np.ndarray, b: np.ndarray, structure: str, phantom: Phantom) -> float:
    one, two = (x == phantom.structures[structure] for x in (a, b))
    return float(2 * (one & two).sum() / (one.sum() + two.sum()))
