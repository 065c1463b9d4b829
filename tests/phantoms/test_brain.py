"""Brains with deep nuclei are reproducible and anatomically plausible; sizes are checked against textbook ranges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_cpclnet.episodes.appearance import sample_appearance
from napari_cpclnet.phantoms.phantom import MERGES, STRUCTURES, TARGETS, Phantom, make_brain, make_head
from napari_cpclnet.phantoms.render import TISSUES, render_phantom
from napari_cpclnet.phantoms.settings import PhantomSettings
from napari_cpclnet.phantoms.tissue_table import NATIVE_HU, T1

SMALL = PhantomSettings(shape=(52, 64, 72), spacing=(8.0, 6.0, 6.0))
FINE = PhantomSettings(shape=(60, 90, 90), spacing=(1.5, 1.5, 1.5))
NUCLEI = ("thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala")


def is_block(phantom: Phantom) -> bool:
    return float((phantom.labels > 0).sum() * np.prod(phantom.spacing)) < 1e6


@pytest.fixture(scope="module")
def drawn() -> list[Phantom]:
    return [make_brain(np.random.default_rng(seed)) for seed in range(10)]


@pytest.fixture(scope="module")
def brains(drawn: list[Phantom]) -> list[Phantom]:
    return [phantom for phantom in drawn if not is_block(phantom)]


@pytest.fixture(scope="module")
def coarse() -> list[Phantom]:
    return [make_brain(np.random.default_rng(seed), SMALL) for seed in range(24)]


@pytest.fixture(scope="module")
def blocks() -> list[Phantom]:
    """Blocks at the grid of a thin MR."""
    made = (make_brain(np.random.default_rng(seed), FINE) for seed in (2, 3, 8))
    return [phantom for phantom in made if is_block(phantom)]


def both(phantom: Phantom, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the right and the left one, which are two pieces of the whole."""
    mask = phantom.mask(target)
    middle = (phantom.mask("thalamus").nonzero()[2].min() + phantom.mask("thalamus").nonzero()[2].max()) / 2
    column = np.arange(mask.shape[2])
    return mask & (column < middle), mask & (column > middle)


def centre(mask: np.ndarray) -> np.ndarray:
    return np.array(ndi.center_of_mass(mask))


def test_the_same_generator_state_gives_the_same_brain() -> None:
    one, two = (make_brain(np.random.default_rng(5), SMALL) for _ in range(2))
    other = make_brain(np.random.default_rng(6), SMALL)
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.labels, other.labels)


def test_a_brain_has_no_level_of_the_trunk(drawn: list[Phantom]) -> None:
    for phantom in drawn:
        assert phantom.labels.shape == (104, 128, 144) and phantom.labels.dtype == np.uint8
        assert phantom.level.shape == (104,) and np.isnan(phantom.level).all()


@pytest.mark.parametrize(
    ("target", "low", "high"),
    [
        ("thalamus", 4.5, 8.5),
        ("caudate", 2.4, 5.0),
        ("putamen", 3.2, 6.5),
        ("pallidum", 0.9, 2.5),
        ("hippocampus", 2.0, 4.6),
        ("amygdala", 0.9, 2.4),
    ],
)
def test_volumes_of_a_side_are_those_of_adults(
    brains: list[Phantom], target: str, low: float, high: float
) -> None:
    sizes = [
        float(mask.sum() * np.prod(brain.spacing) / 1000.0)
        for brain in brains
        for mask in both(brain, target)
    ]
    assert len(sizes) >= 8
    assert np.mean([low <= size <= high for size in sizes]) >= 0.8, sizes


def test_the_brain_is_as_large_as_an_adults_and_holds_its_nuclei(brains: list[Phantom]) -> None:
    assert set(NUCLEI) < set(MERGES["brain"])
    sizes = [float(brain.mask("brain").sum() * np.prod(brain.spacing) / 1000.0) for brain in brains]
    assert all(950 < size < 1850 for size in sizes), sizes


