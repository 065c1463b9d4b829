"""Resampling along one axis as a matrix, so that a slice is resampled by two small matrix products.

Positions are counted in source pixels, pixel j has its centre at j.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def linear_matrix(centres: Floats, step: float, count: int) -> NDArray[np.float32]:
    """Antialiased linear interpolation.

    The source is interpolated linearly (held constant in the outer half of its border pixels, zero outside)
    and the interpolant averaged over a width of sqrt(step^2 - 1): nothing if the target is as fine as the
    source, nearly the target's own pixel if it is much coarser, so that source and target keep one sharpness.
    A ramp stays that ramp whatever the offset.

    Parameters
    ----------
    centres : ndarray (n,)
        Centres of the target pixels.
    step : float
        Side of a target pixel.
    count : int
        Number of source pixels.

    Returns
    -------
    ndarray (n, count) of float32
        Weights; rows sum to 1 inside the source and to 0 outside.
    """
    width = float(np.sqrt(max(step * step - 1.0, 0.0)))
    if width < 1e-2:
        return _tent(centres, count).astype(np.float32)
    high = _tent_integral(centres + width / 2, count)
    low = _tent_integral(centres - width / 2, count)
    return ((high - low) / width).astype(np.float32)


def area_matrix(centres: Floats, step: float, count: int) -> NDArray[np.float32]:
    """Fraction of each target pixel that each source pixel covers; arguments as in :func:`linear_matrix`."""
    source = np.arange(count)[None]
    high = np.clip(centres[:, None] + step / 2 - source + 0.5, 0.0, 1.0)
    low = np.clip(centres[:, None] - step / 2 - source + 0.5, 0.0, 1.0)
    return ((high - low) / step).astype(np.float32)


def _tent(centres: Floats, count: int) -> Floats:
    inside = (centres >= -0.5) & (centres < count - 0.5)
    held = np.clip(centres, 0.0, count - 1.0)
    weights: Floats = np.maximum(1.0 - np.abs(held[:, None] - np.arange(count)[None]), 0.0)
    return weights * inside[:, None]


def _tent_integral(position: Floats, count: int) -> Floats:
    """Integral of each source pixel's tent from minus infinity to the positions, (n, count)."""
    t = position[:, None] - np.arange(count)[None]
    rising = np.clip(t, -1.0, 0.0) + 1.0
    falling = np.clip(t, 0.0, 1.0)
    left = rising**2 / 2
    right = falling - falling**2 / 2
    # the outer halves of the border pixels hold their value for half a pixel and end there
    left[:, 0] = np.clip(t[:, 0], -0.5, 0.0) + 0.5
    right[:, -1] = np.clip(t[:, -1], 0.0, 0.5)
    return np.asarray(left + right)
