"""Lumbar spines are reproducible and anatomically plausible; sizes are checked against textbook ranges."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_cpclnet.episodes.appearance import sample_appearance
from napari_cpclnet.episodes.masses import random_mass
from napari_cpclnet.phantoms.anatomy.body import random_build
from napari_cpclnet.phantoms.anatomy.lumbar import LumbarSpine, random_spine
from napari_cpclnet.phantoms.phantom import STRUCTURES, Phantom, make_spine
from napari_cpclnet.phantoms.render import render_phantom
from napari_cpclnet.phantoms.settings import PhantomSettings

SMALL = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))
FINE = PhantomSettings(shape=(120, 80, 56), spacing=(2.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def fine() -> list[Phantom]:
    return [make_spine(np.random.default_rng(seed), FINE) for seed in range(6)]


@pytest.fixture(scope="module")
def coarse() -> list[Phantom]:
    return [make_spine(np.random.default_rng(seed), SMALL) for seed in range(12)]


@pytest.fixture(scope="module")
def drawn() -> list[LumbarSpine]:
    rng = np.random.default_rng(0)
    return [random_spine(rng, random_build(rng)) for _ in range(200)]


@dataclass(frozen=True, eq=False)
class Body:
    """A vertebral body of a phantom, none of it outside the scan; mm."""

    mask: NDArray[np.bool_]
    centre: NDArray[np.float64]
    size: NDArray[np.float64]


def whole_bodies(phantom: Phantom) -> list[Body]:
    """Vertebral bodies from below, but for those at the ends of the scan."""
    pieces, count = ndi.label(phantom.mask("vertebral bodies"))
    found = []
    for part in range(1, count + 1):
        mask = pieces == part
        if mask.sum() * np.prod(phantom.spacing) < 6000:
            continue
        lines = [np.flatnonzero(mask.any(axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        size = np.array([len(line) for line in lines]) * phantom.spacing
        found.append(Body(mask, np.array(ndi.center_of_mass(mask)), size))
    return sorted(found, key=lambda body: float(body.centre[0]))[1:-1]


def test_the_same_generator_state_gives_the_same_spine() -> None:
    one, two = (make_spine(np.random.default_rng(5), SMALL) for _ in range(2))
    other = make_spine(np.random.default_rng(6), SMALL)
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.labels, other.labels)


def test_a_spine_has_the_promised_form_and_no_level_of_the_trunk() -> None:
    spine = make_spine(np.random.default_rng(0))
    assert spine.labels.shape == (104, 128, 144) and spine.labels.dtype == np.uint8
    assert spine.level.shape == (104,) and np.isnan(spine.level).all()
    assert spine.labels.max() < len(STRUCTURES) and not spine.mask("mass").any()


@pytest.mark.parametrize(
    "target",
    ["vertebral bodies", "intervertebral discs", "vertebrae", "spinal canal", "cauda equina", "psoas", "back muscle",
     "pelvic bone", "cartilage", "aorta", "vena cava", "visceral fat"],
)  # fmt: skip
def test_everything_is_there(fine: list[Phantom], target: str) -> None:
    assert all(phantom.mask(target).any() for phantom in fine)


def test_measures_are_those_of_adults(drawn: list[LumbarSpine]) -> None:
    high, wide, deep = (
        np.array([[getattr(bone, name) for bone in spine.vertebrae[:5]] for spine in drawn])
        for name in ("height", "width", "depth")
    )
    assert 25 < np.median(high) < 29 and 42 < np.median(wide) < 49 and 31 < np.median(deep) < 36
    assert wide.mean(0)[0] > wide.mean(0)[2] > wide.mean(0)[4]  # larger further down
    assert wide.min() > 35 and wide.max() < 62 and deep.min() > 25 and deep.max() < 44
    lordosis = np.array([lean(spine.sacrum[0].axes) - lean(spine.vertebrae[4].axes) for spine in drawn])
    assert 45 < np.median(lordosis) < 65 and lordosis.min() > 15 and lordosis.max() < 95


def lean(axes: NDArray[np.float64]) -> float:
    """How far a vertebra leans forwards, degrees."""
    return float(np.degrees(np.arctan2(-axes[0, 1], axes[0, 0])))


def test_some_vertebrae_are_broken_and_some_discs_worn(drawn: list[LumbarSpine]) -> None:
    broken = [min(b.height - 0.5 * abs(b.wedge) for b in spine.vertebrae) < 15.0 for spine in drawn]
    assert 0.01 < np.mean(broken) < 0.5
    worn = np.array([disc.worn for spine in drawn for disc in spine.discs[:5]])
    assert 0.05 < np.mean(worn > 0.72) < 0.5 and np.mean(worn < 0.3) > 0.15


def test_painted_bodies_are_as_large_as_an_adults(fine: list[Phantom]) -> None:
    sizes = [body.size for phantom in fine for body in whole_bodies(phantom)]
    assert len(sizes) >= 12
    high, deep, wide = np.array(sizes).T  # of their boxes; those that lean fill larger ones
    assert 20 < np.median(high) < 40 and 28 < np.median(deep) < 46 and 34 < np.median(wide) < 56
    assert high.max() < 55 and deep.max() < 60 and wide.max() < 66


def test_discs_lie_between_bodies(fine: list[Phantom]) -> None:
    for phantom in fine:
        disc = phantom.mask("intervertebral discs")
        bodies = whole_bodies(phantom)
        for low, high in pairwise(bodies):
            place = np.linspace(low.centre, high.centre, 60).round().astype(int)
            assert 1 <= disc[tuple(place.T)].sum() < 40  # some of the way, not most of it
        nucleus, rim = phantom.mask("disc nucleus"), phantom.mask("intervertebral disc")
        beside = ndi.binary_dilation(nucleus) & ~nucleus
        soft = np.isin(phantom.labels, [STRUCTURES[n] for n in ("visceral fat", "psoas", "spinal canal")])
        assert not nucleus.any() or (beside & rim).any()
        assert (beside & soft).sum() <= 0.02 * beside.sum()


def test_the_canal_lies_behind_the_bodies_and_holds_the_cord(fine: list[Phantom]) -> None:
    soft = ("back muscle", "psoas", "vertebral body", "wall muscle")
    for phantom in fine:
        canal, bone = phantom.mask("spinal canal"), phantom.mask("vertebral bodies")
        for z in np.flatnonzero(canal.any((1, 2)) & bone.any((1, 2))):
            assert np.argwhere(canal[z]).mean(0)[0] > np.argwhere(bone[z]).mean(0)[0]
        inner = phantom.mask("spinal cord") | phantom.mask("cauda equina")
        outside = np.isin(phantom.labels, [STRUCTURES[name] for name in soft])
        beside = ndi.binary_dilation(phantom.mask("spinal cord")) & ~inner
        outside[[0, -1]] = False
        assert (beside & outside).sum() <= 0.01 * beside.sum()
        pieces, count = ndi.label(canal, np.ones((3, 3, 3)))
        assert np.bincount(pieces.ravel())[1:].max() > 0.98 * canal.sum(), count
        cord, threads = phantom.mask("spinal cord"), phantom.mask("cauda equina")
        if cord.sum() > 30:
            assert np.argwhere(cord).mean(0)[0] > np.argwhere(threads).mean(0)[0]


def test_right_is_right_and_the_back_is_behind(fine: list[Phantom]) -> None:
    for phantom in fine:
        middle = {
            name: np.argwhere(phantom.mask(name)).mean(0)
            for name in ("aorta", "vena cava", "vertebra", "vertebral bodies", "back muscle")
        }
        assert middle["vena cava"][2] < middle["aorta"][2] + 2
        assert middle["aorta"][1] < middle["vertebral bodies"][1] < middle["vertebra"][1]
        assert middle["vertebra"][1] < middle["back muscle"][1] + 3


def test_there_are_no_holes_of_air(fine: list[Phantom]) -> None:
    for phantom in fine:
        body = phantom.labels != STRUCTURES["air"]
        # what a couch closes in beside the body is air
        body &= phantom.labels != STRUCTURES["couch"]
        for plane in body:
            assert (ndi.binary_fill_holes(plane) & ~plane).sum() == 0


def test_bone_does_not_leave_the_skin(coarse: list[Phantom], fine: list[Phantom]) -> None:
    bones = ("vertebra", "vertebral body", "intervertebral disc", "pelvic bone")
    for phantom in [*coarse, *fine]:
        bone = np.isin(phantom.labels, [STRUCTURES[name] for name in bones])
        seen = np.argwhere(phantom.labels != STRUCTURES["air"])
        low, high = seen.min(0), seen.max(0)
        inside = tuple(slice(a + 1, b) for a, b in zip(low, high, strict=True))  # a narrow view cuts bone
        beside = ndi.binary_dilation(phantom.labels == STRUCTURES["air"])
        assert (beside & bone)[inside].sum() <= 0.005 * bone.sum()


def test_some_are_seen_in_a_narrow_field_of_view(coarse: list[Phantom]) -> None:
    shown = [(phantom.labels != STRUCTURES["air"]).any((0, 1)).sum() * 6.0 for phantom in coarse]
    assert min(shown) < 130 < 230 < max(shown)
    assert 0.2 < np.mean(np.array(shown) < 130) < 0.8


def test_fluid_is_bright_and_worn_discs_are_dark_in_mr(fine: list[Phantom]) -> None:
    for phantom in fine[:2]:
        mr = render_phantom(phantom, "MR", np.random.default_rng(0)).array
        ct = render_phantom(phantom, "CT", np.random.default_rng(0)).array
        fluid = ndi.binary_erosion(phantom.mask("spinal canal") & ~phantom.mask("spinal cord"))
        body, disc = (ndi.binary_erosion(phantom.mask(n)) for n in ("vertebral body", "intervertebral disc"))
        assert mr[fluid].mean() > 2 * mr[body].mean() and mr[disc].mean() < mr[body].mean()
        assert ct[body].mean() > ct[disc].mean() + 40


def test_bodies_look_like_their_arches_in_most_mr() -> None:
    rng = np.random.default_rng(0)
    body, arch = STRUCTURES["vertebral body"], STRUCTURES["vertebra"]
    gaps = [abs(float(v[body] - v[arch])) for v in (sample_appearance(rng, 1).values for _ in range(60))]
    assert np.mean(np.array(gaps) < 0.1) > 0.75


def test_no_mass_begins_in_a_disc() -> None:
    block = torch.full((40, 50, 60), STRUCTURES["intervertebral disc"], dtype=torch.uint8)
    assert random_mass(np.random.default_rng(0), block) is None
