"""DICOM headers: which series a folder holds, and whether its slices form a volume.

SimpleITK loads a series with a missing slice, a gantry tilt or two orientations without a word and with a
wrong geometry, so the positions (ImagePositionPatient, ImageOrientationPatient) are checked here.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.geometry import Geometry

NO_SERIES_ID = "no-series-id"
# Two slices of one series may differ this much in direction cosines by rounding.
SAME_ORIENTATION = 1e-3
# A gap may differ this much from the usual gap: scanners round positions to 0.1 mm or less.
UNEVEN_FRACTION, UNEVEN_MM = 0.02, 0.11
# Slices may slip sideways by this part of a pixel over the whole stack before it is a tilt.
TILT_PIXELS = 0.5


@dataclass(frozen=True)
class SeriesInfo:
    """One series of DICOM images in a folder.

    Parameters
    ----------
    id
        SeriesInstanceUID.
    modality
        DICOM modality as written in the files (``"CT"``, ``"MR"``, ``"PT"``, ...).
    description
        SeriesDescription, may be empty.
    n_files
        Number of files.
    files
        The files, by name.
    """

    id: str
    modality: str
    description: str
    n_files: int
    files: tuple[Path, ...]


def read_header(path: Path) -> FileDataset | None:
    """Header of a DICOM file without its pixels, or None if the file is no DICOM."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd values are the scanner's business
            header = dcmread(path, stop_before_pixels=True)
            header.get("Rows")
            return header
    except InvalidDicomError:
        return None
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror or error}).") from error
    except Exception:  # noqa: BLE001  a damaged header can fail anywhere inside pydicom
        return None


def is_dicom(path: Path) -> bool:
    """Whether the file has the DICOM preamble."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def headers_in(folder: Path) -> dict[str, list[tuple[Path, FileDataset]]]:
    """Image files of a folder with their headers, by SeriesInstanceUID. Subfolders are not searched."""
    groups: dict[str, list[tuple[Path, FileDataset]]] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or not is_dicom(path):
            continue
        header = read_header(path)
        if header is not None and is_image(header):
            groups.setdefault(str(header.get("SeriesInstanceUID") or NO_SERIES_ID), []).append((path, header))
    return groups


def describe(groups: dict[str, list[tuple[Path, FileDataset]]]) -> list[SeriesInfo]:
    """What `headers_in` found, by description and id."""
    found = []
    for uid, members in groups.items():
        first = members[0][1]
        files = tuple(path for path, _ in members)
        found.append(
            SeriesInfo(uid, text(first, "Modality"), text(first, "SeriesDescription"), len(files), files)
        )
    return sorted(found, key=lambda info: (info.description, info.id))


def list_series(folder: str | Path) -> list[SeriesInfo]:
    """Series of images in a DICOM folder.

    Raises
    ------
    ImageError
        If the folder does not exist or holds no DICOM image.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ImageError(f"{path}: is no folder.")
    found = describe(headers_in(path))
    if not found:
        raise ImageError(f"{path}: holds no DICOM images; choose the folder in which the slices lie.")
    return found


def is_image(header: FileDataset) -> bool:
    """Whether a DICOM object is a scan: it has pixels, and is no segmentation or dose."""
    return bool(header.get("Rows")) and text(header, "Modality") not in ("SEG", "RTDOSE", "RTSTRUCT")


def text(header: FileDataset, keyword: str) -> str:
    """Value of a tag as text, empty if it is missing or damaged."""
    try:
        value = header.get(keyword)
    except Exception:  # noqa: BLE001  values are only decoded now, and damage can fail anywhere inside pydicom
        return ""
    return "" if value is None else str(value).strip()


def numbers(header: Any, keyword: str, count: int) -> NDArray[np.float64] | None:
    """Value of a tag as ``count`` finite numbers, or None."""
    try:
        values = np.array([float(v) for v in header.get(keyword) or ()])
    except (TypeError, ValueError, NotImplementedError):
        return None
    return values if values.shape == (count,) and bool(np.all(np.isfinite(values))) else None


def number(header: Any, keyword: str) -> float | None:
    """Value of a tag as one positive number, or None."""
    try:
        value = float(header.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) and value > 0 else None


def sort_slices(
    where: str, files: list[Path], headers: list[FileDataset]
) -> tuple[list[int], Geometry, tuple[str, ...]]:
    """Order the slices of one series along their normal and place them.

    Parameters
    ----------
    where
        Names the series in error messages.
    files, headers
        The files and their headers, in the same order.

    Returns
    -------
    tuple
        Order of the slices, their geometry, and notes.

    Raises
    ------
    ImageError
        If slices are missing, unevenly spaced, at one position, of several orientations or sizes, or tilted.
    """
    sizes = Counter((int(h.get("Rows") or 0), int(h.get("Columns") or 0)) for h in headers)
    if len(sizes) > 1:
        listed = ", ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
        raise ImageError(
            f"{where}: its slices differ in size ({listed}); move those of one size to a folder."
        )
    orientation, positions = _orientation(where, headers)
    pixel, pixel_notes = _pixel_spacing(where, headers)
    rows, columns = next(iter(sizes))
    if orientation is None or positions is None:
        if len(files) > 1:
            msg = f"{where}: its slices do not say where they lie (no ImagePositionPatient); export it again."
            raise ImageError(msg)
        note = "The file does not say where the slice lies in the patient; it is taken as axial."
        return [0], Geometry((1, rows, columns), (1.0, *pixel)), (*pixel_notes, note)
    along_columns, along_rows = orientation[:3], orientation[3:]
    normal = np.cross(along_columns, along_rows)
    depth = positions @ normal
    order = [int(i) for i in np.argsort(depth, kind="stable")]
    step, notes = _slice_spacing(where, depth[order], positions[order], normal, pixel, headers[0])
    affine = np.eye(4)
    # Columns of the matrix: index axes z, y, x; rows: world S, P, L, which is LPS backwards.
    axes = np.stack([normal * step, along_rows * pixel[0], along_columns * pixel[1]], axis=1)
    affine[:3, :3] = axes[::-1]
    affine[:3, 3] = positions[order[0]][::-1]
    return order, Geometry.from_affine((len(files), rows, columns), affine), (*pixel_notes, *notes)


