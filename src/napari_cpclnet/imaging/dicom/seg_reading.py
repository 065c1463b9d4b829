"""Read DICOM segmentations (BINARY, FRACTIONAL and LABELMAP; DICOM PS3.3 A.51 and C.8.20)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.utils import iter_pixels

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging.dicom.headers import clean, number, numbers, read_dataset
from napari_cpclnet.imaging.dicom.labels import items, label_header
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.label_resampling import merge
from napari_cpclnet.imaging.volume import Segmentation

# Segment numbers run from 1 without gaps, so a label value of ours is noted beside them.
VALUE_NOTE = re.compile(r"label value (\d+)")
# Frames may be off the even grid of slices by this part of a slice.
UNEVEN = 0.1
# Without the distance of slices, so few gaps that are so many times as wide as a slice are several slices each.
FEW_GAPS, FAR_APART = 2, 4
# Frames next to each other may have up to so many slices between them, if others show that there are some.
MOST_EMPTY = 4
# Cosine of the angle up to which a scan's slices lie as those of a segmentation.
PARALLEL = 0.9999
# No scanner makes more slices; a damaged position must not make a volume of any size.
MOST_SLICES, MOST_MM = 20_000, 3000.0
MOST_VOXELS = 1 << 30


@dataclass(frozen=True)
class SegmentInfo:
    """A segment of the file, and the label value it gets."""

    number: int
    value: int
    name: str
    color: tuple[int, int, int] | None


def read_dicom_seg(path: Path, like: Geometry | None = None) -> Segmentation:
    """Read a DICOM segmentation on the smallest grid that holds its frames.

    Parameters
    ----------
    path
        The file.
    like
        Grid of the scan it is of, if that is known: its slices tell how far apart those of the segmentation are, of
        which the empty ones may be left out.

    Raises
    ------
    ImageError
        If it is damaged, its frames lie on no even grid, or it is of a microscope's slide.
    """
    header = label_header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are decoded only now
            return _read(path, header, like)
    except (ImageError, GeometryError) as error:
        raise ImageError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can fail anywhere inside pydicom
        raise ImageError(
            f"{path}: is a damaged DICOM segmentation ({type(error).__name__}); export it again."
        ) from error


def _read(path: Path, header: FileDataset, like: Geometry | None) -> Segmentation:
    segments = segments_in(header)
    if not segments:
        raise ImageError(f"{path}: is a DICOM segmentation without segments.")
    frames = _frames(path, header)
    geometry, indices, notes = _grid(path, header, frames, like)
    kind = str(header.get("SegmentationType") or "BINARY")
    names = {one.value: one.name for one in segments}
    if kind == "LABELMAP":
        stored = np.zeros(geometry.shape, np.uint16)
        for index, pixels in zip(indices, _pixels(path, header), strict=True):
            stored[index] = pixels
        values = np.zeros(1 << 16, np.uint16)
        for one in segments:
            values[one.number] = one.value
        labels = values[stored]
    else:
        labels, overlaps = merge(
            _masks(path, header, frames, indices, geometry, segments), geometry.shape, names
        )
        notes = (*notes, *overlaps)
    if kind == "FRACTIONAL":
        notes = (*notes, "Holds fractions; voxels of one half and more were taken.")
    if labels.max(initial=0) <= 255:
        labels = labels.astype(np.uint8)
    colors = {one.value: one.color for one in segments if one.color}
    return Segmentation(labels, dict(sorted(names.items())), geometry, path.stem, colors, notes)


def segments_in(header: Dataset) -> list[SegmentInfo]:
    """Segments of a file; label values are those we noted, if all are there and differ, else the numbers."""
    found, noted = [], []
    for item in items(header, "SegmentSequence"):
        n = int(item.get("SegmentNumber", 0))
        if n < 1:  # 0 is the background of a label map
            continue
        name = clean(str(item.get("SegmentLabel") or "")) or f"label {n}"
        match = VALUE_NOTE.fullmatch(str(item.get("SegmentDescription") or ""))
        noted.append(int(match[1]) if match else 0)
        found.append(SegmentInfo(n, n, name, _rgb(item)))
    if min(noted, default=0) > 0 and max(noted) < 1 << 16 and len(set(noted)) == len(noted):
        return [SegmentInfo(s.number, v, s.name, s.color) for s, v in zip(found, noted, strict=True)]
    return found


def _frames(path: Path, header: Dataset) -> list[Dataset]:
    frames = items(header, "PerFrameFunctionalGroupsSequence")
    if not frames:
        raise ImageError(f"{path}: has no frames that say where they lie.")
    count = int(header.get("NumberOfFrames") or 1)
    if count != len(frames):
        raise ImageError(f"{path}: says it has {count} frames, but describes {len(frames)}; export it again.")
    return frames


def _group(header: Dataset, frame: Dataset, keyword: str) -> Dataset:
    """Functional group of a frame, its own or the one all frames share; empty if there is none."""
    for place in (frame, *items(header, "SharedFunctionalGroupsSequence")):
        if found := items(place, keyword):
            return found[0]
    return Dataset()


def _grid(
    path: Path, header: Dataset, frames: list[Dataset], like: Geometry | None
) -> tuple[Geometry, list[int], tuple[str, ...]]:
    """Grid around all frames, the slice of each, and notes."""
    positions, orientations = [], []
    for frame in frames:
        position = numbers(_group(header, frame, "PlanePositionSequence"), "ImagePositionPatient", 3)
        cosines = numbers(_group(header, frame, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
        if position is None or cosines is None:
            raise ImageError(f"{path}: has frames that do not say where in the patient they lie.")
        positions.append(position)
        orientations.append(cosines)
    if np.ptp(np.array(orientations), axis=0).max() > 1e-3:
        raise ImageError(f"{path}: its frames lie in several orientations, which cannot be read.")
    measures = _group(header, frames[0], "PixelMeasuresSequence")
    spacing = numbers(measures, "PixelSpacing", 2)
    if spacing is None or spacing.min() <= 0:
        raise ImageError(f"{path}: does not say how large its pixels are.")
    along_columns, along_rows = orientations[0][:3], orientations[0][3:]
    normal = np.cross(along_columns, along_rows)
    depth = np.array(positions) @ normal
    first = int(np.argmin(depth))
    side = np.array(positions) - positions[first]
    side = side - np.outer(side @ normal, normal)
    if np.linalg.norm(side, axis=1).max() > UNEVEN * spacing.min():
        raise ImageError(f"{path}: its frames are shifted sideways, which cannot be read.")
    if np.ptp(depth) > MOST_MM:
        raise ImageError(f"{path}: its frames lie {np.ptp(depth):.0f} mm apart, which is damage.")
    step, notes = _step(measures, depth, None if like is None else _step_along(like, normal))
    where = (depth - depth[first]) / step
    if np.abs(where - np.rint(where)).max() > UNEVEN:
        raise ImageError(f"{path}: its frames are unevenly spaced; export it on the slices of its scan.")
    indices = [int(i) for i in np.rint(where)]
    rows, columns = int(header.Rows), int(header.Columns)
    shape = (max(indices) + 1, rows, columns)
    if shape[0] > MOST_SLICES or int(np.prod(shape, dtype=np.int64)) > MOST_VOXELS:
        raise ImageError(f"{path}: its frames lie {np.ptp(depth):.0f} mm apart, which is damage.")
    affine = np.eye(4)
    axes = np.stack([normal * step, along_rows * spacing[0], along_columns * spacing[1]], axis=1)
    affine[:3, :3] = axes[::-1]
    affine[:3, 3] = positions[first][::-1]
    return Geometry.from_affine(shape, affine), indices, notes


def _step(
    measures: Dataset, depth: NDArray[np.float64], of_scan: float | None
) -> tuple[float, tuple[str, ...]]:
    """Distance of slices, and notes. Empty slices have no frame, so the gaps alone may be several slices."""
    stated, thickness = number(measures, "SpacingBetweenSlices"), number(measures, "SliceThickness")
    gaps = np.diff(np.unique(np.round(depth, 3)))
    if not len(gaps):
        known = stated or of_scan or thickness
        return (known, ()) if known else (1.0, ("The slice thickness is missing; 1 mm is assumed.",))
    if of_scan is not None and not (
        _are_multiples(gaps, of_scan) and of_scan >= 0.9 * (stated or thickness or 0)
    ):
        of_scan = None  # of another series, or of finer slices than these frames
    if of_scan is None and stated is not None and _are_multiples(gaps, stated):
        of_scan = stated
    if of_scan is not None:
        return _averaged(gaps, of_scan), ()
    widest = _common(gaps)
    # Slices thinner than their distance are usual; a few frames so far apart have empty slices between them.
    far = thickness is not None and len(gaps) <= FEW_GAPS and widest >= FAR_APART * thickness
    if thickness is not None and far and _are_multiples(gaps, thickness):
        note = f"The distance of its slices is missing; their thickness, {thickness:.4g} mm, is taken for it."
        return _averaged(gaps, thickness), (note,)
    return _averaged(gaps, widest), ()


def _are_multiples(gaps: NDArray[np.float64], step: float) -> bool:
    parts = gaps / step
    return bool(np.all(np.rint(parts) >= 1) and np.all(np.abs(parts - np.rint(parts)) <= UNEVEN))


def _averaged(gaps: NDArray[np.float64], step: float) -> float:
    """A step that rounding does not make drift away over many slices: the frames know better than headers."""
    return float(gaps.sum() / np.rint(gaps / step).sum())


def _common(gaps: NDArray[np.float64]) -> float:
    """Widest distance of which all gaps are multiples; the smallest gap if there is none."""
    smallest = float(gaps.min())
    return next(
        (smallest / n for n in range(1, MOST_EMPTY + 1) if _are_multiples(gaps, smallest / n)), smallest
    )


def _step_along(scan: Geometry, normal: NDArray[np.float64]) -> float | None:
    """Distance of the slices of a scan, along the axis that has the direction of a normal (L, P, S)."""
    along = np.abs(normal[::-1] @ np.array(scan.direction))
    axis = int(np.argmax(along))
    return scan.spacing[axis] if along[axis] > PARALLEL else None


def _masks(
    path: Path,
    header: FileDataset,
    frames: list[Dataset],
    indices: list[int],
    geometry: Geometry,
    segments: list[SegmentInfo],
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Mask of one segment after the other; writers keep the frames of a segment together."""
    half = 0.5
    if str(header.get("SegmentationType")) == "FRACTIONAL":
        half = 0.5 * float(header.get("MaximumFractionalValue") or 255)
    values = {one.number: one.value for one in segments}
    mask: NDArray[np.bool_] | None = None
    last = 0
    masks: dict[int, NDArray[np.bool_]] = {}
    owners = [
        int(_group(header, frame, "SegmentIdentificationSequence").get("ReferencedSegmentNumber", 1))
        for frame in frames
    ]
    together = sum(a != b for a, b in pairwise(owners)) < len(set(owners))
    for owner, index, pixels in zip(owners, indices, _pixels(path, header), strict=True):
        if owner not in values:
            raise ImageError(f"{path}: has a frame of segment {owner}, which it does not describe.")
        if together and owner != last and mask is not None:
            yield values[last], masks.pop(last)
        mask = masks.setdefault(owner, np.zeros(geometry.shape, bool))
        mask[index] |= pixels >= half
        last = owner
    for owner, left in masks.items():
        yield values[owner], left


