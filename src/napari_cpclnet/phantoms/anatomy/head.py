"""The head of the phantoms: its pose and surface, skull, jaws and teeth, sinuses, orbits and chewing muscles.

Heights are millimetres above the plane through the ears' canals and the lower rims of the orbits, in a head of middle
size; `p` is 0 at the ears' canals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_cpclnet.phantoms.canvas import (
    Box,
    Canvas,
    Float,
    Mask,
    TubeField,
    curve,
    ramp,
    smooth_max,
    smooth_min,
)
from napari_cpclnet.phantoms.structures import STRUCTURES

VERTEX = 133.0
"""Height of the top of the head."""


@dataclass(frozen=True)
class Head:
    """Measures of one person and the fields that parts of the head are fitted to."""

    fat: float  # subcutaneous fat of the neck, mm
    girth: float  # width of the neck relative to a middle-sized adult
    chin: float  # shift of the chin to the front, mm
    box: Box  # where the head is
    cavity: Float  # depth below the inner face of the skull, over `box`
    cranium: Float  # the same, but smooth at the base, where the face hangs below
    face: Float  # depth below the skin, over `box`


def pose(c: Canvas) -> None:
    """Turn and bend the head on its neck, and give it a size of its own."""
    rng = c.rng
    s, p, l = c.s, c.p, c.l
    # The turn grows from the base of the neck to the joint below the skull; the chin moves with the skull.
    share = ramp((s - 0.6 * p).astype(np.float32), -150.0, -50.0)
    nod, turn, lean = (float(rng.normal(0, sd)) for sd in (0.12, 0.10, 0.06))
    s, p = s + 45.0, p - 10.0
    for name, angle in (("nod", nod), ("turn", turn), ("lean", lean)):
        cos, sin = np.cos(angle * share), np.sin(angle * share)
        if name == "nod":
            s, p = cos * s - sin * p, sin * s + cos * p
        elif name == "turn":
            p, l = cos * p - sin * l, sin * p + cos * l
        else:
            s, l = cos * s - sin * l, sin * s + cos * l
    s, p = s - 45.0, p + 10.0
    size = np.clip(rng.normal(0.985, 0.022), 0.94, 1.03) * np.clip(rng.normal(1.0, 0.018, 3), 0.96, 1.04)
    s, p, l = (np.asarray(x / k, dtype=np.float32) for x, k in zip((s, p, l), size, strict=True))
    c.carry(s, p, l)


def egg(s: Float, p: Float, l: Float, centre: ArrayLike, radii: ArrayLike, power: float = 2.0) -> Float:
    """Depth (mm), along the ray from its centre, inside an ellipsoid or a rounder box."""
    parts = [x - o for x, o in zip((s, p, l), np.asarray(centre, np.float32), strict=True)]
    far = np.sqrt(sum(x * x for x in parts)) + 1e-2
    q = sum((np.abs(x) / r) ** power for x, r in zip(parts, np.asarray(radii, np.float32), strict=True))
    return np.asarray(far / (q + 1e-6) ** (1.0 / power) - far, dtype=np.float32)


def profile(x: Float, knots: Sequence[float], values: Sequence[float]) -> Float:
    """Broken line through `values` at `knots` (rising, mm), constant outside; read from a table, which is fast."""
    table = np.interp(np.arange(knots[0], knots[-1] + 0.5, 0.5), knots, values).astype(np.float32)
    index = ((x - np.float32(knots[0])) * 2.0 + 0.5).astype(np.int16)
    return np.asarray(table[np.clip(index, 0, len(table) - 1)])


def put(c: Canvas, box: Box, mask: Mask, name: str, *, over: tuple[str, ...] = ()) -> None:
    """Label voxels under `mask`; where names are given `over`, of these structures only."""
    if over:
        mask = mask & c.is_any(box, *over)
    c.labels[box][mask] = STRUCTURES[name]


def tube(
    c: Canvas,
    points: ArrayLike,
    radius: ArrayLike,
    name: str,
    *,
    over: tuple[str, ...] = (),
    step: float = 9.0,
) -> None:
    """Paint a smooth tube through points, all of one radius or one for each point."""
    points = np.asarray(points, float)
    radii = np.broadcast_to(np.asarray(radius, float), (len(points),))
    path = curve(np.column_stack([points, radii]), step)
    field = TubeField(c, path[:, :3], path[:, 3])
    if field.box is not None:
        put(c, field.box, field.local > 0, name, over=over)


def blob(
    c: Canvas,
    centre: ArrayLike,
    radii: ArrayLike,
    name: str,
    *,
    tilt: np.ndarray | None = None,
    over: tuple[str, ...] = (),
    rough: float = 0.0,
) -> None:
    """Paint an ellipsoid."""
    made = c.ellipsoid(centre, np.broadcast_to(np.asarray(radii, float), (3,)), tilt, rough)
    if made is not None:
        put(c, made[0], made[1] > 0, name, over=over)


def build_head(c: Canvas) -> Head:
    """Draw the measures, and the fields of the brain's cavity and of the face."""
    rng = c.rng
    box = c.box((10.0, -5.0, 0.0), (130.0, 130.0, 95.0)) or c.whole
    s, p, l = c.s[box], c.p[box], c.l[box]
    side = np.abs(l)
    wider = 1.0 + 0.0008 * p  # behind than in front
    vault = egg(s, p, l / wider, (45.0, 0.0, 0.0), (76.0, 87.0, 69.5), rng.uniform(2.1, 2.35))
    behind = egg(s, p, l, (10.0, 35.0, 0.0), (40.0, 47.0, 57.0))
    clivus = (p + 8.0 - 0.39 * (22.0 - s)).astype(np.float32)
    behind = smooth_min(behind, clivus, 6.0)
    temporal = egg(s, p, side, (22.0, -8.0, 38.0), (24.0, 36.0, 27.0))
    floor = (
        24.0 + (12.0 - 9.0 * np.exp(-((l / 12.0) ** 2))) * ramp(-p, 25.0, 40.0) - 20.0 * ramp(p, 25.0, 60.0)
    )
    cavity = smooth_min(vault, (s - floor).astype(np.float32), 8.0)
    cavity = smooth_max(smooth_max(cavity, behind, 8.0), temporal, 8.0)
    cavity += 0.5 * c.noise(box, 30.0)
    cranium = smooth_max(smooth_max(vault, behind, 8.0), temporal, 8.0)
    chin = float(rng.normal(0, 4))
    return Head(
        fat=float(np.clip(rng.lognormal(np.log(6.0), 0.6), 2.0, 22.0)),
        girth=float(np.clip(rng.normal(1.0, 0.08), 0.84, 1.2)),
        chin=chin,
        box=box,
        cavity=cavity,
        cranium=cranium,
        face=_face(c, box, cranium, chin),
    )


