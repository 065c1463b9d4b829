"""Slices of a scan that a person painted: they come out of every step as they went in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.segmentation.support import Labels2D, SupportSlice


@dataclass(frozen=True, eq=False)
class Painted:
    """Labels that must not change.

    Parameters
    ----------
    planes : tuple of (axis, index, labels2d)
        Array axis, slice along it, and label values (h, w) in array order.
    """

    planes: tuple[tuple[int, int, Labels2D], ...] = ()

    @classmethod
    def from_slices(cls, slices: Sequence[SupportSlice]) -> Painted:
        """What was painted on one scan."""
        return cls(tuple((s.axis, s.index, s.labels2d) for s in slices))

    def slice(self, axis: int, index: int) -> Labels2D | None:
        """Labels of a slice that was painted as a whole, or None."""
        for painted_axis, painted_index, labels2d in self.planes:
            if (painted_axis, painted_index) == (axis, index):
                return labels2d
        return None

    def apply(self, labels: NDArray[Any]) -> None:
        """Write the painted planes into a (z, y, x) label map."""
        for axis, index, labels2d in self.planes:
            labels[(slice(None),) * axis + (index,)] = labels2d

    def apply_to_slice(self, labels2d: NDArray[Any], axis: int, index: int) -> None:
        """Write what was painted into one slice of the label map: itself, or its lines of other planes."""
        for painted_axis, painted_index, painted in self.planes:
            if painted_axis == axis:
                if painted_index == index:
                    labels2d[...] = painted
                continue
            # both planes lose their own axis; the other's axis is what is left of it
            line = painted[(slice(None),) * _position(axis, painted_axis) + (index,)]
            labels2d[(slice(None),) * _position(painted_axis, axis) + (painted_index,)] = line

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which voxels (z, y, x) were painted."""
        mask = np.zeros(shape, bool)
        for axis, index, _ in self.planes:
            mask[(slice(None),) * axis + (index,)] = True
        return mask


def _position(axis: int, removed: int) -> int:
    """Place of `axis` in a slice from which axis `removed` is gone."""
    return axis - (axis > removed)
