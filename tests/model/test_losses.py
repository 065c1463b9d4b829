"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from napari_cpclnet.model.crpd import Prototypes
from napari_cpclnet.model.losses import consistency_loss, intra_inter_loss, segmentation_loss


def test_segmentation_loss_of_an_undecided_network() -> None:
    """Probability one half everywhere, 100 pixels, 30 of them of the class, which weigh four times as much."""
    target = torch.zeros(1, 1, 10, 10)
    target[..., :3] = 1
    loss = segmentation_loss(torch.zeros(1, 1, 2, 10, 10), target)
    dice = 1 - (2 * 15 + 20) / (50 + 30 + 20)
    assert float(loss) == pytest.approx(2 * (30 * 4 + 70) / 100 * math.log(2) + dice, abs=1e-5)


def test_only_the_difference_of_the_two_logits_counts() -> None:
    logits, target = torch.randn(2, 3, 2, 8, 8), (torch.rand(2, 3, 8, 8) > 0.5).float()
    torch.testing.assert_close(segmentation_loss(logits + 7, target), segmentation_loss(logits, target))
    two_way = F.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1).long())
    margin = logits[:, :, 1] - logits[:, :, 0]
    torch.testing.assert_close(F.binary_cross_entropy_with_logits(margin, target), two_way)


def test_the_right_answer_costs_nothing_and_the_wrong_one_much() -> None:
    target = torch.zeros(1, 1, 16, 16)
    target[..., 4:9, 4:9] = 1
    sure = torch.stack([-20 * (2 * target - 1), 20 * (2 * target - 1)], 2)
    assert segmentation_loss(sure, target) < 1e-4
    assert segmentation_loss(-sure, target) > 10


def test_empty_queries_count_and_are_finite() -> None:
    target = torch.zeros(1, 1, 16, 16)
    logits = torch.zeros(1, 1, 2, 16, 16, requires_grad=True)
    loss = segmentation_loss(logits, target)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2 * math.log(2) + 1 - 20 / (128 + 20), abs=1e-5)
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (logits.grad[:, :, 1] > 0).all()  # every pixel is pushed towards the background


def test_weights_choose_which_queries_count() -> None:
    logits, target = torch.randn(2, 2, 2, 8, 8), (torch.rand(2, 2, 8, 8) > 0.5).float()
    each = torch.stack(
        [torch.stack([segmentation_loss(logits[b : b + 1, k : k + 1], target[b : b + 1, k : k + 1]) for k in range(2)])
         for b in range(2)]
    )  # fmt: skip
    weight = torch.tensor([[1.0, 0.0], [3.0, 0.5]])
    torch.testing.assert_close(segmentation_loss(logits, target, weight), (each * weight).sum() / 4.5)
    torch.testing.assert_close(segmentation_loss(logits, target), each.mean())
    assert segmentation_loss(logits, target, torch.zeros(2, 2)) == 0


def two_kinds() -> tuple[torch.Tensor, torch.Tensor, Prototypes]:
    """A grid whose left third is one direction and the rest another, and descriptors of exactly those."""
    masks = torch.zeros(1, 2, 6, 6)
    masks[..., :2] = 1
    front, back = torch.eye(4)[0], torch.eye(4)[1]
    grid = torch.where(masks[0][:, None] > 0, front[:, None, None], back[:, None, None]) * 3.0
    return (
        grid,
        masks,
        Prototypes(
            torch.stack([front, back])[None], torch.ones(1, 2, dtype=torch.bool), torch.tensor([0, 3])
        ),
    )


def test_consistency_by_hand() -> None:
    """Log-odds of +10 and -10: entropy log(1 + e^-10) everywhere, weighed 1/(1/3) and 1/(2/3), over two."""
    grid, masks, right = two_kinds()
    expected = math.log1p(math.exp(-10)) * (1 / 3 * 3 + 2 / 3 * 1.5) / 2
    assert float(consistency_loss(grid, right, masks)) == pytest.approx(expected, abs=2e-6)


def test_consistency_is_lower_for_the_right_descriptors() -> None:
    grid, masks, right = two_kinds()
    swapped = Prototypes(right.vectors.flip(1), right.valid, right.roles)
    blind = Prototypes(torch.eye(4)[[2, 2]][None], right.valid, right.roles)
    losses = [float(consistency_loss(grid, p, masks)) for p in (right, blind, swapped)]
    assert losses[0] < 0.01 < losses[1] == pytest.approx(math.log(2), abs=1e-4)
    assert losses[2] > 5


def test_consistency_ignores_classes_without_any_descriptor() -> None:
    grid, masks, right = two_kinds()
    nothing = Prototypes(torch.zeros_like(right.vectors), torch.zeros_like(right.valid), right.roles)
    grid.requires_grad_()
    loss = consistency_loss(grid, nothing, masks)
    loss.backward()
    assert loss == 0
    assert grid.grad is not None and not grid.grad.any()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_consistency_is_finite_where_the_class_is_nowhere_or_everywhere(value: float) -> None:
    grid, masks, right = two_kinds()
    assert consistency_loss(grid, right, torch.full_like(masks, value)).isfinite()


def test_spread_by_hand() -> None:
    vectors = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]]])
    valid = torch.tensor([[True, True, True, False]])
    intra, inter = intra_inter_loss(Prototypes(vectors, valid, torch.tensor([0, 1, 2, 3])))
    # mean of the object's two: (0.5, 0.5), squared distance 0.5 each; the background's one is its own mean
    assert float(intra) == pytest.approx(0.5)
    assert float(inter) == pytest.approx(1 - math.sqrt(0.5), abs=1e-5)
