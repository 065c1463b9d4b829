"""Episodes from phantoms: a few painted slices of one patient, slices of another, each seen by its own scanner."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_cpclnet.episodes.appearance import (
    PET,
    ScannerAppearance,
    field_of_view,
    render,
    same_scanner,
    sample_appearance,
)
from napari_cpclnet.episodes.classes import FREQUENCY, NAMES, membership
from napari_cpclnet.episodes.episode import EpisodeBatch, random_shots
from napari_cpclnet.episodes.mask_corruption import corrupt_masks
from napari_cpclnet.episodes.masses import Masses, random_masses
from napari_cpclnet.episodes.settings import EpisodeSettings
from napari_cpclnet.episodes.warp import random_grid

_SEEN = 24
"""Voxels of a class that a slice must hold for the class to count as present when slices are chosen."""

_SAME_PART = 0.9
"""How often a patient shown in another part of the body, as trunk and legs, is replaced by one shown in the same."""

_SAME_BODY = 0.5
"""As `_SAME_PART`, of parts that have levels in common, as trunk and thorax."""

_SAME_MASS = 0.8
"""How often a patient shown on both sides has the same mass, or none, on both."""

_STEADY = 0.4
"""Share of the bias field's strength in episodes of one scan, whose slices lie in nearly the same field."""

_MASS = NAMES.index("mass")
_MASS_ASKED = 0.6
"""How often a support patient's mass is what the episode asks for."""


@dataclass(frozen=True, eq=False)
class Side:
    """What one side of an episode shows: slices of a patient, who may have masses."""

    patient: int
    slices: NDArray[np.int64]
    mass: Masses | None = None


