"""Support set: the painted slices of any number of scans that say what to look for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import (
    BACKGROUND,
    Plane,
    Sliced,
    Volume,
    painted_plane,
    painted_slices,
    plane_axis,
    plane_like,
)
from napari_cpclnet.imaging.planes import named_plane

Labels2D = NDArray[np.uint32]
Mask2D = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SupportSlice:
    """One painted slice, complete or partial.

    Parameters
    ----------
    volume : Volume
        The scan it belongs to.
    index : int
        Slice along the array axis of `plane`.
    plane : str
        Plane it was painted in.
    labels2d : ndarray (h, w) of uint32
        Label values in array order of the two other axes; 0 where no class is, or where nothing is known.
    known : ndarray (h, w) of bool, optional
        Where a partial slice was painted, background too. None: the slice is complete, and unpainted means background.
    sure : ndarray (h, w) of bool, optional
        Where the labels of a partial slice that was completed (`partial_slices`) are to be believed.
    """

    volume: Volume
    index: int
    plane: Plane
    labels2d: Labels2D
    known: Mask2D | None = None
    sure: Mask2D | None = None

    @property
    def partial(self) -> bool:
        """Whether unpainted means unknown."""
        return self.known is not None

    def known_of(self, value: int) -> Mask2D:
        """Where it is known whether a class is there: of a complete slice everywhere."""
        if self.known is None:
            return np.ones(self.labels2d.shape, bool)
        if self.sure is not None and (self.known & (self.labels2d == value)).any():
            return self.sure
        return self.known

    @property
    def axis(self) -> int:
        """Array axis that is sliced."""
        return plane_axis(self.volume.geometry, self.plane)

    @property
    def intensities(self) -> NDArray[Any]:
        """The scan's own values on this slice, (h, w)."""
        return np.asarray(self.volume.array[(slice(None),) * self.axis + (self.index,)])

    def content_hash(self) -> str:
        """SHA-256 of everything that decides what this slice teaches."""
        volume, values = self.volume, self.intensities
        facts = {
            "geometry": asdict(volume.geometry),
            "modality": volume.modality,
            "unit": volume.unit,
            "calibrated": volume.calibrated,
            "axis": self.axis,
            "plane": self.plane,
            "index": self.index,
            "type": values.dtype.str[1:],
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.labels2d.astype("<u4")).tobytes())
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little).tobytes())
        if self.known is not None:
            digest.update(np.packbits(self.known).tobytes())
        return digest.hexdigest()