def _face(c: Canvas, box: Box, cranium: Float, chin: float) -> Float:
    """Depth below the skin of the scalp and the face."""
    rng = c.rng
    s, p, l = c.s[box], c.p[box], c.l[box]
    knots = [-100.0, -85.0, -68.0, -45.0, -20.0, 0.0, 20.0, 40.0, 60.0]
    full = rng.normal(0, 3.0)
    front = profile(s, knots, [84 + chin, 95 + chin, 93 + chin / 2, 99, 94, 88, 88, 94, 90])
    half = profile(s, knots, [36, 46 + full, 58 + full, 65 + full, 68 + full / 2, 70, 68, 60, 50])
    back = 12.0
    middle = 0.5 * (back - front)
    p = p - middle
    depth = 0.5 * (back + front)
    face = egg(np.float32(0.0) * s, p / depth, l / half, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 2.35) * np.minimum(
        depth, half
    )
    below = s + 96.0 + 0.05 * (c.p[box] + 90.0)
    face = smooth_min(face.astype(np.float32), below.astype(np.float32), 16.0)
    face = smooth_min(face, (52.0 - s).astype(np.float32), 20.0)
    nose = egg(
        s, c.p[box], l, (-12.0, -96.0, 0.0), (rng.uniform(22, 28), rng.uniform(15, 22), rng.uniform(12, 16))
    )
    face = smooth_max(face, nose, 7.0)
    scalp = rng.uniform(10.0, 14.5)
    return smooth_max(face, cranium + np.float32(scalp), 10.0) + 0.7 * c.noise(box, 40.0)


