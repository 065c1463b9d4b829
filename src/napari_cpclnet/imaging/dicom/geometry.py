"""Whether the slices of a DICOM series form a volume, and how they become one where they do not.

SimpleITK loads a series with a missing slice, a gantry tilt or two orientations without a word and with a
wrong geometry, so the positions (ImagePositionPatient, ImageOrientationPatient) are checked here. What can be
repaired by moving slices sideways or interpolating between them is, and is said; all else is refused.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging.dicom.frames import Frame, check_frames
from napari_cpclnet.imaging.geometry import Geometry

# Two slices of one series may differ this much in direction cosines by rounding.
SAME_ORIENTATION = 1e-3
# A gap may differ this much from the usual gap: scanners round positions to 0.1 mm or less.
UNEVEN_FRACTION, UNEVEN_MM = 0.02, 0.11
# Slices may slip sideways by this part of a pixel over the whole stack before they are moved.
SLIP_PIXELS = 0.5
# Slices are interpolated in gaps of up to this many usual gaps, and up to this share of all slices.
WIDEST_GAP, MOST_MADE = 4.5, 0.5
# Moving slices sideways may make them up to this many times as large.
LARGEST_GROWTH = 2.0
POSITION_MM = 1e-3


@dataclass(frozen=True)
class Blend:
    """A slice of the volume: between two slices of the stack (one twice where it is that slice itself)."""

    lower: int
    upper: int
    weight: float  # of the upper


@dataclass(frozen=True, eq=False)
class Stack:
    """The slices of a series in order, and how the volume is made of them.

    Parameters
    ----------
    frames
        Along the normal of the slices.
    geometry
        Grid of the volume.
    blends
        What each slice of the volume is made of.
    shifts
        Row and column (n, 2) of the volume, in pixels, where the corner of each frame lies; None if all lie at 0, 0.
    notes
        What was repaired or assumed, one sentence each.
    """

    frames: tuple[Frame, ...]
    geometry: Geometry
    blends: tuple[Blend, ...]
    shifts: NDArray[np.float64] | None
    notes: tuple[str, ...]

    @property
    def is_interpolated(self) -> bool:
        """Whether slices were made up between others."""
        return any(0 < blend.weight < 1 for blend in self.blends)


def stack_of(where: str, frames: Sequence[Frame]) -> Stack:
    """Order the slices of one series along their normal, check them and place them.

    Parameters
    ----------
    where
        Names the series in error messages.
    frames
        The slices in any order.

    Raises
    ------
    ImageError
        If they hold no grey values, differ in size or orientation, share positions, lie too far apart, or do not
        say where they lie.
    """
    check_frames(list(frames), where)
    rows, columns = _size(where, frames)
    pixel, notes = _pixel_spacing(where, frames)
    placed = _placed(where, frames)
    if placed is None:
        note = "The file does not say where the slice lies in the patient; it is taken as axial."
        geometry = _geometry(where, (1, rows, columns), _affine((1.0, *pixel), np.eye(3)[::-1], np.zeros(3)))
        return Stack(tuple(frames), geometry, (Blend(0, 0, 0.0),), None, (*notes, note))
    cosines, positions = placed
    along_columns, along_rows = cosines[:3], cosines[3:]
    normal = np.cross(along_columns, along_rows)
    order = np.argsort(positions @ normal, kind="stable")
    frames, positions = [frames[i] for i in order], positions[order]
    step, blends, step_notes = _slices(where, positions @ normal, frames[0])
    slip = (positions - positions[0]) @ np.stack([along_rows, along_columns]).T
    shifts, size, slip_notes = _shifts(where, slip, positions @ normal, np.array(pixel), (rows, columns))
    corner = positions[0]
    if shifts is not None:
        start = slip[0] - shifts[0] * pixel
        corner = corner + start[0] * along_rows + start[1] * along_columns
    axes = np.stack([normal, along_rows, along_columns])
    geometry = _geometry(where, (len(blends), *size), _affine((step, *pixel), axes, corner))
    return Stack(tuple(frames), geometry, blends, shifts, (*notes, *step_notes, *slip_notes))


def distinct_depths(frames: Sequence[Frame]) -> list[int] | None:
    """Number of the position of each frame along the normal, from 0; None if one does not say where it lies."""
    known = [
        (f.position, f.orientation) for f in frames if f.position is not None and f.orientation is not None
    ]
    if len(known) < len(frames):
        return None
    first = np.array(known[0][1])
    depth = np.array([position for position, _ in known]) @ np.cross(first[:3], first[3:])
    order = np.argsort(depth, kind="stable")
    gaps = np.diff(depth[order])
    ranks = np.concatenate([[0], np.cumsum(gaps > _same_place(gaps))])
    numbered = np.empty(len(frames), np.int64)
    numbered[order] = ranks
    return [int(rank) for rank in numbered]


def _same_place(gaps: NDArray[np.float64]) -> float:
    """Gap up to which two slices are at one position."""
    usual = float(np.median(gaps[gaps > POSITION_MM])) if np.any(gaps > POSITION_MM) else 0.0
    return max(POSITION_MM, 0.01 * usual)


def _affine(
    spacing: tuple[float, float, float], axes: NDArray[np.float64], corner: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(4, 4) matrix of axes z, y, x in rows and a corner, both in DICOM's order of world axes (L, P, S)."""
    affine = np.eye(4)
    # Columns of the matrix: index axes z, y, x; rows: world S, P, L, which is LPS backwards.
    affine[:3, :3] = (axes * np.array(spacing)[:, np.newaxis]).T[::-1]
    affine[:3, 3] = corner[::-1]
    return affine


