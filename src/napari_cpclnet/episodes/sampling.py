"""Episodes from phantoms: a few painted slices of one patient, slices of another, each seen by its own scanner."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_cpclnet.episodes.appearance import field_of_view, random_look, render, same_scanner
from napari_cpclnet.episodes.source import EpisodeBatch
from napari_cpclnet.episodes.targets import FREQUENCY, membership
from napari_cpclnet.episodes.warp import random_grid

_SEEN = 24
"""Voxels of a class that a slice must hold for the class to count as present when slices are chosen."""


class EpisodeSettings(BaseModel):
    """How episodes are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=96, ge=64, le=512, multiple_of=32, description="Side of the slices, in pixels.")
    mm_per_pixel: float = Field(default=4.0, gt=0, description="Side of a pixel, in mm.")
    episodes: int = Field(default=2, ge=1, description="Support sets in a batch.")
    queries: int = Field(default=4, ge=1, description="Query slices of each support set.")
    classes: int = Field(default=3, ge=1, description="Classes of each episode, sharing one encoding.")
    shots: tuple[int, ...] = Field(
        default=(1, 2, 3, 5), description="Numbers of support slices, drawn at random."
    )
    shot_weights: tuple[float, ...] = Field(
        default=(0.2, 0.2, 0.3, 0.3), description="How often each number is drawn."
    )
    same_patient: float = Field(
        default=0.15, ge=0, le=1, description="Share of episodes whose query is the support's patient."
    )
    same_scanner: float = Field(
        default=0.35, ge=0, le=1, description="Share of episodes whose two sides share a scanner."
    )
    anywhere: float = Field(
        default=0.3, ge=0, le=1, description="Share of query slices from anywhere in the body."
    )


