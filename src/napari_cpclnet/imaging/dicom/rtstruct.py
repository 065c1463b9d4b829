"""Read the outlines of a DICOM structure set (RTSTRUCT; DICOM PS3.3 A.19 and C.8.8) as labels of a scan."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom.headers import clean, numbers
from napari_cpclnet.imaging.dicom.labels import items, label_header
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.label_resampling import doubtful_place, merge, place
from napari_cpclnet.imaging.outlines import FilledOutlines, Region
from napari_cpclnet.imaging.volume import Segmentation

# An outline lies in a slice if its points are this near to one plane, in slices or mm.
FLAT = 0.1
MOST_VOXELS = 1 << 29


def read_rtstruct(path: Path, target: Geometry, name: str) -> Segmentation:
    """Fill the outlines of a structure set on the voxels of a scan.

    A voxel belongs to a region if its centre lies inside the outline of the nearest outlined plane, no further than
    half the distance of those planes. Outlines inside outlines are holes, of those that overlap in part all is filled
    unless they say that what is twice inside is outside (CLOSEDPLANAR_XOR), and an outline given twice counts once.
    Outlines in another orientation than the scan's slices are filled in their own planes and brought over by nearest
    neighbour.

    Parameters
    ----------
    path
        The file.
    target, name
        Grid and name of the scan.

    Raises
    ------
    ImageError
        If the file is damaged, or holds no closed outline.
    """
    header = label_header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are decoded only now
            regions, notes = _regions(header)
    except Exception as error:  # a damaged file can fail anywhere inside pydicom
        raise ImageError(
            f"{path}: is a damaged structure set ({type(error).__name__}); export it again."
        ) from error
    empty = [region.name for region in regions if not region.outlines]
    regions = [region for region in regions if region.outlines]
    if not regions:
        raise ImageError(f"{path}: is a structure set without closed outlines.")
    if empty:
        notes = (*notes, f"Structures without closed outlines were left out: {_listed(empty)}.")
    axis = _slice_axis(regions, target)
    grid = target if axis is not None else _own_grid(path, regions, target)
    names = {region.value: region.name for region in regions}
    filled = FilledOutlines()
    masks = ((region.value, filled.mask(region, grid, axis or 0)) for region in regions)
    labels, overlaps = merge(masks, grid.shape, names)
    colors = {region.value: region.color for region in regions if region.color}
    found = Segmentation(
        labels.astype(np.uint8) if max(names) <= 255 else labels,
        names,
        grid,
        path.stem,
        colors,
        (*notes, *filled.notes(name), *overlaps),
    )
    if grid is not target:
        return place(found, target, name)
    share = _share_outside(found, regions)
    return found.replaced(
        notes=(*found.notes, *_outside(found, share, name)),
        doubt=doubtful_place(target, share if found.labels.any() else 1.0, target, name),
    )


def _regions(header: Dataset) -> tuple[list[Region], tuple[str, ...]]:
    names = {
        str(item.get("ROINumber")): clean(str(item.get("ROIName") or ""))
        for item in items(header, "StructureSetROISequence")
    }
    regions = []
    others: list[str] = []
    drawn: set[str] = set()
    for value, item in enumerate(items(header, "ROIContourSequence"), start=1):
        color = numbers(item, "ROIDisplayColor", 3)
        region = Region(
            value,
            names.get(number := str(item.get("ReferencedROINumber"))) or f"label {value}",
            None if color is None else tuple(int(np.clip(part, 0, 255)) for part in color),  # type: ignore[arg-type]
        )
        drawn.add(number)
        for contour in items(item, "ContourSequence"):
            points = _coordinates(contour.get("ContourData")).reshape(-1, 3)
            if not np.all(np.isfinite(points)):
                raise ValueError("outline with NaN")
            kind = str(contour.get("ContourGeometricType", "")).strip().upper().replace("_", "")
            if kind.startswith("CLOSEDPLANAR") and len(points) > 2:
                region.outlines.append(points[:, ::-1])
                region.is_xor |= kind.endswith("XOR")
            elif region.name not in others:
                others.append(region.name)
        regions.append(region)
    never = [name or f"ROI {number}" for number, name in names.items() if number not in drawn]
    regions += [Region(0, name, None) for name in never]
    if not others:
        return regions, ()
    return regions, (f"Points and open lines were left out, in: {_listed(others)}.",)


def _coordinates(value: Any) -> NDArray[np.float64]:
    """Numbers of ContourData; outlines too long for its type are stored as bytes (PS3.5 6.2.2)."""
    if isinstance(value, bytes):
        value = value.decode("ascii").strip("\0 ").split("\\")
    return np.array([float(v) for v in value or ()])


def _listed(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _slice_axis(regions: list[Region], target: Geometry) -> int | None:
    """Array axis of the scan in whose slices all outlines lie; None if they lie in no slices."""
    flat = np.zeros(3)
    for region in regions:
        for outline in region.outlines:
            flat = np.maximum(flat, np.ptp(target.world_to_index(outline), axis=0))
    axis = int(np.argmin(flat))
    return axis if flat[axis] <= FLAT else None


def _own_grid(path: Path, regions: list[Region], target: Geometry) -> Geometry:
    """Grid in the planes of the outlines, as fine as the scan."""
    first = regions[0].outlines[0]
    # The normal is the direction in which the outline has no extent.
    _, _, axes = np.linalg.svd(first - first.mean(axis=0), full_matrices=False)
    normal, row = axes[2], axes[0]
    frame = np.stack([normal, np.cross(row, normal), row])
    points = np.concatenate([outline for region in regions for outline in region.outlines]) @ frame.T
    thick = max(float(np.ptp(outline @ normal)) for region in regions for outline in region.outlines)
    if thick > max(FLAT, 0.01):
        raise ImageError(f"{path}: its outlines lie in several orientations, which cannot be read.")
    depths = np.unique(
        np.round([float((o @ normal).mean()) for region in regions for o in region.outlines], 2)
    )
    pixel = min(target.spacing)
    step = max(float(np.diff(depths).min()), pixel / 4) if len(depths) > 1 else pixel
    spacing = np.array([step, pixel, pixel])
    low = points.min(axis=0) - spacing
    shape = np.ceil((points.max(axis=0) + spacing - low) / spacing).astype(np.int64) + 1
    low[0] = depths[0]
    shape[0] = int(np.rint((depths[-1] - depths[0]) / step)) + 1
    if np.prod(shape) > MOST_VOXELS:
        raise ImageError(f"{path}: its outlines span {np.ptp(points, axis=0).max():.0f} mm, which is damage.")
    affine = np.eye(4)
    affine[:3, :3] = frame.T * spacing
    affine[:3, 3] = frame.T @ low
    return Geometry.from_affine((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _share_outside(found: Segmentation, regions: list[Region]) -> float:
    """Share of the points of all outlines that lie beyond the scan."""
    points = np.concatenate([outline for region in regions for outline in region.outlines])
    index = found.geometry.world_to_index(points)
    return float(np.any((index < -0.5) | (index > np.array(found.geometry.shape) - 0.5), axis=1).mean())


def _outside(found: Segmentation, share: float, name: str) -> Iterator[str]:
    """A sentence about outlines beyond the scan."""
    if not found.labels.any():
        yield f"Lies outside {name} altogether, so nothing of it is left; is it of another scan?"
    elif share:
        percent = max(1, round(100 * share))
        yield f"{percent} % of the points of its outlines lie outside {name}."
