"""Throat of the phantoms: airway with its cartilages, tongue, vessels of the neck, and glands."""

from __future__ import annotations

import numpy as np

from napari_cpclnet.phantoms.anatomy.head import blob, profile, put, tube
from napari_cpclnet.phantoms.canvas import Canvas, ramp

_BOTH = (-1, 1)
_SOFT = ("visceral fat", "subcutaneous fat", "wall muscle", "back muscle", "lung", "cartilage")


def airway(c: Canvas) -> None:
    """Pharynx, larynx and trachea with their cartilages, the soft palate, tongue, hyoid and gullet."""
    rng = c.rng
    box = c.box((-130, -25, 0), (165, 40, 40))
    if box is None:
        return
    s, p, l = c.s[box], c.p[box], c.l[box] + 1.0 * c.noise(box, 50.0)
    side = np.abs(l)
    heights = [-290, -215, -180, -150, -130, -118, -108, -102, -92, -80, -65, -50, -38, -25, -10, -2]
    centre = profile(s, heights, [26, 14, 2, -10, -18, -23, -26, -26, -24, -19, -17, -16, -16, -18, -20, -20])
    open_ = rng.uniform(0.6, 1.25)
    across = profile(s, heights, [9, 9, 9, 9, 8.5, 7.5, 4, 3.5, 9, 13, 12, 11, 12, 14, 13, 9])
    deep = profile(s, heights, [8, 8, 8, 8, 8.5, 9, 10, 10, 8, 6.5, 6.5, 6, 6, 7.5, 8.5, 5])
    upper = ramp(s, -100.0, -85.0)
    across, deep = across * (1 + (np.sqrt(open_) - 1) * upper), deep * (1 + (open_ - 1) * upper)
    q = np.sqrt((side / across) ** 2 + ((p - centre) / deep) ** 2)
    gap = ((q - 1) * np.sqrt(across * deep)).astype(np.float32)  # distance outside the lumen
    put(
        c,
        box,
        (gap < 4.0) & (s > -100) & (s < 0) & (gap < 3.5 + 2 * (p > centre)),
        "wall muscle",
        over=("visceral fat", "subcutaneous fat"),
    )
    put(c, box, (gap < 2.2) & (s < -127) & (p < centre + 5), "cartilage")
    put(c, box, (gap < 7.0) & (s > -118) & (s < -92), "wall muscle", over=("visceral fat",))
    flange = np.abs((p - centre + 17.0) - 0.95 * side) / 1.38
    put(c, box, (flange < 1.8) & (side < 23) & (s < -92 + 6 * (side > 8)) & (s > -117), "cartilage")
    put(c, box, (gap > 1.0) & (gap < 4.5) & (s < -117) & (s > -127), "cartilage")
    bow = np.abs((p - centre + 19.0) - 0.045 * side**2) / np.sqrt(1 + (0.09 * side) ** 2)
    put(c, box, (bow < 2.8) & (side < 21) & (np.abs(s + 83) < 4.0), "skull")
    straps = (np.abs(gap - 9.5) < 2.2) & (p < centre) & (s < -88) & (s > -190) & (side > 2)
    put(c, box, straps, "wall muscle", over=("visceral fat",))
    _tongue(c)
    put(c, box, (gap < 0) & (s < 2), "airway")
    palate = [(-33, -44, 0), (-38, -34, 0), (-52, -26, 0)]
    tube(c, palate, (4.5, 4.5, 3.0), "wall muscle")
    if rng.random() < 0.8:  # epiglottis
        tube(c, [(-92, -28, 0), (-80, -26, 0), (-72, -22, 0)], (2.5, 3.0, 2.0), "wall muscle")
    path = np.array([(-126, -6), (-150, 3), (-180, 16), (-215, 28), (-290, 40)], float)
    tube(c, np.column_stack([path, rng.normal(2, 2, 5)]), rng.uniform(4.5, 6.5), "oesophagus")


def _tongue(c: Canvas) -> None:
    rng = c.rng
    size = rng.uniform(0.92, 1.08)
    made = c.ellipsoid((-53, -54, 0), np.array((20, 31, 22)) * size, None, 0.8)
    root = c.ellipsoid((-65, -40, 0), np.array((18, 15, 17)) * size, None, 0.8)
    over = ("visceral fat", "subcutaneous fat", "wall muscle", "air", "airway", "cartilage")
    if made is not None:
        if rng.random() < 0.35:
            put(
                c,
                made[0],
                (made[1] > -4.0) & (c.s[made[0]] > -52) & (c.s[made[0]] < -35),
                "airway",
                over=over[:3],
            )
        put(c, made[0], made[1] > 0, "tongue", over=over)
    if root is not None:
        put(c, root[0], root[1] > 0, "tongue", over=over)