def _geometry(where: str, shape: tuple[int, ...], affine: NDArray[np.float64]) -> Geometry:
    try:
        return Geometry.from_affine((shape[0], shape[1], shape[2]), affine)
    except GeometryError as error:
        raise ImageError(f"{where}: {error}") from error


def _size(where: str, frames: Sequence[Frame]) -> tuple[int, int]:
    sizes = Counter(frame.size for frame in frames)
    if len(sizes) > 1:
        listed = ", ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        raise ImageError(
            f"{where}: its slices differ in size ({listed}); move those of one size to a folder."
        )
    return next(iter(sizes))


def _pixel_spacing(where: str, frames: Sequence[Frame]) -> tuple[tuple[float, float], tuple[str, ...]]:
    known = [frame.pixel for frame in frames if frame.pixel is not None]
    if not known:
        return (1.0, 1.0), ("The pixel size is missing (PixelSpacing); 1 mm is assumed.",)
    first = np.array(known[0])
    if first.min() <= 0:
        raise ImageError(f"{where}: its pixel size is not positive (PixelSpacing {first.tolist()}).")
    if len(known) < len(frames) or np.abs(np.array(known) - first).max() > 1e-3 * first.min():
        raise ImageError(f"{where}: its slices differ in pixel size; move those of one size to a folder.")
    return (float(first[0]), float(first[1])), ()


