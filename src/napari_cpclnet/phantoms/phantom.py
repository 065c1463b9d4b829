"""Procedural label volumes of parts of the human body, the only anatomy the network is trained on.

Every structure is an implicit depth function in the millimetres of one body, roughened by smooth noise; where
two organs compete for a voxel the one that is deeper there wins, so that neighbours touch without overlap.
Sizes and places follow anatomy textbooks. Renderings were compared with real scans by eye and corrected where
they looked wrong; no voxel, measurement or label map of a patient went into them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.phantoms import anatomy
from napari_cpclnet.phantoms.anatomy.body import Build, TrunkFields
from napari_cpclnet.phantoms.anatomy.heart import Heart
from napari_cpclnet.phantoms.canvas import Canvas
from napari_cpclnet.phantoms.settings import PhantomSettings
from napari_cpclnet.phantoms.structures import MERGES, STRUCTURES, TARGETS

__all__ = [
    "MERGES",
    "STRUCTURES",
    "TARGETS",
    "Phantom",
    "PhantomSettings",
    "make_brain",
    "make_head",
    "make_heart",
    "make_legs",
    "make_pelvis",
    "make_phantom",
    "make_spine",
    "make_thorax",
]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A labelled part of a body; z runs from inferior to superior, y from front to back, x from right to left.

    A heart in short axis has axes of its own.
    """

    labels: NDArray[np.uint8]
    structures: dict[str, int]
    spacing: tuple[float, float, float]
    level: NDArray[np.float32]
    """(Z,) height in the body of every slice: 0 at the iliac crest, 1 at the dome of the liver, linear outside; nan in
    legs, in heads, in brains, in spines and in a heart in short axis."""

    def mask(self, target: str) -> NDArray[np.bool_]:
        """Voxels of a class of `TARGETS` or a single structure."""
        names = TARGETS.get(target, (target,))
        return np.isin(self.labels, [self.structures[name] for name in names])


