"""Legs, or one leg, from hip to calf: where most soft-tissue tumours are, and no level of the trunk means anything."""

from __future__ import annotations

import numpy as np

from napari_cpclnet.phantoms.canvas import Canvas, Float
from napari_cpclnet.phantoms.structures import STRUCTURES

_KNEE = -60.0
"""Mean height of the knees, mm from the middle of the grid."""


def legs(c: Canvas) -> None:
    """Paint two legs side by side, or a single one in the middle of the picture."""
    rng = c.rng
    girth = float(np.clip(rng.normal(78, 12), 52, 108))  # radius of the muscles of the thigh
    fat = float(np.clip(rng.lognormal(np.log(12), 0.6), 3, 45))
    knee = _KNEE + float(rng.uniform(-160, 160))
    apart = girth + fat + float(rng.uniform(3, 30))
    sides = (-1, 1) if rng.random() < 0.6 else (0,)
    for side in sides:
        _leg(c, side, side * apart, girth, fat, knee)


def _leg(c: Canvas, side: int, centre: float, girth: float, fat: float, knee: float) -> None:
    rng = c.rng
    above = (c.s - knee).astype(np.float32)
    taper = np.interp(above, [-220, -120, -40, 0, 120, 260, 400], [0.5, 0.68, 0.6, 0.6, 0.85, 1.0, 1.05])
    l = c.l - centre - 0.04 * above * side
    p = c.p - rng.normal(0, 8)
    radius = np.sqrt(l**2 + p**2)
    angle = np.arctan2(p, l).astype(np.float32)  # 0 to the left, pi / 2 behind
    turn = rng.uniform(0, 2 * np.pi)
    shape = 1 + 0.07 * np.cos(2 * angle + turn) + 0.04 * np.cos(3 * angle + 2 * turn)
    core = (girth * taper * shape - radius).astype(np.float32) + 1.5 * c.noise(c.whole, 60.0)
    thick = fat * (1 + 0.35 * np.cos(angle - rng.uniform(0, 6.28))) * np.clip(taper, 0.7, 1.1)
    thick = np.maximum(thick + 1.0 * c.noise(c.whole, 50.0), 1.0)
    free = c.labels == 0
    c.labels[(core > -thick - 3.0) & free] = STRUCTURES["skin"]
    c.labels[(core > -thick) & free] = STRUCTURES["subcutaneous fat"]
    muscle = (core > 0) & free
    c.labels[muscle] = STRUCTURES["wall muscle"]
    _compartments(c, muscle, core, angle, turn)
    _bone(c, l, p, above, girth)
    _vessels(c, l, p, above, girth, side or 1)


def _compartments(c: Canvas, muscle: np.ndarray, core: Float, angle: Float, turn: float) -> None:
    """Muscles behind and in front, parted by planes of fat that spread where muscle wastes."""
    rng = c.rng
    bend = angle + 0.25 * c.noise(c.whole, 70.0)
    behind = np.sin(bend) > 0.15
    c.labels[muscle & behind] = STRUCTURES["back muscle"]
    width = rng.uniform(0.4, 2.2)
    depth = np.maximum(core, 1.0)
    seams = np.zeros(c.shape, bool)
    for k in range(int(rng.integers(3, 7))):
        off = np.angle(np.exp(1j * (bend - turn - k * rng.uniform(0.8, 1.4))))
        # an angle from the centre, as millimetres across
        seams |= np.abs(off) * np.maximum(90.0 - depth, 10.0) < width
    c.labels[muscle & seams] = STRUCTURES["visceral fat"]
    if rng.random() < 0.3:  # fatty streaks
        c.labels[muscle & (c.noise(c.whole, 9.0) > 1.9)] = STRUCTURES["visceral fat"]


def _bone(c: Canvas, l: Float, p: Float, above: Float, girth: float) -> None:
    """Femur above the knee, wide at the joint; tibia and fibula below. Hard shell, fatty marrow."""
    rng = c.rng
    femur = np.interp(above, [0, 25, 70, 300, 380], [38, 36, 15, 14, 24]).astype(np.float32)
    tibia = np.interp(-above, [0, 25, 80, 250], [36, 32, 15, 13]).astype(np.float32)
    size = np.where(above > 0, femur, tibia) * np.float32(rng.uniform(0.85, 1.1))
    shift = rng.normal(0, 0.08, 2) * girth
    depth = size - np.sqrt((l - shift[0]) ** 2 + (p - shift[1] + 6.0) ** 2)
    if rng.random() < 0.5:
        fibula = 7.5 - np.sqrt((l - shift[0] - 28.0 * rng.choice([-1, 1])) ** 2 + (p - shift[1] - 14.0) ** 2)
        depth = np.where(above < -20, np.maximum(depth, fibula), depth)
    c.labels[depth > 0] = STRUCTURES["rib"]
    c.labels[depth > rng.uniform(3.0, 6.0)] = STRUCTURES["vertebra"]
    c.labels[(np.abs(above) < 4.0) & (depth > 0)] = STRUCTURES["cartilage"]


def _vessels(c: Canvas, l: Float, p: Float, above: Float, girth: float, side: int) -> None:
    """Femoral artery and vein, from the groin in front to the hollow of the knee behind."""
    rng = c.rng
    across = np.interp(above, [-200, 0, 150, 350], [0.05, 0.05, 0.35, 0.2]) * girth * -side
    back = np.interp(above, [-200, 0, 150, 350], [0.3, 0.4, 0.05, -0.7]) * girth
    for gap in (0.0, rng.uniform(8, 11)):
        radius = rng.uniform(3.5, 5.5)
        tube = (l - across - gap * side) ** 2 + (p - back - 0.4 * gap) ** 2 < radius**2
        c.labels[tube & (c.labels != STRUCTURES["rib"])] = STRUCTURES["mesenteric vessel"]
