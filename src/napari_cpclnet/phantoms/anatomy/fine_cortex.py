"""Finer folds of the brain than a plain head has, the fissure of Sylvius with the insula, and the petrous ridge."""

from __future__ import annotations

import numpy as np

from napari_cpclnet.phantoms.anatomy.head import Head, egg, put
from napari_cpclnet.phantoms.canvas import Canvas, Float, ramp

_GREY, _WHITE, _FLUID = "brain grey matter", "brain white matter", "cerebrospinal fluid"
_TISSUE = (_GREY, _WHITE)


def fine_cortex(c: Canvas, h: Head, waste: float) -> None:
    """Refine the surface of the brain; `waste` is 0 in the young, 1 in the very old and below 0 in swelling."""
    s, p, l = c.s[h.box], c.p[h.box], c.l[h.box]
    side = np.abs(l)
    core = egg(s, p, side, (40.0, 0.0, 14.0), (24.0, 48.0, 22.0), 2.6)
    insula, fissure = _sylvius(c, h, side)
    gap = 0.3 + 0.7 * max(waste + 0.4, 0.0)
    # sulci of the inner face, such as the cingulate one, begin at the falx
    callosum = ((s - 34.0) / 31.0) ** 2 + ((p + 3.0) / 48.0) ** 2
    depth = np.where(callosum > 1.0, np.minimum(h.cavity, 1.3 * side), h.cavity)
    bottom = np.clip(1.0 - depth / c.rng.uniform(20.0, 27.0), 0.0, 1.0)
    fold = np.abs(c.noise(h.box, float(c.rng.uniform(9.5, 12.0))))
    folds = (core < 0) & (insula > 5.0) & (h.cavity > 1.5) & ((side > 5.0) | (callosum > 1.0))
    grey = (fold < 0.6 * np.sqrt(bottom)) & folds
    put(c, h.box, grey, _GREY, over=(_WHITE,))
    put(c, h.box, grey & (fold < 0.09 * bottom * (1.0 + 2.0 * waste)), _FLUID, over=_TISSUE)
    sheet = np.minimum(insula, fissure)
    put(c, h.box, (sheet < gap + 3.2) & (h.cavity > 1.0), _GREY, over=(_WHITE,))
    put(c, h.box, (insula < 0.8 * gap) | (fissure < gap), _FLUID, over=_TISSUE)


def petrous_ridge(c: Canvas, h: Head) -> None:
    """Bone between the temporal lobe and the cerebellum, where a plain head has fluid."""
    s, p, side = c.s[h.box], c.p[h.box], np.abs(c.l[h.box])
    ridge = np.abs(p - 0.35 * side - 4.5)
    top = 5.0 + 0.12 * side
    bone = (ridge < 4.2 * ramp(side, 14.0, 32.0) - 0.1 * np.maximum(s, 0.0)) & (s < top) & (side > 19.0)
    put(c, h.box, bone, "skull", over=(_FLUID,))
    # above it the lobe goes on to the edge of the tentorium
    lobe = (ridge < 3.0) & (s > top + 1.0) & (s < 24.0) & (side > 19.0) & (h.cavity > 2.5)
    put(c, h.box, lobe, _GREY, over=(_FLUID,))


def _sylvius(c: Canvas, h: Head, side: Float) -> tuple[Float, Float]:
    """Take the coarse fissure away; distances (mm) from the sheets of the insula's cleft and of a finer fissure."""
    s, p = c.s[h.box], c.p[h.box]
    height = s - 30.0 - 0.28 * (p + 25.0)
    lid = np.abs(height)
    coarse = (side > 29.0) & (p > -42.0) & (p < 42.0) & ((lid < 8.5) | ((side < 48.0) & (lid < 16.0)))
    coarse &= s > 14.0
    put(c, h.box, coarse & (h.cavity > 6.0), _WHITE, over=(_GREY, _FLUID))
    put(c, h.box, coarse & (h.cavity > 2.5) & (h.cavity <= 6.0), _GREY, over=(_WHITE, _FLUID))
    # the insula is an oval plate that bulges outwards
    oval = np.sqrt(((height + 1.0) / 12.0) ** 2 + ((p + 7.0) / 25.0) ** 2)
    plate = 37.5 - 2.0 * oval**2 + 0.8 * c.noise(h.box, 15.0)
    beyond = np.maximum(oval - 1.0, 0.0) * 14.0
    insula = np.sqrt((side - plate) ** 2 + beyond**2)
    # its lids meet in a wavy line that rises behind
    wave = height - 0.12 * (side - 50.0) + 2.8 * c.noise(h.box, 24.0) + 1.2 * c.noise(h.box, 10.0)
    ends = np.maximum(np.abs(p - 1.0) - 31.0, 0.0)
    inwards = np.maximum(plate - side, 0.0)
    fissure = np.sqrt(wave**2 + ends**2 + inwards**2)
    return insula.astype(np.float32), fissure.astype(np.float32)
