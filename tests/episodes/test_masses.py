"""Masses grow in soft tissue, have the size they say, and are what an episode asks for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cpclnet.episodes.masses import CORE, MASS, Mass, Masses, random_mass, random_masses
from napari_cpclnet.episodes.phantom_dataset import PhantomDataset
from napari_cpclnet.episodes.phantom_episodes import PhantomEpisodes
from napari_cpclnet.episodes.settings import EpisodeSettings
from napari_cpclnet.phantoms.structures import STRUCTURES

SPACING = (4.0, 3.0, 3.0)


def block(structure: str) -> torch.Tensor:
    return torch.full((40, 50, 60), STRUCTURES[structure], dtype=torch.uint8)


def grown(mass: Mass, labels: torch.Tensor) -> torch.Tensor:
    return mass.grow(labels, np.arange(len(labels)), SPACING)


def test_a_smooth_mass_has_the_volume_of_its_ellipsoid() -> None:
    mass = Mass((20, 25, 30), (30.0, 24.0, 36.0), np.zeros((0, 3)), core=0.5)
    labels = grown(mass, block("wall muscle"))
    voxel = np.prod(SPACING)
    whole = 4 / 3 * np.pi * np.prod(mass.radii)
    assert ((labels == MASS) | (labels == CORE)).sum() * voxel == pytest.approx(whole, rel=0.03)
    assert (labels == CORE).sum() * voxel == pytest.approx(whole / 8, rel=0.1)
    shown = ((labels == MASS) | (labels == CORE)).flatten(1).any(1).numpy()
    well = mass.slices(40, SPACING[0])
    assert shown[well].all() and well.sum() == 13  # 24 mm to either side


LESIONS = (
    Mass((8, 10, 12), (12.0, 9.0, 9.0), np.zeros((0, 3)), 0.5),
    Mass((30, 40, 50), (8.0, 15.0, 12.0), np.zeros((0, 3)), 0.0),
    Mass((31, 12, 48), (5.0, 5.0, 5.0), np.array([[3, 0.2, 1.0]]), 0.0),
)


def is_mass(labels: torch.Tensor) -> torch.Tensor:
    return (labels == MASS) | (labels == CORE)


def test_all_of_several_masses_are_marked() -> None:
    muscle = block("wall muscle")
    alone = torch.stack([is_mass(grown(m, muscle)) for m in LESIONS])
    assert (alone.sum(0) <= 1).all() and alone.flatten(1).any(1).all()
    after = Masses(LESIONS).grow(muscle, np.arange(40), SPACING)
    assert torch.equal(is_mass(after), alone.any(0))
    assert torch.equal(after[~alone.any(0)], muscle[~alone.any(0)])
    assert torch.equal(muscle, block("wall muscle"))  # the phantom itself stays as it is


def test_several_masses_are_seen_where_any_of_them_is() -> None:
    masses = Masses(LESIONS)
    shown = masses.slices(40, SPACING[0])
    # 0.8 radii are 9.6, 6.4 and 4 mm, of slices of 4 mm
    assert set(np.flatnonzero(shown)) == {6, 7, 8, 9, 10, 29, 30, 31, 32}
    after = masses.grow(block("wall muscle"), np.arange(40), SPACING)
    assert is_mass(after).flatten(1).any(1).numpy()[shown].all()


def test_a_mass_is_the_same_on_any_choice_of_slices() -> None:
    """Also at the edge of the picture, and with lobes that reach beyond the radii."""
    mass = Mass((3, 1, 58), (20.0, 30.0, 24.0), np.array([[2, 0.3, 0.4], [5, 0.2, 2.0]]), 0.4)
    labels = block("wall muscle")
    whole = grown(mass, labels)
    z, y, x = (
        (np.arange(n) - c) * mm / r
        for n, c, mm, r in zip(labels.shape, mass.centre, SPACING, mass.radii, strict=True)
    )
    angle = np.arctan2(y[:, None], x[None])
    edge = 1 + 0.3 * np.cos(2 * angle + 0.4) + 0.2 * np.cos(5 * angle + 2.0)
    inside = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2) < edge
    assert (is_mass(whole).numpy() != inside).sum() <= 2  # rounding
    index = np.array([[2, 3, 4], [30, 31, 32]])
    assert torch.equal(mass.grow(labels[torch.from_numpy(index)], index, SPACING), whole[index])


def test_most_patients_have_one_mass_and_some_have_several_small_ones() -> None:
    rng = np.random.default_rng(0)
    found = [m for m in (random_masses(rng, block("liver")) for _ in range(400)) if m is not None]
    counts = np.array([len(m.lesions) for m in found])
    assert len(found) == 400 and 0.55 < np.mean(counts == 1) < 0.75
    assert set(counts.tolist()) == set(range(1, 9))
    small = [r for m in found if len(m.lesions) > 1 for lesion in m.lesions[1:] for r in lesion.radii]
    assert min(small) >= 5 and max(small) <= 25
    lone = [r for m in found if len(m.lesions) == 1 for r in m.lesions[0].radii]
    assert np.median(small) < 0.7 * np.median(lone)
    spread = [np.std([v.centre[0] for v in m.lesions]) for m in found if len(m.lesions) > 3]
    assert np.mean(spread) > 0.8 * 40 / np.sqrt(12)  # as wide as chance would have it


def test_the_same_seed_gives_the_same_masses() -> None:
    def draw(seed: int) -> torch.Tensor:
        masses = random_masses(np.random.default_rng(seed), block("liver"))
        assert masses is not None
        return masses.grow(block("liver"), np.arange(40), SPACING)

    assert all(torch.equal(draw(s), draw(s)) for s in range(8))
    assert not torch.equal(draw(0), draw(1))


def test_bone_and_air_are_spared() -> None:
    labels = block("wall muscle")
    labels[:, :, 32:] = STRUCTURES["rib"]
    labels[:, 27:, :32] = STRUCTURES["air"]
    after = grown(Mass((20, 25, 30), (30.0, 30.0, 30.0), np.zeros((0, 3)), 0.0), labels)
    assert torch.equal(after[:, :, 32:], labels[:, :, 32:])
    assert torch.equal(after[:, 27:], labels[:, 27:])
    assert (after == MASS).any()


def test_masses_begin_in_soft_tissue_or_not_at_all() -> None:
    rng = np.random.default_rng(0)
    assert random_mass(rng, block("air")) is None and random_masses(rng, block("air")) is None
    labels = block("air")
    labels[:, 20:30, 20:40] = STRUCTURES["psoas"]
    found = [random_mass(rng, labels) for _ in range(40)]
    masses = [m for m in found if m is not None]
    assert len(masses) > 10
    for mass in masses:
        assert 20 <= mass.centre[1] < 30 and 20 <= mass.centre[2] < 40
        assert min(mass.radii) > 3 and max(mass.radii) < 150
    assert any(m.core for m in masses) and not all(m.core for m in masses)


def test_episodes_ask_for_masses_and_show_them_on_both_sides(phantom_stack: PhantomDataset) -> None:
    settings = EpisodeSettings.model_validate(
        {"size": 64, "masses": 1.0, "own_scan": 0.0, "shots": (3,), "shot_weights": (1.0,)}
    )
    source = PhantomEpisodes(
        phantom_stack.labels, phantom_stack.levels, phantom_stack.parts, phantom_stack.spacing, settings
    )
    asked = both = 0
    for seed in range(20):
        batch = source.batch(np.random.default_rng(seed), torch.Generator().manual_seed(seed))
        assert batch.support_labels is not None and batch.query_labels is not None
        for e in range(2):
            support = torch.isin(batch.support_labels[e], torch.tensor([MASS, CORE])).float()
            query = torch.isin(batch.query_labels[e], torch.tensor([MASS, CORE])).float()
            for c in range(3):
                if support.any() and torch.equal(batch.support_masks[e, c], support):
                    asked += 1
                    assert torch.equal(batch.query_masks[e, :, c], query)
                    both += bool(query.any())
    assert asked >= 6 and both >= 3


def test_without_masses_none_is_shown(phantom_stack: PhantomDataset) -> None:
    settings = EpisodeSettings.model_validate({"size": 64, "masses": 0.0})
    source = PhantomEpisodes(
        phantom_stack.labels, phantom_stack.levels, phantom_stack.parts, phantom_stack.spacing, settings
    )
    for seed in range(4):
        batch = source.batch(np.random.default_rng(seed), torch.Generator().manual_seed(seed))
        assert batch.support_labels is not None
        assert not torch.isin(batch.support_labels, torch.tensor([MASS, CORE])).any()
