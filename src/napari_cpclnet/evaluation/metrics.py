"""Segmentation metrics in 3-D and in millimetres: Dice, surface Dice, HD95, volumes.

Surfaces are MONAI's: the same elements, areas and percentiles as ``compute_surface_dice(use_subvoxels=True)`` and
``compute_hausdorff_distance(percentile=95)``. Distances between them come from a tree of surface points instead of a
distance map of the whole box: the same numbers, and fast also where a prediction is scattered over the body.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from monai.metrics.utils import get_code_to_measure_table
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_cpclnet.imaging import Geometry

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Agreement of one predicted organ with the truth; nan where a measure has no meaning.

    Parameters
    ----------
    dice : float
        3-D Dice, 0 to 1; nan if the organ is absent.
    surface_dice : float
        Share of both surfaces' area within the tolerance of the other surface, 0 to 1; nan if the organ is absent.
    hd95_mm : float
        The larger of both directions' 95th percentile of surface distances; nan if either mask is empty.
    relative_volume_error : float
        (predicted - true) / true volume; nan if the organ is absent.
    false_ml : float
        Predicted ml in slices that do not show the organ.
    truth_ml, predicted_ml : float
        Volumes in ml.
    absent : bool
        The truth is empty: only `false_ml` and `predicted_ml` say something.
    """

    dice: float
    surface_dice: float
    hd95_mm: float
    relative_volume_error: float
    false_ml: float
    truth_ml: float
    predicted_ml: float
    absent: bool


def score(
    predicted: Mask,
    truth: Mask,
    geometry: Geometry,
    axis: int,
    tolerance_mm: float = 2.0,
    left_out: Sequence[int] = (),
) -> Scores:
    """Compare a predicted organ with the true one.

    Parameters
    ----------
    predicted, truth : ndarray (z, y, x) of bool
    geometry : Geometry
        Their grid; an oblique one is measured along its own axes.
    axis : int
        Array axis along which slices are counted.
    tolerance_mm : float
        Distance that counts as agreement in the surface Dice.
    left_out : sequence of int
        Slices that were given to the predictor: they count neither for Dice nor for volumes, and surfaces are those
        of the prediction with these slices as given.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if predicted.shape != truth.shape or truth.shape != geometry.shape:
        raise ValueError(f"shapes differ: {predicted.shape}, {truth.shape}, grid {geometry.shape}")
    kept = np.ones(truth.shape[axis], bool)
    kept[list(left_out)] = False
    others = tuple(a for a in range(3) if a != axis)
    true_area = np.count_nonzero(truth, axis=others) * kept
    found_area = np.count_nonzero(predicted, axis=others) * kept
    common = int((np.count_nonzero(predicted & truth, axis=others) * kept).sum())
    n_true, n_found = int(true_area.sum()), int(found_area.sum())
    absent = n_true == 0
    ml = geometry.voxel_ml
    surface_dice, hd95 = math.nan, math.nan
    if not absent:
        whole = predicted
        if left_out:
            whole = predicted.copy()
            given = (slice(None),) * axis + (list(left_out),)
            whole[given] = truth[given]
        surface_dice = normalised_surface_dice(whole, truth, geometry.spacing, tolerance_mm)
        hd95 = hausdorff_95(whole, truth, geometry.spacing)
    return Scores(
        dice=math.nan if absent else 2 * common / (n_true + n_found),
        surface_dice=surface_dice,
        hd95_mm=hd95,
        relative_volume_error=math.nan if absent else (n_found - n_true) / n_true,
        false_ml=float(found_area[true_area == 0].sum()) * ml,
        truth_ml=n_true * ml,
        predicted_ml=n_found * ml,
        absent=absent,
    )


def normalised_surface_dice(a: Mask, b: Mask, spacing: Sequence[float], tolerance_mm: float) -> float:
    """Share of both surfaces' area that lies within `tolerance_mm` of the other surface (Nikolov et al. 2018).

    Parameters
    ----------
    a, b : ndarray (z, y, x) of bool
    spacing : sequence of 3 float
        In mm.
    tolerance_mm : float

    Returns
    -------
    float
        0 to 1; 0 if one mask is empty, nan if both are.
    """
    (points_a, area_a), (points_b, area_b) = _surface_elements(a, spacing), _surface_elements(b, spacing)
    total = area_a.sum() + area_b.sum()
    if not len(points_a) and not len(points_b):
        return math.nan
    if not len(points_a) or not len(points_b):
        return 0.0
    near_a = _distances(points_a, points_b, tolerance_mm) <= tolerance_mm
    near_b = _distances(points_b, points_a, tolerance_mm) <= tolerance_mm
    return float((area_a[near_a].sum() + area_b[near_b].sum()) / total)


def hausdorff_95(a: Mask, b: Mask, spacing: Sequence[float]) -> float:
    """The larger of both directions' 95th percentile of distances between border voxels, in mm; nan if one is empty."""
    points_a, points_b = _border_voxels(a, spacing), _border_voxels(b, spacing)
    if not len(points_a) or not len(points_b):
        return math.nan
    there, back = _distances(points_a, points_b), _distances(points_b, points_a)
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _distances(points: Points, others: Points, furthest: float = math.inf) -> NDArray[np.float64]:
    """Distance of each point to the nearest of the others, inf beyond `furthest`."""
    # the tree leaves out what lies at the bound itself
    bound = np.nextafter(furthest * (1 + 1e-9), math.inf)
    return np.asarray(cKDTree(others).query(points, distance_upper_bound=bound)[0])


def _surface_elements(mask: Mask, spacing: Sequence[float]) -> tuple[Points, NDArray[np.float64]]:
    """Positions in mm and areas in mm2 of the surface elements between blocks of 2x2x2 voxels."""
    part, start = _cropped(mask)
    if not part.size:
        return np.zeros((0, 3)), np.zeros(0)
    table, kernel = get_code_to_measure_table(tuple(spacing))  # type: ignore[no-untyped-call]
    code = np.zeros(tuple(n - 1 for n in part.shape), np.uint8)
    for offset, weight in np.ndenumerate(kernel.numpy()[0, 0].astype(np.uint8)):
        view = part[tuple(slice(o, n - 1 + o) for o, n in zip(offset, part.shape, strict=True))]
        code += view * weight
    found = np.nonzero((code != 0) & (code != len(table) - 1))
    return (np.stack(found, 1) + start + 0.5) * spacing, table.double().numpy()[code[found]]


def _border_voxels(mask: Mask, spacing: Sequence[float]) -> Points:
    """Positions in mm of the voxels that have a face in common with the outside."""
    part, start = _cropped(mask)
    border = part ^ ndimage.binary_erosion(part) if part.size else part
    return np.asarray((np.argwhere(border) + start) * spacing, np.float64)


def _cropped(mask: Mask) -> tuple[Mask, NDArray[Any]]:
    """The part of a mask that is not empty, with one empty voxel around it, and the index of its first voxel."""
    box = ndimage.find_objects(mask.view(np.uint8))
    if not box:
        return np.zeros((0, 0, 0), bool), np.zeros(3)
    return np.pad(mask[box[0]], 1), np.array([s.start for s in box[0]]) - 1