class LabelEpisodes:
    """Draws batches of episodes from labelled volumes.

    Parameters
    ----------
    labels : Tensor of uint8, shape (P, Z, Y, X)
    spacing : tuple of float
        Of the volumes, (z, y, x) in mm.
    members : ndarray of bool, shape (classes, structures)
        Which label belongs to which class.
    frequency : ndarray, shape (classes,)
        How often a class is asked for, relative to the others.
    settings : EpisodeSettings
    """

    known_anatomy = False
    """Whether all volumes are of one anatomy, which tells what is part of an organ when its support does not."""

    def __init__(
        self,
        labels: Tensor,
        spacing: tuple[float, float, float],
        members: NDArray[np.bool_],
        frequency: NDArray[np.float64],
        settings: EpisodeSettings,
    ) -> None:
        self.settings = settings
        self.labels = labels
        self.spacing = spacing
        self.members = torch.from_numpy(members).to(labels.device)
        self.frequency = frequency
        table = self.members.T.float()
        counts = []
        for volume in labels:
            histogram = torch.stack(
                [torch.bincount(z.flatten().long(), minlength=len(table)) for z in volume]
            )
            counts.append(histogram.float() @ table)
        # area[p, z, c]: pixels of each class in each slice
        self.area: NDArray[np.float32] = torch.stack(counts).cpu().numpy()

    def batch(self, rng: np.random.Generator, generator: torch.Generator) -> EpisodeBatch:
        """Draw one batch: `rng` chooses patients, slices, classes and scanners, `generator` makes the pixels."""
        s = self.settings
        shots = random_shots(s, rng)
        plans = [self._plan(rng, shots) for _ in range(s.episodes)]
        classes = torch.tensor(np.stack([p[0] for p in plans]), device=self.labels.device)
        supports, queries = [p[1] for p in plans], [p[2] for p in plans]
        own = [
            one.patient == other.patient and one.mass is other.mass and rng.random() < s.own_scan
            for one, other in zip(supports, queries, strict=True)
        ]
        looks, others = self._looks(own, [p[0][0] for p in plans], rng)
        grids = self._grid((s.episodes, shots + s.queries), rng, generator)
        apart = self._grid((s.episodes, s.queries), rng, generator)
        one_scan = torch.tensor(own, device=apart.device)[:, None, None, None, None]
        pictures = []
        for sides, side_looks, grid in (
            (supports, looks, grids[:, :shots]),
            (queries, others, torch.where(one_scan, grids[:, shots:], apart)),
        ):
            planes = self._warp(self._planes(sides, rng), grid)
            planes = (
                planes * field_of_view(side_looks, planes.shape[-2], planes.shape[-1], planes.device).long()
            )
            images = render(planes, side_looks, generator)
            middle = planes[:, :, 1]
            member = self.members[classes]  # (E, classes, structures)
            index = middle.flatten(1)[:, None].expand(-1, member.shape[1], -1)
            masks = member.gather(2, index).view(*member.shape[:2], *middle.shape[1:]).float()
            pictures.append((images, masks, middle))
        (si, sm, sl), (qi, qm, ql) = pictures
        for i in np.flatnonzero(own):
            sm[i] = corrupt_masks(
                sm[i], sl[i] if self.known_anatomy else None, float(rng.uniform(0, 0.3)), generator
            )
        levels = self._levels(supports), self._levels(queries)
        return EpisodeBatch(si, sm, qi, qm.transpose(1, 2).contiguous(), sl, ql, *levels, one_scan.flatten())

    def _look(self, rng: np.random.Generator) -> ScannerAppearance:
        return sample_appearance(rng)

    def _looks(
        self, own: list[bool], first: list[int], rng: np.random.Generator
    ) -> tuple[list[ScannerAppearance], list[ScannerAppearance]]:
        """How supports and queries look that ask for the classes `first`; the same where both are of one scan."""
        looks = [self._look(rng) for _ in own]
        looks = [replace(k, bias=_STEADY * k.bias) if o else k for k, o in zip(looks, own, strict=True)]
        share = self.settings.same_scanner
        return looks, [
            k if o else same_scanner(k, rng) if rng.random() < share else self._look(rng)
            for k, o in zip(looks, own, strict=True)
        ]

    def _levels(self, sides: list[Side]) -> Tensor | None:
        """Level in the body of every slice, if there is such a thing."""
        return None

    def _patients(self, rng: np.random.Generator) -> tuple[int, int]:
        """Whom the support and the query show."""
        patient = int(rng.integers(len(self.labels)))
        same = rng.random() < self.settings.same_patient
        return patient, patient if same else int(rng.integers(len(self.labels)))

    def _masses(
        self, rng: np.random.Generator, patient: int, other: int
    ) -> tuple[Masses | None, Masses | None, int | None]:
        """Masses for either patient, and the class that must be asked for, if one must."""
        return None, None, None

    def _seen(self, patient: int, mass: Masses | None) -> NDArray[np.bool_]:
        """(Z, classes): whether a slice shows a class."""
        seen: NDArray[np.bool_] = self.area[patient] >= _SEEN
        return seen

    def _plan(self, rng: np.random.Generator, shots: int) -> tuple[NDArray[np.int64], Side, Side]:
        """Classes, support, query."""
        s = self.settings
        depth = self.area.shape[1]
        while True:
            patient, other = self._patients(rng)
            mass, other_mass, asked = self._masses(rng, patient, other)
            seen = self._seen(patient, mass)
            weights = self.frequency * (seen.sum(0) >= 2)
            if asked is None and not weights.any():
                continue
            first = int(rng.choice(len(weights), p=weights / weights.sum())) if asked is None else asked
            extent = np.flatnonzero(seen[:, first])
            if shots == 1 and rng.random() < 0.5:
                largest = int(self.area[patient, :, first].argmax())
                support = np.array([largest if seen[largest, first] else int(extent[len(extent) // 2])])
            else:
                jitter = rng.uniform(0.1, 0.9, shots)
                place = ((np.arange(shots) + jitter) / shots * len(extent)).astype(int)
                if rng.random() < 0.3 and shots > 1:
                    # slices spread over more than this organ, some without it
                    margin = int(rng.integers(0, 10))
                    extent = np.arange(max(0, extent[0] - margin), min(depth, extent[-1] + margin + 1))
                    place = ((np.arange(shots) + jitter) / shots * len(extent)).astype(int)
                support = extent[np.minimum(place, len(extent) - 1)]
            shown = seen[support].any(0)
            if not shown[first]:
                continue
            rest = self.frequency * shown
            rest[first] = 0
            extra = min(s.classes - 1, int((rest > 0).sum()))
            chosen = (
                [first, *rng.choice(len(rest), extra, replace=False, p=rest / rest.sum())]
                if extra
                else [first]
            )
            chosen += [first] * (s.classes - len(chosen))
            query = self._query_slices(rng, self._seen(other, other_mass), chosen)
            return np.array(chosen), Side(patient, support, mass), Side(other, query, other_mass)

    def _query_slices(
        self, rng: np.random.Generator, seen: NDArray[np.bool_], classes: list[int]
    ) -> NDArray[np.int64]:
        depth = len(seen)
        slices = []
        for i in range(self.settings.queries):
            extent = np.flatnonzero(seen[:, classes[i % len(classes)]])
            if len(extent) == 0 or rng.random() < self.settings.anywhere:
                slices.append(int(rng.integers(depth)))
            else:  # the organ's range and a little beyond, where false positives are born
                near = np.unique(extent[:, None] + np.arange(-4, 5))  # several masses may lie far apart
                slices.append(int(np.clip(rng.choice(near), 0, depth - 1)))
        return np.array(slices)

    def _planes(self, sides: list[Side], rng: np.random.Generator) -> Tensor:
        """Label planes (E, B, 3, Y, X): the neighbours lie 4 to 12 mm away, or are the slice itself."""
        depth = self.labels.shape[1]
        planes = []
        for side in sides:
            step = max(1, round(float(rng.uniform(4, 12)) / self.spacing[0])) if rng.random() < 0.9 else 0
            index = np.clip(side.slices[:, None] + step * np.array([-1, 0, 1]), 0, depth - 1)
            cut = self.labels[side.patient][torch.from_numpy(index).to(self.labels.device)]
            planes.append(cut if side.mass is None else side.mass.grow(cut, index, self.spacing))
        return torch.stack(planes)

    def _grid(self, shape: tuple[int, int], rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """Random deformation and cut of `B` slices of each of `E` patients, (E, B, S, S, 2)."""
        s = self.settings
        side = s.size * s.mm_per_pixel
        h, w = self.labels.shape[-2:]
        reach = side / (h * self.spacing[1]), side / (w * self.spacing[2])
        grid = random_grid(shape, s.size, reach, rng, generator, self.labels.device)
        return grid.view(*shape, *grid.shape[1:])

    def _warp(self, planes: Tensor, grid: Tensor) -> Tensor:
        """Label planes (E, B, 3, Y, X) deformed and cut to (E, B, 3, S, S)."""
        warped = F.grid_sample(
            planes.flatten(0, 1).float(), grid.flatten(0, 1), mode="nearest", align_corners=False
        )
        return warped.view(*planes.shape[:3], *warped.shape[-2:]).long()


class PhantomEpisodes(LabelEpisodes):
    """Draws batches of episodes from a stack of phantoms.

    Parameters
    ----------
    labels : Tensor of uint8, shape (P, Z, Y, X)
        Phantoms, z to superior, y to posterior, x to the patient's left.
    levels : Tensor, shape (P, Z)
        Level in the body of every slice; nan where there is none.
    parts : Tensor of int64, shape (P,)
        Which part of the body each shows.
    spacing : tuple of float
        Of the phantoms, (z, y, x) in mm.
    settings : EpisodeSettings, optional
    """

    known_anatomy = True

    def __init__(
        self,
        labels: Tensor,
        levels: Tensor,
        parts: Tensor,
        spacing: tuple[float, float, float],
        settings: EpisodeSettings | None = None,
    ) -> None:
        super().__init__(labels, spacing, membership(), FREQUENCY, settings or EpisodeSettings())
        self.levels = levels
        self._parts = parts.cpu().numpy()
        self._upright = ~levels.isnan().all(1).cpu().numpy()

    def _patients(self, rng: np.random.Generator) -> tuple[int, int]:
        patient, other = super()._patients(rng)
        if self._parts[patient] != self._parts[other]:
            # parts of one upright body overlap, as do their scans
            share = _SAME_BODY if self._upright[patient] and self._upright[other] else _SAME_PART
            if rng.random() < share:
                other = int(rng.choice(np.flatnonzero(self._parts == self._parts[patient])))
        return patient, other

    def _levels(self, sides: list[Side]) -> Tensor:
        patients = torch.tensor([side.patient for side in sides])[:, None]
        return self.levels[patients, torch.from_numpy(np.stack([side.slices for side in sides]))]

    def _masses(
        self, rng: np.random.Generator, patient: int, other: int
    ) -> tuple[Masses | None, Masses | None, int | None]:
        share = self.settings.masses

        def draw(whose: int, share: float) -> Masses | None:
            return random_masses(rng, self.labels[whose]) if rng.random() < share else None

        mass = draw(patient, share)
        asked = _MASS if mass is not None and rng.random() < _MASS_ASKED else None
        if patient == other and rng.random() < _SAME_MASS:  # in one scan, or seen by another scanner
            return mass, mass, asked
        return mass, draw(other, share if asked is None else 1 - self.settings.anywhere), asked

    def _looks(
        self, own: list[bool], first: list[int], rng: np.random.Generator
    ) -> tuple[list[ScannerAppearance], list[ScannerAppearance]]:
        looks, others = super()._looks(own, first, rng)
        for e, (one_scan, asked) in enumerate(zip(own, first, strict=True)):
            if asked == _MASS and rng.random() < self.settings.pet_masses:
                looks[e] = sample_appearance(rng, PET)
                others[e] = looks[e] if one_scan else sample_appearance(rng, PET)
        return looks, others

    def _seen(self, patient: int, mass: Masses | None) -> NDArray[np.bool_]:
        seen = super()._seen(patient, mass)
        if mass is not None:
            seen[:, _MASS] = mass.slices(len(seen), self.spacing[0])
        return seen
