"""Statistics of each class of a segmented scan: volume, grey values, diameters, components."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.imaging import Segmentation, Volume
from napari_cpclnet.imaging.modality import ASSUMED
from napari_cpclnet.segmentation.statistics.diameters import axial_diameters
from napari_cpclnet.segmentation.statistics.suv_peak import intensity_peak

UNITS = {"HU": "HU", "SUVbw": "SUV"}
"""How the units of grey values are written that are quantities; 8-bit CT, counts and MR have none."""

_TOUCHING = np.ones((3, 3), bool)


@dataclass(frozen=True)
class ClassStatistics:
    """One class of one scan; nan where a measure has no meaning.

    Parameters
    ----------
    scan, value, name
        Name of the scan, label value and name of the class.
    voxels : int
        How many it has.
    ml : float
        Volume; nan where the scan has no physical size, as have lengths.
    unit : str
        Of the grey values: "HU", "SUV" or empty.
    mean, sd, minimum, maximum : float
        Of the grey values. The standard deviation is that of a sample (divided by n - 1).
    suv_peak : float
        See `intensity_peak`; nan unless the unit is SUV.
    diameter_mm, perpendicular_mm : float
        See `axial_diameters`.
    diameter_slice : int or None
        Axial slice on which they were measured.
    components : int
        Connected components (26-neighbourhood).
    assumed : bool
        Whether the unit was concluded from the values or the name of the file, which says nothing of it.
    """

    scan: str
    value: int
    name: str
    voxels: int
    ml: float = math.nan
    unit: str = ""
    mean: float = math.nan
    sd: float = math.nan
    minimum: float = math.nan
    maximum: float = math.nan
    suv_peak: float = math.nan
    diameter_mm: float = math.nan
    perpendicular_mm: float = math.nan
    diameter_slice: int | None = None
    components: int = 0
    assumed: bool = False

    @property
    def suv_max(self) -> float:
        """The highest SUV."""
        return self.maximum if self.unit == "SUV" else math.nan

    @property
    def suv_mean(self) -> float:
        """The mean SUV."""
        return self.mean if self.unit == "SUV" else math.nan


def measure(volume: Volume, segmentation: Segmentation) -> Iterator[ClassStatistics]:
    """Measure one class after the other, by label value: those with a name, and those without one that are there.

    Parameters
    ----------
    volume : Volume
        The scan.
    segmentation : Segmentation
        Labels on its grid.

    Raises
    ------
    GeometryError
        If the labels lie on another grid.
    """
    if not segmentation.geometry.isclose(volume.geometry):
        raise GeometryError(f"{segmentation.name}: does not lie on the voxels of {volume.name}; resample it.")
    labels = segmentation.labels
    boxes = _boxes(labels)
    for value in sorted({*segmentation.classes, *boxes} - {0}):
        name = segmentation.classes.get(value, f"label {value}")
        yield _measured(volume, labels, boxes.get(value), value, name)


def count_components(mask: NDArray[np.bool_]) -> int:
    """Count connected components (26-neighbourhood) of a mask (z, y, x).

    Slice by slice: SciPy labels a whole scan without letting any other thread run, a window's, for example.
    """
    total, pairs = 0, [np.zeros((2, 0), np.int64)]
    below = np.zeros(np.array(mask.shape[1:]) + 2, np.int64)
    for one in mask:
        rows, columns = np.nonzero(one)
        labels, count = ndimage.label(one, _TOUCHING)
        here = labels[rows, columns].astype(np.int64) + total
        for down, right in np.ndindex(3, 3):
            under = below[rows + down, columns + right]
            met = np.unique(((here << 32) | under)[under > 0])  # pairs in one number are sorted much sooner
            pairs.append(np.stack([met >> 32, met & 0xFFFFFFFF]))
        below[:] = 0
        below[rows + 1, columns + 1] = here
        total += count
    first, second = np.concatenate(pairs, axis=1) - 1
    graph = sparse.coo_array((np.ones(len(first), bool), (first, second)), shape=(total, total))
    return int(csgraph.connected_components(graph, directed=False)[0])


def _boxes(labels: NDArray[Any]) -> dict[int, tuple[slice, ...]]:
    """Bounding box of each label value; slice by slice, as a scan may be large and its label values high."""
    found: dict[int, tuple[slice, ...]] = {}
    for z, one in enumerate(labels):
        values, places = np.unique(one, return_inverse=True)
        small = (places.reshape(one.shape) + 1).astype(np.int32)
        for value, box in zip(values.tolist(), ndimage.find_objects(small), strict=True):
            here = (slice(z, z + 1), *box)
            found[value] = _around(found[value], here) if value in found else here
    found.pop(0, None)
    return found


def _around(one: tuple[slice, ...], other: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))


def _measured(
    volume: Volume, labels: NDArray[Any], box: tuple[slice, ...] | None, value: int, name: str
) -> ClassStatistics:
    geometry, unit = volume.geometry, UNITS.get(volume.unit, "")
    assumed = bool(unit) and any(note.startswith(ASSUMED) for note in volume.notes)
    size = geometry.voxel_ml if volume.calibrated else math.nan
    if box is None:
        return ClassStatistics(volume.name, value, name, 0, 0 * size, unit, assumed=assumed)
    mask = labels[box] == value
    values = np.asarray(volume.array[box])[mask].astype(np.float64)
    peak, longest, across, index = math.nan, math.nan, math.nan, None
    if volume.calibrated:
        if unit == "SUV":
            whole = np.zeros(labels.shape, bool)
            whole[box] = mask
            peak = intensity_peak(volume.array, whole, geometry)
        part = replace(geometry, shape=mask.shape)  # lengths do not ask where it lies
        if (found := axial_diameters(mask, part)) is not None:
            longest, across = found.longest_mm, found.perpendicular_mm
            index = found.index + box[found.axis].start
    return ClassStatistics(
        scan=volume.name,
        value=value,
        name=name,
        voxels=len(values),
        ml=len(values) * size,
        unit=unit,
        mean=float(values.mean()),
        sd=float(values.std(ddof=1)) if len(values) > 1 else math.nan,
        minimum=float(values.min()),
        maximum=float(values.max()),
        suv_peak=peak,
        diameter_mm=longest,
        perpendicular_mm=across,
        diameter_slice=index,
        components=count_components(mask),
        assumed=assumed,
    )
