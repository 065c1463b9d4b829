"""The brain of the phantoms: folded grey ribbon over white matter, ventricles, cerebellum, brainstem, and its veins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_cpclnet.phantoms.anatomy.head import Head, egg, put, tube
from napari_cpclnet.phantoms.canvas import Canvas, Float, TubeField, curve, ramp, smooth_max
from napari_cpclnet.phantoms.structures import STRUCTURES

_TISSUE = ("brain grey matter", "brain white matter")


@dataclass(frozen=True)
class Hollows:
    """How much fluid one brain holds; its deep parts are fitted to it."""

    waste: float  # 0 is a young adult; below, swelling; 1 is a very old brain
    wide: float  # area of the ventricles in cross section relative to a young adult
    out: float  # shift of the lateral ventricles to the side, mm
    sizes: tuple[float, float]  # radius of the right and the left lateral ventricle, relative


def brain(c: Canvas, h: Head) -> Hollows:
    """Fill the cavity of the skull; from swollen brains without any sulci to wasted ones with wide ventricles."""
    rng = c.rng
    draw = rng.random()
    # 0 is a young adult; below, swelling; 1 is a very old brain
    waste = rng.uniform(-1.0, -0.4) if draw < 0.08 else float(np.clip(rng.normal(0.25, 0.3), -0.3, 1.0))
    wide = float(np.exp(rng.normal(0, 0.2) + (0.9 if waste > 0 else 1.1) * waste))
    if rng.random() < 0.05:  # hydrocephalus
        wide = rng.uniform(1.9, 2.8)
    s, p, l = c.s[h.box], c.p[h.box], c.l[h.box]
    put(c, h.box, h.cavity > 0, "cerebrospinal fluid")
    surface = h.cavity - np.float32(1.0 + 1.8 * max(waste, 0.0)) - 0.5 * c.noise(h.box, 25.0)
    tent = 8.0 + 27.0 * np.exp(-((l / 40.0) ** 2)) * ramp(-p, -80.0, -35.0)
    tent = tent + (20.0 - tent) * ramp(-p, -24.0, -10.0)
    petrous = p - 0.35 * np.abs(l) - 1.0  # in front of it and beside the brainstem lies the temporal lobe
    above = smooth_max((s - tent).astype(np.float32), (-petrous).astype(np.float32), 4.0)
    centre = (np.abs(p - 8.0) < 30.0) & (np.abs(l) < np.where(s < 5.0, 26.0, 17.0)) & (s < 22.0)
    above[centre] = -5.0  # of the base, where the brainstem and the cisterns are
    _cerebrum(c, h, np.minimum(surface, above), waste)
    under = np.minimum(surface, np.minimum(tent - s - 1.0, (petrous - 7.0).astype(np.float32)))
    small = np.float32(1.0 + 2.0 * max(waste, 0.0))
    lobes = np.minimum(under - small, 58.0 - np.abs(l)) - 1.5 * np.exp(-((l / 4.0) ** 2)) * (p > 55)
    cerebellum = lobes > 0
    put(c, h.box, cerebellum, "cerebellum")
    if rng.random() < 0.7:  # arbor vitae
        put(
            c,
            h.box,
            (lobes > 9.0) & (np.abs(c.noise(h.box, 12.0)) < 0.5),
            "brain white matter",
            over=("cerebellum",),
        )
        put(
            c,
            h.box,
            (lobes > 9.0) & (np.abs(p - 42) < 9) & (np.abs(s + 4) < 9),
            "cerebellum",
            over=_TISSUE[1:],
        )
    if waste > -0.3:
        folia = (lobes < 5.0) & (np.abs(c.noise(h.box, 9.0)) < 0.06 + 0.15 * max(waste, 0.0))
        put(c, h.box, folia & cerebellum, "cerebrospinal fluid")
    stem = [
        (32, 2, 0, 13),
        (22, 6, 0, 13),
        (8, 10, 0, 15.5),
        (-4, 13, 0, 13),
        (-14, 18, 0, 8.5),
        (-30, 23, 0, 6.5),
    ]
    path = curve(stem, 6.0)
    field = TubeField(c, path[:, :3], path[:, 3] * rng.uniform(0.95, 1.08))
    if field.box is not None:
        free = ("cerebrospinal fluid", "cerebellum", "skull", "brain white matter")
        low = c.s[field.box] < 27.0
        put(c, field.box, (field.local > 0) & low & (field.local < 99), "brainstem", over=free)
        put(c, field.box, (field.local > 0) & ~low, "brain white matter", over=free[:1])
    _nuclei(c)
    out, sizes = _ventricles(c, h, wide)
    _lesions(c, h)
    _sinuses(c, h)
    return Hollows(waste, wide, out, sizes)


def _cerebrum(c: Canvas, h: Head, surface: Float, waste: float) -> None:
    """Hemispheres whose grey matter dips into the sulci, which are sheets where a smooth field crosses zero."""
    rng = c.rng
    s, p, l = c.s[h.box], c.p[h.box], c.l[h.box]
    side = np.abs(l)
    # fissure between the hemispheres, around the corpus callosum
    far = np.sqrt(((s - 34.0) / 26.0) ** 2 + ((p + 3.0) / 43.0) ** 2)
    fissure = (far > 1.0) & ((s > 10.0) | (p < -40))
    middle = np.where(fissure, np.abs(l + 0.8 * c.noise(h.box, 40.0)), 99.0).astype(np.float32)
    # fissure of Sylvius with the insula at its ground
    lid = np.abs(s - 30.0 - 0.28 * (p + 25.0) + 1.5 * c.noise(h.box, 25.0))
    sylvius = np.where((side > 38.0) & (p > -32.0) & (p < 34.0), lid, 99.0)
    insula = np.where((lid < 11.0) & (p > -26.0) & (p < 20.0), np.abs(side - 38.0), 99.0)
    opening = np.minimum(sylvius, insula + 0.8)
    fold = np.abs(c.noise(h.box, float(rng.uniform(10.5, 13.0))))
    bottom = np.clip(1.0 - surface / rng.uniform(17.0, 24.0), 0.0, 1.0)
    tight = max(-waste, 0.0)
    gap = 0.13 * bottom * (1.0 + 1.8 * max(waste, 0.0))
    tissue = surface > 0
    cleft = (middle < 1.3 + 1.2 * max(waste, 0)) | (opening < 1.2 + 1.2 * max(waste, 0)) | (fold < gap)
    tissue &= ~(cleft if tight == 0 else (middle < 1.0) & (surface < 25))
    ribbon = rng.uniform(3.8, 4.6)
    grey = surface < ribbon
    grey |= (middle < ribbon + 1.6) | (opening < ribbon + 1.8)
    grey |= fold < (0.62 + 0.15 * rng.random()) * np.sqrt(bottom) * (bottom > 0)
    put(c, h.box, tissue, "brain white matter")
    put(c, h.box, tissue & grey, "brain grey matter")


def _nuclei(c: Canvas) -> None:
    """Thalamus, lentiform nucleus, and head and body of the caudate."""
    over = (*_TISSUE, "cerebrospinal fluid")
    for side in (-1, 1):
        for centre, radii in (
            ((36, 4, side * 10.5), (10, 15, 8.5)),
            ((34, -14, side * 25), (9, 18, 7.5)),
            ((40, -30, side * 12), (11, 9, 6)),
        ):
            made = c.ellipsoid(centre, radii, None, 0.5)
            if made is not None:
                put(c, made[0], made[1] > 0, "brain grey matter", over=over)


def _ventricles(c: Canvas, h: Head, wide: float) -> tuple[float, tuple[float, float]]:
    """Both lateral ventricles with their horns, the third and the fourth; their shift to the side and sizes."""
    rng = c.rng
    over = (*_TISSUE, "cerebrospinal fluid", "brainstem", "cerebellum")
    out = 2.5 * float(np.sqrt(wide))
    sizes = []
    for side in (-1, 1):
        size = float(np.sqrt(wide)) * float(np.exp(rng.normal(0, 0.1)))
        sizes.append(size)
        body = [
            (40, -42, side * (8 + out), 3.5),
            (46, -32, side * (6 + out), 5.0),
            (53, -10, side * (6 + out), 4.6),
            (55, 12, side * (8 + out), 4.8),
            (47, 34, side * (18 + out), 6.8),
            (36, 44, side * (22 + out), 5.5),
        ]
        horns = [
            [
                (42, 38, side * (20 + out), 5.5),
                (36, 56, side * (17 + out), 3.8),
                (35, 66, side * (15 + out), 2.0),
            ],
            [
                (38, 40, side * (22 + out), 5.5),
                (24, 28, side * (30 + out), 3.6),
                (15, 6, side * (30 + out), 2.6),
                (13, -8, side * (28 + out), 2.2),
            ],
        ]
        for way in (body, *horns):
            points = np.array(way, float)
            tube(c, points[:, :3], points[:, 3] * size, "ventricle", over=over, step=6.0)
    third = c.box((33, -6, 0), (15, 20, 6))
    if third is not None:
        s, p, l = c.s[third], c.p[third], c.l[third]
        slit = (((s - 33) / 13) ** 2 + ((p + 6) / 17) ** 2 < 1) & (np.abs(l) < 1.7 * wide**0.7)
        put(c, third, slit, "ventricle", over=(*over, "ventricle"))
    made = c.ellipsoid((0, 29, 0), np.array((13, 5.5, 8)) * wide**0.3)
    if made is not None:
        put(c, made[0], made[1] > 0, "ventricle", over=over)
    septum = c.box((48, -20, 0), (16, 30, 4))
    if septum is not None and wide > 1.2:
        put(
            c,
            septum,
            (np.abs(c.l[septum]) < 1.3) & (c.s[septum] > 44),
            "brain white matter",
            over=("ventricle",),
        )
    return out, (sizes[0], sizes[1])


def _lesions(c: Canvas, h: Head) -> None:
    """An old infarct, a hygroma below the skull, or spots in the white matter of the old."""
    rng = c.rng
    s, p, l = c.s[h.box], c.p[h.box], c.l[h.box]
    if rng.random() < 0.08:
        side = rng.choice([-1, 1])
        centre = (rng.uniform(30, 80), rng.uniform(-50, 60), side * rng.uniform(40, 60))
        hole = egg(s, p, l, centre, rng.uniform(12, 32, 3)) + 3.0 * c.noise(h.box, 15.0)
        put(c, h.box, hole > 0, "cerebrospinal fluid", over=_TISSUE)
    if rng.random() < 0.06:
        side = rng.choice([-1, 1])
        deep = rng.uniform(5, 14) * ramp(egg(s, p, l * side, (60, -5, 62), (50, 70, 45)), 0.0, 25.0)
        put(c, h.box, (h.cavity > 0) & (h.cavity < deep), "cerebrospinal fluid", over=_TISSUE)


def _sinuses(c: Canvas, h: Head) -> None:
    """The large veins inside the skull, and the falx between the hemispheres."""
    s, p, l = c.s[h.box], c.p[h.box], c.l[h.box]
    along = (h.cavity > -1.0) & (h.cavity < 6.5) & (p > -65) & (s > np.where(p > 30, 12, 60))
    put(c, h.box, along & (np.abs(l) < 4.5 - 0.6 * np.maximum(h.cavity, 0)), "neck vein")
    course = (h.cavity > -2.0) & (h.cavity < 5.0) & (np.abs(s - 9.0) < 4.5) & (p > 30)
    stronger = np.where(l * c.rng.choice([-1, 1]) > 0, 1.0, 0.55)
    put(c, h.box, course & (np.abs(s - 9.0) < 4.5 * stronger), "neck vein")
    falx = (np.abs(l) < 0.8) & (s > 40) & c.is_any(h.box, "cerebrospinal fluid") & (h.cavity > 6)
    c.labels[h.box][falx & (np.sqrt(((s - 34) / 26) ** 2 + ((p + 3) / 43) ** 2) > 1.3)] = STRUCTURES[
        "cartilage"
    ]
