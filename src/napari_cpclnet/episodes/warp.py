"""Random deformation of slices: where each pixel of an episode's slice comes from."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from einops import repeat
from numpy.typing import NDArray
from torch import Tensor


def random_grid(
    shape: tuple[int, int],
    size: int,
    reach: tuple[float, float],
    rng: np.random.Generator,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    """Random affine and elastic deformation and crop; one per side, with a little jitter per slice.

    Parameters
    ----------
    shape : tuple of int
        `E` sides of `B` slices each.
    size : int
        Side of the slices that come out, in pixels.
    reach : tuple of float
        Height and width of what comes out, as shares of what goes in.

    Returns
    -------
    Tensor, shape (E * B, size, size, 2)
        Positions for ``torch.nn.functional.grid_sample`` with ``align_corners=False``.
    """
    e, b = shape
    to_y, to_x = reach

    def draw(std: float, *shape: int) -> NDArray[np.float64]:
        return rng.normal(0, std, shape)

    angle = draw(0.10, e, 1) + draw(0.02, e, b)
    scale = np.exp(draw(0.10, e, 1) + draw(0.02, e, b))
    aspect = np.exp(draw(0.05, e, 1))
    shear = draw(0.05, e, 1)
    cos, sin = np.cos(angle), np.sin(angle)
    # from the pixels that come out to those that go in, in halves of the side, as affine_grid counts
    matrix = np.zeros((e, b, 2, 3))
    matrix[..., 0, 0] = cos * scale * aspect * to_x
    matrix[..., 0, 1] = (-sin * scale + shear) * to_x
    matrix[..., 1, 0] = sin * scale * to_y
    matrix[..., 1, 1] = cos * scale / aspect * to_y
    matrix[..., 0, 2] = draw(0.05, e, 1) + draw(0.01, e, b)
    matrix[..., 1, 2] = draw(0.05, e, 1) + draw(0.01, e, b)
    theta = torch.from_numpy(matrix.reshape(e * b, 2, 3)).to(device, torch.float32)
    grid = F.affine_grid(theta, [e * b, 1, size, size], align_corners=False)
    nodes = torch.randn(e, 2, 8, 8, generator=generator, device=device)
    strength = torch.from_numpy(rng.uniform(0, 0.03, (e, 1, 1, 1))).to(device, torch.float32)
    bend = F.interpolate(nodes * strength, size=(size, size), mode="bicubic", align_corners=True)
    return grid + repeat(bend, "e xy h w -> (e b) h w xy", b=b)


def warped(
    images: Tensor, masks: Tensor, size: int, rng: np.random.Generator, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Slices (B, P, H, W) of one side and their masks (B, classes, H, W), deformed alike to squares of `size`."""
    b, _, h, w = images.shape
    grid = random_grid((1, b), size, (size / h, size / w), rng, generator, images.device)
    return (
        F.grid_sample(images, grid, mode="bilinear", align_corners=False),
        F.grid_sample(masks, grid, mode="nearest", align_corners=False),
    )
