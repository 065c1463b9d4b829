"""Procedural label volumes of the human body, the only anatomy the network is trained on.

Every structure is an implicit depth function in the millimetres of one body, roughened by smooth noise; where
two organs compete for a voxel the one that is deeper there wins, so that neighbours touch without overlap.
Sizes and places follow anatomy textbooks. Renderings were compared with real scans by eye and corrected where
they looked wrong; no voxel, measurement or label map of a patient went into them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_cpclnet.episodes import (
    anatomy_body,
    anatomy_brain,
    anatomy_gut,
    anatomy_head,
    anatomy_limb,
    anatomy_neck,
    anatomy_pelvis,
    anatomy_solid,
    anatomy_throat,
)
from napari_cpclnet.episodes.anatomy_canvas import Canvas
from napari_cpclnet.episodes.anatomy_table import MERGES, STRUCTURES, TARGETS

__all__ = [
    "MERGES",
    "STRUCTURES",
    "TARGETS",
    "Phantom",
    "PhantomSettings",
    "make_head",
    "make_legs",
    "make_phantom",
]


class PhantomSettings(BaseModel):
    """Grid and variability of the phantoms."""

    model_config = ConfigDict(frozen=True)

    shape: tuple[int, int, int] = (104, 128, 144)
    """Voxels (z, y, x)."""
    spacing: tuple[float, float, float] = (4.0, 3.0, 3.0)
    """Millimetres (z, y, x)."""
    deformation: float = 1.0
    """Strength of the smooth random deformation of the whole body; 0 switches it off."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A labelled trunk, head or pair of legs.

    z runs from inferior to superior, y from front to back, x from right to left.
    """

    labels: NDArray[np.uint8]
    structures: dict[str, int]
    spacing: tuple[float, float, float]
    level: NDArray[np.float32]
    """(Z,) height in the body of every slice: 0 at the iliac crest, 1 at the dome of the liver, linear outside; nan in
    legs and heads."""

    def mask(self, target: str) -> NDArray[np.bool_]:
        """Voxels of a class of `TARGETS` or a single structure."""
        names = TARGETS.get(target, (target,))
        return np.isin(self.labels, [self.structures[name] for name in names])


def make_phantom(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw one random adult trunk, from the middle of the pelvis to the heart.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    build = anatomy_body.random_build(rng)
    extent = [n * h for n, h in zip(settings.shape, settings.spacing, strict=True)]
    # Put the middle between mid pelvis and mid heart in the middle of the grid.
    crest = (
        0.5 * extent[0] - 0.5 * (build.dome - 62.0) + float(rng.normal(0, 14)),
        0.5 * extent[1] + float(rng.normal(0, 9)),
        0.5 * extent[2] + float(rng.normal(0, 9)),
    )
    c = Canvas(rng, settings.shape, settings.spacing, crest, settings.deformation)
    frame = anatomy_body.build_trunk(c, build)
    anatomy_pelvis.pelvis(c, build)
    anatomy_solid.great_vessels(c, build)
    anatomy_body.heart_and_oesophagus(c, build)
    places = anatomy_solid.liver(c, build, frame)
    anatomy_solid.gallbladder(c, build, places["fossa"])
    anatomy_solid.spleen(c, build, frame)
    poles = anatomy_solid.kidneys(c, build)
    anatomy_solid.pancreas(c, build, frame)
    pylorus = anatomy_gut.stomach(c, build)
    anatomy_gut.duodenum(c, build, pylorus)
    anatomy_solid.adrenals(c, build, poles)
    anatomy_solid.liver_inside(c, build, places["hilum"])
    anatomy_pelvis.bladder(c, build)
    anatomy_gut.colon(c, build, frame)
    anatomy_gut.small_bowel(c, build, frame)
    anatomy_gut.mesentery(c, build)
    if rng.random() < 0.12:
        anatomy_pelvis.free_fluid(c, frame.cavity)
    anatomy_pelvis.outside(c, build)
    level = ((c.flat[0]) / build.dome).astype(np.float32)
    return Phantom(labels=c.labels, structures=dict(STRUCTURES), spacing=settings.spacing, level=level)


def make_legs(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw the legs of a random adult, or one of them, from the groin or the thigh downwards.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    extent = [n * h for n, h in zip(settings.shape, settings.spacing, strict=True)]
    middle = (
        0.5 * extent[0],
        0.5 * extent[1] + float(rng.normal(0, 15)),
        0.5 * extent[2] + float(rng.normal(0, 15)),
    )
    c = Canvas(rng, settings.shape, settings.spacing, middle, settings.deformation)
    anatomy_limb.legs(c)
    level = np.full(settings.shape[0], np.nan, np.float32)
    return Phantom(labels=c.labels, structures=dict(STRUCTURES), spacing=settings.spacing, level=level)


def make_head(rng: np.random.Generator, settings: PhantomSettings | None = None) -> Phantom:
    """Draw the head and neck of a random adult, down to the shoulders or cut off above.

    The result depends on the state of `rng` and the settings only.
    """
    settings = settings or PhantomSettings()
    extent = [n * h for n, h in zip(settings.shape, settings.spacing, strict=True)]
    low, high = _scanned(rng)
    room = max(extent[0] - (anatomy_head.VERTEX + 10.0 - low), 8.0)
    ears = (
        float(rng.uniform(0.1, 0.9)) * room - low,
        0.5 * extent[1] + float(rng.normal(-10, 15)),
        0.5 * extent[2] + float(rng.normal(0, 15)),
    )
    c = Canvas(rng, settings.shape, settings.spacing, ears, 0.4 * settings.deformation)
    anatomy_head.pose(c)
    head = anatomy_head.build_head(c)
    neck = anatomy_neck.build_neck(c, head)
    anatomy_neck.shoulders(c)
    anatomy_head.muscles(c, head)
    anatomy_neck.muscles(c)
    anatomy_throat.glands(c)
    anatomy_throat.vessels(c)
    anatomy_head.skull(c, head)
    anatomy_neck.spine(c)
    anatomy_brain.brain(c, head)
    anatomy_head.jaws(c, head)
    anatomy_head.orbits(c, head)
    anatomy_head.nose_and_sinuses(c, head)
    anatomy_throat.airway(c)
    anatomy_head.ears(c)
    anatomy_neck.outside(c, neck)
    c.labels[(c.flat[0] < low) | (c.flat[0] > high)] = STRUCTURES["air"]
    level = np.full(settings.shape[0], np.nan, np.float32)
    return Phantom(labels=c.labels, structures=dict(STRUCTURES), spacing=settings.spacing, level=level)


def _scanned(rng: np.random.Generator) -> tuple[float, float]:
    """Lowest and highest level of the scan, mm above the ears: whole head and neck, head, or neck."""
    draw = rng.random()
    if draw < 0.25:
        return float(rng.uniform(-75, -20)), 200.0
    low = float(rng.uniform(-212, -165))
    return low, float(rng.uniform(0, 90)) if draw < 0.45 else 200.0
