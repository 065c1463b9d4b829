"""The whole network: what must not matter does not, what is empty stays empty, nothing gives NaN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from napari_cpclnet.model import CPCLNet, CPCLNetSettings, Descriptors, Output
from napari_cpclnet.model.cpclnet import prior_logits
from napari_cpclnet.model.crpd import Prototypes

MakeNetwork = Callable[..., CPCLNet]
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


def images(count: int, h: int = 64, w: int = 64, seed: int = 0) -> Tensor:
    """Noise on blobs, so that cells differ from one another."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=g)
    smooth = torch.nn.functional.interpolate(coarse, size=(h, w), mode="bicubic", align_corners=True)
    return (smooth + 0.05 * torch.randn(count, 3, h, w, generator=g)).clamp(0, 1)


def masks(classes: int, count: int, h: int = 64, w: int = 64, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    out = torch.zeros(classes, count, h, w)
    for c in range(classes):
        for k in range(count):
            y, x = (int(torch.randint(4, n - 28, (1,), generator=g)) for n in (h, w))
            out[c, k, y : y + 20 + c, x : x + 17 + k] = 1
    return out


def foreground(answer: Output) -> Tensor:
    return answer.logits.softmax(2)[:, :, 1]


@pytest.mark.parametrize("size", [(32, 64), (96, 160), (128, 32)])
@torch.no_grad()
def test_any_multiple_of_32_works_and_support_may_differ_in_size(
    network: CPCLNet, size: tuple[int, int]
) -> None:
    h, w = size
    answer = network(images(2, h, w), images(3), masks(2, 3))
    assert answer.logits.shape == (2, 2, 2, h, w)
    assert answer.logits.isfinite().all() and answer.logits.dtype == torch.float32
    backwards = network(images(2), images(1, h, w), torch.ones(1, 1, h, w).tril())
    assert backwards.logits.shape == (2, 1, 2, 64, 64) and backwards.logits.isfinite().all()


def test_other_sizes_are_refused(network: CPCLNet) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        network(images(1, 64, 72), images(1), masks(1, 1))


@torch.no_grad()
def test_the_support_decides(network: CPCLNet) -> None:
    """Otherwise the equalities below would hold for a network that ignores its support."""
    query, support = images(2), images(3, seed=1)
    one = foreground(network(query, support, masks(1, 3)))
    two = foreground(network(query, support, masks(1, 3, seed=9)))
    three = foreground(network(query, images(3, seed=2), masks(1, 3)))
    assert (one - two).abs().max() > 0.02 and (one - three).abs().max() > 0.02


@torch.no_grad()
def test_order_of_the_shots_means_nothing(network: CPCLNet) -> None:
    query, support, painted = images(2), images(4, seed=1), masks(2, 4)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        network(query, support[order], painted[:, order]).logits,
        network(query, support, painted).logits,
        **CLOSE,
    )


@torch.no_grad()
def test_several_classes_at_once_equal_one_by_one(network: CPCLNet) -> None:
    query, support, painted = images(2), images(3, seed=1), masks(3, 3)
    together = network(query, support, painted).logits
    for c in range(3):
        torch.testing.assert_close(
            network(query, support, painted[c : c + 1]).logits[:, 0], together[:, c], **CLOSE
        )


@torch.no_grad()
def test_a_batch_of_queries_equals_one_by_one(network: CPCLNet) -> None:
    query, support, painted = images(3), images(2, seed=1), masks(2, 2)
    together = network(query, support, painted).logits
    for i in range(3):
        torch.testing.assert_close(
            network(query[i : i + 1], support, painted).logits[0], together[i], **CLOSE
        )


@torch.no_grad()
def test_one_support_per_query_equals_one_by_one(network: CPCLNet) -> None:
    query = network.encode(images(2))
    sets = [network.describe([network.encode(images(k, seed=k))], [masks(2, k, seed=k)]) for k in (1, 3)]
    together = network.segment(query, Descriptors.stack(sets)).logits
    for i, support in enumerate(sets):
        torch.testing.assert_close(
            network.segment(query.select([i]), support).logits[0], together[i], **CLOSE
        )


