"""Pelvis of the phantom: iliac bones, sacrum, hips, bladder, and what lies outside the body."""

from __future__ import annotations

import numpy as np

from napari_cpclnet.phantoms.anatomy.body import Build, spine_position
from napari_cpclnet.phantoms.canvas import Canvas, TubeField
from napari_cpclnet.phantoms.structures import STRUCTURES


def pelvis(c: Canvas, b: Build, *, with_sacrum: bool = True) -> None:
    """Iliac wings, sacrum, acetabulum and femoral heads; the sacrum is left out where another one is painted."""
    rng = c.rng
    low = c.flat[0] < 25.0
    n = int(np.count_nonzero(low))
    if n == 0:
        return
    box = (slice(0, n), slice(0, c.shape[1]), slice(0, c.shape[2]))
    s, p, l = c.s[box], c.p[box], np.abs(c.l[box])
    kl = b.kl * rng.uniform(0.94, 1.04)
    back = spine_position(b, -40)

    def at(values: list[float]) -> np.ndarray:
        return np.interp(s, [-125, -95, -70, -45, -20, 0, 8], values).astype(np.float32)

    # posterior and anterior end of the wing in each axial slice
    l0, p0 = at([80, 78, 60, 48, 48, 62, 80]) * kl, back + at([5, 0, 16, 40, 42, 30, 12])
    l1, p1 = at([92, 95, 108, 122, 128, 122, 106]) * kl, back + at([-24, -48, -62, -62, -48, -22, 4])
    bulge = at([0, 2, 6, 10, 12, 8, 0])
    dl, dp = l1 - l0, p1 - p0
    t = np.clip(((l - l0) * dl + (p - p0) * dp) / (dl * dl + dp * dp + 1e-3), 0, 1)
    hump = bulge * np.sin(t * np.pi)
    norm = np.sqrt(dl * dl + dp * dp) + 1e-3
    gap = np.sqrt((l - l0 - t * dl - hump * dp / norm * -1) ** 2 + (p - p0 - t * dp - hump * dl / norm) ** 2)
    thick = (
        at([17, 14, 9, 6.0, 5.5, 5, 3])
        * (1.0 + 0.5 * (1 - t) ** 2 * (s > -70))
        * (0.75 + 0.5 * np.abs(t - 0.5))
    )
    view, depth = c.labels[box], c.depth[box]
    bone = (gap < thick) & (s < 8)
    width = np.interp(s, [-125, -100, -60, -20, 0], [8, 18, 40, 54, 40]).astype(np.float32) * kl
    shift = np.interp(s, [-125, -100, -60, -20, 0], [38, 50, 44, 18, 4]).astype(np.float32)
    middle = (l / width) ** 2 + ((p - back - shift - 0.1 * l) / np.where(s > -70, 21.0, 13.0)) ** 2 < 1
    middle &= (s < -16) & with_sacrum
    hips = (s + 118) ** 2 + (p - back + 22) ** 2 + (l - 92 * kl) ** 2 < 24.0**2
    joint = np.abs(np.sqrt((s + 118) ** 2 + (p - back + 22) ** 2 + (l - 92 * kl) ** 2) - 25.5) < 1.5
    for mask, name in ((bone & ~joint, "pelvic bone"), (hips, "pelvic bone"), (middle, "pelvic bone")):
        view[mask] = STRUCTURES[name]
        depth[mask] = 1e3
    canal = (l < 8) & (np.abs(p - back - shift - 6) < 5) & (s < -16) & (s > -80) & with_sacrum
    view[canal] = STRUCTURES["spinal canal"]
    # muscle on both faces of the wing: iliacus inside, gluteals outside
    flesh = (gap < thick + 11) & (s < 2) & c.is_any(box, "visceral fat", "subcutaneous fat")
    view[flesh] = STRUCTURES["wall muscle"]
    depth[flesh] = 1e3
    # fat between gluteus medius and maximus, and behind the whole
    outer = (
        (p > back - 25 + 0.35 * (100 - l))
        & c.is_any(box, "wall muscle", "back muscle")
        & (s < 12)
        & (depth < 1e2)
    )
    rim = thick + rng.uniform(24, 38) + 4 * c.noise(box, 40.0) + 0.2 * np.clip(-s - 30, 0, 80)
    rim = rim - 0.25 * np.maximum(45 - l, 0)
    seam = np.abs(gap - thick - rng.uniform(12, 20) - 3 * c.noise(box, 40.0)) < 1.6
    view[outer & ((gap > rim) | seam)] = STRUCTURES["subcutaneous fat"]
    inward = (l > 88 * kl) & (s < -60) & c.is_any(box, "visceral fat")
    view[inward] = STRUCTURES["wall muscle"]
    depth[inward] = 1e3


