"""Whole pelves are reproducible and anatomically plausible; sizes are checked against textbook ranges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage as ndi

from napari_cpclnet.episodes.appearance import sample_appearance
from napari_cpclnet.episodes.masses import random_mass
from napari_cpclnet.phantoms.anatomy.genitals import random_prostate
from napari_cpclnet.phantoms.phantom import STRUCTURES, Phantom, make_pelvis
from napari_cpclnet.phantoms.render import render_phantom
from napari_cpclnet.phantoms.settings import PhantomSettings

SMALL = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))
NEW = ("prostate transition zone", "prostate peripheral zone", "seminal vesicle", "uterus", "endometrium")


@pytest.fixture(scope="module")
def pelves() -> list[Phantom]:
    fine = PhantomSettings(shape=(104, 104, 136), spacing=(3.0, 3.0, 3.0))
    return [make_pelvis(np.random.default_rng(seed), fine) for seed in range(12)]


@pytest.fixture(scope="module")
def coarse() -> list[Phantom]:
    return [make_pelvis(np.random.default_rng(seed), SMALL) for seed in range(24)]


def millilitres(phantom: Phantom, target: str) -> float:
    return float(phantom.mask(target).sum() * np.prod(phantom.spacing) / 1000.0)


def centre(phantom: Phantom, target: str) -> np.ndarray:
    return np.array(ndi.center_of_mass(phantom.mask(target)))


def narrow(phantom: Phantom) -> bool:
    """Whether only the surroundings of prostate or uterus are seen."""
    return bool((phantom.labels > 0).any((0, 1)).sum() * phantom.spacing[2] < 240)


def men(phantoms: list[Phantom]) -> list[Phantom]:
    return [phantom for phantom in phantoms if phantom.mask("prostate").any()]


def women(phantoms: list[Phantom]) -> list[Phantom]:
    return [phantom for phantom in phantoms if not phantom.mask("prostate").any()]


def test_the_same_generator_state_gives_the_same_pelvis() -> None:
    one, two = (make_pelvis(np.random.default_rng(5), SMALL) for _ in range(2))
    other = make_pelvis(np.random.default_rng(6), SMALL)
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.labels, other.labels)


def test_levels_are_those_of_a_trunk(pelves: list[Phantom]) -> None:
    for pelvis in pelves:
        step = np.diff(pelvis.level)
        assert pelvis.level.dtype == np.float32 and np.allclose(step, step[0], atol=1e-4) and step[0] > 0
        seen = pelvis.level[(pelvis.labels > 0).any((1, 2))]
        assert -1.9 < seen.min() < -0.5 and seen.max() < 0.4
        assert not pelvis.mask("liver").any() and not pelvis.mask("mass").any()


def test_about_half_are_men_and_none_is_both(coarse: list[Phantom]) -> None:
    both = [(p.mask("prostate").any(), p.mask("uterus").any()) for p in coarse]
    assert all(man != woman for man, woman in both)
    assert 0.25 < np.mean([man for man, _ in both]) < 0.75


def test_a_third_is_seen_through_a_narrow_window(coarse: list[Phantom]) -> None:
    window = [phantom for phantom in coarse if narrow(phantom)]
    assert 0.1 < len(window) / len(coarse) < 0.6
    for phantom in window:
        tall, deep, wide = (
            (phantom.labels > 0).any(axes).sum() * h
            for axes, h in zip(((1, 2), (0, 2), (0, 1)), phantom.spacing, strict=True)
        )
        assert 50 <= tall <= 110 and deep <= 240 and 150 <= wide <= 240


@pytest.mark.parametrize(
    ("target", "low", "high"),
    [
        ("prostate", 15, 110),
        ("prostate transition zone", 3, 80),
        ("prostate peripheral zone", 7, 40),
        ("seminal vesicles", 3, 22),
        ("uterus", 20, 220),
        ("bladder", 20, 560),
        ("pelvic bone", 650, 1700),
    ],
)
def test_volumes_are_those_of_adults(pelves: list[Phantom], target: str, low: float, high: float) -> None:
    group = [p for p in pelves if not narrow(p)] if target == "pelvic bone" else pelves
    sizes = [millilitres(p, target) for p in group if p.mask(target).any()]
    assert len(sizes) >= 3
    assert np.mean([low <= size <= high for size in sizes]) >= 0.75, sizes


def test_what_a_large_prostate_has_more_is_transition_zone() -> None:
    glands = [random_prostate(np.random.default_rng(seed), 20.0) for seed in range(200)]
    volume = np.array([4 / 3 * np.pi * gland.half.prod() * 0.9 / 1000 for gland in glands])
    assert 17 < volume.min() < 25 and 70 < volume.max() < 110
    share = np.array([gland.transition for gland in glands])
    assert share[volume < 28].mean() < 0.5 < 0.55 < share[volume > 60].mean()


def test_men_are_in_order(pelves: list[Phantom]) -> None:
    found = men(pelves)
    assert len(found) >= 3
    for pelvis in found:
        prostate, bladder, rectum = (centre(pelvis, target) for target in ("prostate", "bladder", "colon"))
        assert prostate[0] < bladder[0] - 4
        level = np.flatnonzero(pelvis.mask("prostate").any((1, 2)))
        around = pelvis.mask("colon")[level].copy()
        assert around.any()
        rectum = np.array(ndi.center_of_mass(around))
        assert prostate[1] < rectum[1] - 4
        assert centre(pelvis, "seminal vesicles")[0] > prostate[0]
        assert centre(pelvis, "seminal vesicles")[1] > bladder[1]
        outer, inner = (centre(pelvis, f"prostate {zone} zone") for zone in ("peripheral", "transition"))
        assert outer[1] > inner[1] and outer[0] < inner[0]


def test_women_are_in_order(pelves: list[Phantom]) -> None:
    found = women(pelves)
    assert len(found) >= 3
    for pelvis in found:
        uterus, bladder = centre(pelvis, "uterus"), centre(pelvis, "bladder")
        assert uterus[0] > bladder[0] and uterus[1] > bladder[1] - 4  # it may lie upon it
        inside = ndi.binary_dilation(pelvis.mask("endometrium")) & ~pelvis.mask("endometrium")
        assert pelvis.mask("uterus")[inside].mean() > 0.8


def test_the_zones_are_one_gland(pelves: list[Phantom]) -> None:
    for pelvis in men(pelves):
        pieces, _ = ndi.label(pelvis.mask("prostate"))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() > 0.98 * sizes.sum()


def test_both_hips_are_there_and_the_body_is_one_piece(coarse: list[Phantom]) -> None:
    for pelvis in coarse:
        if narrow(pelvis):
            continue
        bone = np.flatnonzero(pelvis.mask("pelvic bone").any((0, 1)))
        assert 270 < (bone[-1] - bone[0] + 1) * 6 < 400
        body = ndi.binary_closing(np.isin(pelvis.labels, [0, STRUCTURES["couch"]], invert=True))
        sizes = np.bincount(ndi.label(body)[0].ravel())[1:]
        assert sizes.max() > 0.97 * sizes.sum()


def test_every_structure_has_an_appearance(pelves: list[Phantom]) -> None:
    assert {name for p in pelves for name in NEW if (p.labels == STRUCTURES[name]).any()} == set(NEW)
    for pelvis in (men(pelves)[0], women(pelves)[0]):
        for modality in ("CT", "MR", "PT"):
            assert np.isfinite(render_phantom(pelvis, modality, np.random.default_rng(0)).array).all()
    for seed in range(20):
        look = sample_appearance(np.random.default_rng(seed))
        assert np.isfinite(look.values).all() and len(look.values) == len(STRUCTURES)


def test_the_outer_zone_is_brighter_in_t2_than_the_inner(pelves: list[Phantom]) -> None:
    pelvis = men(pelves)[0]
    mr = render_phantom(pelvis, "MR", np.random.default_rng(0)).array
    outer, inner = (mr[pelvis.mask(f"prostate {zone} zone")].mean() for zone in ("peripheral", "transition"))
    assert outer > 1.1 * inner


def test_masses_begin_in_the_prostate() -> None:
    block = torch.full((40, 50, 60), STRUCTURES["prostate peripheral zone"], dtype=torch.uint8)
    assert random_mass(np.random.default_rng(0), block, (4.0, 3.0, 3.0)) is not None
