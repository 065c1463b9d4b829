"""Hips of a whole pelvis: outline from the iliac crests to the thighs, and the room that is left for the organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cpclnet.phantoms.anatomy import hip_bones, hip_muscles
from napari_cpclnet.phantoms.anatomy.body import Build
from napari_cpclnet.phantoms.anatomy.hip_bones import column
from napari_cpclnet.phantoms.canvas import HARD, Canvas, Float, ramp, smooth_max, smooth_min
from napari_cpclnet.phantoms.structures import STRUCTURES

_BASE_OF_TORSO = -182.0


@dataclass(frozen=True)
class Frame:
    """What the organs of a pelvis are fitted to."""

    woman: bool
    front: float  # surface of the muscles of the belly in the middle, at the iliac crest
    core: Float  # depth below the surface of the muscles, mm
    lumen: Float  # depth inside the space that bones and muscles leave for the organs, mm


def build_hips(c: Canvas, b: Build, woman: bool) -> Frame:
    """Paint skin, fat, muscles and bones, and find the room for the organs."""
    front = 84.0 - 2.0 * b.depth
    core = _outline(c, b, woman, front)
    wing = hip_bones.bones(c, woman)
    lumen = _lumen(c, b, core, woman)
    hip_muscles.muscles(c, b, core, lumen, wing)
    hip_muscles.pelvic_floor(c)
    hip_bones.spine(c)
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
