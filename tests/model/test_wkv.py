"""The linear-time WKV against the formula written out, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_cpclnet.model.wkv import MAX_DECAY, bidirectional_wkv

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def draw(
    n: int,
    members: int,
    *,
    seed: int = 0,
    channels: int = 3,
    batch: int = 2,
    decay: float = 5.0,
    spread: float = 1.0,
) -> Inputs:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    w = (torch.rand(channels, generator=g, dtype=torch.float64) * 2 - 1) * decay
    u = (torch.rand(channels, generator=g, dtype=torch.float64) * 2 - 1) * min(decay, 5.0)
    keys, values = spread * normal(batch, n, channels), normal(batch, n, channels)
    set_keys, set_values = spread * normal(batch, members, channels), normal(batch, members, channels)
    valid = torch.rand(batch, members, generator=g) < 0.7
    return w, u, keys, values, set_keys, set_values, valid


def dense(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, sk: Tensor, sv: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """The published formula as one softmax over all pairs; quadratic."""
    w, u, k, v, sk, sv = (x.double() for x in (w, u, k, v, sk, sv))
    b, n, c = k.shape
    d = sk.shape[1]
    t = torch.arange(n, dtype=torch.float64)
    distance = (t[:, None] - t).abs()[..., None]
    exponent = k[:, None] - (distance - 1) * w / n  # (B, t, i, C)
    own = torch.eye(n, dtype=torch.bool)[None, :, :, None]
    exponent = torch.where(own, k[:, None] + u / n, exponent)
    of_set = sk.masked_fill(~valid[..., None], -torch.inf)
    exponent = torch.cat([exponent, of_set[:, None].expand(b, n, d, c)], 2)
    everything = torch.cat([v, sv], 1)[:, None]
    tokens = (exponent.softmax(2) * everything).sum(2)
    among = of_set[:, None] + torch.eye(d, dtype=torch.float64)[None, :, :, None] * u / n
    exponent = torch.cat([k[:, None].expand(b, d, n, c), among], 2)
    return tokens, (exponent.softmax(2) * everything).sum(2)


@pytest.mark.parametrize("decay", [0.5, 5.0, 30.0])
@pytest.mark.parametrize(("n", "members"), [(1, 0), (1, 3), (2, 2), (7, 5), (64, 0), (64, 9)])
def test_fast_form_equals_the_dense_formula(n: int, members: int, decay: float) -> None:
    inputs = draw(n, members, decay=decay, seed=n)
    for fast, slow in zip(bidirectional_wkv(*inputs), dense(*inputs), strict=True):
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-9)


@pytest.mark.parametrize("decay", [1.0, 10.0, MAX_DECAY])
def test_float32_error_is_below_1e_5(decay: float) -> None:
    inputs = draw(256, 20, decay=decay, spread=3.0)
    single = [x.float() if x.is_floating_point() else x for x in inputs]
    for fast, slow in zip(bidirectional_wkv(*single), dense(*(x for x in single)), strict=True):
        assert fast.dtype == torch.float32
        assert (fast - slow).abs().max() <= 1e-5


def test_reversed_tokens_give_the_reversed_output() -> None:
    w, u, k, v, *members = draw(31, 4)
    tokens, descriptors = bidirectional_wkv(w, u, k, v, *members)
    turned, same = bidirectional_wkv(w, u, k.flip(1), v.flip(1), *members)
    torch.testing.assert_close(turned, tokens.flip(1))
    torch.testing.assert_close(same, descriptors)


def test_order_of_the_set_means_nothing() -> None:
    w, u, k, v, sk, sv, valid = draw(12, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    tokens, descriptors = bidirectional_wkv(w, u, k, v, sk, sv, valid)
    same, permuted = bidirectional_wkv(w, u, k, v, sk[:, order], sv[:, order], valid[:, order])
    torch.testing.assert_close(same, tokens)
    torch.testing.assert_close(permuted, descriptors[:, order])


def test_without_decay_and_bonus_everything_is_the_softmax_weighted_mean() -> None:
    _, _, k, v, sk, sv, _ = draw(9, 4)
    valid = torch.ones(2, 4, dtype=torch.bool)
    zero = torch.zeros(3, dtype=torch.float64)
    tokens, descriptors = bidirectional_wkv(zero, zero, k, v, sk, sv, valid)
    mean = (torch.cat([k, sk], 1).softmax(1) * torch.cat([v, sv], 1)).sum(1, keepdim=True)
    torch.testing.assert_close(tokens, mean.expand_as(tokens))
    torch.testing.assert_close(descriptors, mean.expand_as(descriptors))


def test_decay_and_bonus_are_clamped() -> None:
    w, u, *rest = draw(16, 3)
    huge = torch.tensor([500.0, -1e4, 31.0], dtype=torch.float64)
    for fast, slow in zip(
        bidirectional_wkv(huge, -huge, *rest),
        dense(huge.clamp(-30, 30), -huge.clamp(-30, 30), *rest),
        strict=True,
    ):
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-8)
    assert all(x.isfinite().all() for x in bidirectional_wkv(w, u, *rest))


@pytest.mark.parametrize("n", [1, 2, 16, 100])
@pytest.mark.parametrize("decay", [30.0, -30.0, 1e4, -1e4])
@pytest.mark.parametrize("bonus", [0.0, 1e4, -1e4])
def test_extremes_stay_between_the_smallest_and_the_largest_value(n: int, decay: float, bonus: float) -> None:
    g = torch.Generator().manual_seed(n)
    signs = torch.tensor([-1e3, 0.0, 1e3])
    keys, set_keys = (signs[torch.randint(3, (4, m, 5), generator=g)].requires_grad_() for m in (n, 3))
    values, set_values = (torch.randn(4, m, 5, generator=g).requires_grad_() for m in (n, 3))
    w, u = (torch.full((5,), x, requires_grad=True) for x in (decay, bonus))
    valid = torch.tensor([[True] * 3, [True, False, False], [False] * 3, [True, True, False]])
    tokens, descriptors = bidirectional_wkv(w, u, keys, values, set_keys, set_values, valid)
    known = torch.cat([values, set_values.masked_fill(~valid[..., None], torch.nan)], 1).detach()
    low = known.nan_to_num(torch.inf).amin(1, keepdim=True) - 1e-3
    high = known.nan_to_num(-torch.inf).amax(1, keepdim=True) + 1e-3
    for out in (tokens, descriptors):
        assert out.isfinite().all()
        assert (out >= low).all() and (out <= high).all()
    (tokens.square().sum() + descriptors.square().sum()).backward()
    for x in (w, u, keys, values, set_keys, set_values):
        assert x.grad is not None and x.grad.isfinite().all()


def test_padding_has_no_influence() -> None:
    w, u, k, v, sk, sv, _ = draw(10, 5)
    valid = torch.tensor([[True, True, False, True, False]]).expand(2, -1)
    keep = valid[0]
    wild_keys, wild_values = sk.clone(), sv.clone()
    wild_keys[:, ~keep], wild_values[:, ~keep] = 1e6, -1e6
    wild_keys.requires_grad_()
    wild_values.requires_grad_()
    tokens, descriptors = bidirectional_wkv(w, u, k, v, wild_keys, wild_values, valid)
    expected = bidirectional_wkv(w, u, k, v, sk[:, keep], sv[:, keep], valid[:, keep])
    torch.testing.assert_close(tokens, expected[0])
    torch.testing.assert_close(descriptors[:, keep], expected[1])
    (tokens.sum() + descriptors[:, keep].sum()).backward()
    for x in (wild_keys, wild_values):
        assert x.grad is not None
        assert x.grad[:, ~keep].abs().max() == 0


def test_gradient_is_right() -> None:
    *inputs, _ = draw(5, 3, channels=2, batch=1)
    valid = torch.tensor([[True, False, True]])
    for x in inputs:
        x.requires_grad_()
    assert torch.autograd.gradcheck(lambda *x: bidirectional_wkv(*x, valid), inputs)


def test_bfloat16_inside_autocast_is_computed_in_float32() -> None:
    w, u, k, v, sk, sv, valid = draw(128, 6, decay=10.0)
    half = [x.bfloat16() for x in (k, v, sk, sv)]
    with torch.autocast("cpu", torch.bfloat16):
        fast = bidirectional_wkv(w.float(), u.float(), *half, valid)
    for a, b in zip(fast, dense(w, u, *half, valid), strict=True):
        assert a.dtype == torch.bfloat16
        torch.testing.assert_close(a.double(), b, rtol=2**-7, atol=1e-4)
