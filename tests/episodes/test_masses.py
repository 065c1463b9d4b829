"""Masses grow in soft tissue, have the size they say, and are what an episode asks for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cpclnet.episodes.anatomy_table import STRUCTURES
from napari_cpclnet.episodes.masses import CORE, MASS, Mass, random_mass
from napari_cpclnet.episodes.sampling import EpisodeSettings, PhantomEpisodes
from napari_cpclnet.episodes.stack import PhantomStack

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
    assert random_mass(rng, block("air"), SPACING) is None
    labels = block("air")
    labels[:, 20:30, 20:40] = STRUCTURES["psoas"]
    found = [random_mass(rng, labels, SPACING) for _ in range(40)]
    masses = [m for m in found if m is not None]
    assert len(masses) > 10
    for mass in masses:
        assert 20 <= mass.centre[1] < 30 and 20 <= mass.centre[2] < 40
        assert min(mass.radii) > 3 and max(mass.radii) < 150
    assert any(m.core for m in masses) and not all(m.core for m in masses)


def test_episodes_ask_for_masses_and_show_them_on_both_sides(phantom_stack: PhantomStack) -> None:
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


def test_without_masses_none_is_shown(phantom_stack: PhantomStack) -> None:
    settings = EpisodeSettings.model_validate({"size": 64, "masses": 0.0})
    source = PhantomEpisodes(
        phantom_stack.labels, phantom_stack.levels, phantom_stack.parts, phantom_stack.spacing, settings
    )
    for seed in range(4):
        batch = source.batch(np.random.default_rng(seed), torch.Generator().manual_seed(seed))
        assert batch.support_labels is not None
        assert not torch.isin(batch.support_labels, torch.tensor([MASS, CORE])).any()
