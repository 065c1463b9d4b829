"""Tumours that an episode grows in a phantom: lobed masses of any size in soft tissue, at times with a dead core.

Most patients have one, some several smaller ones, as metastases and lymph nodes are. The phantoms themselves have none,
so that each of them can have others every time it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.phantoms.structures import STRUCTURES

MASS = STRUCTURES["mass"]
CORE = STRUCTURES["mass core"]

_HOSTS = (
    "subcutaneous fat", "wall muscle", "visceral fat", "liver", "spleen", "pancreas", "right kidney cortex",
    "left kidney cortex", "psoas", "back muscle", "lung", "pelvic organ",
    "breast gland",
    "brain grey matter", "brain white matter", "cerebellum", "tongue", "right parotid", "left parotid", "thyroid",
    "prostate transition zone", "prostate peripheral zone", "uterus",
)  # fmt: skip
"""Where a mass may begin."""

_SPARED = (
    "air",
    "skin",
    "couch",
    "vertebra",
    "spinal canal",
    "rib",
    "pelvic bone",
    "stomach gas",
    "bowel gas",
    "airway",
    "shoulder bone",
    "skull",
    "teeth",
    "sinus air",
    "vertebral body",
    "intervertebral disc",
    "disc nucleus",
    "cauda equina",
)
"""What a mass does not grow into."""

_TRIES = 20

_SEVERAL = 0.35
"""Share of the patients with masses who have several."""

_MOST = 8
"""Masses of one patient."""

_PRIMARY = 0.5
"""How often one of several masses may be of any size; all others are small."""

_SMALL = 5.0, 25.0
"""Least and largest radius of a small mass, in mm."""


def _table(names: tuple[str, ...]) -> Tensor:
    table = torch.zeros(len(STRUCTURES), dtype=torch.bool)
    table[[STRUCTURES[name] for name in names]] = True
    return table


_HOST_TABLE = _table(_HOSTS)
_SPARED_TABLE = _table(_SPARED)


@dataclass(frozen=True, eq=False)
class Mass:
    """A lobed ellipsoid.

    Attributes
    ----------
    centre : tuple of float
        Voxel (z, y, x).
    radii : tuple of float
        Along z, y and x, in mm.
    lobes : array, shape (3, 3)
        Of each lobe: how many go round, how deep they are as a share of the radius, and where they begin.
    core : float
        Radius of the dead core as a share of the mass; 0 is none.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    lobes: NDArray[np.float64]
    core: float

    def slices(self, depth: int, thickness: float) -> NDArray[np.bool_]:
        """Which of `depth` slices of `thickness` mm show it well."""
        away = np.abs(np.arange(depth) - self.centre[0]) * thickness
        shown: NDArray[np.bool_] = away <= 0.8 * self.radii[0]
        shown[round(self.centre[0])] = True
        return shown

    def grow(self, planes: Tensor, index: NDArray[np.int64], spacing: tuple[float, float, float]) -> Tensor:
        """Label planes (..., Y, X) of the slices `index` (...) with the mass in them."""
        reach = 1 + float(np.abs(self.lobes[:, 1]).sum())
        away = (index - self.centre[0]) * spacing[0] / self.radii[0]
        near = [
            slice(max(0, int(np.floor(c - r * reach / mm))), max(0, int(np.ceil(c + r * reach / mm)) + 1))
            for c, r, mm in zip(self.centre[1:], self.radii[1:], spacing[1:], strict=True)
        ]
        if not (np.abs(away) < reach).any():
            return planes
        device = planes.device
        z = torch.from_numpy(away).to(device, torch.float32)[..., None, None]
        y, x = (
            (torch.arange(n, device=device)[part] - c) * mm / r
            for n, part, c, mm, r in zip(
                planes.shape[-2:], near, self.centre[1:], spacing[1:], self.radii[1:], strict=True
            )
        )
        y, x = y[:, None], x[None, :]
        angle = torch.atan2(y, x)
        edge = torch.ones_like(angle)
        for count, amplitude, phase in self.lobes:
            edge = edge + amplitude * torch.cos(round(count) * angle + phase)
        far = (z**2 + y**2 + x**2).sqrt() / edge
        grown = torch.where(far < self.core, CORE, MASS).to(planes.dtype)
        # nothing lies outside of this box
        box = planes[..., near[0], near[1]]
        free = (far < 1) & ~_SPARED_TABLE.to(device)[box.long()]
        after = planes.clone()
        after[..., near[0], near[1]] = torch.where(free, grown, box)
        return after


@dataclass(frozen=True, eq=False)
class Masses:
    """All masses of one patient.

    Attributes
    ----------
    lesions : tuple of Mass
        At least one.
    """

    lesions: tuple[Mass, ...]

    def slices(self, depth: int, thickness: float) -> NDArray[np.bool_]:
        """Which of `depth` slices of `thickness` mm show any of them well."""
        shown: NDArray[np.bool_] = np.any([m.slices(depth, thickness) for m in self.lesions], 0)
        return shown

    def grow(self, planes: Tensor, index: NDArray[np.int64], spacing: tuple[float, float, float]) -> Tensor:
        """Label planes (..., Y, X) of the slices `index` (...) with all of them in them."""
        for mass in self.lesions:
            planes = mass.grow(planes, index, spacing)
        return planes


def random_masses(rng: np.random.Generator, labels: Tensor) -> Masses | None:
    """Draw the masses of a patient for a phantom (Z, Y, X), one or several; None if no place for any was found."""
    if rng.random() >= _SEVERAL:
        found = [random_mass(rng, labels)]
    else:
        count = int(rng.integers(2, _MOST + 1))
        primary = rng.random() < _PRIMARY
        found = [random_mass(rng, labels, small=i > 0 or not primary) for i in range(count)]
    lesions = tuple(m for m in found if m is not None)
    return Masses(lesions) if lesions else None


def random_mass(rng: np.random.Generator, labels: Tensor, small: bool = False) -> Mass | None:
    """Draw a mass for a phantom (Z, Y, X); None if no place for it was found.

    Sizes are those of masses that people segment: 6 to 60 mm in radius, most near 20 mm; if `small`, 5 to 25 mm, most
    near 10 mm, and seldom with a core.
    """
    for _ in range(_TRIES):
        place = tuple(int(rng.integers(n)) for n in labels.shape)
        if not _HOST_TABLE[int(labels[place])]:
            continue
        middle, spread, low, high = (10, 0.4, *_SMALL) if small else (20, 0.55, 6.0, 60.0)
        size = float(np.clip(np.exp(rng.normal(np.log(middle), spread)), low, high))
        radii = size * np.exp(rng.normal(0, 0.25, 3))
        if small:  # less would be no pixel
            radii = np.clip(radii, *_SMALL)
        depth = abs(rng.normal(0, 0.05 if small else 0.1, 3))
        lobes = np.stack([[2, 3, 5], depth, rng.uniform(0, 2 * np.pi, 3)], 1)
        core = float(rng.uniform(0.3, 0.8)) if rng.random() < (0.1 if small else 0.4) else 0.0
        z, y, x = (float(v) for v in place)
        return Mass((z, y, x), (float(radii[0]), float(radii[1]), float(radii[2])), lobes, core)
    return None
