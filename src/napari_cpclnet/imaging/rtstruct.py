"""Read the outlines of a DICOM structure set (RTSTRUCT; DICOM PS3.3 A.19 and C.8.8) as labels of a scan."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom_headers import numbers
from napari_cpclnet.imaging.dicom_labels import items, label_header
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.placing import doubtful_place, merge, place
from napari_cpclnet.imaging.volume import Segmentation

# An outline lies in a slice if its points are this near to one plane, in slices or mm.
FLAT = 0.1
# Outlines of one plane may differ this much in their position along the normal, in mm.
SAME_PLANE = 0.01
# Rounding of positions, in slices.
HALFWAY = 1e-3
MOST_VOXELS = 1 << 31


@dataclass
class Region:
    """One region of interest: its outlines (n, 3) in world millimetres (S, P, L)."""

    value: int
    name: str
    color: tuple[int, int, int] | None
    outlines: list[NDArray[np.float64]] = field(default_factory=list)


def read_rtstruct(path: Path, target: Geometry, name: str) -> Segmentation:
    """Fill the outlines of a structure set on the voxels of a scan.

    A voxel belongs to a region if its centre lies inside the outline of the nearest outlined plane, no further than
    half the distance of those planes. Outlines inside outlines are holes. Outlines in another orientation than
    the scan's slices are filled in their own planes and brought over by nearest neighbour.

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
    if not any(region.outlines for region in regions):
        raise ImageError(f"{path}: is a structure set without closed outlines.")
    regions = [region for region in regions if region.outlines]
    axis = _slice_axis(regions, target)
    grid = target if axis is not None else _own_grid(path, regions, target)
    names = {region.value: region.name for region in regions}
    masks = ((region.value, _filled(region, grid, axis or 0)) for region in regions)
    labels, overlaps = merge(masks, grid.shape, names)
    colors = {region.value: region.color for region in regions if region.color}
    found = Segmentation(
        labels.astype(np.uint8) if max(names) <= 255 else labels,
        names,
        grid,
        path.stem,
        colors,
        (*notes, *overlaps),
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
        str(item.get("ROINumber")): str(item.get("ROIName") or "").strip()
        for item in items(header, "StructureSetROISequence")
    }
    regions = []
    others: list[str] = []
    for value, item in enumerate(items(header, "ROIContourSequence"), start=1):
        color = numbers(item, "ROIDisplayColor", 3)
        region = Region(
            value,
            names.get(str(item.get("ReferencedROINumber"))) or f"label {value}",
            None if color is None else tuple(int(np.clip(part, 0, 255)) for part in color),  # type: ignore[arg-type]
        )
        for contour in items(item, "ContourSequence"):
            points = np.array([float(v) for v in contour.get("ContourData") or ()]).reshape(-1, 3)
            if not np.all(np.isfinite(points)):
                raise ValueError("outline with NaN")
            if str(contour.get("ContourGeometricType", "")).startswith("CLOSED_PLANAR") and len(points) > 2:
                region.outlines.append(points[:, ::-1])
            elif region.name not in others:
                others.append(region.name)
        regions.append(region)
    if not others:
        return regions, ()
    return regions, (f"Points and open lines were left out, in: {', '.join(others)}.",)


def _slice_axis(regions: list[Region], target: Geometry) -> int | None:
    """Array axis of the scan in whose slices all outlines lie; None if they lie in no slices."""
    flat = np.zeros(3)
    for region in regions:
        for outline in region.outlines:
            flat = np.maximum(flat, np.ptp(target.world_to_index(outline), axis=0))
    axis = int(np.argmin(flat))
    return axis if flat[axis] <= FLAT else None


def _filled(region: Region, grid: Geometry, axis: int) -> NDArray[np.bool_]:
    """Mask (z, y, x) of one region, whose outlines lie in the slices of one array axis."""
    mask = np.zeros(grid.shape, bool)
    slices = np.moveaxis(mask, axis, 0)
    planes = _planes(region, grid, axis)
    depths = np.array([depth for depth, _ in planes])
    half = _thickness(depths) / 2
    for index in range(slices.shape[0]):
        # A little more than is true, so that a slice halfway between two planes belongs to the second, and a slice
        # half a distance beyond is filled at one end only.
        distances = index - depths + HALFWAY
        nearest = int(np.argmin(np.abs(distances)))
        if -half <= distances[nearest] < half:
            for outline in planes[nearest][1]:
                slices[index] ^= _inside(outline, slices.shape[1:])
    return mask


def _planes(region: Region, grid: Geometry, axis: int) -> list[tuple[float, list[NDArray[np.float64]]]]:
    """Outlines in index positions (n, 2), by their place along the sliced axis."""
    tolerance = max(SAME_PLANE / grid.spacing[axis], 1e-3)
    others = [other for other in range(3) if other != axis]
    found: list[tuple[float, list[NDArray[np.float64]]]] = []
    placed = (grid.world_to_index(outline) for outline in region.outlines)
    for points in sorted(placed, key=lambda one: float(one[:, axis].mean())):
        depth = float(points[:, axis].mean())
        if found and depth - found[-1][0] <= tolerance:
            found[-1][1].append(points[:, others])
        else:
            found.append((depth, [points[:, others]]))
    return found


def _thickness(depths: NDArray[np.float64]) -> float:
    """Distance of outlined planes, in slices; one slice if there is one plane only."""
    return float(np.diff(depths).min()) if len(depths) > 1 else 1.0


def _inside(outline: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels whose centres lie inside a polygon (n, 2) of index positions, by the even-odd rule."""
    from skimage.draw import polygon

    mask = np.zeros(shape, bool)
    rows, columns = polygon(outline[:, 0], outline[:, 1], (shape[0], shape[1]))
    mask[rows, columns] = True
    return mask


def _own_grid(path: Path, regions: list[Region], target: Geometry) -> Geometry:
    """Grid in the planes of the outlines, as fine as the scan."""
    first = regions[0].outlines[0]
    # The normal is the direction in which the outline has no extent.
    _, _, axes = np.linalg.svd(first - first.mean(axis=0))
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
