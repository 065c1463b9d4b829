"""Heads are reproducible and anatomically plausible; sizes are checked against textbook ranges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage as ndi

from napari_cpclnet.episodes.appearance import sample_appearance
from napari_cpclnet.episodes.masses import random_mass
from napari_cpclnet.phantoms.canvas import Canvas
from napari_cpclnet.phantoms.phantom import STRUCTURES, Phantom, make_head
from napari_cpclnet.phantoms.render import render_phantom
from napari_cpclnet.phantoms.settings import PhantomSettings

SMALL = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))


@pytest.fixture(scope="module")
def heads() -> list[Phantom]:
    return [make_head(np.random.default_rng(seed)) for seed in range(6)]


@pytest.fixture(scope="module")
def coarse() -> list[Phantom]:
    return [make_head(np.random.default_rng(seed), SMALL) for seed in range(14)]


def millilitres(phantom: Phantom, target: str) -> float:
    return float(phantom.mask(target).sum() * np.prod(phantom.spacing) / 1000.0)


def centre(phantom: Phantom, target: str) -> np.ndarray:
    return np.array(ndi.center_of_mass(phantom.mask(target)))


def whole(phantom: Phantom, target: str) -> bool:
    """Whether there is some of a structure and neither end of the scan cuts it."""
    rows = np.flatnonzero(phantom.mask(target).any((1, 2)))
    scan = np.flatnonzero(np.isin(phantom.labels, [STRUCTURES["skin"]]).any((1, 2)))
    return len(rows) > 0 and scan[0] < rows[0] and rows[-1] < scan[-1]


def test_the_same_generator_state_gives_the_same_head() -> None:
    one, two = (make_head(np.random.default_rng(5), SMALL) for _ in range(2))
    other = make_head(np.random.default_rng(6), SMALL)
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.labels, other.labels)


def test_a_head_has_no_level_of_the_trunk(heads: list[Phantom]) -> None:
    for head in heads:
        assert head.labels.shape == (104, 128, 144) and head.labels.dtype == np.uint8
        assert head.level.shape == (104,) and np.isnan(head.level).all()
        assert not head.mask("liver").any() and not head.mask("mass").any()


@pytest.mark.parametrize(
    ("target", "low", "high"),
    [
        ("brain", 1000, 1700),
        ("cerebellum", 90, 200),
        ("brainstem", 15, 45),
        ("ventricles", 5, 150),
        ("eyes", 10, 18),
        ("tongue", 40, 110),
        ("thyroid", 8, 30),
        ("right parotid", 12, 45),
        ("left parotid", 12, 45),
        ("right submandibular", 4, 20),
        ("left submandibular", 4, 20),
    ],
)
def test_volumes_are_those_of_adults(heads: list[Phantom], target: str, low: float, high: float) -> None:
    sizes = [millilitres(head, target) for head in heads if whole(head, target)]
    assert len(sizes) >= 3
    assert np.mean([low <= size <= high for size in sizes]) >= 0.75, sizes


def test_the_skull_is_as_large_as_an_adults(heads: list[Phantom]) -> None:
    for head in heads:
        if not whole(head, "brain"):
            continue
        bone = head.mask("skull")[np.flatnonzero(head.mask("brain").any((1, 2)))]
        rows, columns = (np.flatnonzero(bone.any(axes)) for axes in ((0, 2), (0, 1)))
        assert 160 < (rows[-1] - rows[0] + 1) * 3 < 235  # a turned head is longer
        assert 120 < (columns[-1] - columns[0] + 1) * 3 < 180


def test_right_is_right_and_left_is_left(heads: list[Phantom]) -> None:
    for head in heads:
        for gland in ("parotid", "submandibular"):
            for side, sign in (("right", -1), ("left", 1)):
                if head.mask(f"{side} {gland}").any():
                    assert sign * (centre(head, f"{side} {gland}")[2] - centre(head, "tongue")[2]) > 5


def test_things_lie_in_their_order(heads: list[Phantom]) -> None:
    for head in heads:
        if head.mask("brain").sum() > 10_000:
            assert centre(head, "brain")[0] > centre(head, "cerebellum")[0] > centre(head, "tongue")[0]
            assert centre(head, "eyes")[1] < centre(head, "brainstem")[1] < centre(head, "cerebellum")[1]
        if head.mask("thyroid").any():
            assert centre(head, "thyroid")[0] < centre(head, "tongue")[0]


def test_the_brain_does_not_leave_the_skull(heads: list[Phantom]) -> None:
    soft = ("skin", "subcutaneous fat", "wall muscle", "air")
    for head in heads:
        beside = ndi.binary_dilation(head.mask("brain grey matter"))
        outside = np.isin(head.labels, [STRUCTURES[name] for name in soft])
        outside[np.flatnonzero(~head.mask("skin").any((1, 2)))] = False  # beyond the ends of the scan
        assert (beside & outside).sum() < 0.002 * beside.sum()


def test_the_airway_is_dark_in_ct_and_the_parotids_are_soft(heads: list[Phantom]) -> None:
    head = heads[0]
    ct = render_phantom(head, "CT", np.random.default_rng(0)).array
    inside = ndi.binary_erosion(head.mask("airway"))
    assert inside.sum() > 50
    assert ct[inside].mean() < -700
    assert -60 < ct[head.mask("right parotid")].mean() < 90
    assert ct[head.mask("skull")].mean() > 300


def test_scans_end_at_different_heights(coarse: list[Phantom]) -> None:
    covered = [head.mask("skin").any((1, 2)).sum() * 8.0 for head in coarse]
    assert min(covered) < 240 < 300 < max(covered)


def test_some_glands_are_missing(coarse: list[Phantom]) -> None:
    there = np.mean([head.mask("left submandibular").any() for head in coarse if head.mask("tongue").any()])
    assert 0.6 < there < 1.0


def test_both_parotids_look_alike_in_most_scanners() -> None:
    rng = np.random.default_rng(0)
    left, right = STRUCTURES["left parotid"], STRUCTURES["right parotid"]
    gaps = [abs(float(v[left] - v[right])) for v in (sample_appearance(rng).values for _ in range(100))]
    assert np.mean(np.array(gaps) < 0.1) > 0.75


def test_masses_begin_in_the_brain() -> None:
    block = torch.full((40, 50, 60), STRUCTURES["brain white matter"], dtype=torch.uint8)
    assert random_mass(np.random.default_rng(0), block, (4.0, 3.0, 3.0)) is not None


def test_a_body_far_from_its_grid_is_still_found() -> None:
    canvas = Canvas(np.random.default_rng(0), (40, 40, 40), (3.0, 3.0, 3.0), (60.0, 60.0, 60.0), 0.0)
    turned = 0.95 * canvas.p - 0.3 * canvas.l, 0.3 * canvas.p + 0.95 * canvas.l
    canvas.carry(canvas.s, *turned)
    made = canvas.ellipsoid((0.0, 30.0, 0.0), (9.0, 9.0, 9.0))
    assert made is not None
    everywhere = np.sqrt(canvas.s**2 + (canvas.p - 30.0) ** 2 + canvas.l**2) < 9.0
    assert (made[1] > 0).sum() == everywhere.sum() > 50
