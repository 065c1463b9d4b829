"""What the pelvis holds: bladder, rectum and sigmoid, the genital organs of both sexes, vessels and lymph nodes.

Coordinates are those of :mod:`napari_cpclnet.phantoms.anatomy.hips`; sizes are those of anatomy textbooks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.phantoms.anatomy import gut
from napari_cpclnet.phantoms.anatomy.body import Build, TrunkFields
from napari_cpclnet.phantoms.anatomy.hips import Frame, column, mirrored, tube
from napari_cpclnet.phantoms.canvas import HARD, Box, Canvas, Float, ramp, rotation
from napari_cpclnet.phantoms.structures import STRUCTURES

Point = NDArray[np.float64]

_WALL_OF_RECTUM = 20.0
"""Where the rectum begins behind prostate and vagina, `p` in mm."""


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


def random_prostate(rng: np.random.Generator) -> Prostate:
    """Draw a prostate of 20 to 100 ml; what is beyond 25 ml is mostly transition zone."""
    volume = float(np.clip(rng.lognormal(np.log(38), 0.45), 18, 105))
    peripheral = np.clip(rng.normal(15, 2.5) + 0.12 * (volume - 25), 10, 28)
    share = float(np.clip(1 - peripheral / volume, 0.2, 0.78))
    shape = np.array([0.92, 0.83, 1.17]) * np.exp(rng.normal(0, 0.05, 3))
    half = shape * (volume * 1000 / (4 / 3 * np.pi * shape.prod() * 0.9)) ** (1 / 3)
    apex = rng.normal(-184, 3)
    middle = np.array((apex + half[0], _WALL_OF_RECTUM - half[1] + rng.normal(0, 1.5), rng.normal(0, 2)))
    return Prostate(middle, half, share)


def organs(c: Canvas, b: Build, f: Frame) -> Point:
    """Paint all organs, from the ones that keep their place to those that fill what is left.

    Returns the middle of the prostate or the neck of the womb.
    """
    rng = c.rng
    _vessels(c)
    gland = random_prostate(rng)
    if f.woman:
        middle = np.array((-128.0, 8.0, 0.0)) + rng.normal(0, (4, 2, 4))
        _rectum(c, -150.0, _WALL_OF_RECTUM + 3.0)
        volume = _bladder_volume(rng)
        _vagina(c, middle)
        _uterus(c, middle, volume)
        _bladder(c, volume, -161.0, -6.0)
        _ovaries(c)
    else:
        middle = gland.middle
        _prostate(c, gland)
        _rectum(c, float(middle[0]), _WALL_OF_RECTUM + 1.0)
        _seminal_vesicles(c, gland)
        _bladder(c, _bladder_volume(rng), gland.base - 1.5, 13.0)
        _root_of_penis(c, gland)
    _lymph_nodes(c)
    _sigmoid(c, b, f)
    fields = TrunkFields(cavity=f.lumen, diaphragm=f.lumen, angle=f.lumen)
    # the loops of a trunk are laid out around its own axis, which lies before the hips
    gut.small_bowel(c, replace(b, depth=-f.front, spine=20.0), fields)
    if f.woman and rng.random() < 0.3:
        _fluid_behind_the_uterus(c)
    return middle


def _zone(c: Canvas, box: Box, mask: np.ndarray, name: str) -> None:
    c.labels[box][mask] = STRUCTURES[name]
    c.depth[box][mask] = HARD


def _prostate(c: Canvas, g: Prostate) -> None:
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
    _zone(c, box, beside, "wall muscle")
    whole = (depth > 0) & free
    _zone(c, box, whole, "prostate peripheral zone")
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
        _zone(c, box, score < limit, "prostate transition zone")


def _seminal_vesicles(c: Canvas, g: Prostate) -> None:
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
        _zone(c, made.box, mask, "seminal vesicle")


def _bladder_volume(rng: np.random.Generator) -> float:
    """Draw an empty to full bladder, ml."""
    return float(np.clip(rng.lognormal(np.log(150), 0.75), 30, 550))


def _bladder(c: Canvas, volume: float, neck: float, behind: float) -> None:
    """Empty and flat behind the pubis, or full and round up to the belly; fixed at its neck."""
    rng = c.rng
    full = float(ramp(np.array(volume), 60.0, 300.0))
    shape = np.array((0.62 + 0.3 * full, 0.88 + 0.02 * full, 1.22 - 0.12 * full)) * np.exp(
        rng.normal(0, 0.06, 3)
    )
    half = shape * (volume * 1000 / (4 / 3 * np.pi * shape.prod())) ** (1 / 3)
    wide = half[2] / min(half[2], 58.0)
    half = np.array((half[0] * wide**0.5, half[1] * wide**0.5, half[2] / wide))
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
    depth = depth - dent
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


def _vagina(c: Canvas, cervix: Point) -> None:
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
        _zone(c, made[0], mask, "pelvic organ")
    urethra = tube(c, [(-160, -8, 0), (-178, -15, 0), (-198, -22, 0)], [6.5, 6.5, 5.0])
    if urethra.box is not None:
        free = c.depth[urethra.box] < 0.5 * HARD
        _zone(c, urethra.box, (urethra.local > 0) & free, "pelvic organ")


def _uterus(c: Canvas, cervix: Point, bladder: float) -> None:
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
    _zone(c, box, mask, "uterus")


def _ovaries(c: Canvas) -> None:
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


def _fluid_behind_the_uterus(c: Canvas) -> None:
    """A little fluid in the lowest pouch of the peritoneum, as many women have."""
    rng = c.rng
    pouch = c.ellipsoid(
        (-122, 15, rng.normal(0, 5)), np.array((20, 11, 28)) * rng.uniform(0.6, 1.1), rough=3.0
    )
    if pouch is not None:
        box, depth = pouch
        c.relabel(box, (depth > 0) & c.room[box] & (c.depth[box] < 0), "visceral fat", "free fluid")


def _root_of_penis(c: Canvas, g: Prostate) -> None:
    """Urethra below the prostate, bulb and crura, and what hangs before the thighs."""
    rng = c.rng
    apex = float(g.middle[0] - g.half[0])
    start = (apex + 3, float(g.middle[1]) - 0.16 * float(g.half[0]), 0)
    pieces = [
        (np.array([start, (-195, 2, 0)]), [6.0, 6.0]),
        (np.array([(-203, 16, 0), (-205, 4, 0), (-204, -14, 0), (-200, -36, 0)], float), [9, 12, 9, 8]),
        (np.array([(-196, -40, 0), (-192, -62, 0), (-206, -84, 3), (-238, -90, 6)], float), [12, 13, 13, 12]),
        *((path, [5.0, 7.5, 8.0]) for path in mirrored([(-206, 8, 40), (-200, -14, 26), (-196, -38, 8)])),
    ]
    size = rng.uniform(0.85, 1.15)
    drop = np.array((rng.normal(-236, 5), rng.normal(-62, 5), 0.0))
    sac = c.ellipsoid(drop, np.array((36, 27, 40)) * size)
    stalk = tube(c, pieces[2][0], np.array(pieces[2][1]) + 4.0)
    for box, depth in (sac, (stalk.box, stalk.local)) if sac is not None else ():
        if box is not None:
            view = c.labels[box]
            bare = (view == STRUCTURES["air"]) & (depth > 0)
            view[bare] = STRUCTURES["skin"]
            view[bare & (depth > 2.5)] = STRUCTURES["subcutaneous fat"]
    for path, radii in pieces:
        made = tube(c, path, radii)
        if made.box is not None:
            mask = (made.local > 0) & ~c.is_any(
                made.box, "air", "pelvic bone", "cartilage", "prostate peripheral zone"
            )
            mask &= ~c.is_any(made.box, "prostate transition zone", "colon wall")
            _zone(c, made.box, mask, "pelvic organ")
    for path in mirrored([(drop[0], drop[1], 20.0)]):
        testis = c.ellipsoid(path[0] + rng.normal(0, 3, 3), np.array((20, 13, 12)) * size)
        if testis is not None:
            _zone(
                c,
                testis[0],
                (testis[1] > 0) & c.is_any(testis[0], "subcutaneous fat", "skin"),
                "pelvic organ",
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
            _zone(c, made.box, mask, name)

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