def make_phantom(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw one random adult trunk, from the middle of the pelvis to the heart.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    build = anatomy.body.random_build(rng)
    heart = anatomy.heart.random_heart(rng, build)
    # the middle between mid pelvis and mid heart
    middle = (0.5 * (build.dome - 62.0) + float(rng.normal(0, 14)), *rng.normal(0, 9, 2))
    c = _canvas(rng, settings, np.array(middle))
    frame = anatomy.body.build_trunk(c, build)
    anatomy.pelvis.pelvis(c, build)
    _organs(c, build, heart, frame)
    anatomy.pelvis.bladder(c, build)
    _gut(c, build, frame)
    if rng.random() < 0.12:
        anatomy.pelvis.free_fluid(c, frame.cavity)
    anatomy.pelvis.outside(c, build)
    return _phantom(c, settings, c.flat[0] / build.dome)


def make_thorax(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw one random adult from the upper abdomen to the base of the neck, arms raised or not.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    build = anatomy.body.random_build(rng)
    heart = anatomy.heart.random_heart(rng, build)
    middle = (build.dome + 20.0 + float(rng.normal(0, 18)), *rng.normal(0, 9, 2))
    c = _canvas(rng, settings, np.array(middle))
    _upper_body(c, build, heart)
    anatomy.pelvis.couch(c)
    return _phantom(c, settings, c.flat[0] / build.dome)


def make_heart(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw the chest of a random adult in short axis: z along the left ventricle, from its apex to its base.

    y runs from the front of the heart downwards, x from the right ventricle to the free wall of the left, as cine MR
    shows it. The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    build = anatomy.body.random_build(rng)
    heart = anatomy.heart.random_heart(rng, build)
    aim = heart.point(0.0, 0.0, -0.4) + rng.normal(0, 12, 3)
    # nobody plans the plane exactly
    axes, _ = np.linalg.qr((heart.axes + rng.normal(0, 0.06, (3, 3))).T)
    axes = axes.T * np.sign((axes.T * heart.axes).sum(1))[:, None]
    c = _canvas(rng, settings, aim, axes)
    _upper_body(c, build, heart)
    return _phantom(c, settings, np.full(settings.shape[0], np.nan))


def _canvas(
    rng: np.random.Generator,
    settings: PhantomSettings,
    middle: NDArray[np.float64],
    axes: NDArray[np.float64] | None = None,
) -> Canvas:
    """A canvas whose middle shows the point `middle` of the body."""
    extent = np.multiply(settings.shape, settings.spacing)
    shift = middle if axes is None else axes @ middle
    a, b, d = (float(v) for v in 0.5 * extent - shift)
    return Canvas(rng, settings.shape, settings.spacing, (a, b, d), settings.deformation, axes)


def _phantom(c: Canvas, settings: PhantomSettings, level: NDArray[np.floating]) -> Phantom:
    return Phantom(c.labels, dict(STRUCTURES), settings.spacing, level.astype(np.float32))


def _upper_body(c: Canvas, build: Build, heart: Heart) -> None:
    raised = bool(c.rng.random() < 0.55)
    frame = anatomy.body.build_trunk(c, build, raised)
    anatomy.shoulder.shoulders(c, build.dome, build.ks, build.kl, raised, frame.cavity)
    _organs(c, build, heart, frame)
    _gut(c, build, frame)


def _organs(c: Canvas, build: Build, heart: Heart, frame: TrunkFields) -> None:
    anatomy.solid.great_vessels(c, build)
    anatomy.chest.airways_and_oesophagus(c, build)
    anatomy.chest.chest_vessels(c, build, heart)
    anatomy.heart.heart(c, build, heart)
    anatomy.chest.lung_vessels(c, build)
    anatomy.chest.lung_disease(c, build, frame)
    places = anatomy.solid.liver(c, build, frame)
    anatomy.solid.gallbladder(c, build, places["fossa"])
    anatomy.solid.spleen(c, build, frame)
    poles = anatomy.solid.kidneys(c, build)
    anatomy.solid.pancreas(c, build, frame)
    pylorus = anatomy.gut.stomach(c, build)
    anatomy.gut.duodenum(c, build, pylorus)
    anatomy.solid.adrenals(c, build, poles)
    anatomy.solid.liver_inside(c, build, places["hilum"])


def _gut(c: Canvas, build: Build, frame: TrunkFields) -> None:
    anatomy.gut.colon(c, build, frame)
    anatomy.gut.small_bowel(c, build, frame)
    anatomy.gut.mesentery(c, build)


def make_legs(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw the legs of a random adult, or one of them, from the groin or the thigh downwards.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    c = _canvas(rng, settings, np.array([0.0, *rng.normal(0, 15, 2)]))
    anatomy.limb.legs(c)
    return _phantom(c, settings, np.full(settings.shape[0], np.nan))


def make_head(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw the head and neck of a random adult, down to the shoulders or cut off above.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    extent = [n * h for n, h in zip(settings.shape, settings.spacing, strict=True)]
    low, high = _scanned(rng)
    room = max(extent[0] - (anatomy.head.VERTEX + 10.0 - low), 8.0)
    ears = (
        float(rng.uniform(0.1, 0.9)) * room - low,
        0.5 * extent[1] + float(rng.normal(-10, 15)),
        0.5 * extent[2] + float(rng.normal(0, 15)),
    )
    c = Canvas(rng, settings.shape, settings.spacing, ears, 0.4 * settings.deformation)
    _head(c, fine=False)
    c.labels[(c.flat[0] < low) | (c.flat[0] > high)] = STRUCTURES["air"]
    return _phantom(c, settings, np.full(settings.shape[0], np.nan))


def make_brain(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw the head of a random adult from the base of the skull to the vertex, with the deep nuclei of the brain.

    In a third only a block around one hippocampus or both is left, as scans are cropped; the rest is air. The result
    depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    extent = np.multiply(settings.shape, settings.spacing)
    cropped = bool(rng.random() < 1 / 3)
    side = int(rng.choice((-1, 0, 1), p=(0.3, 0.4, 0.3))) if cropped else 0
    low = float(rng.uniform(-65, -20))
    if cropped:
        middle = np.array((20.0, 6.0, side * 26.0)) + rng.normal(0, 0.03, 3) * extent
    else:
        room = max(float(extent[0]) - (anatomy.head.VERTEX + 10.0 - low), 8.0)
        middle = np.array((0.5 * extent[0] + low - rng.uniform(0.1, 0.9) * room, *rng.normal(0, 8, 2)))
    crest = 0.5 * extent - middle
    c = Canvas(rng, settings.shape, settings.spacing, tuple(crest.tolist()), 0.4 * settings.deformation)
    _head(c, fine=True)
    if cropped:
        _crop(c, side)
    else:
        c.labels[c.flat[0] < low] = STRUCTURES["air"]
    return _phantom(c, settings, np.full(settings.shape[0], np.nan))


def _crop(c: Canvas, side: int) -> None:
    """Leave a block around the hippocampus of a side (-1 right, 1 left, 0 both)."""
    seen = (c.labels == STRUCTURES["hippocampus"]) & (c.l * side >= 0)
    there = np.argwhere(seen)
    if len(there) == 0:
        return
    spacing = np.array(c.spacing)
    first = there.min(0) - c.rng.uniform(4, 18, 3) / spacing
    last = there.max(0) + c.rng.uniform(4, 18, 3) / spacing
    block = tuple(slice(max(round(a), 0), round(b) + 1) for a, b in zip(first, last, strict=True))
    left = np.full(c.shape, STRUCTURES["air"], np.uint8)
    left[block] = c.labels[block]
    c.labels[...] = left


def _head(c: Canvas, *, fine: bool) -> None:
    """Head and neck; `fine` with the deep nuclei of the brain."""
    anatomy.head.pose(c)
    head = anatomy.head.build_head(c)
    neck = anatomy.neck.build_neck(c, head)
    anatomy.neck.shoulders(c)
    anatomy.head.muscles(c, head)
    anatomy.neck.muscles(c)
    anatomy.throat.glands(c)
    anatomy.throat.vessels(c)
    anatomy.head.skull(c, head)
    anatomy.neck.spine(c)
    hollows = anatomy.brain.brain(c, head)
    if fine:
        anatomy.deep_brain.deep_brain(c, head, hollows)
    anatomy.head.jaws(c, head)
    anatomy.head.orbits(c, head)
    anatomy.head.nose_and_sinuses(c, head)
    anatomy.throat.airway(c)
    anatomy.head.ears(c)
    anatomy.neck.outside(c, neck)


def make_pelvis(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw the pelvis of a random man or woman, from the iliac crests to the thighs, or a narrow view of its organs.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    build = anatomy.body.random_build(rng)
    woman = bool(rng.random() < 0.5)
    c = _canvas(rng, settings, np.array((-140.0, 0.0, 0.0)) + rng.normal(0, 10, 3))
    stature = np.float32(np.clip(0.75 + 0.25 * build.ks + rng.normal(0, 0.025), 0.9, 1.1))
    c.carry(c.s / stature, c.p / stature, c.l / stature)
    frame = anatomy.hips.build_hips(c, build, woman)
    middle = anatomy.true_pelvis.organs(c, build, frame)
    view = anatomy.true_pelvis.scanned(rng, stature * middle)
    if np.abs(view[1:]).max() > 500:  # nothing of the couch is in a narrow view
        anatomy.pelvis.couch(c)
    for axis, (low, high) in enumerate(view):
        outside = (c.flat[axis] < low) | (c.flat[axis] > high)
        np.moveaxis(c.labels, axis, 0)[outside] = STRUCTURES["air"]
    return _phantom(c, settings, c.flat[0] / build.dome)


def _scanned(rng: np.random.Generator) -> tuple[float, float]:
    """Lowest and highest level of the scan, mm above the ears: whole head and neck, head, or neck."""
    draw = rng.random()
    if draw < 0.25:
        return float(rng.uniform(-75, -20)), 200.0
    low = float(rng.uniform(-212, -165))
    return low, float(rng.uniform(0, 90)) if draw < 0.45 else 200.0


def make_spine(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw the lumbar spine of a random adult with what lies around it, all of it or in a narrow field of view.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    build = anatomy.body.random_build(rng)
    heart = anatomy.heart.random_heart(rng, build)
    spine = anatomy.lumbar.random_spine(rng, build)
    aim = spine.vertebrae[2].centre + (rng.normal(5, 12), rng.normal(-12, 9), rng.normal(0, 7))
    c = _canvas(rng, settings, aim)
    upright = c.s, c.p, c.l
    bent = anatomy.lumbar.follow(c, build, spine)
    c.carry(*bent)
    frame = anatomy.body.build_trunk(c, build, with_spine=False)
    anatomy.pelvis.pelvis(c, build, with_sacrum=False)
    c.carry(*upright)
    anatomy.back.paint_spine(c, spine)
    c.carry(*bent)
    _organs(c, build, heart, frame)
    anatomy.pelvis.bladder(c, build)
    _gut(c, build, frame)
    anatomy.pelvis.couch(c)
    if rng.random() < 0.5:
        c.labels[~_narrow_view(rng, c, spine.vertebrae[2].centre)] = STRUCTURES["air"]
    return _phantom(c, settings, np.full(settings.shape[0], np.nan))


def _narrow_view(rng: np.random.Generator, c: Canvas, middle: NDArray[np.float64]) -> NDArray[np.bool_]:
    """What a scan of the spine shows of a body: a box around the point `middle`."""
    tall, deep, wide = rng.uniform(220, 320), rng.uniform(140, 200), rng.uniform(60, 120)
    behind = middle[1] + rng.uniform(75, 105)
    low = (
        middle[0] - tall * rng.uniform(0.45, 0.55),
        behind - deep,
        middle[2] - wide * rng.uniform(0.45, 0.55),
    )
    inside = [
        (axis > start) & (axis < start + size)
        for axis, start, size in zip(c.flat, low, (tall, deep, wide), strict=True)
    ]
    view: NDArray[np.bool_] = inside[0][:, None, None] & inside[1][:, None] & inside[2]
    return view