def skull(c: Canvas, h: Head) -> None:
    """Vault and base; the brain is painted into their cavity afterwards."""
    rng = c.rng
    s, p, l = c.s[h.box], c.p[h.box], c.l[h.box]
    thick = rng.uniform(4.8, 7.5) + 0.7 * c.noise(h.box, 35.0) + 2.5 * np.exp(-(((p - 85) ** 2 + l**2) / 900))
    base = ramp((30.0 - s).astype(np.float32), 0.0, 20.0) * ramp(-p, -30.0, 10.0)
    thick = thick * (1 - 0.35 * base)
    low = s > -30.0 - 0.05 * p
    put(c, h.box, (h.cavity > -thick) & (h.cavity < 1.5) & (h.face > 4.0) & low, "skull")
    for side in (-1, 1):  # petrous bone and mastoid with the canal of the ear
        tube(c, [(2, 16, side * 64), (4, 8, side * 42), (12, -6, side * 14)], (12.0, 10.0, 5.5), "skull")
        blob(c, (-12, 20, side * 59), (18, 14, 11), "skull")
        cells = c.ellipsoid((-8, 19, side * 59), (16, 13, 10))
        if cells is not None and rng.random() < 0.85:
            airy = c.noise(cells[0], 9.0) > rng.uniform(-0.4, 0.5)
            put(c, cells[0], (cells[1] > 1.5) & airy, "sinus air", over=("skull",))
        tube(c, [(0, 3, side * 46), (-1, 1, side * 62), (0, 4, side * 76)], (3.0, 3.2, 4.0), "sinus air")
    # clivus, between the pharynx and the brainstem, and what borders the sphenoid sinus
    tube(c, [(16, -30, 0), (10, -14, 0), (-6, -4, 0), (-22, 4, 0)], (11.0, 11.0, 7.0, 5.0), "skull")
    for side in (-1, 1):
        blob(c, (-24, 14, side * 19), (8, 11, 8), "skull")  # occipital condyles


def jaws(c: Canvas, h: Head) -> None:
    """Mandible, maxilla, palate, teeth and cheek bones."""
    rng = c.rng
    box = c.box((-45, -50, 0), (60, 65, 70))
    if box is None:
        return
    s, p, side = c.s[box], c.p[box] + h.chin * ramp(-c.s[box], 60.0, 80.0), np.abs(c.l[box])
    flare = rng.uniform(44, 50)

    def arch(front: float, length: float, half: float, power: float) -> Float:
        """Distance (mm) from a horseshoe open to the back."""
        x = np.minimum(side / half, 1.25)
        slope = power * length / half * x ** (power - 1)
        off = np.abs(p - front - length * x**power) / np.sqrt(1.0 + slope**2)
        return np.asarray(off, dtype=np.float32)

    low = arch(-87.0, 70.0, flare, 2.3)
    body = (low < 5.0) & (s < -60.0) & (s > -88.0 + 0.22 * (p + 87.0)) & (p < -12)
    slant = p + 22.0 - 0.12 * (s + 40.0)
    ramus = (np.abs(side - flare - 0.05 * (s + 60)) < 4.2) & (np.abs(slant) < 15.0) & (s < -14) & (s > -76)
    notch = ((s + 12.0) / 14.0) ** 2 + (slant / 7.5) ** 2 < 1
    upper = arch(-86.0, 46.0, 27.0, 2.2)
    alveolar = (upper < 5.5) & (s < -30.0) & (s > -42.0) & (p < -42)
    palate = (np.abs(s + 32.0 + 0.003 * side**2) < 2.2) & (p > -86) & (p < -44) & (upper + 1 > 0)
    palate &= p > -86 + 46 * (side / 27.0) ** 2.2
    put(c, box, (body | (ramus & ~notch) | alveolar | palate), "skull")
    put(c, box, body & (low < 2.2) & (s < -66) & (c.noise(box, 8.0) > 0.3), "visceral fat", over=("skull",))
    for one in (-1, 1):
        tube(c, [(-16, -14, one * (flare + 2)), (-5, -11, one * (flare + 2))], (4.5, 6.0), "skull")
        tube(
            c,
            [(-6, -68, one * 40), (-4, -56, one * 56), (-2, -34, one * 65.5), (0, -8, one * 64)],
            (9.0, 7.0, 3.2, 3.5),
            "skull",
        )
    if rng.random() < 0.8:
        number = np.floor(p / 7.0 + side / 7.0)
        lost = np.isin(number, rng.choice(np.arange(-16, 2), int(rng.integers(0, 7)), replace=False))
        gap = (np.abs((p + side) / 7.0 - number - 0.5) > 0.42) | lost
        bite = rng.uniform(-53, -50)
        crowns = ((upper < 4.0) & (s < -38.0) & (s > bite)) | ((low < 4.0) & (s <= bite) & (s > -66.0))
        put(c, box, crowns & (p < -44) & ~gap, "teeth")


