"""Post-processing of a label map: components, holes, gaps. Classes never take voxels from each other."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cpclnet.preprocessing import ModelGrid
from napari_cpclnet.segmentation.boxed import label_boxes
from napari_cpclnet.segmentation.fixed_labels import FixedLabels
from napari_cpclnet.segmentation.random_walker import refine_slice
from napari_cpclnet.segmentation.settings import PostprocessingSettings

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


def postprocess(
    labels: NDArray[Any],
    volume: Volume,
    grid: ModelGrid,
    settings: PostprocessingSettings,
    painted: FixedLabels | None = None,
    several: Collection[int] = (),
) -> NDArray[Any]:
    """Post-process a label map.

    Order: gaps are closed, small pieces and all but the largest removed, holes filled, boundaries refined.
    Closing and filling take background only. Work is done in each class's bounding box.

    Parameters
    ----------
    labels : ndarray (z, y, x) of unsigned integers
        Label map; not changed.
    volume : Volume
        The scan, for its spacing and, in refinement, its edges.
    grid : ModelGrid
        Plane in which it was segmented: holes are filled and boundaries refined in its slices.
    settings : PostprocessingSettings
        What to do.
    painted : FixedLabels, optional
        Slices and voxels that come out as they are; a piece that holds such voxels of its class is never removed.
    several : collection of int, optional
        Classes of several pieces, of which all are kept.

    Returns
    -------
    ndarray (z, y, x)
        The post-processed labels, of the same type.
    """
    painted = painted or FixedLabels()
    out = labels.copy()
    painted.apply(out)
    spacing = volume.geometry.spacing
    for value, box in _boxes(out, settings.closing_mm, spacing):
        view = out[box]
        mask = view == value
        if settings.closing_mm > 0:
            mask |= close_gaps(mask, settings.closing_mm, spacing) & (view == 0)
        anchors = _anchors(painted, labels.shape, box, mask)
        minimum = settings.minimum_ml / volume.geometry.voxel_ml
        only_largest = settings.largest_component and value not in several
        if only_largest or minimum > 0:
            mask = keep_pieces(mask, minimum, only_largest=only_largest, anchors=anchors)
        if settings.fill_holes:
            mask |= fill_holes(mask, grid.axis) & ((view == 0) | (view == value))
        view[view == value] = 0
        view[mask & (view == 0)] = value
    if settings.refine:
        for index in range(grid.n_slices):
            labels2d = grid.take(out, index)
            if labels2d.any() and painted.slice(grid.axis, index) is None:
                picture = grid.take(volume.array, index)
                refined = refine_slice(
                    labels2d,
                    picture,
                    grid.value_range,
                    _in_plane(spacing, grid.axis),
                    settings.refine_band_mm,
                )
                grid.put(out, index, refined)
    painted.apply(out)
    return out


def keep_pieces(
    mask: Mask, minimum_voxels: float, *, only_largest: bool, anchors: Mask | None = None
) -> Mask:
    """Connected pieces (26-neighbourhood) that are large enough.

    Parameters
    ----------
    mask : ndarray (z, y, x) of bool
        The class.
    minimum_voxels : float
        Smaller pieces go.
    only_largest : bool
        All but the largest piece go; of equal ones the first in array order stays.
    anchors : ndarray of bool, optional
        Pieces that hold one of these voxels stay in any case.

    Returns
    -------
    ndarray of bool
    """
    pieces, sizes = pieces_of(mask)
    if len(sizes) == 1:
        return mask
    sizes[0] = 0
    keep = sizes >= max(minimum_voxels, 1)
    if only_largest:
        keep &= np.arange(len(sizes)) == sizes.argmax()
    if anchors is not None:
        keep[np.unique(pieces[anchors & mask])] = True
    keep[0] = False
    found = np.empty(mask.shape, bool)
    for one, numbers in zip(found, pieces, strict=True):
        np.take(keep, numbers, out=one)
    return found


def pieces_of(mask: Mask) -> tuple[NDArray[np.integer[Any]], NDArray[np.int64]]:
    """Numbers of the connected pieces (26-neighbourhood) of a mask, and voxels of each number, of the rest first."""
    touching = np.ones((3, 3, 3), bool)
    pieces: NDArray[np.integer[Any]]
    try:
        pieces, count = ndimage.label(
            mask, touching, np.uint16
        )  # four bytes a voxel are too many to begin with
    except RuntimeError:  # there are too many pieces for two
        pieces, count = ndimage.label(mask, touching)
    sizes = np.zeros(count + 1, np.int64)
    for numbers in pieces:  # slice by slice: bincount widens what it is given
        sizes += np.bincount(numbers.ravel(), minlength=count + 1)
    return pieces, sizes


def fill_holes(mask: Mask, axis: int) -> Mask:
    """Fill what a class encloses within each slice along `axis`."""
    filled = np.empty_like(mask)
    # the box ends where the class ends, so background at its border is not enclosed
    for one, solid in zip(np.moveaxis(mask, axis, 0), np.moveaxis(filled, axis, 0), strict=True):
        solid[...] = ndimage.binary_fill_holes(one)
    return filled


def close_gaps(mask: Mask, radius_mm: float, spacing: Spacing) -> Mask:
    """Closing with a ball of `radius_mm` in true millimetres, whatever the spacing."""
    pads = [int(np.ceil(radius_mm / s)) + 1 for s in spacing]
    padded = np.pad(mask, [(p, p) for p in pads])
    if not padded.any():
        return mask
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= radius_mm
    closed = ndimage.distance_transform_edt(grown, sampling=spacing) > radius_mm
    inner = tuple(slice(p, p + n) for p, n in zip(pads, mask.shape, strict=True))
    return np.asarray((closed | padded)[inner])


def _boxes(labels: NDArray[Any], margin_mm: float, spacing: Spacing) -> list[tuple[int, tuple[slice, ...]]]:
    """Bounding box of each label value, wide enough for closing."""
    found = []
    margins = [int(np.ceil(margin_mm / s)) for s in spacing]
    for value, box in label_boxes(labels).items():
        wide = tuple(
            slice(max(0, b.start - m), min(n, b.stop + m))
            for b, m, n in zip(box, margins, labels.shape, strict=True)
        )
        found.append((value, wide))
    return found


def _anchors(painted: FixedLabels, shape: tuple[int, ...], box: tuple[slice, ...], mask: Mask) -> Mask | None:
    return painted.mask(shape)[box] & mask if painted else None


def _in_plane(spacing: Spacing, axis: int) -> tuple[float, float]:
    first, second = (s for a, s in enumerate(spacing) if a != axis)
    return first, second