class PhantomEpisodes:
    """Draws batches of episodes from a stack of phantoms.

    Parameters
    ----------
    labels : Tensor of uint8, shape (P, Z, Y, X)
        Phantoms, z to superior, y to posterior, x to the patient's left.
    levels : Tensor, shape (P, Z)
        Level in the body of every slice.
    spacing : tuple of float
        Of the phantoms, (z, y, x) in mm.
    settings : EpisodeSettings, optional
    """

    def __init__(
        self,
        labels: Tensor,
        levels: Tensor,
        spacing: tuple[float, float, float],
        settings: EpisodeSettings | None = None,
    ) -> None:
        self.settings = settings or EpisodeSettings()
        self.labels = labels
        self.levels = levels
        self.spacing = spacing
        self.members = torch.from_numpy(membership()).to(labels.device)
        table = self.members.T.float()
        counts = []
        for phantom in labels:
            histogram = torch.stack(
                [torch.bincount(z.flatten().long(), minlength=len(table)) for z in phantom]
            )
            counts.append(histogram.float() @ table)
        # area[p, z, c]: pixels of each class in each slice
        self.area: NDArray[np.float32] = torch.stack(counts).cpu().numpy()

    def batch(self, rng: np.random.Generator, generator: torch.Generator) -> EpisodeBatch:
        """Draw one batch: `rng` chooses patients, slices, classes and scanners, `generator` makes the pixels."""
        s = self.settings
        shots = int(rng.choice(s.shots, p=np.array(s.shot_weights) / sum(s.shot_weights)))
        plans = [self._plan(rng, shots) for _ in range(s.episodes)]
        classes = torch.tensor(np.stack([p[0] for p in plans]), device=self.labels.device)
        sides = []
        looks = [random_look(rng) for _ in plans]
        others = [same_scanner(k, rng) if rng.random() < s.same_scanner else random_look(rng) for k in looks]
        for column, side_looks in ((1, looks), (2, others)):
            patients = [p[column][0] for p in plans]
            slices = np.stack([p[column][1] for p in plans])
            planes = self._planes(patients, slices, rng)
            planes = self._warp(planes, rng, generator)
            planes = (
                planes * field_of_view(side_looks, planes.shape[-2], planes.shape[-1], planes.device).long()
            )
            images = render(planes, side_looks, generator)
            middle = planes[:, :, 1]
            levels = self.levels[torch.tensor(patients)[:, None], torch.from_numpy(slices)]
            member = self.members[classes]  # (E, classes, structures)
            index = middle.flatten(1)[:, None].expand(-1, member.shape[1], -1)
            masks = member.gather(2, index).view(*member.shape[:2], *middle.shape[1:]).float()
            sides.append((images, masks, middle, levels.to(images.device)))
        (si, sm, sl, sv), (qi, qm, ql, qv) = sides
        return EpisodeBatch(si, sm, qi, qm.transpose(1, 2).contiguous(), sl, ql, sv, qv)

    def _plan(
        self, rng: np.random.Generator, shots: int
    ) -> tuple[NDArray[np.int64], tuple[int, NDArray[np.int64]], tuple[int, NDArray[np.int64]]]:
        """Classes, (patient, slices) of the support, (patient, slices) of the query."""
        s = self.settings
        count, depth = self.area.shape[:2]
        while True:
            patient = int(rng.integers(count))
            seen = self.area[patient] >= _SEEN
            weights = FREQUENCY * (seen.sum(0) >= 2)
            first = int(rng.choice(len(weights), p=weights / weights.sum()))
            extent = np.flatnonzero(seen[:, first])
            if shots == 1 and rng.random() < 0.5:
                support = np.array([int(self.area[patient, :, first].argmax())])
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
            rest = FREQUENCY * shown
            rest[first] = 0
            extra = min(s.classes - 1, int((rest > 0).sum()))
            chosen = (
                [first, *rng.choice(len(rest), extra, replace=False, p=rest / rest.sum())]
                if extra
                else [first]
            )
            chosen += [first] * (s.classes - len(chosen))
            other = patient if rng.random() < s.same_patient else int(rng.integers(count))
            query = self._query_slices(rng, other, chosen)
            return np.array(chosen), (patient, support), (other, query)

    def _query_slices(self, rng: np.random.Generator, patient: int, classes: list[int]) -> NDArray[np.int64]:
        depth = self.area.shape[1]
        slices = []
        for i in range(self.settings.queries):
            extent = np.flatnonzero(self.area[patient, :, classes[i % len(classes)]] >= _SEEN)
            if len(extent) == 0 or rng.random() < self.settings.anywhere:
                slices.append(int(rng.integers(depth)))
            else:  # the organ's range and a little beyond, where false positives are born
                low, high = extent[0] - 4, extent[-1] + 5
                slices.append(int(np.clip(rng.integers(low, high), 0, depth - 1)))
        return np.array(slices)

    def _planes(self, patients: list[int], slices: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        """Label planes (E, B, 3, Y, X): the neighbours lie 4 to 12 mm away, or are the slice itself."""
        depth = self.labels.shape[1]
        planes = []
        for patient, rows in zip(patients, slices, strict=True):
            step = max(1, round(float(rng.uniform(4, 12)) / self.spacing[0])) if rng.random() < 0.9 else 0
            index = np.clip(rows[:, None] + step * np.array([-1, 0, 1]), 0, depth - 1)
            planes.append(self.labels[patient][torch.from_numpy(index).to(self.labels.device)])
        return torch.stack(planes)

    def _warp(self, planes: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
        """Label planes (E, B, 3, Y, X) deformed and cut to (E, B, 3, S, S)."""
        e, b, p, h, w = planes.shape
        s = self.settings
        side = s.size * s.mm_per_pixel
        reach = side / (h * self.spacing[1]), side / (w * self.spacing[2])
        grid = random_grid((e, b), s.size, reach, rng, generator, planes.device)
        warped = F.grid_sample(
            planes.reshape(e * b, p, h, w).float(), grid, mode="nearest", align_corners=False
        )
        return warped.view(e, b, p, s.size, s.size).long()
