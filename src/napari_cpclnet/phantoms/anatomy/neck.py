"""Neck and shoulders of the phantoms: spine, muscles, bones of the shoulders, and what lies around the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_cpclnet.phantoms.anatomy.head import Head, blob, egg, profile, put, tube
from napari_cpclnet.phantoms.canvas import EMPTY, Box, Canvas, Float, smooth_max, smooth_min
from napari_cpclnet.phantoms.structures import STRUCTURES

_KNOTS = [-290.0, -240.0, -200.0, -170.0, -150.0, -115.0, -80.0, -50.0, -25.0]
_SPINE = [66.0, 56.0, 43.0, 31.0, 24.0, 14.0, 9.0, 8.0, 9.0]
_BOTH = (-1, 1)


@dataclass(frozen=True)
class Neck:
    """Fields of the whole body, mm."""

    surface: Float  # depth below the skin
    spine: Float  # place of the vertebral bodies behind the axis


def build_neck(c: Canvas, h: Head) -> Neck:
    """Paint skin, fat and the deep fat of head, neck and shoulders; everything else goes into them."""
    surface = np.full(c.shape, EMPTY, np.float32)
    for box, depth in (_column(c, h), _trunk(c, h)):
        surface[box] = smooth_max(surface[box], depth, 20.0)
    surface[h.box] = smooth_max(surface[h.box], h.face, 12.0)
    surface += 0.8 * c.noise(c.whole, 50.0)
    more = profile(c.s, [-260, -170, -120, -60, -20, 40], [1.6, 1.2, 1.0, 0.9, 0.7, 0.5])
    thick = np.maximum(h.fat * more * (1 + 0.2 * c.noise(c.whole, 60.0)), 1.0)
    c.labels[surface > 0] = STRUCTURES["skin"]
    c.labels[surface > 2.5] = STRUCTURES["subcutaneous fat"]
    c.labels[(surface > thick + 2.5) & (c.s < -10)] = STRUCTURES["visceral fat"]
    n = Neck(surface=surface, spine=profile(c.s, _KNOTS, _SPINE))
    _flesh(c, n, thick)
    return n


def _column(c: Canvas, h: Head) -> tuple[Box, Float]:
    """Depth below the skin of the neck."""
    box = c.box((-120, 20, 0), (150, 115, 115)) or c.whole
    s, p, l = c.s[box], c.p[box], c.l[box]
    knots = [-230, -170, -140, -110, -70, -40, 0]
    half = h.girth * profile(s, knots, [84, 68, 60, 57, 58, 60, 52]) + 0.5 * h.fat
    front = profile(s, knots, [48, 42, 43, 48, 52, 46, 30]) * (0.5 + 0.5 * h.girth) + 0.5 * h.fat
    back = profile(s, knots, [100, 90, 80, 70, 66, 74, 78]) * (0.4 + 0.6 * h.girth) + 0.5 * h.fat
    centred = np.asarray(p - 0.5 * (back - front), dtype=np.float32)
    neck = _slice_depth(centred, l, 0.5 * (back + front), half, 2.1)
    return box, smooth_min(neck, 10.0 - s, 30.0)


def _trunk(c: Canvas, h: Head) -> tuple[Box, Float]:
    """Depth below the skin of the shoulders and the upper chest."""
    rng = c.rng
    box = c.box((-200, 30, 0), (110, 190, 260)) or c.whole
    s, p, l = c.s[box], c.p[box], c.l[box]
    broad = rng.uniform(190, 225) + 0.5 * h.fat
    top = -118.0 - rng.uniform(0, 10) - rng.uniform(0.2, 0.36) * np.maximum(np.abs(l) - 50.0, 0.0)
    deep = profile(s, [-290, -210, -170, -130], [98, 88, 72, 52]) * rng.uniform(0.9, 1.12) + 0.5 * h.fat
    trunk = _slice_depth(p - 34.0, l, deep, broad, 2.4)
    return box, smooth_min(trunk, (0.9 * (top - s)).astype(np.float32), 25.0)


def _slice_depth(p: Float, l: Float, depth: ArrayLike, half: ArrayLike, power: float) -> Float:
    """Depth along the ray from the axis, inside an oval in every slice."""
    far = np.sqrt(p * p + l * l) + 1e-2
    q = ((np.abs(p) / depth) ** power + (np.abs(l) / half) ** power + 1e-6) ** (1.0 / power)
    return np.asarray(far / q - far, dtype=np.float32)


def _flesh(c: Canvas, n: Neck, thick: Float) -> None:
    """Muscles of the nape, the shoulders, and before the spine."""
    rng = c.rng
    s, p, side = c.s, c.p, np.abs(c.l)
    inner = n.surface - thick
    behind = p - n.spine
    # shoulders, with the fat above the collar bone left free in front
    wall = (inner > 2.5) & (s < -118.0 - 0.15 * side)
    wall &= 0.85 * side + 0.5 * behind > 56.0 - 0.12 * (s + 130.0) + 3.0 * c.noise(c.whole, 40.0)
    c.labels[wall] = STRUCTURES["wall muscle"]
    bulk = profile(s, [-280, -170, -110, -45, -25, -12], [56, 50, 46, 46, 42, 34]) * rng.uniform(0.9, 1.12)
    bulk += 1.5 * c.noise(c.whole, 30.0)
    nape = (inner > 3.0) & (behind > 4.0 + 0.3 * side) & (s < -15.0) & (side < bulk)
    c.labels[nape] = STRUCTURES["back muscle"]
    # planes of fat part the layers of the nape, and its halves
    shell = np.sqrt((side / 1.1) ** 2 + (behind - 10.0) ** 2) + 2.0 * c.noise(c.whole, 30.0)
    lean = rng.uniform(0.5, 1.3)
    seam = np.zeros(c.shape, bool)
    for where in (27.0, 39.0, 49.0):
        seam |= np.abs(shell - where - rng.normal(0, 2)) < lean
    seam |= (side < 1.0 + lean) & (behind > 32.0)
    c.labels[nape & seam & (inner > 6.0)] = STRUCTURES["visceral fat"]
    cape = wall & (np.abs(c.noise(c.whole, 32.0)) < 0.10 * lean) & (inner > 6.0)
    c.labels[cape] = STRUCTURES["visceral fat"]


def spine(c: Canvas) -> None:
    """Vertebrae with discs, arches and processes; the canal with fluid and cord."""
    rng = c.rng
    box = c.box((-160, 35, 0), (140, 75, 45))
    if box is None:
        return
    s, p, l = c.s[box], c.p[box], c.l[box]
    side = np.abs(l)
    u = p - profile(s, _KNOTS, _SPINE)
    size = profile(s, [-290, -170, -60], [1.25, 1.0, 0.92]) * rng.uniform(0.95, 1.1)
    pitch = rng.uniform(16.8, 18.2)
    phase = profile(-s, [62.0, 62.0 + 6 * pitch, 62.0 + 12 * pitch], [0.0, 6.0, 11.0])
    frac = np.abs(phase + 0.5 - np.round(phase + 0.5))  # 0 in a disc, 0.5 in the middle of a body
    level = np.floor(phase)  # 0 is C3
    mask = s < -30.0
    body = ((side / (11.0 * size)) ** 2.6 + (np.abs(u) / (8.5 * size)) ** 2.6 < 1) & (s < -36)
    arch = ((side / (19.0 * size)) ** 2 + ((u - 15.0 * size) / (12.5 * size)) ** 2 < 1) & (u > 2) & (s < -36)
    facet = ((side - 18 * size) / 7.0) ** 2 + ((u - 9.0 * size) / 7.5) ** 2 < 1
    transverse = (side < 27 * size) & (np.abs(u - 4.0 - (s < -150) * 10.0) < 4.0) & (frac > 0.3)
    long = profile(s, [-200, -140, -125, -62, -50], [58, 52, 38, 34, 40])
    spinous = (side < 3.4) & (u > 20) & (u < long) & (np.abs(phase - 0.15 - level - 0.55) < 0.26)
    view = c.labels[box]
    bone = (arch | facet | transverse | spinous) & mask & (s < -44)
    view[bone] = STRUCTURES["vertebra"]
    view[body] = STRUCTURES["vertebra"]
    view[body & (frac < 0.15) & (s < -58)] = STRUCTURES["cartilage"]
    atlas = np.sqrt((side / 1.35) ** 2 + ((u - 13.0) * 0.9) ** 2)
    ring = (np.abs(s + 36.0 - 0.08 * u) < 5.5) & (np.abs(atlas - 17.0) < 3.2)
    mass = ((side - 19) / 8.0) ** 2 + ((u - 6) / 9.0) ** 2 + ((s + 36) / 9.0) ** 2 < 1
    dens = ((side / 5.0) ** 2 + (u / 5.5) ** 2 < 1) & (s < -30) & (s > -52)
    free = (side / 7.0) ** 2 + (u / 7.5) ** 2 < 1
    view[(ring | mass) & ~(free & ~ring)] = STRUCTURES["vertebra"]
    view[dens] = STRUCTURES["vertebra"]
    canal = ((side / 11.5) ** 2 + ((u - 15.5 * size) / 7.5) ** 2 < 1) & (s < -28)
    view[canal] = STRUCTURES["spinal canal"]
    cord = (side / 6.3) ** 2 + ((u - 15.0 * size) / 4.4) ** 2 < 1
    view[cord & canal] = STRUCTURES["spinal cord"]
    view[cord & canal & (s > -33)] = STRUCTURES["brainstem"]
    longus = (np.abs(side - 7.0) < 6.0) & (u < 0) & (u > -13.5 * size) & (s < -25) & (s > -190)
    put(c, box, longus, "wall muscle", over=("visceral fat",))


def shoulders(c: Canvas) -> None:
    """Collar bones, shoulder blades, upper arms, first ribs and the tops of the lungs."""
    rng = c.rng
    drop = rng.normal(-6, 6)
    inside = ("visceral fat", "wall muscle", "back muscle")
    wide = rng.uniform(0.92, 1.05)
    for side in _BOTH:
        lung = c.box((-230, 30, side * 55), (75, 70, 60))
        if lung is not None:
            depth = egg(c.s[lung], c.p[lung], c.l[lung], (-235, 32, side * 54), (72, 60, 40), 2.3)
            shell = np.abs((c.s[lung] + 0.55 * (c.p[lung] - 30) + 240) / 17.0 % 1.0 - 0.5) < 0.24
            put(c, lung, depth > -9, "wall muscle")
            put(c, lung, (depth > -8) & (depth < -1.5) & shell & (c.l[lung] * side > 22), "rib", over=inside)
            put(c, lung, depth > 0, "lung")
        tube(
            c,
            [
                (-188, -28, side * 14),
                (-182 + drop / 3, -22, side * 60),
                (-168 + drop / 2, 8, side * 110 * wide),
                (-166 + drop, 26, side * 150 * wide),
            ],
            (9, 6, 5.5, 7),
            "rib",
            over=inside,
        )
        tube(
            c,
            [
                (-168 + drop, 30, side * 155 * wide),
                (-178 + drop, 62, side * 120 * wide),
                (-190 + drop, 82, side * 70),
            ],
            (8, 5, 4),
            "rib",
            over=inside,
        )
        blade = [(-190 + drop, 45, side * 140 * wide), (-225 + drop, 70, side * 105), (-270, 85, side * 80)]
        tube(c, blade, (9, 5, 4), "rib", over=inside)
        head = (-192 + drop, 28, side * 168 * wide)
        blob(c, head, (23, 23, 22), "rib", over=inside)
        tube(c, [head, (-290, 30, side * 185 * wide)], (15, 11), "rib", over=inside)
    tube(c, [(-192, -34, 0), (-290, -52, 0)], (13, 13), "rib", over=inside)


def muscles(c: Canvas) -> None:
    """Sternocleidomastoid, scalenes, levator of the shoulder blade and digastric."""
    rng = c.rng
    over = ("visceral fat", "subcutaneous fat")
    size = rng.uniform(1.0, 1.45)
    for side in _BOTH:
        strand = [
            (-24, 20, side * 60),
            (-60, 12, side * 56),
            (-100, -6, side * 49),
            (-140, -22, side * 38),
            (-170, -34, side * 22),
            (-188, -38, side * 13),
        ]
        for shift in (-4.0, 4.0):  # a strap rather than a cord
            way = np.array(strand, float) + (0.0, shift, 0.25 * shift * side)
            tube(c, way, np.array((6.0, 8.0, 8.0, 7.5, 6.0, 4.0)) * size, "wall muscle", over=over)
        tube(
            c,
            [(-60, 8, side * 26), (-120, 12, side * 30), (-175, 18, side * 52)],
            np.array((4, 8, 8)) * size,
            "wall muscle",
            over=over,
        )
        tube(
            c,
            [(-45, 18, side * 32), (-110, 30, side * 42), (-170, 62, side * 70)],
            np.array((6, 8, 8)) * size,
            "back muscle",
            over=over,
        )
        tube(
            c,
            [(-22, 12, side * 48), (-70, -18, side * 36), (-84, -36, side * 24), (-86, -76, side * 8)],
            3.6 * size,
            "wall muscle",
            over=over,
        )


def outside(c: Canvas, n: Neck) -> None:
    """A rest behind the head in some, a couch below in some."""
    rng = c.rng
    free = c.labels == 0
    if rng.random() < 0.4:
        gap = rng.uniform(4, 10)
        shell = (n.surface < -gap) & (n.surface > -gap - 5.0) & (c.flat[1][None, :, None] > 25) & (c.s > -95)
        c.labels[shell & free] = STRUCTURES["couch"]
    if rng.random() < 0.4:
        body = np.flatnonzero((~free).any((0, 2)))
        lowest = c.flat[1][int(body[-1])] if len(body) else 0.0
        y, x = c.flat[1][:, None], c.flat[2][None, :]
        plate = np.abs(y - lowest - rng.uniform(4, 16) + x**2 * rng.uniform(0, 0.001)) < 2.5
        plate &= np.abs(x) < rng.uniform(120, 230)
        c.labels[plate[None] & free] = STRUCTURES["couch"]
