"""Fill the outlines of a structure set, plane by plane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.imaging.geometry import Geometry

Polygon = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Outlines of one plane may differ this much in their position along the normal, in mm.
SAME_PLANE = 0.01
# Rounding of positions, in slices.
HALFWAY = 1e-3
# Planes nearer to each other than this part of their usual distance, or of a slice, are one: not all outlines of a
# slice were drawn quite on it.
NEXT_TO = 0.25
# Planes further apart, in slices, do not belong together: each is as thick as one slice.
WIDEST_THICKNESS = 6.0
# Two outlines are the same if neither leaves the other by more than this, in pixels.
SAME_OUTLINE = 0.1
# Of outlines of more points only some are compared.
MOST_COMPARED = 500
# An outline is a hole in another one if so much of it lies inside; the rest is the pixels at a common edge.
MOSTLY_INSIDE = 0.95


@dataclass
class Region:
    """One region of interest.

    Parameters
    ----------
    value, name, color
        Label value, name, and red, green and blue (0 to 255) if it has a colour.
    outlines
        Closed outlines (n, 3) in world millimetres (S, P, L).
    is_xor
        Whether what lies inside two outlines is outside of the region; else only holes are.
    """

    value: int
    name: str
    color: tuple[int, int, int] | None
    outlines: list[Polygon] = field(default_factory=list)
    is_xor: bool = False


class FilledOutlines:
    """Fills regions, and keeps what is to be said of them."""

    def __init__(self) -> None:
        self._twice: Counter[str] = Counter()
        self._overlapping: Counter[str] = Counter()
        self._too_small: Counter[str] = Counter()
        self._gone: list[str] = []

    def mask(self, region: Region, grid: Geometry, axis: int) -> Mask:
        """Mask (z, y, x) of one region, whose outlines lie in the slices of one array axis."""
        mask = np.zeros(grid.shape, bool)
        slices = np.moveaxis(mask, axis, 0)
        planes = _planes(region, grid, axis)
        depths = np.array([depth for depth, _ in planes])
        half = _thickness(depths) / 2
        done: dict[int, Mask] = {}
        for index in range(slices.shape[0]):
            # A little more than is true, so that a slice halfway between two planes belongs to the second, and a slice
            # half a distance beyond is filled at one end only.
            distances = index - depths + HALFWAY
            nearest = int(np.argmin(np.abs(distances)))
            if -half <= distances[nearest] < half:
                if nearest not in done:
                    done[nearest] = self._plane(region, planes[nearest][1], slices.shape[1:])
                slices[index] = done[nearest]
        if not mask.any():
            self._gone.append(region.name)
        return mask

    def notes(self, name: str) -> Iterator[str]:
        """What was assumed or lost, one sentence each; ``name`` is that of the scan."""
        if self._twice:
            yield f"Outlines that are there twice were taken once, in: {', '.join(self._twice)}."
        if self._overlapping:
            listed = ", ".join(self._overlapping)
            yield f"Outlines of one plane that overlap in part were taken together, in: {listed}."
        small = {one: n for one, n in self._too_small.items() if one not in self._gone}
        if small:
            listed = ", ".join(f"{one} ({n})" for one, n in small.items())
            yield f"Outlines in which no voxel of {name} has its centre were left out, in: {listed}."
        if self._gone:
            listed = ", ".join(dict.fromkeys(self._gone))
            yield f"Without a voxel on {name}, as they lie outside or are too small: {listed}."

    def _plane(self, region: Region, outlines: list[Polygon], shape: tuple[int, ...]) -> Mask:
        once = _distinct(outlines)
        if len(once) < len(outlines):
            self._twice[region.name] += len(outlines) - len(once)
        masks = [_inside(outline, shape) for outline in once]
        self._too_small[region.name] += sum(
            not mask.any() and _touches(outline, shape) for mask, outline in zip(masks, once, strict=True)
        )
        self._too_small += Counter()  # without those of which there are none
        masks = sorted((mask for mask in masks if mask.any()), key=np.count_nonzero, reverse=True)
        filled = np.zeros(shape, bool)
        for number, mask in enumerate(masks):
            if region.is_xor:
                filled ^= mask
                continue
            size = np.count_nonzero(mask)
            shared = [int(np.count_nonzero(mask & larger)) for larger in masks[:number]]
            around = sum(common >= MOSTLY_INSIDE * size for common in shared)
            if any(0 < common < MOSTLY_INSIDE * size for common in shared):
                self._overlapping[region.name] += 1
            if around % 2:
                filled &= ~mask
            else:
                filled |= mask
        return filled


def _planes(region: Region, grid: Geometry, axis: int) -> list[tuple[float, list[Polygon]]]:
    """Outlines in index positions (n, 2), by their place along the sliced axis."""
    others = [other for other in range(3) if other != axis]
    placed = sorted(
        (
            (float(points[:, axis].mean()), points[:, others])
            for points in map(grid.world_to_index, region.outlines)
        ),
        key=lambda one: one[0],
    )
    tolerance = max(SAME_PLANE / grid.spacing[axis], 1e-3)
    gaps = np.diff([depth for depth, _ in placed])
    gaps = gaps[gaps > tolerance]
    if len(gaps):
        tolerance = max(tolerance, NEXT_TO * min(1.0, float(np.median(gaps))))
    found: list[tuple[float, list[Polygon]]] = []
    for depth, points in placed:
        if found and depth - found[-1][0] <= tolerance:
            found[-1][1].append(points)
        else:
            found.append((depth, [points]))
    return found


def _thickness(depths: NDArray[np.float64]) -> float:
    """Usual distance of outlined planes, in slices; one slice where they are too few or too far apart to tell."""
    usual = float(np.median(np.diff(depths))) if len(depths) > 1 else 1.0
    return usual if usual <= WIDEST_THICKNESS else 1.0


def _inside(outline: Polygon, shape: tuple[int, ...]) -> Mask:
    """Pixels whose centres lie inside a polygon (n, 2) of index positions, by the even-odd rule."""
    from skimage.draw import polygon

    mask = np.zeros(shape, bool)
    rows, columns = polygon(outline[:, 0], outline[:, 1], (shape[0], shape[1]))
    mask[rows, columns] = True
    return mask


def _touches(outline: Polygon, shape: tuple[int, ...]) -> bool:
    """Whether a polygon reaches into the picture."""
    return bool(np.all(outline.max(axis=0) >= -0.5) and np.all(outline.min(axis=0) <= np.array(shape) - 0.5))


def _distinct(outlines: list[Polygon]) -> list[Polygon]:
    """Outlines without those that another one repeats, whatever point they begin at and which way they go."""
    kept: list[Polygon] = []
    for outline in outlines:
        if not any(_is_same(outline, other) for other in kept):
            kept.append(outline)
    return kept


def _is_same(first: Polygon, second: Polygon) -> bool:
    corners = [np.stack([one.min(axis=0), one.max(axis=0)]) for one in (first, second)]
    if np.abs(corners[0] - corners[1]).max() > SAME_OUTLINE:
        return False
    if np.array_equal(first, second):
        return True
    return _furthest(first, second) <= SAME_OUTLINE and _furthest(second, first) <= SAME_OUTLINE


def _furthest(points: Polygon, outline: Polygon) -> float:
    """Greatest distance of points, or of many of them, from the sides of a closed polygon."""
    points = points[:: 1 + len(points) // MOST_COMPARED]
    start = outline
    side = np.roll(outline, -1, axis=0) - start
    length = np.maximum((side**2).sum(axis=1), 1e-12)
    furthest = 0.0
    for point in points:
        along = np.clip(((point - start) * side).sum(axis=1) / length, 0, 1)
        away = point - start - along[:, np.newaxis] * side
        furthest = max(furthest, float((away**2).sum(axis=1).min()) ** 0.5)
        if furthest > SAME_OUTLINE:
            break
    return furthest
