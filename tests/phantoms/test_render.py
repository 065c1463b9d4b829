"""Phantom pictures look like what their modality promises."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from napari_cpclnet.imaging import Volume, detect_modality
from napari_cpclnet.phantoms.demo import DEMO_CLASSES, demo_scan, demo_scans, spread_slices
from napari_cpclnet.phantoms.phantom import STRUCTURES, Phantom, make_phantom
from napari_cpclnet.phantoms.render import TISSUES, ScanModality, render_phantom


@cache
def phantom() -> Phantom:
    return make_phantom(np.random.default_rng(1))  # one whose bladder is in the picture


@cache
def picture(modality: ScanModality) -> Volume:
    return render_phantom(phantom(), modality, np.random.default_rng(4))


def mean(modality: ScanModality, structure: str) -> float:
    return float(picture(modality).array[phantom().mask(structure)].mean())


def test_every_structure_has_an_appearance() -> None:
    assert set(TISSUES) == set(STRUCTURES)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_a_picture_lies_on_the_phantoms_grid(modality: ScanModality) -> None:
    volume = picture(modality)
    assert volume.array.shape == phantom().labels.shape
    assert volume.geometry.spacing == phantom().spacing
    assert np.isfinite(volume.array).all()


def test_ct_is_in_hounsfield_units() -> None:
    assert mean("CT", "air") == pytest.approx(-1000, abs=30)
    assert mean("CT", "subcutaneous fat") == pytest.approx(-100, abs=60)
    assert mean("CT", "liver") == pytest.approx(108, abs=30)
    assert mean("CT", "lung") < -600


def test_t2_shows_fluid_bright_and_liver_darker_than_spleen() -> None:
    assert mean("MR", "spinal canal") > mean("MR", "spleen") > mean("MR", "liver") > mean("MR", "air")
    assert picture("MR").array.min() >= 0


def test_pet_uptake_is_highest_where_tracer_is_excreted() -> None:
    assert mean("PT", "bladder") > 2 * mean("PT", "liver") > 4 * mean("PT", "back muscle")
    assert picture("PT").array.min() >= 0


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_the_modality_is_recognised_from_the_values(modality: ScanModality) -> None:
    assert detect_modality(picture(modality).array)[0] == modality


def test_the_same_seed_gives_the_same_picture() -> None:
    again = render_phantom(phantom(), "MR", np.random.default_rng(4))
    np.testing.assert_array_equal(again.array, picture("MR").array)


def test_patients_differ() -> None:
    other = render_phantom(phantom(), "CT", np.random.default_rng(5))
    assert not np.array_equal(other.array, picture("CT").array)


def test_spread_slices_lie_inside_what_is_labelled() -> None:
    labels = np.zeros((20, 4, 4), np.uint8)
    labels[5:15] = 1
    assert spread_slices(labels, 5) == (6, 8, 10, 12, 14)
    assert spread_slices(labels, 1) == (10,)
    assert spread_slices(np.zeros_like(labels), 3) == ()


def test_a_thick_scan_has_thick_slices_of_the_same_patient() -> None:
    thin, thick = demo_scan("MR", 1), demo_scan("MR", 1, every=2)
    np.testing.assert_array_equal(thick.volume.array, thin.volume.array[::2])
    np.testing.assert_array_equal(thick.truth.labels, thin.truth.labels[::2])
    assert thick.volume.geometry.spacing[0] == 2 * thin.volume.geometry.spacing[0]


def test_the_demo_paints_only_its_slices_and_shows_every_class_there() -> None:
    scans = demo_scans(0)
    painted = scans.painted
    filled = np.flatnonzero(painted.labels.any(axis=(1, 2)))
    assert set(filled) <= set(scans.painted_slices)
    assert len(scans.painted_slices) == 5
    for scan in (scans.support, *scans.queries):
        assert scan.truth.classes == dict(enumerate(DEMO_CLASSES, start=1))
        assert set(np.unique(scan.truth.labels)) == {0, 1, 2, 3, 4}
    assert set(np.unique(painted.labels)) == {0, 1, 2, 3, 4}