def _pixels(path: Path, header: Dataset) -> Iterator[NDArray[Any]]:
    """Frames one by one, unpacked from bits and decompressed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read_dataset(path)
        if "NumberOfFrames" not in dataset:
            dataset.NumberOfFrames = 1
        if int(dataset.BitsAllocated) == 1 and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            yield from _unpacked(dataset)
            return
        for pixels in iter_pixels(dataset, raw=True):
            yield np.asarray(pixels)


def _unpacked(dataset: Dataset) -> Iterator[NDArray[np.uint8]]:
    """Frames of single bits. They follow each other without a gap, so a frame may begin within a byte."""
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    size = rows * columns
    for start in range(0, int(dataset.NumberOfFrames) * size, size):
        bits = np.unpackbits(packed[start // 8 : (start + size + 7) // 8], bitorder="little")
        yield bits[start % 8 : start % 8 + size].reshape(rows, columns)


def _rgb(item: Dataset) -> tuple[int, int, int] | None:
    """Colour of a segment, from CIELab in 16 bits (PS3.3 C.10.7.1.1)."""
    stored = numbers(item, "RecommendedDisplayCIELabValue", 3)
    if stored is None:
        return None
    from skimage.color import lab2rgb

    lab = [stored[0] / 65535 * 100, stored[1] / 65535 * 255 - 128, stored[2] / 65535 * 255 - 128]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of colours no screen can show
        red, green, blue = (round(255 * float(v)) for v in np.clip(lab2rgb([[lab]])[0, 0], 0, 1))
    return (red, green, blue)
