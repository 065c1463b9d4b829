"""Bidirectional WKV of Vision-RWKV in linear time, with an order-free set beside the sequence.

For a sequence of `N` tokens with keys ``k``, values ``v``, a decay ``w`` and a bonus ``u`` per channel
(Duan et al. 2024, eq. 3)::

    y_t = [sum_{i != t} e^{k_i - (|t-i|-1) w/N} v_i + e^{k_t + u/N} v_t] / [the same without v]

The decay is divided by `N`, so the exponents stay within ``|w|`` and two exclusive cumulative sums, one from each end,
are exact once a common maximum is taken out. (Taking the sum from the right as "total minus the sum from the left" is
not: it cancels.)

Descriptors have no order, therefore they are no tokens of the sequence: they form a set whose members act on every
token, and on one another, without decay. Permuting them changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_DECAY = 30.0
_LOWEST = -60.0  # keys further below the maximum weigh e^-60; keeps every denominator above zero in float32
_LOWEST_BONUS = -8.0  # of a descriptor for itself; sequences of less than four tokens alone reach it


def _exclusive_cumsum(x: Tensor) -> Tensor:
    """Sum of all entries before each one, along dimension 1."""
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1].cumsum(1)], 1)


def bidirectional_wkv(
    decay: Tensor,
    bonus: Tensor,
    keys: Tensor,
    values: Tensor,
    set_keys: Tensor,
    set_values: Tensor,
    set_valid: Tensor,
) -> tuple[Tensor, Tensor]:
    """Mix a sequence of tokens and a set of descriptors.

    Parameters
    ----------
    decay, bonus : Tensor, shape (C,)
        ``w`` and ``u``; clamped to +-30.
    keys, values : Tensor, shape (B, N, C)
        Of the tokens, in sequence order.
    set_keys, set_values : Tensor, shape (B, D, C)
        Of the descriptors, in any order.
    set_valid : Tensor of bool, shape (B, D)
        False for padding, which has no influence on anything.

    Returns
    -------
    tokens : Tensor, shape (B, N, C)
    descriptors : Tensor, shape (B, D, C)
        Weighted means of the values, in the precision of `values`; float32 or wider inside.
    """
    dtype = values.dtype
    with torch.autocast(values.device.type, enabled=False):
        wide = torch.promote_types(dtype, torch.float32)
        keys, values, set_keys, set_values = (x.to(wide) for x in (keys, values, set_keys, set_values))
        n = keys.shape[1]
        w = decay.to(wide).clamp(-MAX_DECAY, MAX_DECAY) / n
        u = bonus.to(wide).clamp(-MAX_DECAY, MAX_DECAY) / n
        set_keys = set_keys.masked_fill(~set_valid[..., None], -torch.inf)
        peak = torch.cat([keys, set_keys], 1).amax(1, keepdim=True).detach()
        keys = (keys - peak).clamp(min=_LOWEST)
        set_weight = (set_keys - peak).clamp(min=_LOWEST).exp() * set_valid[..., None]

        t = torch.arange(n, device=keys.device, dtype=wide)[:, None]
        ramp = t * w
        # One tensor carries numerator and denominator, so that each sum is taken once.
        pair = torch.cat([values, torch.ones_like(values)], 2)
        from_left = _exclusive_cumsum((keys + ramp).exp().repeat(1, 1, 2) * pair)
        from_right = _exclusive_cumsum(((keys - ramp).exp().repeat(1, 1, 2) * pair).flip(1)).flip(1)
        left_scale = (w - ramp).exp().repeat(1, 2)
        right_scale = (w + ramp).exp().repeat(1, 2)
        own = (keys + u).exp().repeat(1, 1, 2) * pair
        set_pair = torch.cat([set_values, torch.ones_like(set_values)], 2)
        set_total = (set_weight.repeat(1, 1, 2) * set_pair).sum(1, keepdim=True)
        num, den = (left_scale * from_left + right_scale * from_right + own + set_total).chunk(2, 2)
        tokens = num / den

        total = set_total + (keys.exp().repeat(1, 1, 2) * pair).sum(1, keepdim=True)
        # "All of them, less what the own weight lacks" would cancel to nothing if the own weight were zero.
        extra = torch.expm1(u.clamp(min=_LOWEST_BONUS)) * set_weight
        num, den = (total + extra.repeat(1, 1, 2) * set_pair).chunk(2, 2)
        descriptors = num / den
    return tokens.to(dtype), descriptors.to(dtype)
