"""Bring labels to the voxels of a scan, by where they lie in the patient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.volume import Segmentation

# A larger share of labelled voxels outside the scan needs a question: is it a mask of another scan?
MOST_OUTSIDE = 0.5
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
        it lies outside the scan or is too small for its voxels; and with a ``doubt`` where the place can hardly be
        right (see `doubtful_place`).
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
        notes.append(f"Mask resampled to the grid of {name} (nearest neighbour): {what}.")
    share = share_outside(segmentation, target)
    notes += _outside(share, name)
    lost = sorted(set(_values(segmentation.labels)) - set(_values(moved)))
    if lost and moved.any():
        names = ", ".join(segmentation.classes.get(value, f"label {value}") for value in lost)
        notes.append(f"Without a voxel on {name}, as they lie outside or are too small: {names}.")
    return segmentation.replaced(
        labels=moved,
        geometry=target,
        notes=(*segmentation.notes, *notes),
        doubt=doubtful_place(source, share, target, name),
    )


def doubtful_place(source: Geometry, outside: float, target: Geometry, name: str) -> str:
    """Why labels can hardly belong where their header puts them.

    Parameters
    ----------
    source
        Grid of the label map.
    outside
        Share of its labelled voxels that lie outside the scan, see `share_outside`.
    target
        Grid of the scan.
    name
        Names the scan in the sentence.

    Returns
    -------
    str
        One sentence; empty if nothing speaks against the place.
    """
    if source.shape == target.shape and not source.isclose(target, SAME_VOXEL):
        if _is_unplaced(source) and (set(source.spacing) == {1.0} or not _is_unplaced(target)):
            return (
                f"Has as many voxels as {name}, but another place: its header holds no place in the patient "
                "(identity)."
            )
        if _is_mirrored(source, target):
            return (
                f"Has as many voxels as {name}, but its header mirrors them (signs of axes or origin differ)."
            )
    if outside > MOST_OUTSIDE:
        share = "All" if outside == 1 else f"{100 * outside:.0f} %"
        return f"{share} of its labelled voxels lie outside {name}."
    return ""


def share_outside(segmentation: Segmentation, target: Geometry) -> float:
    """Share of the labelled voxels whose centres lie in no voxel of a grid, from 0 to 1; 0 if nothing is labelled."""
    n_labelled = n_outside = 0
    corner = np.array(target.shape) - 0.5
    for start, labels in enumerate(segmentation.labels):  # a plane at a time: positions are 24 times a label
        points = np.argwhere(labels)
        if not len(points):
            continue
        points = np.concatenate([np.full((len(points), 1), start), points], axis=1)
        index = target.world_to_index(segmentation.geometry.index_to_world(points))
        n_labelled += len(points)
        n_outside += int(np.count_nonzero(~np.all((index >= -0.5) & (index < corner), axis=1)))
    return n_outside / n_labelled if n_labelled else 0.0


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


def _is_unplaced(grid: Geometry) -> bool:
    """Whether a header says nothing of the patient: the first voxel at zero, all axes along the world's."""
    return not np.any(grid.origin) and grid.is_axis_aligned


def _is_mirrored(source: Geometry, target: Geometry) -> bool:
    """Whether two grids differ in signs alone; arrays that are flipped on purpose begin at another corner."""
    return (
        np.allclose(source.spacing, target.spacing, rtol=1e-3)
        and np.allclose(np.abs(source.direction), np.abs(target.direction), atol=1e-3)
        and np.allclose(np.abs(source.origin), np.abs(target.origin), atol=1e-2)
    )


def _outside(share: float, name: str) -> list[str]:
    if not share:
        return []
    if share == 1:
        return [f"Lies outside {name} altogether, so nothing of it is left; is it of another scan?"]
    percent = f"{100 * share:.0f} %" if share >= 0.01 else "Less than 1 %"
    return [f"{percent} of its labelled voxels lie outside {name} and are left out."]


def _values(labels: NDArray[Any]) -> list[int]:
    return [int(value) for value in np.unique(labels) if value != 0]
