"""One part of the body per module, drawn on a canvas."""

from napari_cpclnet.phantoms.anatomy import (
    body,
    brain,
    chest,
    gut,
    head,
    heart,
    hips,
    limb,
    neck,
    pelvis,
    shoulder,
    solid,
    throat,
    true_pelvis,
)

__all__ = [
    "body",
    "brain",
    "chest",
    "gut",
    "head",
    "heart",
    "hips",
    "limb",
    "neck",
    "pelvis",
    "shoulder",
    "solid",
    "throat",
    "true_pelvis",
]
