"""Test-time augmentation of single slices: those that the network misreads, in other intensities.

The network estimates the level of a slice from the same features as it segments it with. Where a slice's own level lies
far off the line of its scan, the network has taken it for another part of the body (bright fluid in the stomach for a
bladder, say), and finds nothing there, whatever was painted. Such a slice is read again, in intensities that bring out
other tissues, and the reading whose level agrees best with the line counts. No label has a part in it.
"""

from __future__ import annotations

from torch import Tensor

MIN_OUTLIER = 0.2
"""Distance of a slice's own level from its scan's line, in levels, from which it is read again: the distance from which
a line takes an estimate for wrong (`body_level.py`)."""

TRUNK = (-0.5, 1.25)
"""Levels between which the network knows the body: outside, its own levels say nothing."""

_GAMMAS = (0.4, 0.6, 1.6, 2.2)
_WHITE_POINTS = (0.6, 0.35)


N_VARIANTS = 2 + len(_GAMMAS) + len(_WHITE_POINTS)
"""Number of intensity variants."""


def is_outlier(own: float, line: float) -> bool:
    """Whether the network took a slice at level `line` for quite another one, at level `own`."""
    return TRUNK[0] <= line <= TRUNK[1] and abs(own - line) > MIN_OUTLIER


def intensity_variants(images: Tensor) -> list[Tensor]:
    """A slice in all intensity variants, first as it is.

    Parameters
    ----------
    images : Tensor, shape (1, 3, H, W)
        Intensities in [0, 1]; the channels are the slice before, itself, and after.

    Returns
    -------
    list of Tensor, shape (1, 3, H, W)
        As it is, darker and brighter curves, lower white points, and without its neighbours. What is black stays
        black.
    """
    return [
        images,
        *(images**gamma for gamma in _GAMMAS),
        *((images / white).clamp(max=1) for white in _WHITE_POINTS),
        images[:, 1:2].expand_as(images),
    ]
