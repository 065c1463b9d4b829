"""Bones and joints of a whole pelvis, and the shapes that it is built of.

Here and in the modules beside it `s` is millimetres above the iliac crest, as in a trunk, but `p` is millimetres behind
the axis through both hip joints. Both sides of the body are alike but for the deformation of the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from napari_cpclnet.phantoms.canvas import HARD, Box, Canvas, Float, TubeField, curve
from napari_cpclnet.phantoms.structures import STRUCTURES

HIP = np.array((-125.0, 0.0, 90.0))
"""The middle of the left hip joint."""

Rows = Sequence[tuple[float, float, float, float, float, float]]
"""One ellipse per height: (s, p, l, half axis p, half axis l, turn in degrees, with which l goes forwards)."""


def column(c: Canvas, rows: Rows, both: bool = True) -> tuple[Box, Float] | None:
    """Depth inside a stack of ellipses, one axial slice above another, and on both sides where `both`."""
    table = np.array(sorted(rows), float)
    low, high = table[0, 0], table[-1, 0]
    near = np.flatnonzero(
        (c.flat[0] > 0.9 * low - 14 - 0.1 * abs(low)) & (c.flat[0] < high + 14 + 0.1 * abs(high))
    )
    if len(near) == 0:
        return None
    box = (slice(int(near[0]), int(near[-1]) + 1), *c.whole[1:])
    s, p, l = c.s[box], c.p[box], c.l[box]
    if both:
        l = np.abs(l)
    across, along, half_p, half_l, turn = (
        np.interp(s, table[:, 0], table[:, k]).astype(np.float32) for k in range(1, 6)
    )
    turn = np.deg2rad(turn)
    cosine, sine = np.cos(turn), np.sin(turn)
    u, v = p - across, l - along
    q = np.sqrt(((u * cosine + v * sine) / half_p) ** 2 + ((v * cosine - u * sine) / half_l) ** 2)
    depth = (1.0 - q) * np.minimum(half_p, half_l)
    # both ends are round
    short = np.maximum(1.0 - np.minimum(s - low, high - s) / 12.0, 0.0)
    depth = depth - 9.0 * short**2
    depth[(s < low) | (s > high)] = -1e3
    return box, depth.astype(np.float32)


def tube(c: Canvas, points: ArrayLike, radii: ArrayLike, squash: float = 1.0) -> TubeField:
    """A tube through control points, with radii at these points."""
    control = np.column_stack([np.asarray(points, float), np.broadcast_to(radii, len(np.asarray(points)))])
    path = curve(control, 8.0)
    return TubeField(c, path[:, :3], np.maximum(path[:, 3], 0.3), squash)


def mirrored(points: ArrayLike) -> list[np.ndarray]:
    """A path on the left, and the same on the right."""
    left = np.asarray(points, float)
    return [left, left * (1.0, 1.0, -1.0)]


def hard(c: Canvas, box: Box, mask: np.ndarray, name: str) -> None:
    """Label what nothing soft may displace."""
    c.labels[box][mask] = STRUCTURES[name]
    c.depth[box][mask] = HARD


def bones(c: Canvas, woman: bool) -> Float:
    """Hip bones, sacrum and femora; returns the distance of the iliac wing, positive outside of it."""
    rng = c.rng
    wide = rng.normal(1.03 if woman else 0.98, 0.02)
    for middle in mirrored(HIP * (1, 1, wide)):
        _socket(c, middle)
    flare = 6.0 if woman else 0.0  # a woman's pubic arch is wider
    parts: list[tuple[list[tuple[float, float, float]], list[float], float]] = [
        # upper ramus and body of the pubis
        ([(-128, -14, 82), (-136, -32, 60), (-146, -46, 34), (-153, -50, 14)], [14, 9, 7.5, 9], 1.0),
        ([(-150, -51, 10), (-162, -47, 11), (-177, -38, 14)], [8.5, 9, 7.5], 0.9),
        # lower ramus, to the ischium
        ([(-173, -40, 13), (-188, -20, 28 + flare), (-203, 6, 48 + flare)], [7.5, 6, 8], 1.0),
        (
            [(-122, 22, 80), (-146, 32, 73), (-170, 32, 68), (-192, 28, 64), (-206, 20, 58 + flare)],
            [16, 14, 13, 16, 11],
            1.0,
        ),
        ([(-118, 30, 78), (-130, 42, 64), (-135, 47, 55)], [10, 6, 2], 1.0),  # spine of the ischium
    ]
    for points, radii, squash in parts:
        for path in mirrored(np.array(points, float) * (1, 1, wide)):
            made = tube(c, path, radii, squash)
            if made.box is not None:
                depth = made.local + 0.6 * c.noise(made.box, 10.0)
                hard(c, made.box, depth > 0, "pelvic bone")
    box = c.box((-164, -46, 0), (16, 11, 4))
    if box is not None:
        up = c.s[box] + 163
        oval = (up / 17) ** 2 + ((c.p[box] + 46 + 0.45 * up) / 9.5) ** 2 < 1
        disc = oval & (np.abs(c.l[box]) < rng.uniform(1.5, 3.5))
        hard(c, box, disc, "cartilage")
    _sacrum(c, wide)
    wing = _wings(c, wide)
    for side in (-1, 1):
        _femur(c, side, wide)
    return wing


def _socket(c: Canvas, middle: np.ndarray) -> None:
    """A cup around the head of the femur, open to below, outside and front."""
    found = c.near(middle, 42.0)
    if found is None:
        return
    box, s, p, l = found
    l = l * np.sign(middle[2])
    away = np.sqrt(s**2 + p**2 + l**2)
    open_to = (0.75 * l - 0.55 * s - 0.25 * p) / np.maximum(away, 1.0)
    cup = (away > 24) & (away < 34 + 5 * (s > 8) - 3.0 * (l < -20)) & (open_to < 0.35)
    hard(c, box, cup, "pelvic bone")


def _sacrum(c: Canvas, wide: float) -> None:
    rng = c.rng
    hook = rng.normal(0, 4)
    rows = [
        (-22, 18, 0, 12, 24 * wide, 0),
        (-32, 26, 0, 19, 46 * wide, 0),
        (-50, 40, 0, 20, 54 * wide, 0),
        (-70, 55, 0, 18, 48 * wide, 0),
        (-90, 66, 0, 14, 36 * wide, 0),
        (-110, 71, 0, 11, 25 * wide, 0),
        (-125, 70 - 0.3 * hook, 0, 9, 17, 0),
        (-140, 64 - hook, 0, 6, 10, 0),
        (-154, 55 - 1.5 * hook, 0, 4.5, 6, 0),
        (-158, 52 - 1.5 * hook, 0, 3, 4, 0),
    ]
    made = column(c, rows, both=False)
    if made is None:
        return
    box, depth = made
    s, p, l = c.s[box], c.p[box], np.abs(c.l[box])
    bend = 0.006 * l**2 * (s > -110)  # hollow in front: the alae lie behind the body
    shifted = np.interp(s, [r[0] for r in sorted(rows)], [r[1] for r in sorted(rows)])
    bone = (depth > 0) & (p - shifted > -19 + 0.6 * bend)
    crest = (l < 4) & (np.abs(p - shifted - 22) < 8) & (s < -30) & (s > -95)
    hard(c, box, bone | crest, "pelvic bone")
    canal = ((l / 12) ** 2 + ((p - shifted - 8) / 6) ** 2 < 1) & (s < -22) & (s > -88)
    hard(c, box, canal, "spinal canal")
    holes = (np.abs(l - 21 * wide) < 4) & (np.abs((s + 38) / 18 - np.round((s + 38) / 18)) < 0.2) & (s > -95)
    c.labels[box][holes & bone & (s < -30)] = STRUCTURES["visceral fat"]


def _wings(c: Canvas, wide: float) -> Float:
    """Iliac wings; returns the distance (mm) from their surface, signed by the face: positive outside."""
    n = np.flatnonzero((c.flat[0] > -150) & (c.flat[0] < 30))
    away = np.full(c.shape, 1e3, np.float32)
    if len(n) == 0:
        return away
    box = (slice(int(n[0]), int(n[-1]) + 1), *c.whole[1:])
    s, p, l = c.s[box], c.p[box], np.abs(c.l[box])

    def at(values: list[float]) -> Float:
        return np.interp(s, [-125, -95, -70, -45, -20, 0, 8], values).astype(np.float32)

    # the rear and the front end of the wing in each slice
    l0, p0 = at([80, 76, 58, 48, 48, 62, 80]) * wide, at([27, 24, 46, 66, 68, 52, 34])
    l1, p1 = at([92, 95, 108, 120, 128, 124, 108]) * wide, at([-2, -26, -38, -42, -30, -4, 22])
    bulge = at([0, 2, 6, 10, 12, 8, 0])
    dl, dp = l1 - l0, p1 - p0
    norm = np.sqrt(dl * dl + dp * dp) + 1e-3
    t = np.clip(((l - l0) * dl + (p - p0) * dp) / norm**2, 0, 1)
    hump = bulge * np.sin(t * np.pi)
    u, v = l - l0 - t * dl + hump * dp / norm, p - p0 - t * dp - hump * dl / norm
    gap = np.sqrt(u**2 + v**2)
    outer = np.sign(v * dl - u * dp)
    thick = (
        at([17, 13, 8.5, 6.0, 5.5, 5, 3])
        * (1 + 0.6 * (1 - t) ** 2 * (s > -75))
        * (0.7 + 0.6 * np.abs(t - 0.5))
    )
    hip = np.sqrt((s - HIP[0]) ** 2 + p**2 + (l - HIP[2] * wide) ** 2)
    bone = (gap < thick) & (s < 8) & (s > -132) & (hip > 25)
    joint = (gap >= thick) & (gap < thick + 2.0) & c.is_any(box, "pelvic bone") & (s < -24) & (s > -88)
    hard(c, box, bone, "pelvic bone")
    hard(c, box, joint & (l < 75) & (p > 20), "cartilage")  # of sacrum and ilium
    away[box] = np.where((s < 14) & (s > -118), (gap - thick) * outer, 1e3)
    return away


def _femur(c: Canvas, side: int, wide: float) -> None:
    """Head, neck and trochanters; below, a hard shell around marrow, as in the legs."""
    rng = c.rng
    head = HIP * (1, 1, side * wide)
    out = 90.0 * wide - 90.0

    def path(points: Sequence[tuple[float, float, float]]) -> np.ndarray:
        return np.array([(s, p, side * (l + out)) for s, p, l in points], float)

    ball = c.ellipsoid(head, (23.0, 23.0, 23.0))
    joint = c.ellipsoid(head, (25.2, 25.2, 25.2))
    if joint is not None:
        free = ~c.is_any(joint[0], "pelvic bone")
        hard(c, joint[0], (joint[1] > 0) & free, "cartilage")
    if ball is not None:
        hard(c, ball[0], ball[1] > 0, "pelvic bone")
    ahead = rng.normal(0, 4)
    pieces = [
        ([(-125, 0, 90), (-138, 4, 112), (-152, 8, 130)], [17, 14, 17]),
        ([(-118, 16, 143), (-134, 12, 142), (-152, 8, 134), (-172, 6, 128)], [9, 13, 17, 17]),
        ([(-182, 14, 120), (-188, 20, 112)], [9, 6]),
    ]
    for points, radii in pieces:
        made = tube(c, path(points), radii)
        if made.box is not None:
            hard(c, made.box, made.local > 0, "pelvic bone")
    shaft = path([(-168, 6, 128), (-200, 4 + ahead / 2, 124), (-260, 0 + ahead, 116), (-420, 2, 98)])
    made = tube(c, shaft, [17, 14.5, 14, 14])
    if made.box is not None:
        shell = (made.local > 0) & (c.s[made.box] < -176)
        hard(c, made.box, shell, "rib")
        thick = np.interp(c.s[made.box], [-260, -190], [rng.uniform(5, 7.5), 3.0])
        hard(c, made.box, shell & (made.local > thick), "vertebra")


def spine(c: Canvas) -> None:
    """The two lowest lumbar vertebrae and what is seen of the third."""
    box = c.box((35.0, 40.0, 0.0), (62.0, 60.0, 60.0))
    if box is None:
        return
    s, p, l = c.s[box], c.p[box], np.abs(c.l[box])
    u = p - np.interp(s, [-30, 0, 40, 90], [25, 19, 15, 16])
    level = s + 0.3 * u  # tilted as the lordosis is
    phase = (level - 2.0) / 36.0
    off = np.abs(phase - np.round(phase))
    size = c.rng.uniform(0.95, 1.08)
    body = ((l / (25 * size)) ** 2.4 + (np.abs(u) / (17.5 * size)) ** 2.4 < 1) & (level > -22)
    arch = ((l / 19) ** 2 + ((u - 27) / 15) ** 2 < 1) & (level > -18)
    spike = (l < 4) & (u > 30) & (u < 56) & (np.abs(off) < 0.33) & (level > -18)
    across = (l < 44) & (np.abs(u - 20 - 0.15 * l) < 5) & (off < 0.17) & (level > -14)
    hard(c, box, arch | spike | across, "vertebra")
    hard(c, box, ((l / 12) ** 2 + ((u - 24.5) / 8) ** 2 < 1) & (level > -24), "spinal canal")
    hard(c, box, body, "vertebra")
    hard(c, box, body & (off > 0.36), "cartilage")
