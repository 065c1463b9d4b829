"""Genital organs of both sexes, with the sizes of anatomy textbooks; coordinates are those of a whole pelvis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.phantoms.anatomy.hip_bones import column, hard, mirrored, tube
from napari_cpclnet.phantoms.canvas import HARD, Box, Canvas, Float, ramp, rotation
from napari_cpclnet.phantoms.structures import STRUCTURES

Point = NDArray[np.float64]


@dataclass(frozen=True)
class Prostate:
    """Size and place of a prostate, mm."""

    middle: Point
    half: Point  # half axes upwards, backwards and to the left
    transition: float  # share of the volume that is transition zone

    @property
    def base(self) -> float:
        """Height of the upper end in the middle."""
        return float(self.middle[0] + 0.8 * self.half[0])


def random_prostate(rng: np.random.Generator, rear: float) -> Prostate:
    """Draw a prostate of 20 to 100 ml; what is beyond 25 ml is mostly transition zone; it ends at `rear`."""
    volume = float(np.clip(rng.lognormal(np.log(38), 0.45), 18, 105))
    peripheral = np.clip(rng.normal(15, 2.5) + 0.12 * (volume - 25), 10, 28)
    share = float(np.clip(1 - peripheral / volume, 0.2, 0.78))
    shape = np.array([0.92, 0.83, 1.17]) * np.exp(rng.normal(0, 0.05, 3))
    half = shape * (volume * 1000 / (4 / 3 * np.pi * shape.prod() * 0.9)) ** (1 / 3)
    apex = rng.normal(-184, 3)
    middle = np.array((apex + half[0], rear - half[1] + rng.normal(0, 1.5), rng.normal(0, 2)))
    return Prostate(middle, half, share)


def prostate(c: Canvas, g: Prostate) -> None:
    """A chestnut that narrows to its apex, with the transition zone in front and above."""
    rng = c.rng
    found = c.near(g.middle, 1.1 * g.half + 3)
    if found is None:
        return
    box, s, p, l = found
    h, d, w = (float(v) for v in g.half)
    up = s / h
    narrow = 1.0 - 0.28 * ramp(-up, -0.1, 1.0)
    lean = 0.16 * s  # the apex lies further in front
    back = np.where(p > lean, 1.12, 1.0)  # flatter behind, with a shallow groove
    q = np.sqrt(
        np.abs(up) ** 2.3
        + (np.abs(p - lean) * back / (d * narrow)) ** 2.2
        + (np.abs(l) / (w * narrow)) ** 2.2
    )
    groove = 1.5 * np.exp(-((l / 6) ** 2)) * (p > lean)
    depth = (1 - q) * d - groove + 0.8 * c.noise(box, 14.0)
    # the floor of the pelvis gives way and lies against its sides
    free = (c.depth[box] < 0.5 * HARD) | (c.is_any(box, "wall muscle") & (np.abs(l) < 1.35 * w))
    c.labels[box][free & (depth > -9) & (depth <= 0) & c.is_any(box, "wall muscle")] = STRUCTURES[
        "visceral fat"
    ]
    beside = free & (depth > -4.5) & (depth < -1.5) & (up < 0.35) & (np.abs(l) > 0.75 * w * narrow)
    hard(c, box, beside, "wall muscle")
    whole = (depth > 0) & free
    hard(c, box, whole, "prostate peripheral zone")
    # the transition zone begins above the apex, and leaves a horseshoe behind and at the sides
    inside = rotation(rng, (0.0, 0.0, 0.0), 0.05)
    u, v, t = (
        inside[k, 0] * (s - 0.16 * h) + inside[k, 1] * (p - lean + 0.26 * d) + inside[k, 2] * l
        for k in range(3)
    )
    lobes = 1.0 + 0.1 * np.cos(2 * np.arctan2(np.abs(t), v))
    zone = np.sqrt((u / (0.98 * h)) ** 2 + (v / (0.98 * d)) ** 2 + (t / (1.05 * w * lobes)) ** 2)
    zone = zone + (0.03 + 0.08 * g.transition) * c.noise(box, 12.0)  # nodules
    rind = rng.uniform(1.0, 2.0) + 4.5 * ramp(p - lean, -0.3 * d, 0.4 * d)
    score = np.where(whole & (depth > rind), zone, np.inf)
    wanted = int(g.transition * np.count_nonzero(whole))
    finite = np.sort(score[np.isfinite(score)])
    if len(finite):
        limit = finite[min(wanted, len(finite) - 1)]
        hard(c, box, score < limit, "prostate transition zone")


def seminal_vesicles(c: Canvas, g: Prostate) -> None:
    """Both seminal vesicles, between bladder and rectum."""
    rng = c.rng
    size = rng.uniform(0.75, 1.3)
    base = g.base
    rear = float(g.middle[1] + 0.55 * g.half[1])
    for path in mirrored(
        [
            (base - 5, rear + 1, 5),
            (base + 3, rear + 4, 13),
            (base + 7, rear + 6, 22),
            (base + 13, rear + 8, 32 + 5 * size),
        ]
    ):
        path = path + rng.normal(0, 1.5, (4, 3))
        made = tube(c, path, np.array((3.5, 6.2, 7.8, 6.2)) * size * rng.uniform(0.85, 1.1), squash=1.25)
        if made.box is None:
            continue
        mask = made.local + 1.3 * c.noise(made.box, 7.0) > 0
        mask &= c.depth[made.box] < 0.5 * HARD
        hard(c, made.box, mask, "seminal vesicle")


def vagina(c: Canvas, cervix: Point) -> None:
    """Vagina, flat between bladder and rectum, and the urethra before it."""
    s, p, _ = (float(v) for v in cervix)
    made = column(
        c,
        [
            (-204, -10, 0, 4, 7, 0),
            (-186, 0, 0, 4.5, 11, 0),
            (-165, 9, 0, 4.5, 15, 0),
            (min(s - 16, -142), p + 8, 0, 5, 17, 0),
            (min(s - 6, -132), p + 9, 0, 4, 15, 0),
        ],
        both=False,
    )
    if made is not None:
        bend = 0.012 * c.l[made[0]] ** 2  # the sides are drawn forwards, as an H lies on its side
        mask = (made[1] - 0.12 * bend > 0) & (c.depth[made[0]] < 0.5 * HARD)
        hard(c, made[0], mask, "pelvic organ")
    urethra = tube(c, [(-165, -10, 0), (-178, -15, 0), (-198, -22, 0)], [6.5, 6.5, 5.0])
    if urethra.box is not None:
        free = c.depth[urethra.box] < 0.5 * HARD
        hard(c, urethra.box, (urethra.local > 0) & free, "pelvic organ")


def uterus(c: Canvas, cervix: Point, bladder: float) -> None:
    """Neck and body of the womb with its lining; bent forwards in most women, with fibroids in some.

    A full bladder (ml) lifts it.
    """
    rng = c.rng
    age = rng.uniform(20, 85)
    size = float(np.clip(rng.normal(1.1 if age < 52 else 0.84, 0.1), 0.6, 1.4))
    ahead = (
        rng.normal(-68 + 0.13 * min(bladder, 350.0), 14) if rng.random() < 0.8 else rng.normal(45, 20)
    )  # degrees from upright
    lean = np.deg2rad(np.clip(ahead, -85, 85))
    side = rng.normal(0, 0.12)
    way = np.array((np.cos(lean), np.sin(lean), side))
    neck_way = np.array((np.cos(0.45 * lean), np.sin(0.45 * lean), 0.4 * side))
    start = cervix + np.array((-10.0, 3.0, 0.0))
    bend = start + 27 * size**0.5 * neck_way
    top = bend + 40 * size * way
    parts = []
    for points, radii, flat in (
        ([start, (start + bend) / 2, bend], [10.5, 13 * size**0.5, 12.5 * size], 1.0),
        ([bend, (bend + top) / 2, top], [12.5 * size, 18.5 * size, 18.5 * size], 0.8),
    ):
        parts.append((np.array(points), np.array(radii), flat))
    along = np.cross(way, (0.0, 0.0, 1.0))
    along /= np.linalg.norm(along)
    across = np.cross(along, way / np.linalg.norm(way))
    neck = tube(c, parts[0][0], parts[0][1])
    if neck.box is not None:
        _uterine(c, neck.box, neck.local + 0.5 * c.noise(neck.box, 14.0))
    axes = np.stack([way / np.linalg.norm(way), along, across])
    middle = (bend + top) / 2 + 3 * size * way
    body = c.ellipsoid(middle, np.array((31, 19, 27)) * size, axes, rough=1.5)
    if body is not None:
        _uterine(c, *body)
    for _ in range(int(rng.integers(1, 5)) if rng.random() < 0.25 else 0):
        place = middle + axes.T @ (rng.uniform(-1, 1, 3) * np.array((24, 18, 24)) * size)
        fibroid = c.ellipsoid(place, rng.uniform(6, 22) * rng.uniform(0.85, 1.1, 3), rough=1.0)
        if fibroid is not None:
            _uterine(c, *fibroid)
    thick = rng.uniform(2.5, 6.5) if age < 52 else rng.uniform(1.2, 3.0)
    lining = c.ellipsoid(middle - 2 * way, (23 * size, thick, 13 * size), axes, rough=0.4)
    if lining is not None:
        c.relabel(lining[0], lining[1] > 0, "uterus", "endometrium")
    canal = tube(c, np.array([start - 4 * neck_way, bend, middle - 14 * size * way]), [1.6, 1.8, 2.4])
    if canal.box is not None:
        c.relabel(canal.box, canal.local > 0, "uterus", "endometrium")


def _uterine(c: Canvas, box: Box, depth: Float) -> None:
    free = (c.depth[box] < 0.5 * HARD) & c.room[box]
    mask = (depth > 0) & free
    hard(c, box, mask, "uterus")


def ovaries(c: Canvas) -> None:
    """One or both ovaries beside the uterus, with follicles."""
    rng = c.rng
    for side in (-1, 1):
        if rng.random() < 0.15:
            continue
        place = np.array((-92, 8, side * 48)) + rng.normal(0, 6, 3)
        size = rng.uniform(0.6, 1.15)
        made = c.ellipsoid(place, np.array((15, 10, 10)) * size, rough=0.8)
        if made is None:
            continue
        c.paint(made[0], made[1] + 5.0 * (made[1] > 0), "pelvic organ")
        for _ in range(int(rng.integers(0, 6))):
            at = place + rng.normal(0, 5, 3) * size
            follicle = c.ellipsoid(at, np.full(3, rng.uniform(2.5, 8) * size))
            if follicle is not None:
                c.paint(follicle[0], follicle[1] + 14.0 * (follicle[1] > 0), "free fluid")


def fluid_behind_the_uterus(c: Canvas) -> None:
    """A little fluid in the lowest pouch of the peritoneum, as many women have."""
    rng = c.rng
    pouch = c.ellipsoid(
        (-122, 15, rng.normal(0, 5)), np.array((20, 11, 28)) * rng.uniform(0.6, 1.1), rough=3.0
    )
    if pouch is not None:
        box, depth = pouch
        c.relabel(box, (depth > 0) & c.room[box] & (c.depth[box] < 0), "visceral fat", "free fluid")


def root_of_penis(c: Canvas, g: Prostate) -> None:
    """Urethra below the prostate, bulb and crura, and what hangs before the thighs."""
    rng = c.rng
    apex = float(g.middle[0] - g.half[0])
    start = (apex + 3, float(g.middle[1]) - 0.16 * float(g.half[0]), 0)
    shaft = np.array([(-196, -40, 0), (-192, -62, 0), (-206, -84, 3), (-238, -90, 6)], float)
    thick = np.array((12.0, 13.0, 13.0, 12.0))
    pieces = [
        (np.array([start, (-195, 2, 0)]), np.array((6.0, 6.0))),
        (np.array([(-203, 16, 0), (-205, 4, 0), (-204, -14, 0), (-200, -36, 0)]), np.array((9, 12, 9, 8))),
        (shaft, thick),
        *(
            (path, np.array((5.0, 7.5, 8.0)))
            for path in mirrored([(-206, 8, 40), (-200, -14, 26), (-196, -38, 8)])
        ),
    ]
    size = rng.uniform(0.85, 1.15)
    drop = np.array((rng.normal(-236, 5), rng.normal(-62, 5), 0.0))
    stalk = tube(c, shaft, thick + 4.0)
    hulls = [c.ellipsoid(drop, np.array((36, 27, 40)) * size)]
    hulls.append(None if stalk.box is None else (stalk.box, stalk.local))
    for hull in hulls:
        if hull is not None:
            view = c.labels[hull[0]]
            bare = (view == STRUCTURES["air"]) & (hull[1] > 0)
            view[bare] = STRUCTURES["skin"]
            view[bare & (hull[1] > 2.5)] = STRUCTURES["subcutaneous fat"]
    for path, radii in pieces:
        made = tube(c, path, radii)
        if made.box is not None:
            mask = (made.local > 0) & ~c.is_any(made.box, "air", "pelvic bone", "cartilage", "colon wall")
            mask &= ~c.is_any(made.box, "prostate transition zone", "prostate peripheral zone")
            hard(c, made.box, mask, "pelvic organ")
    for side in (-20, 20):
        testis = c.ellipsoid(drop + (0, 0, side) + rng.normal(0, 3, 3), np.array((20, 13, 12)) * size)
        if testis is not None:
            box, depth = testis
            hard(c, box, (depth > 0) & c.is_any(box, "subcutaneous fat", "skin"), "pelvic organ")
