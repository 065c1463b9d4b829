"""Bring labels to the voxels of a scan, by where they lie in the patient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.volume import Segmentation

# So many voxels are looked at at once for whether they lie inside the scan.
BLOCK = 1 << 20
# Voxels of two grids are the same if their centres are this near, in voxels.
SAME_VOXEL = 0.02


def place(segmentation: Segmentation, target: Geometry, name: str) -> Segmentation:
    """Label map on the grid of a scan, by nearest neighbour in physical space.

    Parameters
    ----------
    segmentation
        Label map on any grid.
    target
        Grid of the scan.
    name
        Names the scan in the notes.

    Returns
    -------
    Segmentation
        On ``target``, with notes that say that it was moved (unless its voxels are some of the scan's), and what of
        it lies outside the scan or is too small for its voxels.
    """
    import SimpleITK as sitk

    source = segmentation.geometry
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(target.to_sitk(np.broadcast_to(np.uint8(0), target.shape)))
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    moved = np.asarray(
        sitk.GetArrayFromImage(resampler.Execute(source.to_sitk(segmentation.labels))),
        dtype=segmentation.labels.dtype,
    )
    notes = []
    if not _are_voxels_of(source, target):
        what = ", ".join(source.differences(target))
        notes.append(f"Brought to the voxels of {name} by nearest neighbour ({what}).")
    notes += _outside(segmentation, target, name)
    lost = sorted(set(_values(segmentation.labels)) - set(_values(moved)))
    if lost and moved.any():
        names = ", ".join(segmentation.classes.get(value, f"label {value}") for value in lost)
        notes.append(f"Without a voxel on {name}, as they lie outside or are too small: {names}.")
    return segmentation.replaced(labels=moved, geometry=target, notes=(*segmentation.notes, *notes))


def merge(
    segments: Iterable[tuple[int, NDArray[np.bool_]]], shape: tuple[int, int, int], names: dict[int, str]
) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """One label map of segments that may overlap; where they do, the smaller one is seen.

    Parameters
    ----------
    segments
        Label value and mask (z, y, x) of each; only one mask is held at a time, cropped to what is in it.
    shape
        Size of the masks.
    names
        For the note.

    Returns
    -------
    tuple
        Labels (z, y, x), and notes: a sentence if segments overlap.
    """
    pieces = []
    for value, mask in segments:
        box = bounding_box(mask)
        if box is not None:
            piece = mask[box].copy()
            pieces.append((int(np.count_nonzero(piece)), value, box, piece))
    labels = np.zeros(shape, np.uint16)
    hidden: set[int] = set()
    for _, value, box, piece in sorted(pieces, key=lambda one: (-one[0], one[1])):
        view = labels[box]
        hidden |= set(_values(view[piece]))
        view[piece] = value
    if not hidden:
        return labels, ()
    listed = ", ".join(names.get(value, f"label {value}") for value in sorted(hidden))
    return labels, (f"Segments overlap; the smaller one was kept there, at the cost of: {listed}.",)


def bounding_box(mask: NDArray[Any]) -> tuple[slice, slice, slice] | None:
    """Slices (z, y, x) around what is not zero, or None if all is."""
    found = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(mask.any(axis=others))
        if not len(used):
            return None
        found.append(slice(int(used[0]), int(used[-1]) + 1))
    return (found[0], found[1], found[2])


def _are_voxels_of(part: Geometry, whole: Geometry) -> bool:
    """Whether two grids have the same voxels where they overlap, whatever the order of their axes."""
    corner = np.array(part.shape) - 1.0
    index = whole.world_to_index(part.index_to_world(np.stack([np.zeros(3), corner, *np.eye(3)])))
    steps = index[2:] - index[0]
    integral = np.abs(index - np.rint(index)).max() <= SAME_VOXEL
    return bool(integral and abs(abs(np.linalg.det(steps)) - 1) <= SAME_VOXEL)


def _outside(segmentation: Segmentation, target: Geometry, name: str) -> list[str]:
    points = np.argwhere(segmentation.labels)
    n_outside = 0
    for start in range(0, len(points), BLOCK):
        world = segmentation.geometry.index_to_world(points[start : start + BLOCK])
        index = target.world_to_index(world)
        inside = np.all((index >= -0.5) & (index < np.array(target.shape) - 0.5), axis=1)
        n_outside += int(np.count_nonzero(~inside))
    if not n_outside:
        return []
    if n_outside == len(points):
        return [f"Lies outside {name} altogether, so nothing of it is left; is it of another scan?"]
    percent = 100 * n_outside / len(points)
    share = f"{percent:.0f} %" if percent >= 1 else "Less than 1 %"
    return [f"{share} of its labelled voxels lie outside {name} and are left out."]


def _values(labels: NDArray[Any]) -> list[int]:
    return [int(value) for value in np.unique(labels) if value != 0]