@torch.no_grad()
def test_support_slices_of_several_sizes_in_one_description(network: CPCLNet) -> None:
    query = network.encode(images(2))
    small, wide = network.encode(images(2, seed=1)), network.encode(images(1, 96, 128, seed=2))
    parts = [masks(2, 2), masks(2, 1, 96, 128)]
    forwards = network.segment(query, network.describe([small, wide], parts)).logits
    backwards = network.segment(query, network.describe([wide, small], parts[::-1])).logits
    torch.testing.assert_close(forwards, backwards, **CLOSE)
    apart = network.describe([small.select([0]), small.select([1])], [parts[0][:, :1], parts[0][:, 1:]])
    joined = network.describe([small], parts[:1])
    torch.testing.assert_close(
        network.segment(query, apart).logits, network.segment(query, joined).logits, **CLOSE
    )
    assert (forwards - network.segment(query, joined).logits).abs().max() > 1e-3


def test_a_class_that_is_painted_nowhere_is_found_nowhere(network: CPCLNet) -> None:
    painted = masks(2, 3)
    painted[1] = 0
    query = images(2).requires_grad_()
    answer = network(query, images(3, seed=1), painted)
    assert foreground(answer)[:, 1].max() < 1e-6
    alone = network(query, images(3, seed=1), painted[:1])
    torch.testing.assert_close(answer.logits[:, :1], alone.logits, **CLOSE)
    (answer.logits.square().mean() + answer.align).backward()
    gradients = [query.grad, *(p.grad for p in network.parameters())]
    assert all(g is None or g.isfinite().all() for g in gradients)
    network.zero_grad()


@pytest.mark.parametrize("painted", ["none", "all", "speck"])
def test_zeros_never_give_nan_forward_or_backward(make_network: MakeNetwork, painted: str) -> None:
    network = make_network().train()
    mask = torch.full((2, 2, 64, 64), float(painted == "all"))
    if painted == "speck":
        mask[:, 0, 31, 31] = 1
    query = torch.zeros(2, 3, 64, 64, requires_grad=True)
    answer = network(query, torch.zeros(2, 3, 64, 64), mask)
    assert answer.logits.isfinite().all() and answer.align.isfinite()
    (answer.logits.square().mean() + answer.align).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    assert query.grad is not None and query.grad.isfinite().all()


def test_every_parameter_takes_part(make_network: MakeNetwork) -> None:
    """Those of the level estimate learn from their own loss: the answer uses it without gradient."""
    network = make_network().train()
    own = torch.ones(3, dtype=torch.bool)  # likeness speaks within one scan only
    support = network.describe([network.encode(images(3, seed=1))], [masks(2, 3)], [own])
    answer = network.segment(network.encode(images(2)), support)
    (answer.logits.square().mean() + answer.align).backward()
    idle = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert all(name.startswith("pfe.level.") for name in idle)


@torch.no_grad()
def test_slices_without_the_class_change_the_background_only(make_network: MakeNetwork) -> None:
    network = make_network(alignment=True)
    features, painted = network.encode(images(3, seed=1)), masks(1, 3)
    painted[:, 2] = 0
    before = network.describe([features.select([0, 1])], [painted[:, :2]])
    after = network.describe([features], [painted])
    roles = after.prototypes.roles
    torch.testing.assert_close(
        after.prototypes.vectors[:, roles < 3], before.prototypes.vectors[:, roles < 3], **CLOSE
    )
    assert not torch.allclose(
        after.prototypes.vectors[:, roles == 3], before.prototypes.vectors[:, roles == 3], atol=1e-3
    )
    torch.testing.assert_close(after.levels, before.levels)
    assert after.statistics is not None and before.statistics is not None
    torch.testing.assert_close(after.statistics.inside, before.statistics.inside)


