"""One part of the body per module, drawn on a canvas."""

from napari_cpclnet.phantoms.anatomy import (
    body,
    brain,
    chest,
    deep_brain,
    fine_cortex,
    gut,
    head,
    heart,
    limb,
    neck,
    pelvis,
    shoulder,
    solid,
    throat,
)

__all__ = [
    "body",
    "brain",
    "chest",
    "deep_brain",
    "fine_cortex",
    "gut",
    "head",
    "heart",
    "limb",
    "neck",
    "pelvis",
    "shoulder",
    "solid",
    "throat",
]
