"""Training of the prior decoder: a few steps on coarse phantoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_cpclnet.episodes.prior_episodes import PriorEpisode
from napari_cpclnet.episodes.settings import PriorEpisodeSettings
from napari_cpclnet.model.prior_inputs import plane_distance
from napari_cpclnet.model.settings import PriorDecoderSettings
from napari_cpclnet.model.weights import load_prior_decoder
from napari_cpclnet.training import prior_training
from napari_cpclnet.training.prior_training import (
    CHECKPOINT,
    WEIGHTS,
    PriorStep,
    PriorValidation,
    prior_loss,
    train_prior_decoder,
)
from napari_cpclnet.training.settings import PriorTrainingSettings

SETTINGS = PriorTrainingSettings(
    phantoms=3,
    held_out=1,
    shapes=3,
    steps=4,
    episodes=2,
    validate_every=2,
    validations=1,
    shape=(40, 64, 72),
    spacing=(9.0, 6.0, 6.0),
    network=PriorDecoderSettings(fine=8, middle=8, coarse=8),
    sampling=PriorEpisodeSettings(size=32, slices=4),
)


@pytest.fixture(autouse=True)
def _often_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior_training, "_SAVE_EVERY", 2)


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = list(train_prior_decoder(SETTINGS, tmp_path / "whole"))
    steps = [r for r in whole if isinstance(r, PriorStep)]
    assert [s.step for s in steps] == [1, 2, 3, 4] and all(np.isfinite(s.loss) for s in steps)
    tables = [r.table for r in whole if isinstance(r, PriorValidation)]
    assert len(tables) == 2 and {"all", "patients", "bend", "part", "shape"} <= tables[0].keys()
    assert len((tmp_path / "whole" / "validation.jsonl").read_text().splitlines()) == 2

    running = train_prior_decoder(SETTINGS, tmp_path / "parts")
    for report in running:
        if isinstance(report, PriorStep) and report.step == 3:
            break
    running.close()
    assert (tmp_path / "parts" / CHECKPOINT).is_file()
    rest = [
        r for r in train_prior_decoder(SETTINGS, tmp_path / "parts", resume=True) if isinstance(r, PriorStep)
    ]
    assert [s.step for s in rest] == [4]  # closing wrote the checkpoint of step 3
    assert [s.loss for s in rest] == [s.loss for s in steps[3:]]
    one, two = (load_prior_decoder(tmp_path / name / WEIGHTS).state_dict() for name in ("whole", "parts"))
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], msg=name)


def _episode(truth: torch.Tensor, prior: torch.Tensor) -> PriorEpisode:
    distance = torch.from_numpy(plane_distance(prior.numpy(), 2.0))
    none = torch.full(truth.shape, -20.0)
    return PriorEpisode(none, truth, distance, none, None, 2.0, 5.0, "named", "disc", "bend")


def test_the_loss_prefers_the_truth_and_punishes_harm() -> None:
    truth = torch.zeros(2, 32, 32, dtype=torch.bool)
    truth[:, 8:20, 8:20] = True
    prior = torch.roll(truth, 2, 1)
    episode = [_episode(truth, prior)]

    def loss(mask: torch.Tensor, harm: float) -> float:
        return float(prior_loss([8.0 * mask - 4], episode, harm))

    assert loss(truth, 1.0) < loss(prior, 1.0) < loss(torch.zeros_like(truth), 1.0)
    worse = torch.roll(truth, 6, 1)
    assert loss(worse, 1.0) > loss(worse, 0.0) + 0.1
    assert loss(truth, 1.0) == pytest.approx(loss(truth, 0.0))
