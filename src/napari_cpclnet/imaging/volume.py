"""A scan and a label map: an array together with its place in the patient."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging.geometry import Geometry

Modality = Literal["CT", "MR", "PT", "other"]
MODALITIES: tuple[Modality, ...] = ("CT", "MR", "PT", "other")


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan.

    Parameters
    ----------
    array
        Grey values (z, y, x); float32 where a rescale slope was applied, else as stored.
    geometry
        Grid of the array.
    modality
        ``"CT"``, ``"MR"``, ``"PT"`` or ``"other"``.
    unit
        ``"HU"``, ``"HU8"`` (CT stored in 8 bits, windowed), ``"SUVbw"``, ``"Bq/ml"`` or empty.
    name
        Shown to the user; never made from patient fields.
    source
        File or folder it was read from.
    calibrated
        False for pictures without a physical size: their spacing of 1.0 is a placeholder.
    notes
        What was repaired or assumed while reading, one sentence each.
    series
        Which series or phase of ``source`` it is, as `read_volume` takes it; None if that holds no other.

    Raises
    ------
    ImageError
        If the array is not three-dimensional and numeric.
    GeometryError
        If the array does not have the shape of the geometry.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, Volume
    >>> volume = Volume(np.zeros((4, 8, 8), np.int16), Geometry((4, 8, 8), (5.0, 1.0, 1.0)), modality="CT", unit="HU")
    >>> volume.array.shape, volume.modality
    ((4, 8, 8), 'CT')
    """

    array: NDArray[Any]
    geometry: Geometry
    modality: Modality = "other"
    unit: str = ""
    name: str = "scan"
    source: Path | None = None
    calibrated: bool = True
    notes: tuple[str, ...] = ()
    series: str | None = None

    def __post_init__(self) -> None:
        _check_grid(self.array, self.geometry, self.name)
        if self.modality not in MODALITIES:
            raise ImageError(f"{self.name}: modality {self.modality!r} is none of {', '.join(MODALITIES)}.")

    def replaced(self, **changes: Any) -> Volume:
        """Copy of this volume with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A label map.

    Parameters
    ----------
    labels
        Unsigned integers (z, y, x); 0 is background.
    classes
        Name of each label value.
    geometry
        Grid of the labels.
    name
        Shown to the user.
    colors
        Red, green and blue (0 to 255) of the label values that have a colour of their own.
    notes
        What was changed or assumed while reading, one sentence each.
    terms
        What to look up in the terminology for the label values whose name is not what it is called there.
    doubt
        One sentence, if the labels were put on a scan by their header and that can hardly be right: worth a question.

    Raises
    ------
    ImageError
        If the labels are not three-dimensional unsigned integers.
    GeometryError
        If the labels do not have the shape of the geometry.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, Segmentation
    >>> labels = np.zeros((4, 10, 10), np.uint8)
    >>> labels[1:3, 2:7, 2:7] = 1
    >>> liver = Segmentation(labels, {1: "liver"}, Geometry((4, 10, 10), (4.0, 2.5, 2.0)))
    >>> round(liver.volume_ml()[1], 3)
    1.0
    """

    labels: NDArray[np.unsignedinteger[Any]]
    classes: dict[int, str]
    geometry: Geometry
    name: str = "segmentation"
    colors: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    terms: dict[int, str] = field(default_factory=dict)
    doubt: str = ""

    def __post_init__(self) -> None:
        _check_grid(self.labels, self.geometry, self.name)
        if self.labels.dtype.kind != "u":
            raise ImageError(f"{self.name}: labels must be unsigned integers, not {self.labels.dtype}.")

    def replaced(self, **changes: Any) -> Segmentation:
        """Copy of this label map with some fields changed."""
        return replace(self, **changes)

    def volume_ml(self) -> dict[int, float]:
        """Volume in ml of every class and of every label without a class name; 0.0 where there is none."""
        voxels: Counter[int] = Counter()
        for one in self.labels:  # slice by slice: numbers are sorted to count them, in a copy
            values, counts = np.unique(one, return_counts=True)
            voxels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        labels = sorted({*self.classes, *voxels} - {0})
        return {label: voxels[label] * self.geometry.voxel_ml for label in labels}


def fingerprint(volume: Volume) -> Hashable:
    """Tells scans of other content apart."""
    array = volume.array
    facts = (volume.geometry, volume.modality, volume.unit, volume.calibrated, array.dtype.str, array.shape)
    return (*facts, zlib.crc32(np.ascontiguousarray(array).data))


def _check_grid(array: NDArray[Any], geometry: Geometry, name: str) -> None:
    if array.ndim != 3 or array.dtype.kind not in "biuf":
        raise ImageError(
            f"{name}: a scan is a three-dimensional array of numbers, not {array.ndim}-D {array.dtype}."
        )
    if tuple(array.shape) != geometry.shape:
        raise GeometryError(
            f"{name}: an array of shape {array.shape} does not fit a grid of shape {geometry.shape}."
        )


@dataclass(frozen=True)
class ScanRef:
    """Where a scan lies: what to give `read_volume`.

    Parameters
    ----------
    path
        File or folder.
    series
        Id of the series, as `list_series` of the folder gives it, if the folder is DICOM.
    name
        Shown to the user.
    """

    path: Path
    series: str | None = None
    name: str = "scan"
