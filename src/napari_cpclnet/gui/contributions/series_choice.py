"""Rows and texts of the DICOM series picker, and whether there is something to choose. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cpclnet.imaging.dicom import Listing, SeriesInfo

COLUMNS = ("Series", "Modality", "Slices", "Size (z, y, x)", "Spacing (mm)", "Date", "Notes")
REMARKS = len(COLUMNS) - 1


@dataclass(frozen=True)
class Row:
    """One line of the table: a series, its cells, what to say at length, and whether it can be opened."""

    info: SeriesInfo
    cells: tuple[str, ...]
    tip: str
    usable: bool


def rows(listing: Listing) -> list[Row]:
    """Lines of the table, scans first and localisers last."""
    overviews = [_row(info, overview=True) for info in listing.localisers]
    return [*(_row(info) for info in listing.series), *overviews]


def choice_without_asking(listing: Listing) -> SeriesInfo | None:
    """The only series, be it one that cannot be opened, whose reason is then said; None if there are several."""
    return listing.series[0] if len(listing.series) == 1 else None


def usable(listing: Listing) -> list[SeriesInfo]:
    """Series that can be opened."""
    return [info for info in listing.series if not info.problem]


def first_choice(table: list[Row]) -> int:
    """Line to begin with: the usable scan of most voxels, which is seldom the secondary capture."""
    sizes = [row.info.n_bytes if row.usable else -1 for row in table]
    return sizes.index(max(sizes)) if sizes else -1


def headline(folder: Path, listing: Listing) -> str:
    """What the picker says above its table."""
    what = "DICOM series" if any(info.frames for info in listing.series) else "phases"
    return f"{folder.name or folder} holds {len(listing.series)} {what}. Which of them should be opened?"


def _row(info: SeriesInfo, *, overview: bool = False) -> Row:
    shape = "" if info.shape is None else " x ".join(map(str, info.shape))
    spacing = "" if info.spacing is None else " x ".join(f"{mm:.3g}" for mm in info.spacing)
    name = ", ".join(filter(None, (info.description or f"({info.folder.name})", info.part)))
    if info.problem:
        remark = f"Cannot be opened: {info.problem}"
    else:
        remark = " ".join(["Localiser."] * overview + list(info.notes))
    cells = (name, info.modality, str(info.n_slices), shape, spacing, info.date, remark)
    tip = "\n".join(filter(None, (name, f"{info.n_files} files in {info.folder}", info.problem, *info.notes)))
    return Row(info, cells, tip, not info.problem)
