"""Hips of a whole pelvis: outline from the iliac crests to the thighs, bones, joints and muscles.

Here `s` is millimetres above the iliac crest, as in a trunk, but `p` is millimetres behind the axis through both hip
joints. Both sides of the body are alike but for the deformation of the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_cpclnet.phantoms.anatomy.body import Build
from napari_cpclnet.phantoms.canvas import (
    HARD,
    Box,
    Canvas,
    Float,
    TubeField,
    curve,
    ramp,
    smooth_max,
    smooth_min,
)
from napari_cpclnet.phantoms.structures import STRUCTURES

HIP = np.array((-125.0, 0.0, 90.0))
"""The middle of the left hip joint."""

Rows = Sequence[tuple[float, float, float, float, float, float]]
"""One ellipse per height: (s, p, l, half axis p, half axis l, turn in degrees, with which l goes forwards)."""

_BASE_OF_TORSO = -182.0


@dataclass(frozen=True)
class Frame:
    """What the organs of a pelvis are fitted to."""

    woman: bool
    front: float  # surface of the muscles of the belly in the middle, at the iliac crest
    core: Float  # depth below the surface of the muscles, mm
    lumen: Float  # depth inside the space that bones and muscles leave for the organs, mm


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


def build_hips(c: Canvas, b: Build, woman: bool) -> Frame:
    """Paint skin, fat, muscles and bones, and find the room for the organs."""
    front = 84.0 - 2.0 * b.depth
    core = _outline(c, b, woman, front)
    bones = _bones(c, woman)
    lumen = _lumen(c, b, core, woman)
    _muscles(c, b, core, lumen, bones)
    _pelvic_floor(c)
    _spine(c)
    c.room = (lumen > 0) & (c.depth < 0.5 * HARD)
    return Frame(woman, front, core, lumen)


def _outline(c: Canvas, b: Build, woman: bool, front: float) -> Float:
    """Skin and fat; returns the depth below the surface of the muscles."""
    rng = c.rng
    s, p, l = c.s, c.p, np.abs(c.l)
    knots = [-190.0, -150.0, -110.0, -60.0, 0.0, 60.0]
    groin = -66.0
    half = np.interp(s, knots, [148, 152, 150, 142, max(b.width, 130), b.width]).astype(np.float32)
    ahead = np.interp(
        s,
        knots,
        [groin + 8, groin, groin + 0.3 * (front - groin), groin + 0.75 * (front - groin), front, front],
    ).astype(np.float32)
    behind = np.interp(s, knots, [42, 58, 82, 92, 86, 78]).astype(np.float32)
    middle, depth = (ahead + behind) / 2, (behind - ahead) / 2
    n = np.float32(rng.uniform(2.3, 2.7))
    radius = np.sqrt(l**2 + (p - middle) ** 2) + 1e-3
    q = ((l / half) ** n + (np.abs(p - middle) / depth) ** n) ** (1.0 / n)
    torso = (radius / q - radius).astype(np.float32)
    torso = smooth_min(torso, (0.8 * (s - _BASE_OF_TORSO)).astype(np.float32), 30.0)
    girth = float(np.clip(rng.normal(70, 6) + 0.15 * (b.width - 140), 58, 86))
    core = torso
    thigh = column(
        c,
        [
            (-420, 6, 24 + 0.86 * girth, 0.95 * girth, 0.86 * girth, 0),
            (-250, 4, 24 + 0.95 * girth, 1.05 * girth, 0.95 * girth, 0),
            (-180, 2, 94, 1.04 * girth, 68, 0),
            (-130, 2, 96, 0.85 * girth, 58, 0),
            (-100, 2, 96, 0.5 * girth, 40, 0),
        ],
    )
    if thigh is not None:
        core[thigh[0]] = smooth_max(core[thigh[0]], thigh[1], 12.0)
    stout = rng.uniform(0.9, 1.12)
    q = np.sqrt(((s + 122) / 88) ** 2 + ((p - 46) / (56 * stout)) ** 2 + ((l - 70) / 70) ** 2)
    core = smooth_max(core, ((1.0 - q) * 62.0).astype(np.float32), 10.0)
    core = core + np.float32(rng.uniform(0.5, 1.5)) * c.noise(c.whole, 60.0)
    back = ramp(p, 0.0, 60.0)
    belly = ramp(-p, 20.0, 60.0) * ramp(s, -170.0, -130.0)
    share = rng.uniform(0.5, 1.4) * belly + rng.uniform(0.9, 1.7) * back + 0.7 * ramp(s, -230, -120) + 0.25
    share = share + (0.5 if woman else 0.0) * ramp(-s, 40.0, 120.0)
    fat = np.maximum(b.fat * share * 0.8 + 1.0 * c.noise(c.whole, 60.0), 2.5)
    mons = np.exp(-(((s + 150) / 26) ** 2) - (l / 42) ** 2) * ramp(-p, 20.0, 50.0)
    fat = fat + rng.uniform(5, 16) * mons
    c.labels[core > -fat - 2.8] = STRUCTURES["skin"]
    c.labels[core > -fat] = STRUCTURES["subcutaneous fat"]
    fold = (l < 1.6) & (core < -2.0) & (c.labels > 0)  # where the thighs touch
    c.labels[fold & (s < -215)] = STRUCTURES["skin"]
    c.labels[core > 0] = STRUCTURES["visceral fat"]
    return core


def _hard(c: Canvas, box: Box, mask: np.ndarray, name: str) -> None:
    c.labels[box][mask] = STRUCTURES[name]
    c.depth[box][mask] = HARD


def _bones(c: Canvas, woman: bool) -> Float:
    """Hip bones, sacrum and femora; returns the distance of the iliac wing, positive outside of it."""
    rng = c.rng
    wide = rng.normal(1.03 if woman else 0.98, 0.02)
    for side in mirrored(HIP * (1, 1, wide)):
        _socket(c, side)
    flare = 6.0 if woman else 0.0  # a woman's pubic arch is wider
    parts = [
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
                _hard(c, made.box, depth > 0, "pelvic bone")
    made = c.box((-164, -46, 0), (16, 11, 4))
    if made is not None:
        disc = (np.abs(c.l[made]) < rng.uniform(1.5, 3.5)) & (np.abs(c.s[made] + 163) < 17)
        disc &= np.abs(c.p[made] + 46 + 0.45 * (c.s[made] + 163)) < 10
        _hard(c, made, disc, "cartilage")
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
    _hard(c, box, cup, "pelvic bone")


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
    _hard(c, box, bone | crest, "pelvic bone")
    canal = ((l / 12) ** 2 + ((p - shifted - 8) / 6) ** 2 < 1) & (s < -22) & (s > -88)
    _hard(c, box, canal, "spinal canal")
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
    _hard(c, box, bone, "pelvic bone")
    _hard(c, box, joint & (l < 75) & (p > 20), "cartilage")  # of sacrum and ilium
    away[box] = np.where((s < 14) & (s > -118), (gap - thick) * outer, 1e3)
    return away


def _femur(c: Canvas, side: int, wide: float) -> None:
    """Head, neck and trochanters; below, a hard shell around marrow, as in the legs."""
    rng = c.rng
    head = HIP * (1, 1, side * wide)
    out = 90.0 * wide - 90.0

    def path(points: list[tuple[float, float, float]]) -> np.ndarray:
        return np.array([(s, p, side * (l + out)) for s, p, l in points], float)

    ball = c.ellipsoid(head, (23.0, 23.0, 23.0))
    joint = c.ellipsoid(head, (25.2, 25.2, 25.2))
    if joint is not None:
        free = ~c.is_any(joint[0], "pelvic bone")
        _hard(c, joint[0], (joint[1] > 0) & free, "cartilage")
    if ball is not None:
        _hard(c, ball[0], ball[1] > 0, "pelvic bone")
    ahead = rng.normal(0, 4)
    pieces = [
        ([(-125, 0, 90), (-138, 4, 112), (-152, 8, 130)], [17, 14, 17]),
        ([(-118, 16, 143), (-134, 12, 142), (-152, 8, 134), (-172, 6, 128)], [9, 13, 17, 17]),
        ([(-182, 14, 120), (-188, 20, 112)], [9, 6]),
    ]
    for points, radii in pieces:
        made = tube(c, path(points), radii)
        if made.box is not None:
            _hard(c, made.box, made.local > 0, "pelvic bone")
    shaft = path([(-168, 6, 128), (-200, 4 + ahead / 2, 124), (-260, 0 + ahead, 116), (-420, 2, 98)])
    made = tube(c, shaft, [17, 14.5, 14, 14])
    if made.box is not None:
        shell = (made.local > 0) & (c.s[made.box] < -176)
        _hard(c, made.box, shell, "rib")
        thick = np.interp(c.s[made.box], [-260, -190], [rng.uniform(5, 7.5), 3.0])
        _hard(c, made.box, shell & (made.local > thick), "vertebra")


def _lumen(c: Canvas, b: Build, core: Float, woman: bool) -> Float:
    """Depth inside the pelvic cavity and the lower belly."""
    wall = b.wall * (9.0 + 9.0 * np.exp(-(((np.abs(c.l) - 110) / 45) ** 2)))
    more = 4.0 if woman else 0.0
    made = column(
        c,
        [
            (90, -60, 0, 160, 150, 0),
            (0, -50, 0, 140, 128, 0),
            (-50, -35, 0, 120, 112, 0),
            (-80, -12, 0, 85, 78 + more, 0),
            (-110, 2, 0, 62, 62 + more, 0),
            (-135, 2, 0, 48, 54 + more, 0),
            (-155, 4, 0, 42, 40 + more, 0),
            (-175, 4, 0, 38, 24, 0),
            (-195, 6, 0, 34, 14, 0),
        ],
        both=False,
    )
    lumen = np.full(c.shape, -1e3, np.float32)
    if made is not None:
        lumen[made[0]] = made[1]
    behind = np.interp(c.s, [-158, -125, -90, -60, -30, 0, 60], [46, 58, 52, 34, 10, 2, -4]).astype(
        np.float32
    )
    behind = behind + np.maximum(np.abs(c.l) - 25, 0) * 0.5
    return smooth_min(smooth_min(lumen, core - wall.astype(np.float32), 8.0), behind - c.p, 10.0)


_MUSCLES: tuple[tuple[str, Rows], ...] = (
    ("psoas", [(90, 20, 34, 18, 14, 0), (0, 8, 47, 19, 19, 0), (-50, -12, 62, 18, 19, 0), (-100, -33, 80, 14, 17, 0),
               (-128, -37, 90, 11, 15, 0), (-160, -18, 101, 11, 13, 0), (-190, 10, 108, 8, 8, 0)]),
    ("wall muscle", [(-2, 14, 96, 30, 5, -35), (-25, 4, 98, 36, 11, -33), (-60, -12, 92, 28, 14, -33),
                     (-95, -30, 98, 14, 19, -20), (-130, -34, 104, 9, 12, 0), (-150, -26, 106, 6, 8, 0)]),
    # gluteus maximus, medius, minimus, and the tensor of the fascia
    ("wall muscle", [(-25, 82, 56, 8, 14, 20), (-60, 88, 72, 13, 44, 22), (-100, 80, 84, 20, 62, 24), (-140, 74, 86, 26, 66, 20),
                     (-175, 66, 92, 24, 56, 16), (-205, 52, 106, 18, 42, 20), (-235, 36, 126, 8, 24, 40), (-250, 28, 134, 4, 10, 50)]),
    ("wall muscle", [(2, 24, 126, 30, 5, -40), (-25, 22, 122, 54, 12, -36), (-60, 12, 126, 56, 17, -32), (-95, 12, 136, 44, 18, -15),
                     (-120, 18, 150, 26, 12, -5), (-138, 16, 156, 14, 6, 0)]),
    ("wall muscle", [(-40, 8, 108, 36, 6, -34), (-70, 0, 110, 38, 10, -30), (-100, -4, 124, 26, 11, -10), (-125, -8, 136, 12, 9, 0)]),
    ("wall muscle", [(-55, -48, 128, 9, 7, 20), (-110, -42, 144, 20, 9, 25), (-170, -32, 154, 24, 8, 20), (-230, -18, 156, 14, 5, 0)]),
    ("wall muscle", [(-60, -56, 122, 6, 7, 0), (-120, -62, 112, 7, 11, 0), (-180, -62, 94, 8, 13, 0), (-260, -58, 68, 9, 14, 0),
                     (-420, -30, 40, 10, 14, 0)]),  # sartorius
    ("wall muscle", [(-100, -34, 118, 7, 8, 0), (-150, -50, 124, 13, 16, 0), (-220, -54, 120, 16, 21, 0), (-420, -52, 104, 16, 24, 0)]),
    ("wall muscle", [(-150, -4, 150, 16, 8, 0), (-190, -6, 150, 28, 17, 0), (-240, -8, 142, 40, 24, 0), (-420, -8, 118, 42, 32, 0)]),
    ("wall muscle", [(-175, -22, 126, 10, 16, 0), (-230, -26, 118, 16, 26, 0), (-420, -26, 96, 18, 32, 0)]),
    ("wall muscle", [(-140, -48, 46, 5, 16, 0), (-158, -44, 62, 9, 24, -15), (-182, -24, 88, 10, 22, -30), (-205, -4, 108, 6, 10, -30)]),
    # adductors and gracilis
    ("wall muscle", [(-168, -54, 24, 7, 8, 0), (-200, -49, 42, 12, 17, -10), (-260, -36, 66, 17, 22, -20), (-330, -18, 82, 12, 14, 0)]),
    ("wall muscle", [(-172, -40, 28, 8, 9, 0), (-200, -24, 54, 12, 24, -20), (-240, -12, 84, 12, 22, -30), (-270, -4, 100, 6, 8, -30)]),
    ("wall muscle", [(-190, -2, 44, 9, 12, 0), (-215, 4, 60, 16, 28, 0), (-260, 12, 70, 27, 36, 0), (-420, 10, 62, 24, 32, 0)]),
    ("wall muscle", [(-176, -28, 18, 14, 4, 0), (-240, -12, 24, 20, 6, 0), (-420, 6, 28, 16, 8, 0)]),
    # hamstrings
    ("wall muscle", [(-202, 34, 74, 9, 12, 0), (-235, 46, 78, 17, 24, 0), (-280, 50, 82, 21, 32, 0), (-420, 46, 76, 24, 36, 0)]),
    # obturator muscles, gemelli and square muscle, piriform muscle
    ("wall muscle", [(-88, 16, 68, 18, 4, 0), (-115, 10, 61, 32, 8, 0), (-145, 4, 55, 36, 9, 0), (-175, 0, 50, 24, 8, 0), (-192, 2, 46, 12, 4, 0)]),
    ("wall muscle", [(-152, -34, 44, 7, 16, 0), (-172, -14, 62, 14, 27, -30), (-190, 6, 84, 11, 26, -20), (-208, 16, 94, 5, 12, 0)]),
    ("wall muscle", [(-132, 34, 100, 8, 30, 20), (-155, 32, 106, 9, 30, 15), (-190, 28, 102, 11, 28, 5), (-206, 26, 102, 7, 20, 5)]),
    ("wall muscle", [(-72, 46, 40, 8, 22, -30), (-92, 48, 62, 10, 34, 10), (-108, 42, 92, 9, 40, 25), (-118, 26, 128, 6, 20, 25)]),
    # the muscle that erects the spine
    ("back muscle", [(90, 56, 30, 24, 30, 0), (-10, 66, 30, 21, 27, 0), (-50, 78, 24, 12, 18, 0), (-90, 92, 12, 5, 9, 0)]),
)  # fmt: skip


def _muscles(c: Canvas, b: Build, core: Float, lumen: Float, wing: Float) -> None:
    """Muscles that part what lies between the bones among them, with planes of fat where two meet."""
    rng = c.rng
    best = np.full(c.shape, -1e3, np.float32)
    second = np.full(c.shape, -1e3, np.float32)
    which = np.zeros(c.shape, np.uint8)
    bulk = rng.uniform(0.0, 4.5) + 2.0 * (b.wall - 1.0)

    def offer(box: Box, depth: Float, name: str) -> None:
        top, below = best[box], second[box]
        wins = depth > top
        np.maximum(below, np.minimum(depth, top), out=below)
        top[wins] = depth[wins]
        which[box][wins] = STRUCTURES[name]

    for name, rows in _MUSCLES:
        made = column(c, rows)
        if made is not None:
            offer(made[0], made[1] + bulk, name)
    # the flat muscles: the wall of the belly, and those on both faces of the iliac wing
    straight = np.interp(c.s, [-150, -120, -40, 60], [14, 26, 34, 38])
    belly = np.where(np.abs(c.l) < straight, 0.8, 1.0) * (
        9.0 + 9.0 * np.exp(-(((np.abs(c.l) - 110) / 45) ** 2))
    )
    belly = np.minimum(core, b.wall * belly - core)
    gap = np.where(np.abs(np.abs(c.l) - straight) < 2.0, -9.0, 0.0) - 9.0 * (np.abs(c.l) < 2.5)
    ahead = np.interp(c.s, [-150, -60, 0, 90], [-40, -40, 40, 55])
    belly = np.where((c.s > -150) & (c.p < ahead), belly + gap * (c.p < -30), -1e3)
    offer(c.whole, belly.astype(np.float32), "wall muscle")
    flat = np.where(wing > 0, 14.0 - wing, 9.0 + wing)
    offer(c.whole, np.where(np.abs(wing) < 40, np.minimum(flat, 3.0), -1e3).astype(np.float32), "wall muscle")
    seam = np.float32(rng.uniform(0.5, 1.6)) + 0.5 * c.noise(c.whole, 25.0)
    flesh = (best > 0) & (best - second > seam) & (core > 0.5) & (c.depth < 0.5 * HARD)
    c.labels[flesh] = which[flesh]
    c.depth[flesh] = HARD
    # what no muscle fills near the surface is of the fat below the skin
    rear = np.interp(c.s, [-200, -158, -125, -90, -50, 0], [52, 60, 80, 76, 62, 60])
    loose = (best <= 0) & (core > 0) & (lumen < -6) & (c.depth < 0.5 * HARD)
    c.labels[loose & ((core < 12) | (c.p > rear) | (c.s < -200))] = STRUCTURES["subcutaneous fat"]
    if rng.random() < 0.25:  # wasted muscle is streaked with fat
        streaks = flesh & (c.noise(c.whole, 8.0) > rng.uniform(1.5, 2.2)) & (c.p > 10)
        c.labels[streaks] = STRUCTURES["visceral fat"]


def _pelvic_floor(c: Canvas) -> None:
    """A funnel of thin muscle from the wall of the pelvis to the anal canal."""
    rng = c.rng
    box = c.box((-160, 8, 0), (44, 60, 62))
    if box is None:
        return
    s, p, l = c.s[box], c.p[box], np.abs(c.l[box])
    sag = rng.normal(0, 3)
    inner = np.interp(s - sag, [-200, -186, -172, -160, -148, -136, -128], [12, 15, 22, 29, 37, 48, 56])
    # nearer to the middle at the pubis, and closed behind the rectum
    bent = np.interp(p, [-40, -12, 18, 34, 44, 50], [0.6, 1.0, 1.0, 0.85, 0.5, 0.1])
    inner = inner * (bent + (1 - bent) * ramp(s, -168.0, -140.0))
    slope = np.interp(s, [-190, -160, -135], [1.0, 0.8, 0.6])
    sheet = np.abs(l - inner) * slope < rng.uniform(1.6, 2.6)
    sheet &= (p > -38) & (p < np.interp(s, [-200, -175, -150, -130], [50, 46, 52, 60])) & (s > -198)
    sling = np.abs(np.sqrt((l / 1.0) ** 2 + (p - 26) ** 2) - 17) < 3.0  # behind the bend of the rectum
    sling &= (np.abs(s + 174) < 9) & (p > 26)
    free = c.depth[box] < 0.5 * HARD
    _hard(c, box, (sheet | sling) & free, "wall muscle")


def _spine(c: Canvas) -> None:
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
    _hard(c, box, arch | spike | across, "vertebra")
    _hard(c, box, ((l / 12) ** 2 + ((u - 24.5) / 8) ** 2 < 1) & (level > -24), "spinal canal")
    _hard(c, box, body, "vertebra")
    _hard(c, box, body & (off > 0.36), "cartilage")
