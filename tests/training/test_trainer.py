"""A tiny training run: it learns, it can be stopped and resumed to the same weights, and it judges itself fairly."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cpclnet.episodes.phantom_dataset import PhantomDataset
from napari_cpclnet.errors import DeviceError, WeightsError
from napari_cpclnet.model import Descriptors, Features, load_weights, save_weights
from napari_cpclnet.model.cpclnet import Output
from napari_cpclnet.training import StepReport, Trainer, TrainingSettings
from napari_cpclnet.training.sources import phantom_source, shape_source

from .conftest import SMALL

CPU = torch.device("cpu")
TINY = {
    "phantoms": 4,
    "held_out": 2,
    "steps": 30,
    "anatomy_steps": 0,
    "warmup": 3,
    "learning_rate": 6e-3,
    "validate_every": 100,
    "validation_batches": 1,
    **SMALL,
}


def tiny(**changes: object) -> TrainingSettings:
    return TrainingSettings.model_validate({**TINY, **changes})


def on_phantoms(settings: TrainingSettings, stack: PhantomDataset) -> Trainer:
    return Trainer(settings, [phantom_source(stack, settings, CPU)], CPU)


def steps(trainer: Trainer, count: int) -> list[StepReport]:
    return list(islice(trainer.run(), count))


def state(trainer: Trainer) -> dict[str, Tensor]:
    parts = {"model": trainer.model, "heads": trainer.heads, "ema": trainer.ema}
    return {f"{n}.{k}": v.clone() for n, part in parts.items() for k, v in part.state_dict().items()}


def test_learning_rate_rises_stays_and_falls(phantom_stack: PhantomDataset) -> None:
    settings = tiny(steps=1000, warmup=100, decay=0.4, learning_rate=2e-3)
    rate = on_phantoms(settings, phantom_stack).learning_rate
    assert rate(0) == pytest.approx(2e-5)
    assert rate(49) == pytest.approx(1e-3)
    assert [rate(s) for s in (99, 300, 600)] == pytest.approx([2e-3] * 3)
    assert rate(800) == pytest.approx(1e-3)
    assert 0 < rate(999) < 1e-5
    rates = [rate(s) for s in range(1000)]
    assert rates[:100] == sorted(rates[:100]) and rates[600:] == sorted(rates[600:], reverse=True)


def test_the_few_shot_part_waits_for_the_anatomy_and_warms_up_afresh(phantom_stack: PhantomDataset) -> None:
    settings = tiny(anatomy_steps=2, steps=100, warmup=3, learning_rate=3e-3)
    trainer = on_phantoms(settings, phantom_stack)
    before = {k: v.clone() for k, v in trainer.model.decoder.state_dict().items()}
    first = steps(trainer, 2)
    assert all(r.losses["segmentation"] == 0 and math.isnan(r.dice) for r in first)
    assert all(torch.equal(v, before[k]) for k, v in trainer.model.decoder.state_dict().items())
    assert [trainer.learning_rate(s) for s in (0, 1, 2, 3)] == pytest.approx([1e-3, 2e-3, 1e-3, 2e-3])
    assert steps(trainer, 1)[0].losses["segmentation"] > 0
    assert any(not torch.equal(v, before[k]) for k, v in trainer.model.decoder.state_dict().items())


def test_slices_must_be_those_that_scans_become() -> None:
    with pytest.raises(ValueError, match="must agree"):
        tiny(preprocessing={"mm_per_pixel": 3.0, "min_size": 64})


@pytest.fixture(scope="module")
def learned(phantom_stack: PhantomDataset) -> tuple[Trainer, list[StepReport]]:
    trainer = on_phantoms(tiny(), phantom_stack)
    return trainer, list(trainer.run())


def test_loss_falls(learned: tuple[Trainer, list[StepReport]]) -> None:
    _, reports = learned
    assert [r.step for r in reports] == list(range(1, 31))
    total = [r.losses["total"] for r in reports]
    assert np.isfinite(total).all()
    assert np.mean(total[-6:]) < 0.87 * np.mean(total[:6])
    anatomy = [r.losses["anatomy"] for r in reports]
    assert np.mean(anatomy[-6:]) < 0.85 * np.mean(anatomy[:6])


def test_reports_hold_every_term_and_their_weighted_sum(learned: tuple[Trainer, list[StepReport]]) -> None:
    trainer, reports = learned
    weights = {"segmentation": 1.0, **trainer.settings.loss.model_dump()}
    for report in reports:
        assert set(report.losses) == {*weights, "total"}
        total = sum(weight * report.losses[name] for name, weight in weights.items())
        assert report.losses["total"] == pytest.approx(total, rel=1e-4)
        assert math.isnan(report.dice) or 0 <= report.dice <= 1


def test_validation_comes_when_due_and_at_the_end(learned: tuple[Trainer, list[StepReport]]) -> None:
    trainer, reports = learned
    assert [r.step for r in reports if r.validation] == [30]
    assert set(reports[-1].validation) == {"dice", "false"}
    assert 0 <= reports[-1].validation["dice"] <= 1
    assert trainer.validate() == reports[-1].validation  # the same episodes every time


def test_validation_leaves_the_run_alone(phantom_stack: PhantomDataset) -> None:
    plain, judged = on_phantoms(tiny(), phantom_stack), on_phantoms(tiny(validate_every=2), phantom_stack)
    steps(plain, 4)
    assert [bool(r.validation) for r in steps(judged, 4)] == [False, True, False, True]
    for name, tensor in state(plain).items():
        assert torch.equal(tensor, state(judged)[name]), name


def test_held_out_phantoms_are_not_trained_on(phantom_stack: PhantomDataset) -> None:
    trainer = on_phantoms(tiny(held_out=2), phantom_stack)
    (source,) = trainer.sources
    assert torch.equal(source.train.labels, phantom_stack.labels[:2])  # type: ignore[attr-defined]
    assert torch.equal(source.held_out.labels, phantom_stack.labels[2:])  # type: ignore[attr-defined]


def test_a_stopped_and_resumed_run_reaches_the_same_weights(
    phantom_stack: PhantomDataset, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    whole = on_phantoms(tiny(), phantom_stack)
    steps(whole, 6)
    first = on_phantoms(tiny(), phantom_stack)
    steps(first, 3)
    first.save(path)
    second = on_phantoms(tiny(), phantom_stack)
    steps(second, 1)  # whatever it did before is forgotten
    second.resume(path)
    assert second.step == 3
    reports = steps(second, 3)
    assert [r.step for r in reports] == [4, 5, 6]
    expected, found = state(whole), state(second)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_saving_does_not_disturb_the_run(phantom_stack: PhantomDataset, tmp_path: Path) -> None:
    plain, saving = on_phantoms(tiny(), phantom_stack), on_phantoms(tiny(), phantom_stack)
    steps(plain, 3)
    for _ in islice(saving.run(), 3):
        saving.save(tmp_path / "checkpoint.safetensors")
    expected = state(saving)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state(plain).items())


def test_other_seeds_give_other_runs(phantom_stack: PhantomDataset) -> None:
    one, two = (on_phantoms(tiny(seed=s), phantom_stack) for s in (1, 2))
    assert not torch.equal(one.model.pfe.embed.weight, two.model.pfe.embed.weight)
    assert steps(one, 1)[0].losses != steps(two, 1)[0].losses


def test_the_average_follows_the_weights(phantom_stack: PhantomDataset) -> None:
    trainer = on_phantoms(tiny(ema=0.0), phantom_stack)
    steps(trainer, 2)
    for (name, mean), now in zip(trainer.ema.named_parameters(), trainer.model.parameters(), strict=True):
        torch.testing.assert_close(mean, now.detach(), msg=name)
    slow = on_phantoms(tiny(ema=0.998), phantom_stack)
    start = slow.ema.pfe.embed.weight.clone()
    steps(slow, 1)  # early steps count more than the decay says: 1/21 of the old is kept after the first
    expected = start + (slow.model.pfe.embed.weight.detach() - start) * 20 / 21
    torch.testing.assert_close(slow.ema.pfe.embed.weight, expected, rtol=1e-4, atol=1e-6)


def test_published_terms_can_be_switched_on(phantom_stack: PhantomDataset) -> None:
    report = steps(on_phantoms(tiny(loss={"intra": 0.1, "inter": 0.1}), phantom_stack), 1)[0]
    assert report.losses["intra"] > 0 and 0 < report.losses["inter"] <= 2


def test_the_average_can_be_saved_as_weights(
    learned: tuple[Trainer, list[StepReport]], tmp_path: Path
) -> None:
    trainer, _ = learned
    save_weights(trainer.ema, tmp_path / "w.safetensors", {"preprocessing": {}})
    loaded = load_weights(tmp_path / "w.safetensors")
    torch.testing.assert_close(loaded.pfe.embed.weight, trainer.ema.pfe.embed.weight, rtol=1e-3, atol=1e-6)


def test_a_checkpoint_of_another_network_is_refused(phantom_stack: PhantomDataset, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    trainer = on_phantoms(tiny(), phantom_stack)
    trainer.save(path)
    other = on_phantoms(tiny(network={**TINY["network"], "heads": 4}), phantom_stack)  # type: ignore[dict-item]
    with pytest.raises(WeightsError, match="run with other settings"):
        other.resume(path)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"ema": 1.0}, {"unknown": 1}, {"loss": {"align": -1}}])
def test_settings_refuse_nonsense(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        tiny(**bad)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_stay_in_float32_whatever_the_products_are_in(
    phantom_stack: PhantomDataset, precision: str
) -> None:
    exact, trainer = (on_phantoms(tiny(precision=p), phantom_stack) for p in ("auto", precision))
    expected, found = steps(exact, 2), steps(trainer, 2)
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters())
    assert all(math.isfinite(v) for v in found[-1].losses.values())
    first, other = expected[0].losses["total"], found[0].losses["total"]
    assert other == pytest.approx(first, rel=0.05)
    assert (other == first) == (precision == "fp32")  # auto is fp32 on a CPU


def test_a_precision_that_the_device_lacks_is_an_error(phantom_stack: PhantomDataset) -> None:
    with pytest.raises(DeviceError, match="fp16 needs a GPU"):
        on_phantoms(tiny(precision="fp16"), phantom_stack)


def test_queries_are_segmented_with_levels_near_the_truth(phantom_stack: PhantomDataset) -> None:
    trainer = on_phantoms(tiny(true_level_share=1.0, level_noise=0.01, no_level_share=0.0), phantom_stack)
    batch = trainer._draw(few_shot=True)
    levels = trainer._levels(batch)
    assert levels is not None
    assert batch.support_levels is not None
    assert batch.query_levels is not None
    truth = torch.cat([batch.support_levels.flatten(), batch.query_levels.flatten()])
    assert 0 < float((levels - truth).abs().max()) < 0.06
    seen = []
    segment = trainer.model.segment

    def spy(query: Features, support: Descriptors) -> Output:
        seen.append(query.level)
        return segment(query, support)

    with patch.object(trainer.model, "segment", spy):
        trainer.objective(vars(batch), True, levels)
    assert torch.equal(seen[0], levels[batch.support_levels.numel() :])


def test_the_networks_own_levels_serve_where_none_are_given(phantom_stack: PhantomDataset) -> None:
    trainer = on_phantoms(tiny(true_level_share=0.0, no_level_share=0.0), phantom_stack)
    assert trainer._levels(trainer._draw(few_shot=True)) is None


def test_some_batches_are_segmented_without_levels(phantom_stack: PhantomDataset) -> None:
    trainer = on_phantoms(tiny(no_level_share=1.0), phantom_stack)
    levels = trainer._levels(trainer._draw(few_shot=True))
    assert levels is not None
    assert levels.isnan().all()
    report = steps(trainer, 1)[0]
    assert all(math.isfinite(v) for v in report.losses.values())


def test_legs_teach_no_level(phantom_stack: PhantomDataset) -> None:
    legs = replace(phantom_stack, levels=torch.full_like(phantom_stack.levels, torch.nan))
    report = steps(on_phantoms(tiny(), legs), 1)[0]
    assert report.losses["level"] == 0.0
    assert all(math.isfinite(v) for v in report.losses.values())


def test_fresh_heads_learn_by_themselves_while_trained_weights_warm_up(phantom_stack: PhantomDataset) -> None:
    start = on_phantoms(tiny(), phantom_stack).model
    source = phantom_source(phantom_stack, tiny(), torch.device("cpu"))
    loss = {**dict.fromkeys(("level", "consistency", "align"), 0.0), "anatomy": 1.0}
    trainer = Trainer(tiny(loss=loss, warmup=3), [source], torch.device("cpu"), start)
    assert trainer.naming_steps == 3 and trainer.anatomy_steps == 0
    batch = trainer._draw(few_shot=True)
    for naming in (True, False):
        trainer.objective.zero_grad()
        losses, _ = trainer.objective(vars(batch), False, None, naming)
        losses["anatomy"].backward()
        assert trainer.heads.grid.weight.grad is not None
        assert (trainer.model.pfe.embed.weight.grad is None) == naming


def test_random_shapes_can_be_learned_from(phantom_stack: PhantomDataset) -> None:
    settings = tiny(sources={"phantoms": 0.0, "shapes": 1.0})
    trainer = Trainer(settings, [shape_source(settings, torch.device("cpu"))], torch.device("cpu"))
    report = list(trainer.run())[-1]
    assert "anatomy" not in report.losses and "level" not in report.losses
    assert report.losses["segmentation"] > 0 and 0 <= report.validation["dice"] <= 1
