"""Deep grey matter of the brain: thalamus, basal nuclei, hippocampus and amygdala, and the fluid that outlines them.

Places are those of `head`: heights in mm above the ears, `p` behind them; `x` is mm from the midline, growing to the
side that is being drawn. The anterior commissure lies near height 33, 17 mm in front of the ears.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from napari_cpclnet.phantoms.anatomy.brain import Hollows
from napari_cpclnet.phantoms.anatomy.fine_cortex import fine_cortex, petrous_ridge
from napari_cpclnet.phantoms.anatomy.head import Head, egg, put
from napari_cpclnet.phantoms.canvas import Box, Canvas, Float, curve, ramp, smooth_max, smooth_min

_TISSUE = ("brain grey matter", "brain white matter")
_NUCLEI = ("thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala")


@dataclass(frozen=True)
class _Side:
    """One hemisphere: where it is, its coordinates, and how much fluid it holds."""

    c: Canvas
    box: Box
    s: Float
    p: Float
    x: Float
    wide: float  # of the ventricles, 1 is a young adult
    size: float  # of this side's lateral ventricle
    out: float  # shift of the lateral ventricles to the side, mm


def deep_brain(c: Canvas, head: Head, hollows: Hollows) -> None:
    """Paint the deep nuclei of both sides, and finer folds, over the plain brain of `brain.brain`."""
    fine_cortex(c, head, hollows.waste)
    alike = np.exp(c.rng.normal(0, 0.03, len(_NUCLEI)))  # a person's two sides are alike
    for side in (-1, 1):
        box = c.box((30.0, -3.0, side * 24.0), (42.0, 56.0, 27.0))
        if box is None:
            continue
        # nobody's nuclei are smooth eggs
        s, p, x = (
            np.asarray(a[box] * k + 0.6 * c.noise(box, 17.0), np.float32)
            for a, k in ((c.s, 1), (c.p, 1), (c.l, side))
        )
        h = _Side(c, box, s, p, x, hollows.wide, hollows.sizes[side > 0], hollows.out)
        sizes = dict(zip(_NUCLEI, alike * np.exp(c.rng.normal(0, 0.02, len(_NUCLEI))), strict=True))
        # what shrinks with age leaves its room to the ventricle
        sizes["hippocampus"] *= float(np.exp(-0.12 * max(hollows.waste, 0.0)))
        _clear(h)
        _temporal_lobe(h)
        _basal_nuclei(h, sizes)
        _thalamus(h, sizes["thalamus"])
        _caudate(h, sizes["caudate"])
        _hippocampus(h, sizes["hippocampus"], sizes["amygdala"])
    _midline(c, hollows)
    petrous_ridge(c, head)


def _rod(h: _Side, points: ArrayLike, step: float = 3.0) -> Float:
    """Depth inside a curved rod; a row of `points` is its middle, half width along `x` and half height there."""
    path = curve(points, step).astype(np.float32)
    best = np.full(h.s.shape, -99.0, np.float32)
    for a, b in pairwise(path):
        d = b[:3] - a[:3]
        u, v, w = h.s - a[0], h.p - a[1], h.x - a[2]
        t = np.clip((u * d[0] + v * d[1] + w * d[2]) / max(float(d @ d), 1e-6), 0.0, 1.0)
        half, tall = a[3] + t * (b[3] - a[3]), a[4] + t * (b[4] - a[4])
        far = np.sqrt(((u - t * d[0]) ** 2 + (v - t * d[1]) ** 2) / tall**2 + ((w - t * d[2]) / half) ** 2)
        np.maximum(best, (1.0 - far) * np.minimum(half, tall), out=best)
    return best


def _clear(h: _Side) -> None:
    """White matter where the plain brain has coarse nuclei or a sulcus: the capsules between the nuclei."""
    core = egg(h.s, h.p, h.x, (42.0, -8.0, 14.0), (20.0, 38.0, 21.0), 2.6)
    inside = (core > 0) & (h.s > 21.0) & (h.x > -1.0)
    put(h.c, h.box, inside, "brain white matter", over=("brain grey matter",))
    put(h.c, h.box, inside & (h.x > 5.0), "brain white matter", over=("cerebrospinal fluid",))
    # the coarse temporal horn gives way to a fine one
    old = (h.p < 34.0) & (h.s < 34.0) & (h.x > 18.0)
    put(h.c, h.box, old, "brain white matter", over=("ventricle",))


def _temporal_lobe(h: _Side) -> None:
    """Parahippocampal gyrus below the hippocampus, in front of and above the edge of the tentorium."""
    c = h.c
    lobe = egg(h.s, h.p, h.x, (18.0, 7.0, 31.0), (13.5, 24.0, 15.0), 2.4)
    free = ("cerebellum", "cerebrospinal fluid")
    put(c, h.box, (lobe > -1.5) & (lobe <= 0) & (h.p > 5.0), "cerebrospinal fluid", over=("cerebellum",))
    put(c, h.box, (lobe > 0) & (h.p > -12.0), "brain grey matter", over=free)
    within = lobe > 3.0
    put(c, h.box, within, "brain white matter", over=_TISSUE)
    # collateral sulcus
    sulcus = np.abs(h.x - 34.0 + 0.25 * (h.s - 8.0) + 1.2 * np.sin(h.p / 7.0))
    low = (h.s < 10.0 + 0.35 * np.maximum(h.p, 0.0)) & (h.p > -14.0) & (lobe > -6.0)
    put(c, h.box, low & (sulcus < 3.4), "brain grey matter", over=("brain white matter",))
    put(c, h.box, low & (sulcus < 0.8) & (h.s < 8.0 + 0.35 * h.p), "cerebrospinal fluid", over=_TISSUE)


def _basal_nuclei(h: _Side, sizes: dict[str, float]) -> None:
    """The lens of putamen and pallidum, whose tip points to the knee of the internal capsule."""
    over = _TISSUE
    s, p, x = h.s, h.p, h.x
    # further out behind than in front, and the outer face is flatter than the inner one
    skew = x - 25.5 - 0.26 * (p + 14.0) - 0.08 * (s - 35.0)
    skew = np.where(skew > 0, 1.25 * skew, skew)
    k = sizes["putamen"]
    height = 34.5 - 0.1 * (p + 14.0)
    putamen = egg(s - height, p + 14.0, skew, (0, 0, 0), np.array((11.4, 19.4, 6.9)) * k)
    inner = x - 18.6 - 0.42 * (p + 12.0) - 0.1 * (s - 32.0)
    pallidum = egg(s, p, inner, (32.5, -12.0, 0.0), np.array((7.1, 10.8, 5.2)) * sizes["pallidum"])
    put(h.c, h.box, putamen > 0, "putamen", over=over)
    # a thin sheet of white matter parts the two
    put(h.c, h.box, (pallidum > -0.7) & (pallidum <= 0), "brain white matter", over=("putamen",))
    put(h.c, h.box, pallidum > 0, "pallidum", over=(*over, "putamen"))
    accumbens = egg(s, p, x, (25.5, -29.0, 12.0), (5.0, 6.5, 6.0))
    put(h.c, h.box, accumbens > 0, "brain grey matter", over=over)


def _thalamus(h: _Side, size: float) -> None:
    """An egg beside the third ventricle, its broad end, the pulvinar, behind and further out."""
    s, p, x = h.s, h.p, h.x
    third = 1.7 * h.wide**0.7  # half the width of the third ventricle
    skew = (x - 9.8 - third - 0.30 * (p - 1.0)) / (1.0 + 0.016 * np.clip(p, -15.0, 18.0))
    depth = egg(s - 0.06 * p, p, skew, (39.5, 1.5, 0.0), np.array((9.9, 15.8, 9.4)) * size, 2.2)
    depth = smooth_min(depth, (x - third + 0.2).astype(np.float32), 2.0)
    put(h.c, h.box, depth > 0, "thalamus", over=(*_TISSUE, "cerebrospinal fluid", "brainstem"))


def _caudate(h: _Side, size: float) -> None:
    """Head, body and tail in the wall of the lateral ventricle, from its front horn around to the temporal horn.

    A row is the middle and radius of the ventricle, the way to the caudate from there, and the caudate's radius.
    """
    o = h.out
    rows = np.array(
        [
            (42.0, -38.0, 6.5 + o, 4.2, -0.60, 0.0, 0.80, 5.0),
            (45.5, -32.0, 6.0 + o, 5.0, -0.60, 0.0, 0.80, 6.4),
            (49.0, -22.0, 6.0 + o, 4.8, -0.50, 0.0, 0.87, 5.4),
            (53.0, -9.0, 6.0 + o, 4.6, -0.30, 0.0, 0.95, 4.0),
            (55.0, 8.0, 7.5 + o, 4.7, -0.30, -0.1, 0.95, 3.2),
            (51.0, 25.0, 13.0 + o, 5.8, -0.40, -0.5, 0.75, 2.6),
            (44.0, 35.0, 20.0 + o, 6.4, -0.30, -0.85, 0.45, 2.2),
            (36.0, 33.0, 26.0 + o, 4.6, 0.10, -0.90, 0.40, 2.0),
            (28.0, 24.0, 30.5 + o, 3.0, 0.75, -0.60, 0.30, 1.9),
            (22.0, 13.0, 31.0 + o, 2.4, 0.90, -0.35, 0.20, 1.8),
            (18.0, 2.0, 30.0 + o, 2.0, 1.0, -0.10, 0.0, 1.7),
            (17.0, -7.0, 28.0 + o, 1.5, 1.0, 0.0, -0.2, 1.6),
        ]
    )
    # a tail thinner than the grid would break into crumbs
    least = 0.42 * float(np.median(h.c.spacing))
    radius = np.maximum(rows[:, 7] * (0.92 * size), least)
    middle = rows[:, :3] + rows[:, 4:7] * (rows[:, 3] * h.size + 0.75 * radius)[:, None]
    depth = _rod(h, np.column_stack([middle, 0.8 * radius, 1.1 * radius]), 5.0)
    # the head reaches down towards the floor of the front horn
    low = egg(h.s, h.p, h.x, middle[1] - (4.0, 0.5, 0.0), np.array((7.2, 7.8, 4.5)) * size)
    put(h.c, h.box, smooth_max(depth, low, 2.0) > 0, "caudate", over=_TISSUE)


def _hippocampus(h: _Side, size: float, amygdala_size: float) -> None:
    """Hippocampus, amygdala, the temporal horn that caps them, and the fissures at their inner side."""
    c, s, p, x = h.c, h.s, h.p, h.x
    way = np.array(
        [
            (13.0, -9.0, 25.5, 5.0, 4.4),
            (13.5, -5.0, 25.5, 7.4, 5.4),
            (14.8, 0.5, 26.0, 6.6, 5.0),
            (17.5, 6.5, 27.2, 5.4, 4.4),
            (21.5, 12.0, 28.0, 5.1, 4.1),
            (26.0, 17.0, 27.5, 4.9, 3.9),
            (30.5, 21.5, 25.0, 4.3, 3.4),
            (34.5, 24.0, 21.0, 3.0, 2.6),
        ]
    )
    way[:, 3:] *= 0.96 * size
    body = _rod(h, way)
    uncus = egg(s, p, x, (16.0, -2.5, 19.8), np.array((4.6, 6.0, 4.2)) * size)
    # digitations: three or four humps on the upper side of the head
    humps = 0.7 * np.sin((x - 18.0) * 2.0 * np.pi / 4.6) * ramp(s, 13.0, 16.0) * ramp(-p, -3.0, 4.0)
    hippocampus = smooth_max(body, uncus, 2.5) + humps.astype(np.float32)
    amygdala = egg(
        s - 0.15 * (x - 23.0), p, x, (19.0, -15.5, 22.5), np.array((7.4, 7.8, 7.6)) * amygdala_size
    )
    over = (*_TISSUE, "cerebrospinal fluid", "cerebellum")
    near = (hippocampus > -2.5) | (amygdala > -1.5)
    put(c, h.box, near, "brain white matter", over=_TISSUE)
    put(c, h.box, near & (x > 19.0), "brain white matter", over=over)
    # subiculum and the gyrus below carry on the grey matter to the inner side
    below = (hippocampus > -2.5) & (s < 12.0 + 0.55 * np.maximum(p, 0.0)) & (x < 25.0)
    put(c, h.box, below, "brain grey matter", over=("brain white matter",))
    put(c, h.box, amygdala > 0, "amygdala", over=over)
    put(c, h.box, (hippocampus > 0) & (amygdala < hippocampus), "hippocampus", over=(*over, "amygdala"))
    _temporal_horn(h, hippocampus)


def _temporal_horn(h: _Side, hippocampus: Float) -> None:
    """A crescent of fluid over the upper and outer face of the hippocampus, wide in old brains."""
    c, s, p, x = h.c, h.s, h.p, h.x
    over = (*_TISSUE, "cerebrospinal fluid", "cerebellum")
    o = h.out - 2.5
    thick = 0.9 + 1.1 * h.wide * h.size
    horn = np.array(
        [
            (42.0, 37.0, 21.0 + o, 6.0, 5.6),
            (36.0, 33.0, 26.0 + o, 5.2, 5.0),
            (29.0, 24.0, 31.0 + o, 4.4, 4.4),
            (22.5, 13.5, 32.5 + o, 4.2, 4.0),
            (17.5, 4.0, 31.5 + o, 4.0, 3.8),
            (15.5, -5.0, 29.5 + o, 3.6, 3.6),
            (14.5, -12.0, 28.0 + o, 2.2, 2.6),
        ]
    )
    room = _rod(h, horn)
    cap = smooth_min(room, (hippocampus + thick).astype(np.float32), 1.0)
    wide = _rod(
        h, horn[:3] * (1, 1, 1, h.size, h.size)
    )  # behind the hippocampus the horn opens to the atrium
    put(c, h.box, (cap > 0) | (wide > 0), "ventricle", over=over)
    # choroid and hippocampal fissures, from the cistern around the midbrain
    height = s - 19.5 - 0.62 * np.maximum(p - 2.0, 0.0) + 0.1 * (x - 20.0)
    fissure = (np.abs(height) < 0.4 + 0.3 * h.wide) & (x > 15.0) & (x < 25.0) & (p > 1.0) & (p < 22.0)
    put(c, h.box, fissure, "cerebrospinal fluid", over=(*_TISSUE, "cerebellum"))


def _midline(c: Canvas, hollows: Hollows) -> None:
    """Thin septum between the front horns, and the cistern behind the midbrain under the splenium."""
    box = c.box((42.0, 0.0, 0.0), (24.0, 50.0, 14.0))
    if box is None:
        return
    s, p, x = c.s[box], c.p[box], np.abs(c.l[box])
    reach = 0.5 * (6.0 + hollows.out)  # half way to the middle of the lateral ventricle
    tall = 5.5 * hollows.wide**0.3
    horns = egg(s - 0.3 * (p + 25.0), p, x, (47.5, -25.0, reach), (tall, 15.0, reach + 0.5), 2.5)
    put(c, box, (horns > 0) & (x > 0.9), "ventricle", over=("brain white matter",))
    cistern = egg(s, p, x, (32.0, 25.0, 0.0), np.array((6.5, 5.5, 8.5)) * hollows.wide**0.15)
    put(c, box, cistern > 0, "cerebrospinal fluid", over=(*_TISSUE, "cerebellum"))
    # upper midbrain, which the cerebral peduncles leave for the capsules
    stem = egg(s, p, x, (24.0, 5.0, 0.0), (8.5, 11.5, 15.5), 2.4)
    put(c, box, (stem > 0) & (s > 20.0), "brainstem", over=(*_TISSUE, "cerebrospinal fluid"))
    pineal = egg(s, p, x, (37.0, 19.5, 0.0), (2.5, 4.5, 2.5))
    put(c, box, pineal > 0, "brain grey matter", over=("cerebrospinal fluid", "brain white matter"))
