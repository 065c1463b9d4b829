"""Classes of phantom episodes: how often each is asked for, and which structures make it up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.phantoms.structures import STRUCTURES, TARGETS

_FREQUENT = {
    "liver": 3.0,
    "spleen": 3.5,
    "right kidney": 3.0,
    "left kidney": 3.0,
    "stomach": 1.2,
    "gallbladder": 1.0,
    "pancreas": 1.0,
    "aorta": 1.0,
    "vena cava": 1.0,
    "vertebrae": 0.7,
    "psoas": 0.6,
    "left ventricle": 0.5,
    "right ventricle": 0.5,
    "myocardium": 0.5,
    "brain": 1.0,
    "right parotid": 0.5,
    "left parotid": 0.5,
    "thyroid": 0.5,
    "hippocampus": 0.8,
    "thalamus": 0.4,
    "caudate": 0.4,
    "putamen": 0.4,
    "vertebral bodies": 0.5,
    "intervertebral discs": 0.4,
    "prostate": 1.0,
    "prostate transition zone": 0.5,
    "prostate peripheral zone": 0.5,
    "uterus": 0.5,
}
_OTHERS = 0.2

NAMES = tuple(TARGETS)
FREQUENCY: NDArray[np.float64] = np.array([_FREQUENT.get(name, _OTHERS) for name in NAMES])
"""Relative frequency of every class of `TARGETS`, large organs first because users ask for them first."""


def membership() -> NDArray[np.bool_]:
    """Table (classes, structures): which structure belongs to which class."""
    table = np.zeros((len(NAMES), len(STRUCTURES)), bool)
    for row, name in enumerate(NAMES):
        table[row, [STRUCTURES[s] for s in TARGETS[name]]] = True
    return table
