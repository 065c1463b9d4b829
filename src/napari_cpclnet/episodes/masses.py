"""Tumours that an episode grows in a phantom: a lobed mass of any size in soft tissue, at times with a dead core.

The phantoms themselves have none, so that each of them can have another one every time it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.episodes.anatomy_table import STRUCTURES

MASS = STRUCTURES["mass"]
CORE = STRUCTURES["mass core"]

_HOSTS = (
    "subcutaneous fat", "wall muscle", "visceral fat", "liver", "spleen", "pancreas", "right kidney cortex",
    "left kidney cortex", "psoas", "back muscle", "lung", "pelvic organ",
    "breast gland",
    "brain grey matter", "brain white matter", "cerebellum", "tongue", "right parotid", "left parotid", "thyroid",
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
)
"""What a mass does not grow into."""

_TRIES = 20


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
        device = planes.device
        y, x = (
            (torch.arange(n, device=device) - c) * mm
            for n, c, mm in zip(planes.shape[-2:], self.centre[1:], spacing[1:], strict=True)
        )
        z = (
            (torch.from_numpy(index).to(device) - self.centre[0])[..., None, None]
            * spacing[0]
            / self.radii[0]
        )
        y, x = y[:, None] / self.radii[1], x[None, :] / self.radii[2]
        angle = torch.atan2(y, x)
        edge = torch.ones_like(angle)
        for count, amplitude, phase in self.lobes:
            edge = edge + amplitude * torch.cos(round(count) * angle + phase)
        far = (z**2 + y**2 + x**2).sqrt() / edge
        grown = torch.where(far < self.core, CORE, MASS).to(planes.dtype)
        free = (far < 1) & ~_SPARED_TABLE.to(device)[planes.long()]
        return torch.where(free, grown, planes)


def random_mass(rng: np.random.Generator, labels: Tensor, spacing: tuple[float, float, float]) -> Mass | None:
    """Draw a mass for a phantom (Z, Y, X); None if no place for it was found.

    Sizes are those of masses that people segment: 6 to 60 mm in radius, most near 20 mm.
    """
    for _ in range(_TRIES):
        place = tuple(int(rng.integers(n)) for n in labels.shape)
        if not _HOST_TABLE[int(labels[place])]:
            continue
        size = float(np.clip(np.exp(rng.normal(np.log(20), 0.55)), 6, 60))
        radii = size * np.exp(rng.normal(0, 0.25, 3))
        lobes = np.stack([[2, 3, 5], abs(rng.normal(0, 0.1, 3)), rng.uniform(0, 2 * np.pi, 3)], 1)
        core = float(rng.uniform(0.3, 0.8)) if rng.random() < 0.4 else 0.0
        z, y, x = (float(v) for v in place)
        return Mass((z, y, x), (float(radii[0]), float(radii[1]), float(radii[2])), lobes, core)
    return None
