"""Trunk of the phantom: build of the person, body wall, spine, ribs, diaphragm and lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_cpclnet.phantoms.anatomy.shoulder import arms
from napari_cpclnet.phantoms.canvas import AnyFloat, Canvas, Float, ramp, smooth_max, smooth_min
from napari_cpclnet.phantoms.structures import STRUCTURES


@dataclass(frozen=True)
class Build:
    """Measures of one person, mm unless said otherwise."""

    width: float  # half width of the muscular trunk, below the subcutaneous fat
    depth: float  # half depth of the same
    fat: float  # subcutaneous fat at the flank
    visceral: float  # 0 lean .. 1 much fat between the organs
    dome: float  # height of the right dome of the diaphragm above the iliac crest
    wall: float  # relative thickness of the muscles
    spine: float  # position of the vertebral bodies behind the body axis

    @property
    def kl(self) -> float:
        """Scale of lateral positions relative to a middle-sized adult."""
        return self.width / 143.0

    @property
    def kp(self) -> float:
        """Scale of antero-posterior positions."""
        return self.depth / 100.0

    @property
    def ks(self) -> float:
        """Scale of heights."""
        return self.dome / 215.0


def random_build(rng: np.random.Generator) -> Build:
    """Draw an adult: lean to obese, short to tall."""
    heavy = float(np.clip(rng.beta(1.6, 2.2), 0, 1))
    width = float(np.clip(128 + 34 * heavy + rng.normal(0, 6), 118, 172))
    depth = float(np.clip(width * np.clip(rng.normal(0.645 + 0.08 * heavy, 0.05), 0.54, 0.82), 72, 130))
    fat = float(np.clip(5 + 28 * heavy * rng.uniform(0.4, 1.2) + abs(rng.normal(0, 4)), 4, 42))
    return Build(
        width=width,
        depth=depth,
        fat=fat,
        visceral=float(np.clip(heavy + rng.normal(0, 0.25), 0, 1)),
        dome=float(np.clip(rng.normal(215, 17), 178, 255)),
        wall=float(np.clip(rng.normal(1.0, 0.16), 0.65, 1.4)),
        spine=depth - 60.0 + float(rng.normal(0, 4)),
    )


@dataclass(frozen=True)
class TrunkFields:
    """Fields of the trunk that the organs are fitted to."""

    cavity: Float  # depth below the inner surface of the body wall, mm
    diaphragm: Float  # depth below the diaphragm, mm (vertical distance corrected for slope)
    angle: Float  # 0 behind, pi in front, both sides alike


def _profile(s: AnyFloat, knots: list[float], values: list[float]) -> Float:
    return np.interp(s, knots, values).astype(np.float32)


def build_trunk(c: Canvas, b: Build, raised: bool | None = None, *, with_spine: bool = True) -> TrunkFields:
    """Paint skin, fat, wall and the fatty cavity; return the fields the organs need.

    Arms are raised, hang down, or are left out; the spine is left out where another one is painted.
    """
    rng = c.rng
    ks = b.ks
    knots = [-200.0, -110.0, -60.0, 0.0, 55.0, 120.0, 200.0, 300.0, 350.0, 385.0, 410.0, 432.0, 470.0]
    knots = [k * ks for k in knots]
    hip = rng.normal(1.10, 0.05)
    a = b.width * _profile(
        c.s, knots, [hip, hip, hip * 0.99, 1.0, 0.965, 1.0, 1.03, 1.04, 1.0, 0.86, 0.64, 0.46, 0.40]
    )
    belly = rng.normal(0.0, 0.05)
    d = b.depth * _profile(
        c.s,
        knots[:9],
        [1.0, 0.97, 0.95 + belly / 2, 0.95 + belly, 0.97 + belly, 1.0, 1.04, 1.04, 1.0],
    )
    # from the shoulders up the outline follows the spine, and narrows to the neck
    spine = spine_line(b, c.s)
    neck = ramp(c.s, 320.0 * ks, 410.0 * ks)
    front = -d + (d + spine - 60.0) * neck
    back = d + (np.minimum(d, spine + 62.0) - d) * neck
    d, p = (back - front) / 2, c.p - (back + front) / 2
    power = rng.uniform(2.3, 2.9)
    n = np.float32(power) - ramp(-c.p, -20.0, 20.0) * np.float32(rng.uniform(0.1, 0.55))
    radius = np.sqrt(c.l**2 + p**2) + 1e-3
    q = ((np.abs(c.l) / a) ** n + (np.abs(p) / d) ** n) ** (1.0 / n)
    core = radius / q - radius  # radial depth below the surface of the muscles
    core = core + np.float32(rng.uniform(0.5, 2.0)) * c.noise(c.whole, 70.0)
    angle = np.arctan2(np.abs(c.l), c.p).astype(np.float32)
    cage = _cage(c, b, front + 14.0, spine + 34.0)
    thoracic = ramp((c.s - 45.0 * ks * np.cos(angle)).astype(np.float32), 60.0 * ks, 125.0 * ks)
    # Subcutaneous fat: thickest behind the flank and in front of the lower belly.
    fat = b.fat * (
        0.55
        + 0.65 * np.exp(-(((angle - 0.9) / 0.6) ** 2))
        + (0.5 * rng.uniform(0.3, 1.3)) * np.exp(-(((angle - 3.1) / 0.8) ** 2)) * ramp(-c.s, -90.0, 10.0)
    )
    fat = fat * _profile(
        c.s, [-120, 0, 100, 200, 340, 420], [1.15, 1.1, 0.95, 0.7, 0.65, 0.4]
    ) + 1.0 * c.noise(c.whole, 60.0)
    bust = np.exp(-(((angle - 2.45) / 0.38) ** 2)) * ramp(c.s, 165 * ks, 250 * ks)
    bust = bust * ramp(-c.s, -365 * ks, -295 * ks)
    woman = rng.random() < 0.5
    if woman:
        fat = fat + rng.uniform(8, 40) * bust
    skin = 3.0
    side = np.exp(-(((angle - 1.75) / 0.55) ** 2))
    wall = b.wall * (8.0 + 11.0 * side) * (1 - thoracic) + 14.0 * thoracic
    wall = wall + ramp(-c.s, 0.0, 70.0) * (12.0 + 20.0 * np.exp(-(((angle - 1.0) / 0.9) ** 2)))
    inner = smooth_min((core - wall).astype(np.float32), cage, 8.0)
    back = spine + 18.0 + 12.0 * ramp(c.s, 95 * ks, 175 * ks) + 10.0 * ramp(-c.s, 0, 60)
    back = back + 0.06 * np.abs(c.l)
    cavity = smooth_min(inner, (back - c.p).astype(np.float32), 14.0)
    above = (c.s - b.dome) / ks
    # pectoral muscles in front; latissimus, serratus and those of the shoulder blade at the side
    flesh = rng.uniform(5, 15) * np.exp(-(((angle - 2.3) / 0.45) ** 2)) * ramp(above, 55.0, 105.0)
    flesh = flesh + rng.uniform(5, 13) * np.exp(-(((angle - 1.1) / 0.5) ** 2)) * ramp(above, 10.0, 90.0)
    core = core + b.wall * flesh
    limbs = None
    if raised is not None:
        limbs = arms(c, b.dome, ks, b.kl, raised)
        core = smooth_max(core, limbs - 300.0 * (above < 95.0), 30.0)

    labels = c.labels
    labels[core > -np.maximum(fat, 1.0) - skin] = STRUCTURES["skin"]
    labels[core > -np.maximum(fat, 1.0)] = STRUCTURES["subcutaneous fat"]
    if limbs is not None:
        lean = 0.35 * b.fat + 2.0
        labels[(limbs > -lean - skin) & (labels == 0)] = STRUCTURES["skin"]
        labels[(limbs > -lean) & (labels <= STRUCTURES["skin"])] = STRUCTURES["subcutaneous fat"]
        core = np.maximum(core, limbs)
    labels[core > 0] = STRUCTURES["wall muscle"]
    labels[cavity > 0] = STRUCTURES["visceral fat"]
    if woman:
        gland = (bust > 0.45) & (core < -3.0) & (core > -0.8 * fat)
        gland &= c.noise(c.whole, 13.0) > rng.uniform(-0.6, 1.6)
        labels[gland] = STRUCTURES["breast gland"]
    _layers(c, b, core, inner, cavity, thoracic)
    _back_muscles(c, b, core)
    if with_spine:
        _spine(c, b)
    dome = _diaphragm(c, b, cavity, angle)
    _ribs(c, b, cavity, angle)
    c.room = (cavity > 0) & (dome > 0)
    return TrunkFields(cavity=cavity, diaphragm=dome, angle=angle)


def _cage(c: Canvas, b: Build, front: AnyFloat, back: AnyFloat) -> Float:
    """Depth inside the upper rib cage, which tapers to the apices of the lungs; mm."""
    above = (c.s - b.dome) / b.ks
    knots = [0.0, 60.0, 100.0, 140.0, 165.0, 185.0, 200.0, 212.0]
    size = b.width * _profile(above, knots, [1.0, 0.92, 0.84, 0.7, 0.56, 0.42, 0.26, 0.06])
    depth = (back - front) / 2 * _profile(above, knots, [1.1, 1.06, 1.02, 0.98, 0.9, 0.74, 0.48, 0.1])
    middle = back - (back - front) / 2 * (1.0 - 0.25 * ramp(above, 150.0, 200.0))
    p = c.p - middle
    radius = np.sqrt(c.l**2 + p**2) + 1e-3
    q = (np.abs(c.l / size) ** 2.3 + np.abs(p / depth) ** 2.3) ** (1.0 / 2.3)
    return np.asarray((radius / q - radius) * 0.9, np.float32)


def _layers(c: Canvas, b: Build, core: Float, inner: Float, cavity: Float, thoracic: Float) -> None:
    """Thin fat planes that part the muscles of the wall: linea alba, between the obliques, under the ribs."""
    rng = c.rng
    wall = c.labels == STRUCTURES["wall muscle"]
    seam = (np.abs(c.l) < 3.0 + 3.0 * rng.random()) & (c.p < 0)
    semilunar = np.abs(np.abs(c.l) - (62 + 10 * rng.random()) * b.kl) < 2.5
    gap = seam | (semilunar & (c.p < -0.4 * b.depth))
    plane = (np.abs(inner + core) < 1.4) & (rng.random() < 0.5) & (c.noise(c.whole, 25.0) > 0.2)
    gap |= plane & (thoracic < 0.3)
    c.labels[wall & gap & (thoracic < 0.5)] = STRUCTURES["subcutaneous fat"]
    spots = c.noise(c.whole, 22.0)
    low = (c.s < b.dome + 30.0) & (cavity > -35.0)
    planes = np.where(low, spots > 0.3, np.abs(spots) < 0.14)  # thin among the muscles of shoulder and arm
    chest = wall & (thoracic > 0.6) & (cavity < -11.0) & planes
    c.labels[chest] = STRUCTURES["subcutaneous fat"]


def spine_position(b: Build, s: float) -> float:
    """Antero-posterior position of the vertebral bodies at height `s`."""
    return float(spine_line(b, np.float32(s)))


def spine_line(b: Build, s: ArrayLike) -> Float:
    """As :func:`spine_position`, of many heights: hollow in the loin, round in the chest, forwards to the neck."""
    lordosis = 7.0 * np.sin(np.clip(np.asarray(s) / (170.0 * b.ks), -1.0, 1.6) * np.pi)
    above = np.asarray(s, np.float32) - b.dome
    return np.asarray(b.spine - lordosis - 34.0 * ramp(above, 95.0 * b.ks, 260.0 * b.ks), np.float32)


def _hard(c: Canvas, mask: np.ndarray, name: str) -> None:
    c.labels[mask] = STRUCTURES[name]
    c.depth[mask] = 1e3


def _back_muscles(c: Canvas, b: Build, core: Float) -> None:
    rng = c.rng
    spine = spine_line(b, c.s)
    size = rng.uniform(0.9, 1.12)
    thick = np.interp(c.s, [-90, -60, -15, 60, 200, 300, 400], [0.1, 0.4, 0.9, 1.0, 0.85, 0.75, 0.6]).astype(
        np.float32
    )
    q = ((np.abs(c.l) - 35.0) / (31.0 * size)) ** 2 + ((c.p - spine - 40.0) / (23.0 * thick * size)) ** 2
    erector = (q < 1 + 0.1 * c.noise(c.whole, 20.0)) & (core > 0)
    quadratus = (((np.abs(c.l) - 66.0 * b.kl) / 20.0) ** 2 + ((c.p - spine - 21.0) / 8.0) ** 2 < 1) & (
        c.s > -5
    )
    quadratus &= (c.s < 100 * b.ks) & (core > 4)
    between = c.is_any(c.whole, "wall muscle") & (c.p > spine + 15) & (c.s > -20)
    # behind the cavity, what is neither erector nor a thin outer layer is fat
    trapezius = 5.0 + 13.0 * ramp(c.s - b.dome, 40.0 * b.ks, 120.0 * b.ks)
    c.labels[between & (core > trapezius) & (np.abs(c.l) < 80)] = STRUCTURES["subcutaneous fat"]
    c.labels[erector | quadratus] = STRUCTURES["back muscle"]
    c.depth[quadratus] = 1e3
    # psoas: from L1 down, growing, moving outwards and forwards
    down = np.clip((118.0 * b.ks - c.s) / (118.0 * b.ks), 0.0, 2.0)
    big = rng.uniform(0.8, 1.2) * b.wall**0.5
    r_l = big * (5.0 + 17.0 * np.minimum(down, 1.1)) + 0.5
    r_p = big * (5.0 + 19.0 * np.minimum(down, 1.1)) + 0.5
    away = 27.0 + 16.0 * down + 22.0 * np.maximum(down - 0.9, 0)
    low = np.maximum(down - 0.9, 0.0)
    q = ((np.abs(c.l) - away) / r_l) ** 2 + ((c.p - spine - 2.0 + 45.0 * low) / r_p) ** 2
    _hard(c, (q < 1) & (c.s < 118 * b.ks), "psoas")


def _spine(c: Canvas, b: Build) -> None:
    rng = c.rng
    box = c.box((100.0, 0.0, 0.0), (1e3, 1e3, 75.0))
    assert box is not None
    s, p, l = c.s[box], c.p[box], c.l[box]
    spine = spine_line(b, s)
    size = np.interp(s, [-40, 60, 200, 320, 430], [1.08, 1.0, 0.84, 0.76, 0.6]).astype(
        np.float32
    ) * rng.uniform(0.93, 1.1)
    pitch = np.float32(35.0 * b.ks)
    phase = (s - 5.0 * b.ks) / np.where(s > 150 * b.ks, pitch * 0.88, pitch)
    frac = np.abs(phase - np.round(phase))  # 0 in the middle of a body, 0.5 in a disc
    waist = 1.0 - 0.10 * np.cos(frac * 2 * np.pi)
    u = p - spine
    sacral = s < -22
    body = (l / (23.0 * size * waist)) ** 2 + (u / (16.5 * size)) ** 2 < 1
    flat = u < 13.5 * size
    view, depth = c.labels[box], c.depth[box]

    def put(mask: np.ndarray, name: str) -> None:
        view[mask] = STRUCTURES[name]
        depth[mask] = 1e3

    arch = (l / (16.0 * size)) ** 2 + ((u - 24.0 * size) / (14.0 * size)) ** 2 < 1
    process = (np.abs(l) < 4.5) & (u > 30) & (u < 56) & (np.abs(phase + 0.25 - np.round(phase + 0.25)) < 0.3)
    trans = (np.abs(l) < 42 * size) & (np.abs(u - 23 * size - 0.12 * np.abs(l)) < 4.5) & (frac < 0.16)
    facet = ((np.abs(l) - 17) / 8.0) ** 2 + ((u - 30 * size) / 8.0) ** 2 < 1
    put((arch | process | trans | (facet & (frac > 0.2))) & ~sacral, "vertebra")
    put(((l / 10.0) ** 2 + ((u - 23.5 * size) / 8.0) ** 2 < 1) & (s > -70), "spinal canal")
    put(body & flat & ~sacral, "vertebra")
    put(body & flat & (frac > 0.39) & ~sacral, "cartilage")


def _diaphragm(c: Canvas, b: Build, cavity: Float, angle: Float) -> Float:
    """Depth below the diaphragm; paints lungs above it and a thin muscle sheet."""
    rng = c.rng
    ks = b.ks
    top_r, top_l = b.dome, b.dome - rng.normal(16, 8)
    right = ramp(-c.l, -15.0, 45.0)
    left = ramp(c.l, 20.0, 75.0)
    top = b.dome - 15.0 + (top_r - b.dome + 15.0) * right + (top_l - b.dome + 15.0) * left
    away_from_peak = ((np.abs(c.l) - 66.0 * b.kl) / 75.0) ** 2 + ((c.p + rng.uniform(-15, 20)) / 80.0) ** 2
    top = top - np.minimum(rng.uniform(9, 20) * away_from_peak, 40.0)
    top = top - rng.uniform(0, 18) * left * ramp(-c.p, -20.0, 60.0)  # the heart weighs on it
    base = rng.normal(118, 12) * ks + 64.0 * ks * ramp(angle, 1.1, 2.6)
    spine = spine_line(b, c.s)
    column = np.sqrt(c.l**2 + (c.p - spine) ** 2) - 27.0
    away = smooth_min(cavity, column.astype(np.float32), 10.0)
    reach = rng.uniform(52.0, 80.0) * b.kl
    t = np.clip(away / (reach * (1.0 - 0.45 * ramp(angle, 1.0, 2.4))), 0.0, 1.0)
    sheet = base + (top - base) * np.sqrt(1.0 - (1.0 - t) ** 2 + 1e-4) + 3.0 * c.noise(c.whole, 60.0)
    slope = np.clip(1.0 / (1.0 + 2.2 * (1.0 - t) ** 2), 0.3, 1.0)
    dome: Float = ((sheet - c.s) * slope).astype(np.float32)
    behind = (np.abs(c.l) < 24.0) & (c.p > spine - 44.0)  # retrocrural space
    chest = (cavity > 0) & (dome <= 0) & c.is_any(c.whole, "visceral fat")
    wide = (
        9.0 + 15.0 * ramp(c.p, -0.9 * b.depth, -0.5 * b.depth) + 8.0 * ramp(c.s - top_r, 130 * ks, 190 * ks)
    )
    middle = (np.abs(c.l - 2.0) < wide + 3.0 * c.noise(c.whole, 40.0)) & (c.p < spine)
    lung = chest & ~behind & ~middle & (column > 0) & (cavity > 1.5)
    c.labels[lung] = STRUCTURES["lung"]
    muscle = (cavity > 0) & (dome > 0) & (dome < 2.2) & c.is_any(c.whole, "visceral fat") & ~behind
    c.labels[muscle] = STRUCTURES["wall muscle"]
    return dome


def _ribs(c: Canvas, b: Build, cavity: Float, angle: Float) -> None:
    rng = c.rng
    ks = b.ks
    above = (c.s - b.dome) / ks
    drop = rng.uniform(75, 100) * ks * np.sin(np.minimum(angle, 3.1) * 0.72) ** 2
    drop = drop * (1.0 - 0.45 * ramp(above, 60.0, 180.0))  # the upper ribs are flatter
    pitch = 26.0 * ks
    k = (c.s + drop - 142.0 * ks + rng.normal(0, 5)) / pitch
    which = np.round(k)
    mid = np.abs(k - which) * pitch
    shell = np.abs(cavity + 6.0)
    thick = 4.6 - 0.12 * mid
    reach = np.interp(which, [-1, 0, 1, 2, 3, 6, 11], [-1, 1.0, 1.55, 2.0, 2.25, 2.45, 2.6]).astype(
        np.float32
    )
    bone = (mid < 6.5) & (shell < thick) & (which > -0.5) & (which < 11.5) & (np.abs(c.l) > 20)
    gristle = bone & (angle > reach) & (which > 1.5) & (angle < 2.98)
    _hard(c, bone & (angle < reach), "rib")
    _hard(c, gristle, "cartilage")
    half = 16.0 + 12.0 * ramp(above, 105.0, 140.0)  # body, then the broad manubrium
    sternum = (np.abs(c.l) < half) & (c.p < 0) & (shell < 5.0) & (c.s > 185 * ks) & (above < 160.0)
    _hard(c, sternum, "rib")
