"""What DICOM segmentations and structure sets have in common: what they are, and which series they belong to."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydicom.dataset import Dataset, FileDataset

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom.headers import code, is_dicom, read_header
from napari_cpclnet.imaging.walking import walk

Kind = Literal["SEG", "RTSTRUCT"]


def dicom_label_kind(path: Path) -> Kind | None:
    """Whether a file is a DICOM segmentation or structure set; None for anything else."""
    if not path.is_file() or not is_dicom(path):
        return None
    header = read_header(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values are decoded only now
        kind = "" if header is None else code(header, "Modality")
    return "SEG" if kind == "SEG" else "RTSTRUCT" if kind == "RTSTRUCT" else None


def is_dicom_path(path: Path) -> bool:
    """Whether a path is a DICOM file, or a folder in which one lies."""
    if path.is_dir():
        return any(is_dicom(file) for file in walk(path))
    return is_dicom(path)


def label_header(path: Path) -> FileDataset:
    """Header of a DICOM file that was found to be one."""
    header = read_header(path)
    if header is None:
        raise ImageError(f"{path}: is no DICOM file, or its header is damaged.")
    return header


def referenced_series(path: str | Path) -> str | None:
    """SeriesInstanceUID of the scan that a DICOM segmentation or structure set was made on, if it says so."""
    path = Path(path)
    if dicom_label_kind(path) is None:
        return None
    try:
        return next(_series(label_header(path)), None)
    except Exception:  # noqa: BLE001  a damaged header can fail anywhere inside pydicom; reading it will tell
        return None


def items(dataset: Any, keyword: str) -> list[Dataset]:
    """Items of a sequence; none if it is missing."""
    found = dataset.get(keyword)
    return [] if found is None else list(found)


def _series(header: FileDataset) -> Iterator[str]:
    for item in items(header, "ReferencedSeriesSequence"):
        yield str(item.get("SeriesInstanceUID", ""))
    for frame in items(header, "ReferencedFrameOfReferenceSequence"):
        for study in items(frame, "RTReferencedStudySequence"):
            for series in items(study, "RTReferencedSeriesSequence"):
                yield str(series.get("SeriesInstanceUID", ""))