def muscles(c: Canvas, h: Head) -> None:
    """Muscles of chewing and of the lips, fat of the cheek between them."""
    s, p, l = c.s[h.box], c.p[h.box], c.l[h.box]
    side = np.abs(l)
    deep = (h.face > 3.0) & (h.cranium < -4.0)
    lips = (h.face > 2.5) & (h.face < 9.0) & (p < -70) & (s < -32) & (s > -84) & (side < 36)
    put(c, h.box, lips, "wall muscle")
    temporal = egg(s, p, side, (24.0, -20.0, 68.0), (44.0, 40.0, 17.0))
    put(c, h.box, (temporal > 0) & deep & (h.face > 4.0) & (h.cranium < -5.0), "wall muscle")
    size = c.rng.uniform(0.85, 1.2)
    for one in (-1, 1):
        blob(c, (-42, -27, one * 55), (31, 17, 7.5 * size), "wall muscle", rough=0.6)  # masseter
        blob(c, (-38, -24, one * 38), (30, 13, 6.5 * size), "wall muscle", rough=0.6)  # medial pterygoid
        blob(c, (-8, -28, one * 38), (9, 18, 12 * size), "wall muscle", rough=0.6)  # lateral pterygoid
        blob(c, (-45, -58, one * 47), (16, 14, 4), "wall muscle", rough=0.6)  # buccinator
    # floor of the mouth
    blob(c, (-82, -54, 0), (10, 33, 27), "wall muscle", rough=0.8)


def nose_and_sinuses(c: Canvas, h: Head) -> None:
    """Nasal cavity with septum and turbinates, and the sinuses around it; some hold fluid or swollen mucosa."""
    rng = c.rng
    sick = rng.random() < 0.25

    def sinus(centre: ArrayLike, radii: ArrayLike, wall: float, power: float = 2.6) -> None:
        reach = np.asarray(radii, float)
        box = c.box(centre, reach + wall + 2.0)
        if box is None:
            return
        depth = egg(c.s[box], c.p[box], c.l[box], centre, radii, power) + 0.12 * min(reach) * c.noise(
            box, 16.0
        )
        free = c.is_any(box, "skull", "subcutaneous fat", "visceral fat", "wall muscle")
        put(c, box, (depth > -wall) & free, "skull")
        put(c, box, (depth > 0) & free, "sinus air")
        if sick and rng.random() < 0.6:
            level = rng.uniform(-1, 1) * reach[1]  # of the fluid, which gathers behind in a patient who lies
            lining = depth < rng.uniform(1.5, 5.0)
            wet = lining if rng.random() < 0.5 else c.p[box] - np.asarray(centre)[1] > level
            put(c, box, (depth > 0) & wet, "free fluid", over=("sinus air",))

    size = rng.uniform(0.75, 1.1)
    for one in (-1, 1):
        sinus((-16, -56, one * 31), np.array((16, 17, 13)) * size, 2.2)
    for one in (-1, 1):
        sinus((14, -30, one * 7.5), np.array((8, 11, 7)) * rng.uniform(0.8, 1.15), 2.0)
        if rng.random() < 0.85:
            sinus((44, -87, one * 13), np.array((13, 6, 13)) * rng.uniform(0.5, 1.15), 2.5)
        cells = c.box((14, -58, one * 7), (15, 24, 8))
        if cells is None:
            continue
        s, p, l = c.s[cells], c.p[cells], c.l[cells] * one
        inside = (np.abs(p + 60) < 21) & (l > 2) & (l < 12.5) & (s > 1) & (s < 25)
        put(c, cells, inside, "sinus air")
        put(c, cells, inside & (np.abs(c.noise(cells, 8.0)) < 0.25), "skull")
        put(c, cells, inside & sick & (c.noise(cells, 12.0) > 0.3), "free fluid")
        put(c, cells, (np.abs(l - 13.0) < 1.2) & (np.abs(p + 60) < 22) & (s > 0) & (s < 28), "skull")
    box = c.box((-10, -66, 0), (26, 36, 18))
    if box is None:
        return
    s, p, side = c.s[box], c.p[box], np.abs(c.l[box])
    half = profile(s, [-30, -24, -5, 10, 24], [11, 15, 11, 5, 2.5])
    hollow = (side < half) & (s > -30) & (s < 24) & (p > -88 - 0.4 * (s + 30) * (s < -10)) & (p < -34)
    put(
        c,
        box,
        (side < half + 2) & (s > -30) & (s < 0) & (p > -74) & (p < -34),
        "skull",
        over=("subcutaneous fat",),
    )
    put(c, box, hollow, "airway")
    bend = c.l[box] - rng.normal(0, 2.0) * np.cos((p + 60) / 15.0)
    turbinates = (side > 0.45 * half + 1) & (np.abs(c.noise(box, 11.0)) < rng.uniform(0.5, 1.0)) & (p > -78)
    put(c, box, hollow & turbinates, "wall muscle")
    put(c, box, hollow & (np.abs(bend) < 1.6) & (p < -36), "cartilage")


