"""Fixed labels: voxels that a person painted or corrected come out of every step as they went in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.segmentation.support import Labels2D, SupportSlice

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume


@dataclass(frozen=True, eq=False)
class Corrections:
    """Voxels of an earlier result that a person set right; they stay when the scan is segmented again.

    Parameters
    ----------
    mask : ndarray (z, y, x) of bool
        The corrected voxels.
    labels : ndarray (z, y, x) of unsigned integers
        Their label values, 0 for background; what stands elsewhere does not matter.

    Raises
    ------
    GeometryError
        If the two have different shapes.
    """

    mask: NDArray[np.bool_]
    labels: NDArray[Any]

    def __post_init__(self) -> None:
        if self.mask.shape != self.labels.shape:
            raise GeometryError(
                f"The corrected voxels have shape {self.mask.shape}, their labels {self.labels.shape}."
            )

    def check(self, volume: Volume) -> None:
        """GeometryError if these lie on another grid than a scan."""
        if self.mask.shape != volume.geometry.shape:
            shape, own = volume.geometry.shape, self.mask.shape
            raise GeometryError(f"The corrections have shape {own}, '{volume.name}' has {shape}.")

    @cached_property
    def highest(self) -> int:
        """Highest label value of a corrected voxel."""
        return int(self.labels.max(initial=0, where=self.mask))


@dataclass(frozen=True, eq=False)
class FixedLabels:
    """Labels that must not change.

    Parameters
    ----------
    planes : tuple of (axis, index, labels2d)
        Array axis, slice along it, and label values (h, w) in array order.
    corrections : Corrections, optional
        Single voxels; a painted plane goes before them.
    """

    planes: tuple[tuple[int, int, Labels2D], ...] = ()
    corrections: Corrections | None = None

    @classmethod
    def from_slices(
        cls, slices: Sequence[SupportSlice], corrections: Corrections | None = None
    ) -> FixedLabels:
        """What was painted and corrected on one scan; of partial slices the painted pixels."""
        for one in slices:
            if one.known is not None:
                corrections = _with_pixels(corrections, one, one.known)
        return cls(tuple((s.axis, s.index, s.labels2d) for s in slices if not s.partial), corrections)

    def __bool__(self) -> bool:
        return bool(self.planes) or self.corrections is not None

    def shows(self, value: int) -> bool:
        """Whether a class was painted anywhere."""
        if any((labels2d == value).any() for _, _, labels2d in self.planes):
            return True
        fixed = self.corrections
        return fixed is not None and bool(((fixed.labels == value) & fixed.mask).any())

    def slice(self, axis: int, index: int) -> Labels2D | None:
        """Labels of a slice that was painted as a whole, or None."""
        for painted_axis, painted_index, labels2d in self.planes:
            if (painted_axis, painted_index) == (axis, index):
                return labels2d
        return None

    def apply(self, labels: NDArray[Any]) -> None:
        """Write everything into a (z, y, x) label map."""
        if self.corrections is not None:
            np.copyto(labels, self.corrections.labels, where=self.corrections.mask, casting="unsafe")
        for axis, index, labels2d in self.planes:
            labels[(slice(None),) * axis + (index,)] = labels2d

    def apply_to_slice(self, labels2d: NDArray[Any], axis: int, index: int) -> None:
        """Write into one slice of the label map: corrected voxels, itself, or its lines of other planes."""
        if self.corrections is not None:
            labels, mask = (_take(a, axis, index) for a in (self.corrections.labels, self.corrections.mask))
            np.copyto(labels2d, labels, where=mask, casting="unsafe")
        for painted_axis, painted_index, painted in self.planes:
            if painted_axis == axis:
                if painted_index == index:
                    labels2d[...] = painted
                continue
            # both planes lose their own axis; the other's axis is what is left of it
            line = painted[(slice(None),) * _position(axis, painted_axis) + (index,)]
            labels2d[(slice(None),) * _position(painted_axis, axis) + (painted_index,)] = line

    def mask_of_slice(self, shape: tuple[int, ...], axis: int, index: int) -> NDArray[np.bool_]:
        """Which pixels of one slice, whose shape is given, were painted or corrected."""
        mask = np.zeros(shape, bool)
        if self.corrections is not None:
            mask |= _take(self.corrections.mask, axis, index)
        for painted_axis, painted_index, _ in self.planes:
            if painted_axis != axis:
                mask[(slice(None),) * _position(painted_axis, axis) + (painted_index,)] = True
            elif painted_index == index:
                mask[...] = True
        return mask

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which voxels (z, y, x) were painted or corrected."""
        mask = np.zeros(shape, bool) if self.corrections is None else self.corrections.mask.copy()
        for axis, index, _ in self.planes:
            mask[(slice(None),) * axis + (index,)] = True
        return mask


def _with_pixels(corrections: Corrections | None, one: SupportSlice, known: NDArray[np.bool_]) -> Corrections:
    """Corrections and the painted pixels of a partial slice, which go before them."""
    shape = one.volume.geometry.shape
    if corrections is None:
        mask, labels = np.zeros(shape, bool), np.zeros(shape, one.labels2d.dtype)
    else:
        mask = corrections.mask.copy()
        labels = corrections.labels.astype(np.promote_types(corrections.labels.dtype, one.labels2d.dtype))
    _take(mask, one.axis, one.index)[known] = True
    _take(labels, one.axis, one.index)[known] = one.labels2d[known]
    return Corrections(mask, labels)


def _take(array: NDArray[Any], axis: int, index: int) -> NDArray[Any]:
    return array[(slice(None),) * axis + (index,)]


def _position(axis: int, removed: int) -> int:
    """Place of `axis` in a slice from which axis `removed` is gone."""
    return axis - (axis > removed)