class SupportSet:
    """Labelled slices of any number of scans, of any modalities.

    Parameters
    ----------
    classes : mapping of int to str, optional
        Label values to look for and their names; other values in the labels count as background. Without it
        every label value is a class, named "label N".

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, SupportSet, Volume
    >>> volume = Volume(np.zeros((4, 32, 32), np.int16), Geometry((4, 32, 32), (5.0, 4.0, 4.0)), "CT", "HU")
    >>> painted = np.zeros((4, 32, 32), np.uint8)
    >>> painted[2, 8:16, 8:16] = 6
    >>> support = SupportSet({6: "liver"})
    >>> support.add(volume, painted)
    >>> [one.index for one in support.slices]
    [2]
    """

    def __init__(self, classes: Mapping[int, str] | None = None) -> None:
        if classes is not None and (not classes or min(classes) < 1):
            raise SupportError("Classes need label values of 1 or more: 0 is the background.")
        self._open = classes is None
        self.classes: dict[int, str] = dict(sorted((classes or {}).items()))
        self._slices: list[SupportSlice] = []

    def add(
        self,
        volume: Volume,
        labels: NDArray[Any],
        *,
        slices: Iterable[int] | None = None,
        plane: Plane = "auto",
        absent: Iterable[int] = (),
        partial: Iterable[int] = (),
        background: int = BACKGROUND,
    ) -> None:
        """Add labelled slices of one scan.

        A slice that is added is complete: a class that is not painted on it is absent there. On a slice that is named
        as partial, what is not painted is unknown. Slices that are not added are never used, whatever `labels` holds
        there. A slice added before is replaced.

        Parameters
        ----------
        volume : Volume
            The scan.
        labels : ndarray (z, y, x) of integers
            Label values on the scan's grid.
        slices : iterable of int, optional
            Slices along the array axis of `plane`; by default every slice that holds a class, except those that are
            only crossed by strokes of another view (:func:`~napari_cpclnet.imaging.painted_slices`).
        plane : str
            "axial", "coronal", "sagittal", "native" for the first array axis, or "auto": the plane in which slices of
            `labels` were painted; where none stand out, across the thickest axis, else axial.
        absent : iterable of int
            Slices without any of the classes, to learn what these do not look like.
        partial : iterable of int
            Slices of which only some pixels were painted, as by scribbles; added even if `slices` leaves them out.
        background : int
            Label value that says on partial slices that none of the classes is there; on others it is background, too,
            unless it is one of the classes.

        Raises
        ------
        SupportError
            If labels lie on another grid or are no integers, a slice does not exist, an absent slice is
            painted, a partial one is not, or nothing is left.
        """
        incomplete = {int(i) for i in partial}
        if incomplete and background in self.classes:
            raise SupportError(
                f"Label {background} is '{self.classes[background]}': give another value for the background."
            )
        if tuple(labels.shape) != tuple(volume.array.shape):
            raise SupportError(
                f"The labels for '{volume.name}' have shape {tuple(labels.shape)}, the scan has "
                f"{tuple(volume.array.shape)}: use labels painted on this scan."
            )
        if labels.dtype.kind not in "biu":
            raise SupportError(f"The labels for '{volume.name}' are {labels.dtype}: use whole numbers.")
        if plane == "auto":
            plane = painted_plane(labels, volume.geometry)
        axis = plane_axis(volume.geometry, plane)
        if self._open:
            self._learn_classes(labels, {background} if incomplete else set())
        if slices is None:
            slices = painted_slices(np.isin(labels, list(self.classes)), axis)
        painted, empty = sorted({*(int(i) for i in slices), *incomplete}), sorted({int(i) for i in absent})
        if not painted and not empty:
            raise SupportError(f"No slice of '{volume.name}' holds a class: paint one or mark one as absent.")
        for index in (*painted, *empty):
            last = labels.shape[axis] - 1
            if not 0 <= index <= last:
                raise SupportError(f"'{volume.name}' has no {plane} slice {index}: use 0 to {last}.")
        taken = [(index, self._painted(labels, axis, index)) for index in sorted({*painted, *empty})]
        for index, labels2d in taken:
            if index in empty and labels2d.any():
                raise SupportError(f"Slice {index} of '{volume.name}' is marked as absent but holds a class.")
        known = {
            index: (labels2d > 0) | (np.take(labels, index, axis) == background)
            for index, labels2d in taken
            if index in incomplete
        }
        if nothing := [index for index, mask in known.items() if not mask.any()]:
            raise SupportError(f"Nothing is painted on the partial slice {nothing[0]} of '{volume.name}'.")
        for index, labels2d in taken:
            self.add_slice(volume, index, labels2d, plane=plane, known=known.get(index))

    def add_slice(
        self,
        volume: Volume,
        index: int,
        labels2d: NDArray[Any],
        *,
        plane: Plane = "axial",
        known: Mask2D | None = None,
    ) -> None:
        """Add one painted slice (h, w) in array order, known where `known` says; replaces what was there."""
        if plane == "auto":
            plane = named_plane(volume.geometry, plane)
        one = SupportSlice(volume, int(index), plane, labels2d.astype(np.uint32), known)
        if not 0 <= index < volume.array.shape[one.axis] or labels2d.shape != one.intensities.shape:
            raise SupportError(f"'{volume.name}' has no {plane} slice {index} of shape {labels2d.shape}.")
        self.remove(volume, index, plane)
        self._slices.append(one)

    def remove(self, volume: Volume, index: int, plane: Plane = "axial") -> None:
        """Forget one slice; nothing happens if it was not there."""
        self._slices = [
            s for s in self._slices if not (s.volume is volume and s.index == index and s.plane == plane)
        ]

    @property
    def slices(self) -> tuple[SupportSlice, ...]:
        """All slices, in one order whatever the order of adding."""
        return tuple(sorted(self._slices, key=SupportSlice.content_hash))

    def __len__(self) -> int:
        return len(self._slices)

    def copy(self) -> SupportSet:
        """A set of the same slices that later additions do not touch."""
        return self.with_slices(self._slices)

    def with_slices(self, slices: Iterable[SupportSlice]) -> SupportSet:
        """A set of other slices for the same classes."""
        other = SupportSet()
        other._open, other.classes, other._slices = self._open, dict(self.classes), list(slices)
        return other

    def content_hash(self) -> str:
        """SHA-256 over classes, geometry, painted labels and intensities, in whatever order they were added."""
        digest = hashlib.sha256(json.dumps(sorted(self.classes.items())).encode())
        for one in sorted(s.content_hash() for s in self._slices):
            digest.update(one.encode())
        return digest.hexdigest()

    @property
    def sliced(self) -> tuple[Sliced, ...]:
        """In which planes its scans are sliced, slice by slice."""
        return tuple(Sliced(s.volume.geometry, s.plane) for s in self._slices)

    def plane_of(self, volume: Volume) -> Plane:
        """The plane in which a scan is sliced for this support: see :func:`~napari_cpclnet.imaging.plane_like`."""
        return plane_like(volume.geometry, self.sliced)

    def painted_on(self, volume: Volume) -> tuple[SupportSlice, ...]:
        """The slices that were painted on this very scan: same grid and identical values on the slice."""
        return tuple(s for s in self._slices if s.volume is volume or _same_slice(s, volume))

    def elsewhere(self, volume: Volume) -> SupportSet:
        """The slices of other scans."""
        own = self.painted_on(volume)
        return self.with_slices(s for s in self._slices if s not in own)

    def _learn_classes(self, labels: NDArray[Any], but: set[int]) -> None:
        values = np.unique(labels)
        if values.size and values[0] < 0:
            raise SupportError(f"The labels hold the negative value {int(values[0])}: use 0 for background.")
        named = {int(v): f"label {int(v)}" for v in values if v > 0 and v not in but}
        self.classes = dict(sorted({**named, **self.classes}.items()))

    def _painted(self, labels: NDArray[Any], axis: int, index: int) -> Labels2D:
        one = np.take(labels, index, axis)
        return np.where(np.isin(one, list(self.classes)), one, 0).astype(np.uint32)


def _same_slice(painted: SupportSlice, volume: Volume) -> bool:
    if not painted.volume.geometry.isclose(volume.geometry):
        return False
    return np.array_equal(painted.intensities, volume.array[(slice(None),) * painted.axis + (painted.index,)])
