"""Shoulders and the base of the neck: collar bones, shoulder blades, arms up or down, axillae."""

from __future__ import annotations

import numpy as np

from napari_cpclnet.phantoms.canvas import Canvas, Float, TubeField, curve, ramp
from napari_cpclnet.phantoms.structures import STRUCTURES

_BEYOND = 50.0
"""How far outside of the muscles of an arm its depth is known, mm: there is fat and skin."""


def _arm(dome: float, ks: float, kl: float, raised: bool, side: int) -> np.ndarray:
    """Rows (above, behind, left, radius of the muscles) from the neck over the shoulder to elbow and hand."""
    if raised:
        rows = [
            (168, 12, 60 * kl, 30),
            (178, 10, 105 * kl, 42),
            (205, 4, 140 * kl, 46),
            (270, -6, 158 * kl, 42),
            (460, -20, 165 * kl, 34),
        ]
    else:
        rows = [
            (186, 16, 62 * kl, 26),
            (170, 12, 120 * kl, 40),
            (148, 8, 165 * kl, 48),
            (90, 14, 195 * kl, 42),
            (-70, 24, 213 * kl, 36),
            (-300, -20, 210 * kl, 25),
        ]
    return np.array([(dome + h * ks, p, side * l, r) for h, p, l, r in rows], float)


def arms(c: Canvas, dome: float, ks: float, kl: float, raised: bool) -> Float:
    """Depth below the surface of the muscles of shoulders and arms, mm."""
    depth = np.full(c.shape, -1e3, np.float32)
    thick = c.rng.uniform(0.85, 1.12)
    for side in (-1, 1):
        path = curve(_arm(dome, ks, kl, raised, side), 30)
        depth = np.maximum(depth, TubeField(c, path[:, :3], path[:, 3] * thick + _BEYOND).depth - _BEYOND)
    return depth


def shoulders(c: Canvas, dome: float, ks: float, kl: float, raised: bool, cavity: Float) -> None:
    """Bones of the shoulder girdle, and the fat of axilla and neck between its muscles."""
    for side in (-1, 1):
        _fat(c, dome, ks, kl, side)
        _blade(c, dome, ks, raised, side, cavity)
        _tubes(c, dome, ks, kl, raised, side)


def _fat(c: Canvas, dome: float, ks: float, kl: float, side: int) -> None:
    rng = c.rng
    places = (
        ((128, -12, 122), (46, 26, 20)),  # axilla
        ((150, -30, 108), (26, 14, 26)),  # under the pectoral muscles
        ((186, -14, 58), (20, 20, 22)),  # above the collar bone
    )
    for (above, behind, left), radii in places:
        made = c.ellipsoid(
            (dome + above * ks, behind, side * left * kl), np.array(radii) * rng.uniform(0.75, 1.2), rough=5.0
        )
        if made is not None:
            c.relabel(made[0], made[1] > 0, "wall muscle", "subcutaneous fat")
    vessels = [(172, -8, 45), (160, -18, 90), (135, -5, 128), (70, 10, 175)]
    for gap in (0.0, rng.uniform(9, 13)):
        path = curve([(dome + (h - gap) * ks, p - gap / 2, side * l * kl) for h, p, l in vessels], 14)
        _paint(c, path, np.full(len(path), rng.uniform(3.2, 5.0)), "mesenteric vessel")


def _blade(c: Canvas, dome: float, ks: float, raised: bool, side: int, cavity: Float) -> None:
    """Shoulder blade: a plate on the back of the rib cage that leaves it towards the joint."""
    rng = c.rng
    above = (c.s - dome) / ks - (18.0 if raised else 0.0)
    angle = np.arctan2(side * c.l, c.p).astype(np.float32)  # 0 behind
    inner = rng.uniform(0.68, 0.85)
    outer = inner + 0.22 + 0.5 * ramp(above, 40.0, 140.0)
    away = 17.0 + 30.0 * ramp(angle, 1.0, 1.5) * ramp(above, 90.0, 150.0)
    plate = np.abs(-cavity - away) < 3.2 + 2.0 * ramp(np.abs(angle - outer), 0.12, 0.0)
    plate &= (angle > inner) & (angle < outer) & (above > 35.0) & (above < 165.0)
    # the spine of the blade, a ridge that rises outwards to the acromion
    ridge = np.abs(above - 138.0 - 30.0 * (angle - inner)) < 5.0
    ridge &= (angle > inner) & (angle < 1.35) & (-cavity > away) & (-cavity < away + 24.0)
    found = (plate | ridge) & c.is_any(c.whole, "wall muscle", "back muscle", "subcutaneous fat")
    c.labels[found] = STRUCTURES["shoulder bone"]
    c.depth[found] = 1e3


def _tubes(c: Canvas, dome: float, ks: float, kl: float, raised: bool, side: int) -> None:
    """Collar bone, head and shaft of the humerus."""
    rng = c.rng
    tip = (196, 2, 118) if raised else (176, 4, 150)
    rows = [(162, -46, 24), (172, -42, 62), (180, -16, 105), tip]
    path = curve([(dome + h * ks, p, side * l * kl) for h, p, l in rows], 10)
    _paint(c, path, np.full(len(path), rng.uniform(5.5, 7.5)), "shoulder bone")
    arm = _arm(dome, ks, kl, raised, side)[2:4, :3]
    along = (arm[1] - arm[0]) / np.linalg.norm(arm[1] - arm[0])
    big = rng.uniform(0.9, 1.1)
    path = np.stack([arm[0], arm[0] + 22 * along, arm[0] + 60 * along, arm[1] + 200 * along])
    if not raised:  # the lower end of the humerus follows the arm
        path[3] = _arm(dome, ks, kl, raised, side)[4, :3]
    _paint(c, path, np.array([23.0, 20.0, 12.0, 11.0]) * big, "shoulder bone")


def _paint(c: Canvas, path: np.ndarray, radii: np.ndarray, name: str) -> None:
    tube = TubeField(c, path, radii)
    if tube.box is not None:
        inside = (tube.local > 0) & c.is_any(
            tube.box, "wall muscle", "back muscle", "subcutaneous fat", "skin"
        )
        c.labels[tube.box][inside] = STRUCTURES[name]
        c.depth[tube.box][inside] = 1e3
