"""One part of the body per module, drawn on a canvas."""

from napari_cpclnet.phantoms.anatomy import (
    back,
    body,
    brain,
    chest,
    deep_brain,
    fine_cortex,
    gut,
    head,
    heart,
    limb,
    lumbar,
    neck,
    pelvis,
    shoulder,
    solid,
    throat,
)

__all__ = [
    "back",
    "body",
    "brain",
    "chest",
    "deep_brain",
    "fine_cortex",
    "gut",
    "head",
    "heart",
    "limb",
    "lumbar",
    "neck",
    "pelvis",
    "shoulder",
    "solid",
    "throat",
]
