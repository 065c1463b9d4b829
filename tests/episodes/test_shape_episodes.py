"""Random shapes: two patients of one anatomy, reproducible, and without anything that only a body has."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch

from napari_cpclnet.episodes.episode import EpisodeBatch
from napari_cpclnet.episodes.settings import EpisodeSettings
from napari_cpclnet.episodes.shape_episodes import MOST, ShapeEpisodes, random_pair

CPU = torch.device("cpu")
SETTINGS = EpisodeSettings(size=64)


def draw(seed: int) -> EpisodeBatch:
    source = ShapeEpisodes(SETTINGS, CPU)
    return source.batch(np.random.default_rng(seed), torch.Generator().manual_seed(seed))


def pair(seed: int) -> torch.Tensor:
    return random_pair(np.random.default_rng(seed), torch.Generator().manual_seed(seed), CPU)


def test_the_two_patients_of_a_pair_are_alike_and_differ() -> None:
    alike = []
    for seed in range(10):
        (one, two), (other, _) = pair(seed), pair(seed + 100)
        assert one.dtype == torch.uint8 and int(max(one.max(), two.max())) <= MOST
        same = float((one == two)[one > 0].float().mean())
        assert 0.25 < same < 0.99
        alike.append((same, float((one == other)[one > 0].float().mean())))
    same, chance = np.mean(alike, 0)
    assert same > 0.45 and chance < 0.25


def test_some_anatomies_have_an_outside_and_some_fill_the_picture() -> None:
    outside = [float((pair(seed) == 0).float().mean()) for seed in range(12)]
    assert 0.0 in outside and max(outside) > 0.2


def test_structures_are_smooth() -> None:
    """Neighbours within a plane mostly belong to the same structure."""
    for seed in range(5):
        labels = pair(seed)
        assert float((labels[..., 1:] == labels[..., :-1]).float().mean()) > 0.9


def test_batches_hold_no_names_and_no_levels_and_repeat() -> None:
    one, again, other = draw(1), draw(1), draw(2)
    assert one.support_labels is None and one.query_labels is None
    assert one.support_levels is None and one.query_levels is None
    assert one.query.shape == (2, 4, 3, 64, 64) and one.query_masks.shape == (2, 4, 3, 64, 64)
    tensors = {k: v for k, v in asdict(one).items() if v is not None}
    assert all(torch.equal(v, asdict(again)[k]) for k, v in tensors.items())
    assert not torch.equal(one.query, other.query)


def test_every_class_is_painted_and_most_queries_show_one() -> None:
    shown = []
    for seed in range(6):
        batch = draw(seed)
        assert (batch.support_masks.flatten(2).sum(2) > 0).float().mean() > 0.8
        shown.append(batch.query_masks.flatten(2).any(2).float().mean())
        assert batch.query.isfinite().all() and batch.query.min() >= 0 and batch.query.max() <= 1
    assert np.mean(shown) > 0.6
