"""The painted slices of one scan, and how far each speaks for its neighbours: shared by the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import Plane, Volume
from napari_cpclnet.segmentation import FixedLabels, SupportSet, SupportSlice


@dataclass(frozen=True, eq=False)
class PaintedScan:
    """All slices of one support scan that were painted in one plane, in order of their index."""

    volume: Volume
    plane: Plane
    slices: tuple[SupportSlice, ...]

    @property
    def axis(self) -> int:
        """Array axis that is sliced."""
        return self.slices[0].axis

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """Positions of the painted slices along the axis, from the first slice of the scan."""
        return np.array([s.index for s in self.slices]) * self.volume.geometry.spacing[self.axis]

    def reach_mm(self, value: int) -> NDArray[np.float64]:
        """How far from each painted slice (n,) its mask of class `value` counts.

        Half the distance to its farther neighbour among the painted slices, so that the gaps between them are filled
        by the nearest one and the outermost reach as far outwards as inwards: with slices at fractions (i + 0.5) / k of
        an organ that is the organ's extent. A single slice says nothing about it; organs are taken to be as tall as
        wide, so it reaches by the radius of the circle of its area.
        """
        places = self.positions_mm
        if len(places) > 1:
            gaps = np.diff(places)
            return np.asarray(np.maximum(np.append(gaps, 0.0), np.insert(gaps, 0, 0.0)) / 2)
        in_plane = [s for a, s in enumerate(self.volume.geometry.spacing) if a != self.axis]
        area = np.count_nonzero(self.slices[0].labels2d == value) * in_plane[0] * in_plane[1]
        return np.array([np.sqrt(area / np.pi)])

    def spread(self, classes: dict[int, str]) -> NDArray[Any]:
        """Label map (z, y, x) of the scan in which each slice repeats the nearest painted one within its reach."""
        axis, spacing = self.axis, self.volume.geometry.spacing[self.axis]
        labels = np.zeros(self.volume.geometry.shape, np.min_scalar_type(max(classes)))
        reach = {value: self.reach_mm(value) for value in classes}
        places = self.positions_mm
        for index in range(labels.shape[axis]):
            away = np.abs(places - index * spacing)
            nearest = int(away.argmin())
            near = [v for v in classes if away[nearest] <= reach[v][nearest]]
            painted = self.slices[nearest].labels2d
            labels[(slice(None),) * axis + (index,)] = np.where(np.isin(painted, near), painted, 0)
        FixedLabels.from_slices(self.slices).apply(labels)
        return labels


def painted_scans(support: SupportSet) -> tuple[PaintedScan, ...]:
    """Scans of a support set, the one with most painted slices first.

    Raises
    ------
    SupportError
        If no slice shows a class.
    """
    if not any(s.labels2d.any() for s in support.slices):
        raise SupportError("The support shows no class: paint a class on at least one slice.")
    groups: dict[tuple[int, Plane], list[SupportSlice]] = {}
    for one in support.slices:
        groups.setdefault((id(one.volume), one.plane), []).append(one)
    scans = [
        PaintedScan(found[0].volume, plane, tuple(sorted(found, key=lambda s: s.index)))
        for (_, plane), found in groups.items()
    ]
    return tuple(sorted(scans, key=lambda scan: -len(scan.slices)))


def keep_painted(labels: NDArray[Any], support: SupportSet, query: Volume) -> NDArray[Any]:
    """`labels` of the query, in place, with the slices that were painted on this very scan as they were painted."""
    FixedLabels.from_slices(support.painted_on(query)).apply(labels)
    return labels
