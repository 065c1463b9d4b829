"""Phantoms are reproducible and anatomically plausible; sizes are checked against textbook ranges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_cpclnet.phantoms.canvas import Canvas, TubeField, curve
from napari_cpclnet.phantoms.phantom import (
    MERGES,
    STRUCTURES,
    TARGETS,
    Phantom,
    make_heart,
    make_legs,
    make_phantom,
    make_thorax,
)
from napari_cpclnet.phantoms.settings import PhantomSettings

SEEDS = range(8)


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [make_phantom(np.random.default_rng(seed)) for seed in SEEDS]


def millilitres(phantom: Phantom, target: str) -> float:
    return float(phantom.mask(target).sum() * np.prod(phantom.spacing) / 1000.0)


def centre(phantom: Phantom, target: str) -> np.ndarray:
    return np.array(ndi.center_of_mass(phantom.mask(target)))


def in_most(values: list[bool]) -> bool:
    return sum(values) >= 0.75 * len(values)


def test_the_table_is_small_and_starts_with_air() -> None:
    assert STRUCTURES["air"] == 0
    assert len(STRUCTURES) < 100
    assert sorted(STRUCTURES.values()) == list(range(len(STRUCTURES)))


def test_targets_consist_of_known_structures_and_organs_do_not_share_any() -> None:
    used = [name for names in TARGETS.values() for name in names]
    assert set(used) <= set(STRUCTURES)
    assert set(MERGES["liver"]) == {"liver", "liver vessel", "liver lesion"}
    # lesions, chambers, zones and parts of the brain are classes of their own, and parts of their organ
    inner = {"liver lesion", "consolidation", "heart scar", "left ventricle", "right ventricle", "left atrium",
             "right atrium", "myocardium", "cerebellum", "brainstem", "spinal cord", "thalamus", "caudate", "putamen",
             "pallidum", "hippocampus", "amygdala", "vertebral bodies", "prostate transition zone",
             "prostate peripheral zone"}  # fmt: skip
    organs = [name for target, names in TARGETS.items() if target not in inner for name in names]
    assert len(organs) == len(set(organs))
    for target, organ in (
        ("left ventricle", "heart"),
        ("myocardium", "heart"),
        ("consolidation", "lung"),
        ("vertebral bodies", "vertebrae"),
    ):
        assert set(TARGETS[target]) < set(TARGETS[organ])


def test_the_same_generator_state_gives_the_same_phantom() -> None:
    small = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))
    one, two = (make_phantom(np.random.default_rng(7), small) for _ in range(2))
    other = make_phantom(np.random.default_rng(8), small)
    assert np.array_equal(one.labels, two.labels) and np.array_equal(one.level, two.level)
    assert not np.array_equal(one.labels, other.labels)


def test_arrays_have_the_promised_form(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        assert phantom.labels.shape == (104, 128, 144) and phantom.labels.dtype == np.uint8
        assert phantom.labels.max() < len(STRUCTURES)
        assert phantom.level.shape == (104,) and phantom.level.dtype == np.float32
        assert np.all(np.diff(phantom.level) > 0)


def test_the_liver_ends_near_level_one(phantoms: list[Phantom]) -> None:
    tops = [p.level[np.flatnonzero(p.mask("liver").any((1, 2)))[-1]] for p in phantoms]
    assert in_most([abs(float(top) - 1.0) < 0.12 for top in tops])


@pytest.mark.parametrize(
    "target",
    ["liver", "spleen", "right kidney", "left kidney", "pancreas", "stomach", "duodenum", "small bowel", "colon",
     "aorta", "vena cava", "portal vein", "vertebrae", "psoas", "lung", "heart", "ribs", "pelvic bone", "bladder",
     "oesophagus", "right adrenal", "left adrenal"],
)  # fmt: skip
def test_every_organ_is_there_in_most_bodies(phantoms: list[Phantom], target: str) -> None:
    assert in_most([bool(p.mask(target).any()) for p in phantoms])


def test_the_gallbladder_is_there_in_some_bodies_and_missing_in_others() -> None:
    small = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))
    found = [
        bool(make_phantom(np.random.default_rng(seed), small).mask("gallbladder").any()) for seed in range(24)
    ]
    assert 0.5 <= np.mean(found) < 1.0


@pytest.mark.parametrize(
    ("target", "low", "high"),
    [
        ("liver", 800, 3000),
        ("spleen", 60, 700),
        ("right kidney", 80, 350),
        ("left kidney", 80, 350),
        ("pancreas", 25, 150),
    ],
)
def test_volumes_are_those_of_adults(phantoms: list[Phantom], target: str, low: float, high: float) -> None:
    assert in_most([low <= millilitres(p, target) <= high for p in phantoms])


def test_right_is_right_and_left_is_left(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        aorta = centre(phantom, "aorta")[2]
        for target, sign in (("liver", -1), ("right kidney", -1), ("left kidney", 1), ("spleen", 1)):
            if phantom.mask(target).any():
                assert sign * (centre(phantom, target)[2] - aorta) > 0, target
        assert centre(phantom, "vena cava")[2] < aorta


def test_spine_lies_behind_the_aorta_and_the_stomach_before_it(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        aorta = centre(phantom, "aorta")[1]
        assert centre(phantom, "vertebrae")[1] > aorta > centre(phantom, "stomach")[1]


def test_the_body_is_one_piece(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        body = (phantom.labels > 0) & (phantom.labels != STRUCTURES["couch"])
        body |= phantom.mask("bowel gas")
        pieces, count = ndi.label(body)
        sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
        arms = sizes[1:3].sum() if count > 1 and sizes[1] > 1000 else 0  # arms beside the body may be apart
        assert (sizes[0] + arms) / sizes.sum() > 0.99
        assert sizes[0] / sizes.sum() > 0.75


def test_organs_do_not_leave_the_body(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        near_air = ndi.binary_dilation(phantom.labels == 0)
        for target in ("liver", "spleen", "left kidney", "right kidney"):
            assert not np.any(near_air & phantom.mask(target)), target


def test_a_tube_is_as_deep_as_its_radius_on_its_axis() -> None:
    canvas = Canvas(np.random.default_rng(0), (40, 40, 40), (3.0, 3.0, 3.0), (60.0, 60.0, 60.0), 0.0)
    tube = TubeField(canvas, [(-30.0, 0.0, 0.0), (30.0, 0.0, 0.0)], [12.0, 12.0])
    expected = 12.0 - np.hypot(canvas.p, canvas.l)
    inside = (np.abs(canvas.s) < 25) & (expected > 0)
    assert np.allclose(tube.depth[inside], expected[inside], atol=1e-3)


def test_a_curve_passes_through_its_control_points() -> None:
    control = np.array([(0.0, 0.0, 0.0), (10.0, 5.0, 0.0), (20.0, 0.0, 8.0)])
    path = curve(control, 2.0)
    gaps = np.linalg.norm(path[:, None] - control[None], axis=2).min(0)
    assert np.all(gaps < 1e-9)


def test_legs_are_reproducible_and_have_what_legs_have() -> None:
    small = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))
    one, two = (make_legs(np.random.default_rng(5), small) for _ in range(2))
    assert np.array_equal(one.labels, two.labels)
    counts = []
    for seed in range(8):
        legs = make_legs(np.random.default_rng(seed), small)
        assert np.isnan(legs.level).all() and legs.level.shape == (52,)
        assert 2000 < millilitres(legs, "wall muscle") + millilitres(legs, "back muscle") < 25_000
        assert not legs.mask("liver").any()
        bone = legs.mask("ribs") | legs.mask("vertebrae")
        middle = bone[40]  # a thigh, or the calf of a knee far up
        counts.append(ndi.label(ndi.binary_closing(middle, iterations=2))[1])
        flesh = legs.mask("wall muscle") | legs.mask("back muscle") | bone
        # bone lies in flesh, flesh in fat, fat in skin: nothing but skin touches the air
        beside_air = ndi.binary_dilation(legs.labels == 0) & (legs.labels > 0)
        assert (flesh & beside_air)[1:-1].sum() < 0.1 * beside_air.sum()
    assert {1, 2} <= set(counts)  # a single leg, and two


SMALL = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))


@pytest.fixture(scope="module")
def thoraces() -> list[Phantom]:
    return [make_thorax(np.random.default_rng(seed), SMALL) for seed in SEEDS]


@pytest.fixture(scope="module")
def hearts() -> list[Phantom]:
    fine = PhantomSettings(shape=(60, 96, 108), spacing=(4.0, 4.0, 4.0))
    return [make_heart(np.random.default_rng(seed), fine) for seed in SEEDS]


@pytest.mark.parametrize("make", [make_thorax, make_heart])
def test_parts_of_the_chest_are_reproducible(make: Callable[..., Phantom]) -> None:
    one, two, other = (make(np.random.default_rng(seed), SMALL) for seed in (4, 4, 5))
    assert np.array_equal(one.labels, two.labels) and not np.array_equal(one.labels, other.labels)
    assert one.labels.shape == SMALL.shape and one.labels.max() < len(STRUCTURES)


@pytest.mark.parametrize(
    "target",
    ["liver", "spleen", "stomach", "lung", "heart", "left ventricle", "right ventricle", "left atrium", "right atrium",
     "myocardium", "aorta", "vena cava", "pulmonary artery", "airway", "oesophagus", "vertebrae", "ribs",
     "shoulder bones"],
)  # fmt: skip
def test_everything_in_a_chest_is_there(thoraces: list[Phantom], target: str) -> None:
    assert all(p.mask(target).any() for p in thoraces if target != "spleen")
    assert in_most([bool(p.mask(target).any()) for p in thoraces])


@pytest.mark.parametrize(
    ("target", "low", "high"),
    [
        ("heart", 350, 1300),
        ("left ventricle", 25, 300),
        ("right ventricle", 40, 350),
        ("myocardium", 70, 350),
        ("left atrium", 25, 200),
        ("right atrium", 25, 200),
        ("lung", 2500, 8500),
        ("airway", 15, 120),
        ("pulmonary artery", 15, 130),
    ],
)
def test_volumes_in_the_chest_are_those_of_adults(
    thoraces: list[Phantom], target: str, low: float, high: float
) -> None:
    assert in_most([low <= millilitres(p, target) <= high for p in thoraces])


def test_the_level_goes_on_above_the_dome_of_the_liver(thoraces: list[Phantom]) -> None:
    for phantom in thoraces:
        step = np.diff(phantom.level)
        assert np.allclose(step, step[0], atol=1e-4) and phantom.level[-1] > 1.5
        top = phantom.level[np.flatnonzero(phantom.mask("liver").any((1, 2)))[-1]]
        assert abs(float(top) - 1.0) < 0.15


def test_the_chest_is_in_order(thoraces: list[Phantom]) -> None:
    for phantom in thoraces:
        spine, heart = centre(phantom, "vertebrae"), centre(phantom, "heart")
        assert heart[1] < spine[1] and heart[2] > spine[2]  # before the spine, and to the left
        assert centre(phantom, "left ventricle")[2] > centre(phantom, "right ventricle")[2]
        assert centre(phantom, "right atrium")[2] < centre(phantom, "left atrium")[2]
        assert centre(phantom, "left atrium")[1] > centre(phantom, "right ventricle")[1]
        assert heart[0] < centre(phantom, "pulmonary artery")[0] < centre(phantom, "shoulder bones")[0]
        lungs = phantom.mask("lung")
        area = lungs.sum((1, 2)).astype(float)
        apex = np.flatnonzero(area)[-1]
        assert area[apex] < 0.3 * area.max()
        across = np.flatnonzero(lungs.any((0, 1)))
        assert across[0] < spine[2] - 10 and across[-1] > spine[2] + 10


def test_the_windpipe_is_open_from_the_neck_to_both_lungs(thoraces: list[Phantom]) -> None:
    for phantom in thoraces:
        pieces, _ = ndi.label(phantom.mask("airway"), np.ones((3, 3, 3)))
        largest = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
        low = np.argwhere(largest)
        spine = centre(phantom, "vertebrae")[2]
        assert low[:, 2].min() < spine - 4 and low[:, 2].max() > spine + 4
        assert low[:, 0].max() > centre(phantom, "heart")[0] + 10


def test_breasts_effusions_and_consolidations_are_in_some_chests() -> None:
    found = [make_thorax(np.random.default_rng(seed), SMALL) for seed in range(16)]
    for target, low, high in (
        ("breast gland", 0.2, 0.8),
        ("pleural effusion", 0.03, 0.5),
        ("consolidation", 0.03, 0.6),
    ):
        assert low < np.mean([p.mask(target).any() for p in found]) < high, target


def test_a_heart_in_short_axis_shows_a_ring(hearts: list[Phantom]) -> None:
    rings = []
    for phantom in hearts:
        assert np.isnan(phantom.level).all()
        blood, muscle = phantom.mask("left ventricle"), phantom.mask("myocardium")
        middle = int(np.median(np.flatnonzero(blood.any((1, 2)))))
        inside = ndi.binary_fill_holes(muscle[middle] | blood[middle])
        around = ndi.binary_dilation(blood[middle]) & ~blood[middle]
        rings.append(bool(muscle[middle][around].mean() > 0.9 and inside.any()))
        left, right = centre(phantom, "left ventricle"), centre(phantom, "right ventricle")
        assert right[2] < left[2]  # on the left of the picture
        # from apex to base
        assert centre(phantom, "left atrium")[0] > left[0]
        assert centre(phantom, "liver")[1] > left[1]  # below the heart
    assert in_most(rings)


def test_left_ventricles_are_thick_in_some_and_wide_in_others(hearts: list[Phantom]) -> None:
    share = [millilitres(p, "myocardium") / millilitres(p, "left ventricle") for p in hearts]
    assert max(share) > 2 * min(share)


def test_trunks_show_the_same_heart(phantoms: list[Phantom]) -> None:
    for target in ("left ventricle", "right ventricle", "myocardium"):
        assert in_most([p.mask(target).any() for p in phantoms])