def test_right_and_left_are_alike_and_lie_apart(brains: list[Phantom]) -> None:
    for brain in brains:
        for name in NUCLEI:
            right, left = both(brain, name)
            assert 0.5 < right.sum() / left.sum() < 2.0, name
            assert 12 < (centre(left) - centre(right))[2] * brain.spacing[2] < 75, name


def test_nuclei_lie_in_their_order(brains: list[Phantom]) -> None:
    for brain in brains:
        for side in (0, 1):
            at = {name: centre(both(brain, name)[side]) * brain.spacing for name in NUCLEI}
            outwards = 1 if side else -1
            assert outwards * (at["putamen"] - at["pallidum"])[2] > 2
            assert outwards * (at["pallidum"] - at["thalamus"])[2] > 2
            assert at["thalamus"][1] > at["putamen"][1]  # behind it
            assert at["amygdala"][1] < at["hippocampus"][1]  # in front of it
            assert at["caudate"][0] > at["putamen"][0] > at["amygdala"][0]


def test_a_hippocampus_is_a_long_curved_body_beside_the_temporal_horn(blocks: list[Phantom]) -> None:
    assert len(blocks) == 3
    for block in blocks:
        pieces, count = ndi.label(block.mask("hippocampus"), np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        whole = np.flatnonzero(sizes * 1.5**3 > 1200) + 1
        assert count >= 1 and len(whole) in (1, 2)
        for piece in whole:
            here = pieces == piece
            places = np.argwhere(here) * 1.5
            length = np.ptp(places, axis=0)
            assert 28 < np.hypot(length[0], length[1]) < 60  # it rises behind
            rows = np.argwhere(here)[:, 1]
            front, back = np.quantile(rows, [0.2, 0.8])
            assert places[rows >= back][:, 0].mean() > places[rows <= front][:, 0].mean() + 4
            rim = ndi.binary_dilation(here, iterations=2) & ~here
            assert 0.02 < block.mask("ventricles")[rim].mean() < 0.6


def test_a_third_are_blocks_around_one_hippocampus_or_both(coarse: list[Phantom]) -> None:
    cropped = [phantom for phantom in coarse if is_block(phantom)]
    assert 0.15 < len(cropped) / len(coarse) < 0.55
    widths = [np.ptp(phantom.labels.nonzero()[2]) * 6.0 for phantom in cropped]
    assert min(widths) < 70 < max(widths)
    for phantom in cropped:
        assert phantom.mask("hippocampus").any()
        inside = [slice(index.min(), index.max() + 1) for index in phantom.labels.nonzero()]
        assert (phantom.labels[tuple(inside)] > 0).mean() > 0.8


@pytest.mark.parametrize("name", NUCLEI)
def test_small_nuclei_are_there_on_a_coarse_grid(coarse: list[Phantom], name: str) -> None:
    assert all(phantom.mask(name).any() for phantom in coarse if not is_block(phantom))


def test_every_nucleus_has_an_appearance_and_is_a_class(brains: list[Phantom]) -> None:
    for name in NUCLEI:
        assert name in TISSUES and name in T1 and name in NATIVE_HU
        assert TARGETS[name] == (name,)
    mr = render_phantom(brains[0], "MR", np.random.default_rng(0)).array
    darker, fluid = mr[brains[0].mask("pallidum")].mean(), mr[brains[0].mask("ventricles")].mean()
    assert darker < mr[brains[0].mask("caudate")].mean() < fluid


def test_hippocampus_looks_like_the_cortex_in_most_scanners() -> None:
    rng = np.random.default_rng(0)
    one, other = STRUCTURES["hippocampus"], STRUCTURES["brain grey matter"]
    gaps = [abs(float(v[one] - v[other])) for v in (sample_appearance(rng).values for _ in range(100))]
    assert 0.55 < np.mean(np.array(gaps) < 0.1) <= 1.0


def test_heads_stay_plain_and_old_labels_keep_their_values() -> None:
    names = list(STRUCTURES)
    assert names.index("neck vein") == 79 and all(STRUCTURES[name] > 79 for name in NUCLEI)
    head = make_head(np.random.default_rng(5), SMALL)
    assert head.labels.max() <= 79
