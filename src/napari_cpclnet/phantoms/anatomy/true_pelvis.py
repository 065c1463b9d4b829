"""What the pelvis holds: bladder, rectum and sigmoid, vessels and lymph nodes, and the genital organs among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.phantoms.anatomy import genitals, gut
from napari_cpclnet.phantoms.anatomy.body import Build, TrunkFields
from napari_cpclnet.phantoms.anatomy.hip_bones import hard, mirrored, tube
from napari_cpclnet.phantoms.anatomy.hips import Frame
from napari_cpclnet.phantoms.canvas import HARD, Canvas, ramp, rotation
from napari_cpclnet.phantoms.structures import STRUCTURES

Point = NDArray[np.float64]

_WALL_OF_RECTUM = 20.0
"""Where the rectum begins behind prostate and vagina, `p` in mm."""


def organs(c: Canvas, b: Build, f: Frame) -> Point:
    """Paint all organs, from the ones that keep their place to those that fill what is left.

    Returns the middle of the prostate or the neck of the womb.
    """
    rng = c.rng
    _vessels(c)
    gland = genitals.random_prostate(rng, _WALL_OF_RECTUM)
    if f.woman:
        middle = np.array((-128.0, 8.0, 0.0)) + rng.normal(0, (4, 2, 4))
        _rectum(c, -150.0, _WALL_OF_RECTUM + 3.0)
        volume = _bladder_volume(rng)
        genitals.vagina(c, middle)
        genitals.uterus(c, middle, volume)
        _bladder(c, volume, -161.0, -6.0)
        genitals.ovaries(c)
    else:
        middle = gland.middle
        genitals.prostate(c, gland)
        _rectum(c, float(middle[0]), _WALL_OF_RECTUM + 1.0)
        genitals.seminal_vesicles(c, gland)
        _bladder(c, _bladder_volume(rng), gland.base - 1.5, 13.0)
        genitals.root_of_penis(c, gland)
    _lymph_nodes(c)
    _sigmoid(c, b, f)
    fields = TrunkFields(cavity=f.lumen, diaphragm=f.lumen, angle=f.lumen)
    # the loops of a trunk are laid out around its own axis, which lies before the hips
    gut.small_bowel(c, replace(b, depth=-f.front, spine=20.0), fields)
    if f.woman and rng.random() < 0.3:
        genitals.fluid_behind_the_uterus(c)
    return middle


def _bladder_volume(rng: np.random.Generator) -> float:
    """Draw an empty to full bladder, ml."""
    return float(np.clip(rng.lognormal(np.log(150), 0.75), 30, 550))


def _bladder(c: Canvas, volume: float, neck: float, behind: float) -> None:
    """Empty and flat behind the pubis, or full and round up to the belly; fixed at its neck."""
    from scipy import ndimage  # a command that starts should not wait for it

    rng = c.rng
    full = float(ramp(np.array(volume), 60.0, 300.0))
    shape = np.array((0.62 + 0.3 * full, 0.88 + 0.02 * full, 1.22 - 0.12 * full)) * np.exp(
        rng.normal(0, 0.06, 3)
    )
    half = shape * (volume * 1000 / (4 / 3 * np.pi * shape.prod())) ** (1 / 3)
    wide = half[2] / min(half[2], 58.0)
    half = np.array((half[0] * wide**0.5, half[1] * wide**0.5, half[2] / wide))
    deep = half[1] / min(half[1], 0.58 * (behind + 72.0))  # between the rectum or uterus and the belly
    half = half * np.array((deep**0.7, 1 / deep, deep**0.3))
    # the back wall stays before the rectum, what is more goes forwards and upwards
    front = -40.0 - 20.0 * full
    p = min(behind - 0.88 * float(half[1]), front + 0.75 * float(half[1]))
    p = max(p, -0.85 * float(half[1]) - 10.0)
    middle = np.array((neck + 0.93 * half[0], p, rng.normal(0, 3)))
    tilt = rotation(rng, (0.0, 0.0, rng.normal(-0.12, 0.08)), 0.05)
    made = c.ellipsoid(middle, half + 1, tilt, rough=1.5)
    if made is None:
        return
    box, depth = made
    dent = (
        5.0 * (1 - full) * np.exp(-(((c.l[box]) / 30) ** 2)) * ramp(c.s[box] - middle[0], 0.0, float(half[0]))
    )
    depth = (depth - dent).astype(np.float32)
    # the uterus lies upon it
    under = np.maximum.accumulate(ndimage.binary_dilation(c.is_any(box, "uterus"), iterations=1), axis=0)
    depth[under] = -1e3
    c.paint(box, depth + 12.0 * (depth > 0), "bladder")
    if rng.random() < 0.6:
        thick = rng.uniform(2.0, 3.5) + 2.5 * (1 - full)
        around = (depth > -thick) & (depth <= 0) & c.room[box] & (c.depth[box] < 2.0)
        c.labels[box][around] = STRUCTURES["pelvic organ"]
        c.depth[box][around] = 12.0


def _rectum(c: Canvas, touch: float, wall: float) -> None:
    """Anal canal, the bend over the floor of the pelvis, and the rectum along the sacrum."""
    rng = c.rng
    size = rng.choice([rng.uniform(9, 13), rng.uniform(12, 17), rng.uniform(16, 23)], p=[0.45, 0.4, 0.15])
    low = touch - 25.0
    points = np.array(
        [
            (-212, 50, 0),
            (-196, 42, 0),
            (-182, 33, 0),
            (low + 6, wall + 3 + 0.9 * size, 0),
            (touch + 10, wall + 2 + size, 0),
            (-122, max(36.0, wall + 4 + size), rng.normal(0, 4)),
            (-98, 46, rng.normal(0, 6)),
            (-76, 36, rng.normal(2, 6)),
            (-58, 14, rng.normal(8, 5)),
        ],
        float,
    )
    points = points[np.argsort(points[:, 0])]
    radii = np.interp(
        points[:, 0], [-212, -196, -182, -160, -120, -75, -55], [8.5, 9.5, 10, size, 1.1 * size, 12, 12]
    )
    _bowel(c, points, radii, hollow_from=-186.0, gas=rng.random() < 0.55)


def _bowel(c: Canvas, points: Point, radii: Point, hollow_from: float, gas: bool) -> None:
    """Large bowel with a wall around stool and gas."""
    rng = c.rng
    made = tube(c, points, radii, squash=rng.uniform(0.95, 1.2))
    if made.box is None:
        return
    s = c.s[made.box]
    depth = made.local + 1.0 * c.noise(made.box, 16.0)
    free = (c.depth[made.box] < 0.5 * HARD) & ~c.is_any(made.box, "air", "skin")
    mask = (depth > 0) & free & (depth > c.depth[made.box])
    muscle = mask & (s < hollow_from - 3)
    c.labels[made.box][mask] = STRUCTURES["colon wall"]
    c.labels[made.box][muscle & (depth < 4.5)] = STRUCTURES["wall muscle"]  # the outer sphincter
    c.depth[made.box][mask] = HARD
    hollow = mask & (depth > rng.uniform(2.5, 4.5)) & (s > hollow_from)
    c.relabel(made.box, hollow, "colon wall", "colon content")
    if gas:
        y = c.p[made.box]
        spread = y[hollow]
        if spread.size:
            ahead = np.quantile(spread, rng.uniform(0.15, 0.6))
            lumps = c.noise(made.box, 22.0) > rng.uniform(-0.8, 0.8)
            c.relabel(made.box, hollow & lumps & (y < ahead + 6), "colon content", "bowel gas")


def _sigmoid(c: Canvas, b: Build, f: Frame) -> None:
    """From the descending colon in the left flank to the top of the rectum; and the caecum on the right."""
    rng = c.rng
    out = b.width - 38.0
    loop = rng.normal(0, 18)
    points = np.array(
        [
            (-58, 14, 8),
            (-54 + 0.3 * loop, -12, rng.normal(-6, 18)),
            (-58 + loop, -38, rng.normal(5, 26)),
            (-40 + 0.5 * loop, -34, 44),
            (-34, -22, 70),
            (-8, -10, out - 8),
            (40, 4, out),
            (110, 16, out),
        ]
    )
    points[1:-2] += rng.normal(0, 6, (5, 3))
    radii = np.array([12, 12, 13, 13, 12, 13, 14, 15]) * np.exp(rng.normal(0, 0.15, 8))
    _bowel(c, points, radii, hollow_from=-400.0, gas=rng.random() < 0.6)
    caecum = np.array([(-44, -26, -76), (-24, -22, -(out - 18)), (20, -6, -(out - 6)), (110, 6, -(out - 4))])
    caecum[:2] += rng.normal(0, 8, (2, 3))
    _bowel(
        c,
        caecum,
        np.array((13, 25, 24, 23)) * rng.uniform(0.8, 1.1),
        hollow_from=-400.0,
        gas=rng.random() < 0.6,
    )


def _vessels(c: Canvas) -> None:
    """Aorta and vena cava to where they fork, and the arteries and veins of pelvis and thigh."""
    rng = c.rng
    fork = rng.normal(10, 8)
    calibre = rng.uniform(0.85, 1.25)

    def lay(points: Point, radii: list[float], name: str) -> None:
        made = tube(c, points, np.array(radii) * calibre)
        if made.box is not None:
            mask = (made.local > 0) & ~c.is_any(made.box, "pelvic bone", "vertebra", "rib", "air")
            hard(c, made.box, mask, name)

    artery = [(fork, -10, 2), (-28, -6, 34), (-66, -28, 54), (-105, -48, 72), (-135, -52, 78),
              (-180, -46, 82), (-260, -26, 74), (-420, 6, 56)]  # fmt: skip
    vein = [(fork - 8, 0, -10), (-32, 4, 30), (-70, -16, 50), (-105, -40, 62), (-135, -48, 67),
            (-180, -36, 78), (-260, -16, 76), (-420, 14, 60)]  # fmt: skip
    for side in (0, 1):
        for points, radii in (
            (artery, [5.5, 5.2, 4.5, 4.5, 4.8, 4.2, 3.8, 3.5]),
            (vein, [7, 7, 6.5, 6.5, 6.5, 5.5, 4.5, 4]),
        ):
            path = mirrored(points)[side]
            path[0, 2] = points[0][2]  # both come from one
            path[1:6] += rng.normal(0, 2.5, (5, 3))
            lay(path, radii, "mesenteric vessel")
        start = np.array([(-30, -2, 36), (-55, 16, 44), (-85, 34, 46), (-110, 40, 42)], float)
        for shift in ((0, 0, 0), (-6, 7, 2)):
            path = mirrored(start + shift + rng.normal(0, 2, (4, 3)))[side]
            lay(path, [3.8, 3.4, 2.6, 1.8], "mesenteric vessel")
        deep = mirrored([(-150, -48, 80), (-185, -30, 94), (-240, -16, 102)])[side]
        lay(deep, [3.5, 3.2, 2.2], "mesenteric vessel")
    sway = rng.normal(0, 4)
    lay(np.array([(110, -14, 6 + sway), (60, -14, 6 + sway), (fork, -10, 3)]), [8.5, 8.5, 8.0], "aorta")
    lay(np.array([(110, -8, -20), (50, -8, -18), (fork - 8, 0, -10)]), [10.5, 10.5, 9.5], "vena cava")
    for _ in range(
        int(rng.integers(3, 8))
    ):  # small vessels in the fat around the rectum and beside the bladder
        begin = np.array((rng.uniform(-90, -60), rng.uniform(25, 45), rng.normal(0, 12)))
        end = np.array((rng.uniform(-150, -115), rng.uniform(15, 55), rng.normal(0, 28)))
        made = tube(c, [begin, (begin + end) / 2 + rng.normal(0, 6, 3), end], [1.6, 1.6, 1.2])
        if made.box is not None:
            c.relabel(made.box, made.local > 0, "visceral fat", "mesenteric vessel")


def _lymph_nodes(c: Canvas) -> None:
    """Some enlarged nodes beside the vessels of the wall, in few."""
    rng = c.rng
    for _ in range(int(rng.integers(1, 5)) if rng.random() < 0.2 else 0):
        side = rng.choice((-1, 1))
        t = rng.uniform(0, 1)
        place = np.array((-50 - 70 * t, -10 - 18 * t, side * (46 + 14 * t))) + rng.normal(0, 4, 3)
        node = c.ellipsoid(place, rng.uniform(4, 10) * rng.uniform(0.7, 1.2, 3), rough=0.5)
        if node is not None:
            c.paint(node[0], node[1] + 3.0 * (node[1] > 0), "pelvic organ")


def scanned(rng: np.random.Generator, middle: Point) -> NDArray[np.float64]:
    """Lower and upper limit (mm) of the scan in each direction of the grid, shape (3, 2).

    A third are narrow around `middle`, as an MR of the prostate is.
    """
    if rng.random() < 1 / 3:
        half = np.array((rng.uniform(30, 50), rng.uniform(80, 110), 0.0))
        half[2] = half[1] * rng.uniform(0.95, 1.05)
        at = middle + rng.normal(0, (6, 8, 5)) + (4.0, 0.0, 0.0)
        return np.stack([at - half, at + half], 1)
    far = 1e3
    return np.array(((rng.uniform(-320, -205), rng.uniform(-20, 60)), (-far, far), (-far, far)))