def vessels(c: Canvas) -> None:
    """Carotid, vertebral and subclavian arteries, and the veins beside them."""
    rng = c.rng
    for side in _BOTH:
        out = rng.normal(0, 1.5)
        fork = -85 + rng.normal(0, 7)
        r = rng.uniform(2.9, 3.9)
        common = [
            (-285, 5, side * 12),
            (-215, -2, side * 14),
            (-180, -10, side * 18),
            (-150, -8, side * (23 + out)),
            (-115, -8, side * (27 + out)),
            (fork, -8, side * (28 + out)),
        ]
        inner = [
            (fork, -8, side * (28 + out)),
            (fork + 15, -3, side * (30 + out)),
            (-40, -4, side * 27),
            (-22, -2, side * 27),
            (-6, -8, side * 24),
        ]
        outer = [
            (fork, -9, side * (28 + out)),
            (fork + 25, -16, side * 33),
            (-40, -12, side * 42),
            (-15, -4, side * 50),
        ]
        wide = float(np.clip(rng.normal(5.5, 1.4), 2.5, 9.0))
        jugular = [
            (-14, 4, side * 29),
            (-45, 2, side * 32),
            (-85, 0, side * (36 + out)),
            (-125, -4, side * (36 + out)),
            (-160, -10, side * 33),
            (-190, -18, side * 24),
            (-215, -20, side * 16),
            (-285, -18, -14),
        ]
        tube(c, jugular, np.array([3.0, 4.0, wide, wide, wide * 1.1, 7.5, 7.5, 8.0]), "neck vein", over=_SOFT)
        tube(
            c,
            [(-192, -20, side * 24), (-186, -14, side * 60), (-190, 0, side * 105), (-215, 5, side * 140)],
            (6.5, 5, 4.5, 4),
            "neck vein",
            over=_SOFT,
        )
        tube(c, common, (6.0, 5.5, r + 0.5, r, r, r + 0.8), "neck artery", over=_SOFT)
        tube(c, inner, (r + 0.5, r * 0.85, r * 0.75, 2.4, 2.2), "neck artery", over=_SOFT)
        tube(c, outer, (r * 0.7, r * 0.65, 2.0, 1.6), "neck artery", over=_SOFT)
        tube(
            c,
            [
                (-215, 6, side * 16),
                (-182, 8, side * 24),
                (-168, 4, side * 46),
                (-178, 4, side * 80),
                (-212, 10, side * 140),
            ],
            (5, 4.5, 4.5, 4, 3.5),
            "neck artery",
            over=_SOFT,
        )
        tube(
            c,
            [(-175, 10, side * 22), (-140, 16, side * 17), (-60, 11, side * 17), (-38, 14, side * 24)],
            1.7,
            "neck artery",
            over=(*_SOFT, "vertebra"),
        )


def glands(c: Canvas) -> None:
    """Parotid and submandibular glands and thyroid; some were taken out, some thyroids are goitres."""
    rng = c.rng
    over = ("visceral fat", "subcutaneous fat", "wall muscle")
    large = float(np.exp(rng.normal(0, 0.08)))
    operated = rng.random(5) < (0.03, 0.03, 0.05, 0.05, 0.05)
    for index, (name, side) in enumerate((("right", -1), ("left", 1))):
        if not operated[index]:
            k = large * float(np.exp(rng.normal(0, 0.05)))
            blob(c, (-26, -8, side * 60), np.array((27, 19, 11)) * k, f"{name} parotid", over=over, rough=1.2)
            blob(c, (-26, 1, side * 50), np.array((20, 10, 14)) * k, f"{name} parotid", over=over, rough=1.0)
        if not operated[2 + index]:
            k = large * float(np.exp(rng.normal(0, 0.06)))
            blob(
                c,
                (-84, -32, side * 32),
                np.array((13, 17, 10)) * k,
                f"{name} submandibular",
                over=over,
                rough=0.8,
            )
    if operated[4]:
        return
    goitre = rng.uniform(1.2, 1.7) if rng.random() < 0.1 else 1.0
    lobe = float(rng.choice([-1, 1])) if rng.random() < 0.05 else 0.0
    for side in _BOTH:
        if side == lobe:  # one lobe removed
            continue
        k = goitre * float(np.exp(rng.normal(0, 0.07)))
        blob(c, (-136, -15, side * 18), np.array((25, 11, 9.5)) * k, "thyroid", over=_SOFT[:3], rough=0.8)
    if lobe == 0.0:
        tube(
            c,
            [(-142, -22, -14), (-143, -26 - 2 * goitre, 0), (-142, -22, 14)],
            (5, 4, 5),
            "thyroid",
            over=_SOFT[:3],
        )
