"""Style augmentation of real slices: tone curves, bias, blur and noise, as another scanner might have seen them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.episodes.appearance import gaussian_blur, smooth_field

_KNOTS = 8


@dataclass(frozen=True, eq=False)
class Style:
    """How one side of an episode is shown.

    Attributes
    ----------
    curve : ndarray (8,)
        New grey values of 0, 1/7, ..., 1. It need not rise, so that contrasts turn around; black stays black.
    mixing : float
        Share of the curve in the picture.
    gamma, bias, blur, noise : float
        Exponent of the tone curve; standard deviations of the log bias field, of the blur in pixels, and of the noise.
    """

    curve: NDArray[np.float32]
    mixing: float
    gamma: float
    bias: float
    blur: float
    noise: float


def random_style(rng: np.random.Generator) -> Style:
    """Draw a style; half of the curves rise, as between scanners of one kind."""
    curve = rng.uniform(0, 1, _KNOTS)
    if rng.random() < 0.5:
        curve = np.sort(curve)
    curve[0] = 0.0
    return Style(
        curve.astype(np.float32),
        mixing=float(rng.uniform(0, 1)),
        gamma=float(np.exp(rng.normal(0, 0.25))),
        bias=float(abs(rng.normal(0, 0.15))),
        blur=float(0.4 * np.exp(rng.normal(0, 0.4))),
        noise=float(0.015 * np.exp(rng.normal(0, 0.7))),
    )


def similar_style(style: Style, rng: np.random.Generator) -> Style:
    """Nearly the same scanner on another day."""
    gamma = style.gamma * float(np.exp(rng.normal(0, 0.05)))
    return Style(style.curve, style.mixing, gamma, style.bias, style.blur, style.noise)


def restyle(images: Tensor, styles: list[Style], generator: torch.Generator) -> Tensor:
    """Show slices in other styles.

    Parameters
    ----------
    images : Tensor, shape (S, B, P, H, W)
        Intensities in [0, 1] of `S` sides (one style each), `B` slices of a side, `P` planes of a slice.
    styles : list of Style, length S
    generator : torch.Generator
        On the device of the images.

    Returns
    -------
    Tensor, shape (S, B, P, H, W)
        Intensities in [0, 1].
    """
    s, b, p, h, w = images.shape
    device = images.device

    def per_side(values: list[float]) -> Tensor:
        return torch.tensor(values, device=device)[:, None, None, None, None]

    curves = torch.from_numpy(np.stack([k.curve for k in styles])).to(device)
    place = images.clamp(0, 1) * (_KNOTS - 1)
    left = place.floor().clamp(max=_KNOTS - 2).long()
    flat = left.flatten(1)
    low, high = (curves.gather(1, index).view(images.shape) for index in (flat, flat + 1))
    toned = torch.lerp(low, high, place - left)
    image = torch.lerp(images, toned, per_side([k.mixing for k in styles]))
    image = image.clamp(0, 1).pow(per_side([k.gamma for k in styles]))
    sigma = torch.tensor([k.blur for k in styles], device=device).repeat_interleave(b)
    image = gaussian_blur(image.reshape(s * b, p, h, w), sigma).view(images.shape)
    bias = smooth_field(4, (s, 1, h, w), generator, device)[:, None] * per_side([k.bias for k in styles])
    image = image * torch.exp(bias)
    noise = torch.randn(image.shape, generator=generator, device=device)
    # air of a scan has no noise worth speaking of once it is windowed
    image = image + per_side([k.noise for k in styles]) * noise * (images > 0)
    return image.clamp(0, 1)