def _placed(where: str, frames: Sequence[Frame]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Direction cosines of all frames, and the position of each; None if there is one frame without a place."""
    known = [
        (f.position, f.orientation) for f in frames if f.position is not None and f.orientation is not None
    ]
    if len(known) < len(frames):
        lost = len(frames) - len(known)
        if known:
            raise ImageError(
                f"{where}: {lost} of its {len(frames)} slices do not say where they lie; export it again."
            )
        if len(frames) > 1:
            msg = f"{where}: its slices do not say where they lie (no ImagePositionPatient); export it again."
            raise ImageError(msg)
        return None
    cosines = np.array([orientation for _, orientation in known])
    if np.abs(cosines - cosines[0]).max() > SAME_ORIENTATION:
        n = len({tuple(np.round(c, 2)) for c in cosines})
        msg = f"{where}: mixes slices of {n} orientations (a localizer?); move those of one to a folder."
        raise ImageError(msg)
    row, column = cosines[0, :3], cosines[0, 3:]
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > 0.01 or abs(row @ column) > 0.01:
        raise ImageError(
            f"{where}: its slice axes are not at right angles (ImageOrientationPatient); export it again."
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    right = np.concatenate([row, column / np.linalg.norm(column)])
    return right, np.array([position for position, _ in known])


def _slices(
    where: str, depth: NDArray[np.float64], first: Frame
) -> tuple[float, tuple[Blend, ...], tuple[str, ...]]:
    """Distance of the slices of the volume, what they are made of, and notes."""
    n = len(depth)
    itself = tuple(Blend(i, i, 0.0) for i in range(n))
    if n == 1:
        if first.thickness is not None:
            return first.thickness, itself, ()
        return 1.0, itself, ("The slice thickness is missing; 1 mm is assumed.",)
    gaps = np.diff(depth)
    near = _same_place(gaps)
    if gaps.min() <= near:
        distinct = 1 + int(np.count_nonzero(gaps > near))
        msg = (
            f"{where}: has {n} slices at {distinct} position{'s'[: distinct > 1]} "
            "(several phases or copies in one series); keep one slice per position."
        )
        raise ImageError(msg)
    usual = float(np.median(gaps))
    allowed = max(UNEVEN_FRACTION * usual, min(UNEVEN_MM, 0.1 * usual))
    if not np.any(np.abs(gaps - usual) > allowed):
        return float((depth[-1] - depth[0]) / (n - 1)), itself, ()
    return _evened(where, depth, gaps, allowed)


def _evened(
    where: str, depth: NDArray[np.float64], gaps: NDArray[np.float64], allowed: float
) -> tuple[float, tuple[Blend, ...], tuple[str, ...]]:
    """Interpolate uneven slices, or those that are missing."""
    small, large, at = float(gaps.min()), float(gaps.max()), int(np.argmax(gaps))
    length = float(depth[-1] - depth[0])
    multiple = np.rint(gaps / small)
    lost = bool(np.all(np.abs(gaps - multiple * small) <= allowed * multiple) and large > 1.5 * small)
    count = 1 + (int(multiple.sum()) if lost else round(length / small))
    made = count - len(depth)
    if lost:
        where_gap = f"a gap of {large:.4g} mm after slice {at + 1} of {len(depth)}, else {small:.4g} mm"
        what = f"{made} slice{' is' if made == 1 else 's are'} missing ({where_gap})"
    else:
        what = f"its slices are unevenly spaced ({small:.4g} to {large:.4g} mm)"
    if large > WIDEST_GAP * small or made > MOST_MADE * len(depth):
        raise ImageError(f"{where}: {what}, too far apart to interpolate; export the whole series again.")
    step = length / (count - 1)
    blends = []
    for place in depth[0] + step * np.arange(count):
        upper = int(np.clip(np.searchsorted(depth, place), 1, len(depth) - 1))
        weight = float(np.clip((place - depth[upper - 1]) / gaps[upper - 1], 0.0, 1.0))
        # Slices that are where they should be stay as they are, not a hundredth of their neighbour in them.
        slack = allowed / gaps[upper - 1]
        weight = 0.0 if weight <= slack else 1.0 if weight >= 1 - slack else weight
        blends.append(Blend(upper - 1, upper, weight))
    if lost:
        numbers = [i for i, blend in enumerate(blends) if 0 < blend.weight < 1]
        listed = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
        whose = "its neighbours as slice" if made == 1 else "their neighbours as slices"
        done = f"interpolated from {whose} {listed}, counted from 0"
        note = f"{what[0].upper()}{what[1:]}: {done}."
    else:
        note = f"I{what[1:]}: resampled to {count} slices every {step:.4g} mm."
    return step, tuple(blends), (note,)


def _shifts(
    where: str,
    slip: NDArray[np.float64],
    depth: NDArray[np.float64],
    pixel: NDArray[np.float64],
    size: tuple[int, int],
) -> tuple[NDArray[np.float64] | None, tuple[int, int], tuple[str, ...]]:
    """Where the corners of slices that lie beside one another go, the size that holds all, and notes."""
    furthest = float(np.linalg.norm(slip, axis=1).max())
    if furthest <= SLIP_PIXELS * pixel.min():
        return None, size, ()
    offsets = slip / pixel
    start = offsets.min(axis=0)
    grown = np.ceil(np.round(offsets.max(axis=0) - start, 3)).astype(int) + size
    per_mm = slip[-1] / (depth[-1] - depth[0])
    is_tilt = np.linalg.norm(slip - np.outer(depth - depth[0], per_mm), axis=1).max() <= pixel.min()
    angle = math.degrees(math.atan(float(np.linalg.norm(per_mm))))
    what = (
        f"was scanned with a gantry tilt of {angle:.1f} degrees"
        if is_tilt
        else f"has slices that lie up to {furthest:.4g} mm beside one another"
    )
    if np.any(grown > LARGEST_GROWTH * np.array(size)):
        raise ImageError(f"{where}: {what}, too much to be put straight; export it as upright slices.")
    rows, columns = int(grown[0]), int(grown[1])
    note = (
        f"The series {what}: its slices were moved sideways into a straight stack of {rows} x {columns} pixels, "
        "empty where nothing was scanned."
    )
    return offsets - start, (rows, columns), (note,)