def orbits(c: Canvas, h: Head) -> None:
    """Bony orbits with fat, eyes, their muscles and the optic nerves."""
    rng = c.rng
    radius = float(np.clip(rng.normal(12.2, 0.35), 11.3, 13.0))
    bulge = rng.normal(0, 1.5)
    missing = int(rng.choice([-1, 1])) if rng.random() < 0.02 else 0
    for side in (-1, 1):
        eye = np.array((17.0, -76.0 - bulge, side * 32.0))
        apex = np.array((20.0, -36.0, side * 15.0))
        path = np.stack([eye + (0, -6, 2 * side), eye, 0.5 * (eye + apex) + (0, 0, side * 2), apex])
        cone = TubeField(c, path, (18.5, 19.5, 14.5, 4.5))
        if cone.box is None:
            continue
        box, depth = cone.box, cone.local
        p = c.p[box]
        rim = p > -71.0 - 0.35 * (32.0 - np.abs(c.l[box]))
        put(
            c,
            box,
            (depth > -3.0) & (depth <= 0) & rim,
            "skull",
            over=("subcutaneous fat", "visceral fat", "wall muscle"),
        )
        within = (depth > 0) & ~c.is_any(box, "air", "skin")
        put(c, box, within, "visceral fat")
        angle = np.arctan2(c.s[box] - 18.0, c.l[box] - side * (32.0 + 0.42 * (p + 76.0)))
        recti = (np.abs(depth - 4.0) < 1.5) & (np.cos(4 * angle) > 0.35) & (p > -78)
        put(c, box, recti & within, "wall muscle")
        tube(c, [eye + (0, 10, -side), 0.5 * (eye + apex) + (-1, 0, 0), apex], 2.2, "wall muscle")
        if side != missing:
            blob(c, eye, radius + 2.5, "skin", over=("air",))
            blob(c, eye, radius, "eye")


def ears(c: Canvas) -> None:
    """Auricles, which stand off the head to the back."""
    rng = c.rng
    stand = rng.uniform(0.3, 0.75)
    for side in (-1, 1):
        turn = np.array(
            [
                [1.0, 0.0, 0.0],
                [0.0, np.cos(stand), side * np.sin(stand)],
                [0.0, -side * np.sin(stand), np.cos(stand)],
            ]
        )
        blob(c, (1, 16, side * 80), (30, 16, 4.0), "skin", tilt=turn, over=("air",))
