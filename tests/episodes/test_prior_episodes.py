"""Episodes of the prior decoder: classes that anybody might paint, and priors that are nearly right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cpclnet.episodes.prior_bodies import making_bodies, random_shapes
from napari_cpclnet.episodes.prior_classes import KINDS, Body, DrawnClass, draw_class
from napari_cpclnet.episodes.prior_episodes import ERRORS, PriorEpisode, PriorEpisodes, outline_error
from napari_cpclnet.episodes.prior_errors import SmoothField, spoiled
from napari_cpclnet.episodes.settings import PriorEpisodeSettings
from napari_cpclnet.errors import SettingsError
from napari_cpclnet.phantoms.settings import PhantomSettings

GRID = PhantomSettings(shape=(40, 64, 72), spacing=(9.0, 6.0, 6.0))
SMALL = PriorEpisodeSettings(size=32, slices=5)


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> list[Body]:
    return list(making_bodies(3, 1, GRID, tmp_path_factory.mktemp("phantoms")))


def _drawn(kind: str, body: Body, seed: int = 0) -> DrawnClass:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        if (found := draw_class(rng, body, kind)) is not None:
            return found
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_class_is_found_on_a_phantom_and_beside_its_rivals(
    kind: str, bodies: list[Body]
) -> None:
    for seed in range(4):
        one = _drawn(kind, bodies[0], seed)
        assert one.kind == kind and one.mask.any() and not one.mask.all()
        assert one.rival is None or not (one.mask & one.rival).any()
        assert one.mask.shape == one.labels.shape == bodies[0].labels.shape


def test_a_part_and_its_rest_make_up_the_whole(bodies: list[Body]) -> None:
    for seed in range(40):
        one = _drawn("part", bodies[0], seed)
        if one.rival is None:
            continue
        inside = np.unique(one.labels[one.mask])
        whole = np.isin(one.labels, inside)
        assert not (whole & ~(one.mask | one.rival)).any()
        return
    raise AssertionError("no part with its rest")


def test_phantoms_are_kept_and_damaged_files_are_named(tmp_path: Path) -> None:
    first = list(making_bodies(2, 3, GRID, tmp_path))
    again = list(making_bodies(2, 3, GRID, tmp_path))
    assert all((a.labels == b.labels).all() for a, b in zip(first, again, strict=True))
    path = tmp_path / "phantom-3-1.npz"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(SettingsError, match="phantom-3-1"):
        list(making_bodies(2, 3, GRID, tmp_path))


@pytest.mark.parametrize("error", ERRORS)
def test_a_prior_is_nearly_right(error: str, bodies: list[Body]) -> None:
    rng, generator = np.random.default_rng(2), torch.Generator().manual_seed(2)
    episodes = PriorEpisodes(bodies, [], SMALL).batch(rng, generator, 10, "named", error)
    off = [outline_error(e.truth.numpy(), e.distance.numpy(), e.pixel_mm) for e in episodes]
    assert 0.3 < np.median(off) < 10
    for one in episodes:
        assert one.images.shape == one.truth.shape == one.distance.shape == (5, 32, 32)
        assert float(one.images.min()) >= 0 and float(one.images.max()) <= 1
        assert one.truth.any() and bool((one.distance > 0).any())


def test_the_same_seed_draws_the_same_episodes(bodies: list[Body]) -> None:
    def draw() -> torch.Tensor:
        rng, generator = np.random.default_rng(5), torch.Generator().manual_seed(5)
        shapes = [random_shapes(rng, generator)]
        drawn = PriorEpisodes(bodies, shapes, SMALL).batch(rng, generator, 4)
        return torch.stack([torch.stack([e.images, e.distance, e.rivals, e.truth.float()]) for e in drawn])

    torch.testing.assert_close(draw(), draw(), rtol=0, atol=0)


def test_errors_are_told_about_as_well_as_a_caller_knows_them(bodies: list[Body]) -> None:
    rng, generator = np.random.default_rng(4), torch.Generator().manual_seed(4)

    def drawn(unknown: float) -> list[PriorEpisode]:
        settings = SMALL.model_copy(update={"unknown": unknown})
        return PriorEpisodes(bodies, [], settings).batch(rng, generator, 12, "named", "patients")

    assert all(one.error_mm is None for one in drawn(1.0))
    ratios = []
    for one in drawn(0.0):
        assert one.error_mm is not None and one.error_mm >= 0.3
        ratios.append(one.error_mm / outline_error(one.truth.numpy(), one.distance.numpy(), one.pixel_mm))
    assert np.median(ratios) == pytest.approx(1, abs=0.35)
    assert np.std(np.log(ratios)) > 0.1


def test_a_smooth_field_is_as_strong_as_asked_and_smooth() -> None:
    points = torch.stack(torch.meshgrid(*(torch.arange(0, 300, 6.0),) * 3, indexing="ij"), -1)
    lengths = []
    for seed in range(6):
        moved = SmoothField(np.random.default_rng(seed), 5.0, 40.0, np.full(3, 300.0)).at(points)
        lengths.append(float(moved.square().sum(-1).mean().sqrt()))
        assert float((moved[1:] - moved[:-1]).norm(dim=-1).mean()) < 2.5
    assert 3.0 < np.mean(lengths) < 6.5


def test_spoiling_takes_a_part_away_or_a_neighbour_along() -> None:
    mask, neighbour = np.zeros((2, 6, 20, 20), bool)
    mask[1:5, 4:10, 4:10] = True
    neighbour[1:5, 4:10, 10:18] = True
    rng = np.random.default_rng(0)
    sizes = np.array([spoiled(rng, mask, neighbour).sum() for _ in range(300)]) / mask.sum()
    assert (sizes < 1).mean() == pytest.approx(0.14, abs=0.06)
    assert (sizes > 1).mean() == pytest.approx(0.08, abs=0.05)
