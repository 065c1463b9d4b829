"""Inside the chest: great vessels, airways, oesophagus, lung vessels, and what fills a lung or its cavity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_cpclnet.phantoms.anatomy.body import Build, TrunkFields, spine_position
from napari_cpclnet.phantoms.anatomy.heart import Heart
from napari_cpclnet.phantoms.canvas import Canvas, TubeField, branches, curve, ramp
from napari_cpclnet.phantoms.structures import STRUCTURES

Place = Callable[[float, float, float], tuple[float, float, float]]


def _places(b: Build) -> Place:
    """Function from (mm above the dome, behind the middle of the chest, left) in a middle-sized adult to the body."""

    def at(above: float, behind: float, left: float) -> tuple[float, float, float]:
        s = b.dome + above * b.ks
        front = 14.0 - 1.04 * b.depth
        middle = 0.5 * (front + spine_position(b, s) - 17.0)
        return (s, middle + behind * b.kp, left * b.kl)

    return at


def _draw(c: Canvas, points: Sequence[tuple[float, ...]], radii: list[float], name: str) -> None:
    """A smooth tube that nothing displaces; radii run evenly from the first point to the last."""
    path = curve(np.array(points), 10)
    along = np.linspace(0, 1, len(path))
    tube = TubeField(c, path, np.interp(along, np.linspace(0, 1, len(radii)), radii))
    if tube.box is not None:
        c.paint(tube.box, tube.local, name, hard=True, inside=False)


def chest_vessels(c: Canvas, b: Build, h: Heart) -> None:
    """Aortic arch and its branches, superior vena cava, pulmonary trunk and arteries."""
    rng = c.rng
    at = _places(b)
    k = h.size
    wide = rng.uniform(0.88, 1.18)
    top = 138 + float(rng.normal(0, 6))
    root = [tuple(h.point(0.42, -0.3, -0.35)), tuple(h.point(0.58, -0.55, -0.68))]
    right_pa = rng.uniform(8.5, 11.5) * k
    hila = (at(96, 30, -40), at(100, 44, 46))
    trunk = [tuple(h.point(0.44, -1.3, -0.95)), at(92, 6, 26), at(103, 24, 20)]
    _draw(
        c,
        [at(103, 24, 20), at(100, 24, -6), hila[0]],
        [right_pa, right_pa, 0.75 * right_pa],
        "pulmonary artery",
    )
    _draw(
        c,
        [at(103, 24, 20), at(105, 38, 34), hila[1]],
        [1.1 * right_pa, right_pa, 0.75 * right_pa],
        "pulmonary artery",
    )
    _draw(c, trunk, [13.5 * k, 13.5 * k, 12.0 * k], "pulmonary artery")
    cava = [at(58, 8, -34), at(90, 10, -31), at(125, 8, -27), at(150, 8, -27)]
    _draw(c, cava, [10.5, 9.5, 9.0, 8.0], "vena cava")
    arch = [
        *root,
        at(92, 6, -14),
        at(118, 6, -15),
        at(top, 24, -3),
        at(top, 42, 13),
        at(118, 57, 21),
        at(90, 62, 21),
    ]
    _draw(c, arch, [15 * wide, 15 * wide, 14.5 * wide, 13 * wide, 12 * wide], "aorta")
    _draw(c, [root[0], root[1]], [11.0 * k, 14.0 * k], "aorta")
    for points, r in (
        (
            [at(top, 22, -4), at(160, 26, -14), at(185, 34, -26), at(235, 40, -30)],
            5.5,
        ),  # brachiocephalic, carotid
        ([at(top + 3, 34, 6), at(165, 36, 18), at(235, 40, 30)], 4.0),  # left carotid
        ([at(top, 44, 14), at(165, 50, 28), at(192, 50, 46), at(184, 44, 80)], 4.8),  # left subclavian
        ([at(178, 34, -24), at(193, 48, -46), at(184, 44, -80)], 4.5),  # right subclavian
    ):
        _draw(c, points, [r * rng.uniform(0.9, 1.15)] * 2, "mesenteric vessel")
    for points, r in (
        ([at(148, 8, -27), at(152, 2, -4), at(162, 8, 26), at(180, 22, 42), at(235, 34, 38)], 6.5),
        ([at(148, 8, -27), at(170, 14, -36), at(235, 34, -38)], 7.0),
    ):
        _draw(c, points, [r * rng.uniform(0.85, 1.15)] * 2, "mesenteric vessel")


def airways_and_oesophagus(c: Canvas, b: Build) -> None:
    """Trachea, main bronchi and their first branches; the oesophagus behind them, down to the stomach."""
    rng = c.rng
    at = _places(b)
    ks = b.ks

    def before(above: float, gap: float, left: float) -> tuple[float, float, float]:
        s = b.dome + above * ks
        return (s, spine_position(b, s) - gap, left)

    neck = TubeField(c, [before(150, 38, 0), before(275, 38, 0)], np.full(2, rng.uniform(20, 27)), 1.2)
    if neck.box is not None:  # fat between the muscles, round what passes the neck
        loose = neck.local + 4.0 * c.noise(neck.box, 18.0) > 0
        c.relabel(neck.box, loose, "wall muscle", "visceral fat")
    gullet = [
        before(260, 26, 3),
        before(140, 28, 4),
        before(40, 28, 5),
        before(0, 38, 12),
        before(-22, 46, 20),
        before(-38, 50, 32),
    ]
    path = curve(np.array(gullet), 12)
    tube = TubeField(c, path, np.full(len(path), rng.uniform(6.5, 9.5)))
    if tube.box is not None:
        c.paint(tube.box, tube.local, "oesophagus", inside=False)
        c.depth[tube.box][tube.local > 0] = 900.0
        if rng.random() < 0.3:  # swallowed air
            air = (tube.local > 4.5) & (c.noise(tube.box, 30.0) > 0.3) & (c.s[tube.box] > b.dome)
            c.relabel(tube.box, air, "oesophagus", "airway")
    r = rng.uniform(8.0, 10.5)
    fork = before(106 + rng.normal(0, 4), 38, -1)
    hila = (at(80, 36, -40), at(76, 38, 44))
    parts = [([before(262, 40, 0), before(150, 41, 0), fork], r)]
    for side, hilum in zip((-1, 1), hila, strict=True):
        parts.append(([fork, hilum], 0.72 * r))
        for up, back, out in ((24, -4, 22), (-22, -24, 24), (-45, 16, 20)):
            parts.append(([hilum, tuple(np.array(hilum) + (up, back, side * out))], 0.42 * r))
    for points, radius in parts:  # walls first, so that no wall crosses another lumen
        _draw(c, points, [radius + 1.8, radius + 1.5], "cartilage")
    for points, radius in parts:
        _draw_lumen(c, points, radius)


def _draw_lumen(c: Canvas, points: Sequence[tuple[float, ...]], radius: float) -> None:
    path = curve(np.array(points), 10)
    tube = TubeField(c, path, np.full(len(path), radius))
    if tube.box is not None:
        c.relabel(tube.box, tube.local > 0, "cartilage", "airway")


def lung_vessels(c: Canvas, b: Build) -> None:
    """Arteries and veins that branch from the hila into both lungs."""
    rng = c.rng
    at = _places(b)
    big = rng.uniform(0.8, 1.25)
    for side in (-1, 1):
        hilum = np.array(at(92, 34, side * 44))
        for up, back, out in (
            (48, -12, 16), (30, 26, 24), (10, -40, 26), (-8, -30, 34), (-12, 30, 30), (-42, 22, 18),
            (-48, -4, 28), (-30, 34, 8), (16, 4, 40),
        ):  # fmt: skip
            step = np.array([up * b.ks, back * b.kp, side * out * b.kl])
            for start, end, r0, r1 in branches(rng, hilum, step, 5.4 * big, 3):
                tube = TubeField(c, [start, end], [r0, r1])
                if tube.box is not None:
                    c.relabel(tube.box, tube.local > 0, "lung", "lung vessel")


def lung_disease(c: Canvas, b: Build, f: TrunkFields) -> None:
    """Effusion at the lowest places of some chests, lung without air beside it or anywhere else in a few."""
    rng = c.rng
    for side in (-1, 1):
        if rng.random() < 0.12:
            half = c.is_any(c.whole, "lung", "lung vessel") & (side * (c.l - 4.0) > 0)
            amount = rng.uniform(8.0, 45.0)
            top = b.dome + rng.uniform(0, 140) * b.ks
            rise = ramp(c.p, -0.6 * b.depth, 0.4 * b.depth) * ramp(top - c.s, 0.0, 60.0)
            wall = np.minimum(f.cavity, -f.diaphragm + 4.0)  # over the diaphragm too
            fluid = half & (wall < amount * rise + 2.0 * c.noise(c.whole, 35.0)) & (rise > 0.02)
            c.labels[fluid] = STRUCTURES["pleural effusion"]
            if rng.random() < 0.6:
                dense = half & ~fluid & (wall < (amount + rng.uniform(5, 30)) * rise)
                c.labels[dense] = STRUCTURES["consolidation"]
    if rng.random() < 0.12:
        for _ in range(int(rng.integers(1, 4))):
            place = (
                b.dome + rng.uniform(-30, 150) * b.ks,
                rng.uniform(-50, 60) * b.kp,
                rng.choice([-1, 1]) * rng.uniform(50, 115) * b.kl,
            )
            made = c.ellipsoid(place, rng.uniform(10, 38) * rng.uniform(0.7, 1.3, 3), rough=6.0)
            if made is not None:
                box, depth = made
                patch = (depth > 0) & (c.noise(box, 10.0) > -1.2)
                c.relabel(box, patch, "lung", "consolidation")