@torch.no_grad()
def test_levels_span_the_slices_that_show_the_class(network: CPCLNet) -> None:
    features = network.encode(images(4))
    features = replace(features, level=torch.tensor([0.1, 0.9, 0.4, -0.5]))
    painted = masks(3, 4)
    painted[0, 1:] = 0
    painted[1, 3] = 0
    painted[2] = 0
    found = network.describe(
        [features.select([0, 1]), features.select([2, 3])], [painted[:, :2], painted[:, 2:]]
    )
    torch.testing.assert_close(found.levels, torch.tensor([[0.1, 0.1], [0.1, 0.9], [0.0, 0.0]]))
    assert found.present.tolist() == [True, True, False]


@torch.no_grad()
def test_the_query_is_aligned_only_by_a_network_that_has_cmda(make_network: MakeNetwork) -> None:
    with_cmda, without = make_network(alignment=True), make_network()
    without.load_state_dict({k: v for k, v in with_cmda.state_dict().items() if not k.startswith("cmda.")})
    answers = [network(images(2), images(2, seed=1), masks(2, 2)) for network in (with_cmda, without)]
    assert answers[0].align > 0 and answers[1].align == 0
    assert all(answer.logits.isfinite().all() for answer in answers)
    assert (answers[0].logits - answers[1].logits).abs().max() > 1e-3


@torch.no_grad()
def test_without_blocks_the_network_still_answers(make_network: MakeNetwork) -> None:
    assert make_network(blocks=0)(images(1), images(1), masks(1, 1)).logits.isfinite().all()


@torch.no_grad()
def test_the_same_call_gives_the_same_answer(network: CPCLNet) -> None:
    calls = [network(images(2), images(2, seed=1), masks(2, 2)).logits for _ in range(2)]
    assert torch.equal(*calls)


@torch.no_grad()
def test_bfloat16_autocast_stays_near_float32(network: CPCLNet) -> None:
    query, support, painted = images(3), images(3, seed=1), masks(2, 3)
    wide = foreground(network(query, support, painted))
    with torch.autocast("cpu", torch.bfloat16):
        answer = network(query, support, painted)
    assert answer.logits.dtype == torch.float32
    difference = (foreground(answer) - wide).abs()
    assert difference.mean() < 0.02 and difference.quantile(0.99) < 0.1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_cuda_gives_the_answer_of_the_cpu(make_network: MakeNetwork) -> None:
    network = make_network()
    inputs = images(2), images(3, seed=1), masks(2, 3)
    expected = foreground(network(*inputs))
    network.cuda()
    on_gpu = [x.cuda() for x in inputs]
    assert (foreground(network(*on_gpu)).cpu() - expected).abs().max() < 0.02
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cuda", dtype):
            difference = (foreground(network(*on_gpu)).cpu() - expected).abs()
        assert difference.mean() < 0.02 and difference.quantile(0.99) < 0.1


def test_prior_logits_match_the_plain_definition() -> None:
    grid = torch.randn(2, 4, 3, 3)
    vectors = torch.nn.functional.normalize(torch.randn(1, 5, 4), dim=2)
    valid = torch.tensor([[True, True, True, True, False]])
    found = prior_logits(grid, Prototypes(vectors, valid, torch.tensor([0, 1, 2, 3, 0])), 0.1)
    cell = grid[1, :, 2, 0] / grid[1, :, 2, 0].norm()
    a = (vectors[0, :4] @ cell * 10).exp()
    expected = torch.log((a[0] + a[1]) / (a[2] + a[3]))
    torch.testing.assert_close(found[1, 0, 2, 0], expected, rtol=1e-4, atol=1e-4)


def test_settings_refuse_what_cannot_be_built() -> None:
    for bad in ({"channels": 20}, {"encoder": "vgg"}, {"heads": 0}, {"unknown": 1}):
        with pytest.raises(ValueError):
            CPCLNetSettings.model_validate(bad)