def _pixel_spacing(where: str, headers: list[FileDataset]) -> tuple[tuple[float, float], tuple[str, ...]]:
    found = [numbers(header, "PixelSpacing", 2) for header in headers]
    if all(value is None for value in found):
        return (1.0, 1.0), ("The pixel size is missing (PixelSpacing); 1 mm is assumed.",)
    first = next(value for value in found if value is not None)
    if any(value is None or np.abs(value - first).max() > 1e-3 * first.min() for value in found):
        raise ImageError(f"{where}: its slices differ in pixel size; move those of one size to a folder.")
    if first.min() <= 0:
        raise ImageError(f"{where}: its pixel size is not positive (PixelSpacing {first.tolist()}).")
    return (float(first[0]), float(first[1])), ()


def _orientation(
    where: str, headers: list[FileDataset]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    cosines = [numbers(header, "ImageOrientationPatient", 6) for header in headers]
    positions = [numbers(header, "ImagePositionPatient", 3) for header in headers]
    known = [c for c, p in zip(cosines, positions, strict=True) if c is not None and p is not None]
    if len(known) < len(headers):
        if known:
            lost = len(headers) - len(known)
            raise ImageError(
                f"{where}: {lost} of its {len(headers)} slices do not say where they lie; export it again."
            )
        return None, None
    stacked = np.stack(known)
    if np.abs(stacked - stacked[0]).max() > SAME_ORIENTATION:
        n = len({tuple(np.round(c, 2)) for c in stacked})
        msg = f"{where}: mixes slices of {n} orientations (a localizer?); move those of one to a folder."
        raise ImageError(msg)
    row, column = stacked[0, :3], stacked[0, 3:]
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > 0.01 or abs(row @ column) > 0.01:
        raise ImageError(
            f"{where}: its slice axes are not at right angles (ImageOrientationPatient); export it again."
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return np.concatenate([row, column / np.linalg.norm(column)]), np.stack(
        [p for p in positions if p is not None]
    )


def _slice_spacing(
    where: str,
    depth: NDArray[np.float64],
    positions: NDArray[np.float64],
    normal: NDArray[np.float64],
    pixel: tuple[float, float],
    header: FileDataset,
) -> tuple[float, tuple[str, ...]]:
    if len(depth) == 1:
        for keyword in ("SliceThickness", "SpacingBetweenSlices"):
            value = number(header, keyword)
            if value is not None:
                return value, ()
        return 1.0, ("The slice thickness is missing; 1 mm is assumed.",)
    gaps = np.diff(depth)
    usual = float(np.median(gaps[gaps > 0.001])) if np.any(gaps > 0.001) else 0.0
    if gaps.min() <= max(0.001, 0.01 * usual):
        distinct = 1 + int(np.count_nonzero(gaps > max(0.001, 0.01 * usual)))
        msg = (
            f"{where}: has {len(depth)} slices at {distinct} position{'s'[: distinct > 1]} "
            "(several phases or copies in one series); keep one slice per position."
        )
        raise ImageError(msg)
    allowed = max(UNEVEN_FRACTION * usual, min(UNEVEN_MM, 0.1 * usual))
    odd = np.abs(gaps - usual) > allowed
    if np.any(odd):
        at = int(np.argmax(gaps))
        small = float(gaps.min())
        multiple = np.rint(gaps / small)
        if np.all(np.abs(gaps - multiple * small) <= allowed * multiple) and gaps.max() > 1.5 * small:
            missing = int(multiple.sum()) - len(gaps)
            where_gap = (
                f"a gap of {gaps[at]:.4g} mm after slice {at + 1} of {len(depth)}, else {small:.4g} mm"
            )
            what = f"{missing} slice{' is' if missing == 1 else 's are'} missing ({where_gap})"
        else:
            what = f"its slices are unevenly spaced ({small:.4g} to {gaps.max():.4g} mm)"
        raise ImageError(f"{where}: {what}; export the whole series again, or resample it to even slices.")
    slip = positions[-1] - positions[0]
    slip = slip - (slip @ normal) * normal
    if np.linalg.norm(slip) > TILT_PIXELS * min(pixel):
        angle = float(np.degrees(np.arctan2(np.linalg.norm(slip), depth[-1] - depth[0])))
        msg = (
            f"{where}: was scanned with a gantry tilt of {angle:.1f} degrees; resample it to upright slices."
        )
        raise ImageError(msg)
    return float((depth[-1] - depth[0]) / (len(depth) - 1)), ()