def bladder(c: Canvas, b: Build) -> None:
    """Bladder in front, uterus or prostate and seminal vesicles behind."""
    rng = c.rng
    fill = rng.uniform(0.6, 1.4)
    centre = (-118 + 14 * fill, -28 * b.kp, rng.normal(0, 4))
    made = c.ellipsoid(centre, (26 * fill, 24 * fill, 34 * fill), rough=2.5)
    if made is not None:
        c.paint(made[0], made[1] + 10.0 * (made[1] > 0), "bladder")
    made = c.ellipsoid(
        (-108 + rng.normal(0, 8), 14 * b.kp, rng.normal(0, 8)),
        (22, 17, 26) * rng.uniform(0.7, 1.2, 3),
        rough=3.0,
    )
    if made is not None:
        c.paint(made[0], made[1] + 5.0 * (made[1] > 0), "pelvic organ")


def free_fluid(c: Canvas, cavity: np.ndarray) -> None:
    """Ascites along the wall and between the organs."""
    rng = c.rng
    amount = rng.uniform(3.0, 16.0)
    wet = (cavity < amount + 5 * c.noise(c.whole, 40.0)) & c.room & c.is_any(c.whole, "visceral fat")
    c.labels[wet & (c.p < 30)] = STRUCTURES["free fluid"]


def outside(c: Canvas, b: Build) -> None:
    """Forearms beside the body in some, a couch below in some."""
    rng = c.rng
    body = c.labels != 0
    if rng.random() < 0.15:
        for side in (-1, 1):
            away = b.width * 1.05 + b.fat + 42.0 + rng.uniform(0, 15)
            elbow = np.array((120.0 + rng.normal(0, 30), rng.uniform(-20, 30), side * away))
            hand = np.array((-140.0, rng.uniform(-50, 20), side * away * rng.uniform(0.9, 1.02)))
            arm = np.stack([elbow + (200, rng.normal(0, 20), 0), elbow, hand])
            for radius, name in (
                (44.0, "skin"),
                (41.0, "subcutaneous fat"),
                (34.0, "wall muscle"),
                (9.0, "rib"),
            ):
                tube = TubeField(c, arm, np.array((1.15, 1.0, 0.72)) * radius)
                if tube.box is not None:
                    view = c.labels[tube.box]
                    view[(tube.local > 0) & ~body[tube.box]] = STRUCTURES[name]
    couch(c)


def couch(c: Canvas) -> None:
    """A couch below some."""
    rng = c.rng
    body = c.labels != 0
    if rng.random() < 0.5:
        rows = np.flatnonzero(body.any((0, 2)))
        lowest = c.flat[1][int(rows[-1])] if len(rows) else 0.0
        y, x = c.flat[1][:, None], c.flat[2][None, :]
        arc = lowest + rng.uniform(1, 14) - x**2 * rng.uniform(0.0, 0.0012)
        shape = np.zeros((c.shape[1], c.shape[2]), bool)
        for gap in (0.0, rng.uniform(12, 40))[: int(rng.integers(1, 3))]:
            shape |= np.abs(y - arc - gap) < 2.0
        shape &= np.abs(x) < rng.uniform(190, 260)
        c.labels[shape[None] & ~body] = STRUCTURES["couch"]
