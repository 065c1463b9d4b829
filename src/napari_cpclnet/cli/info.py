"""``napari-cpclnet info``: what a scan is, or what a weights file holds. Nothing that identifies the patient."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cpclnet.cli.errors import shown
from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.imaging import dicom, find_scans, read_volume
from napari_cpclnet.preprocessing import PreprocessingSettings

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Geometry, Volume
    from napari_cpclnet.imaging.dicom import Listing

_WIDTH = 18
_ENDS = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))


def describe(path: Path) -> Iterator[str]:
    """Lines that say what is at a path: a scan, a folder of scans or DICOM series, or weights.

    Raises
    ------
    CpclnetError
        If it is missing or cannot be read.
    """
    yield from map(shown, _lines(path))


def _lines(path: Path) -> Iterator[str]:
    if path.suffix == ".safetensors":
        yield from _weights_lines(path)
        return
    if path.name.upper() == "DICOMDIR":  # the index of a disc stands for the folder it lies in
        path = path.parent
    listing = dicom.survey(path) if path.is_dir() else None
    if listing is not None and listing.series:
        yield from _series_lines(path, listing)
        if len(listing.series) > 1:
            yield "Details of one: give the folder in which it lies alone, or convert it with --series ID."
    scans = [
        scan for scan in find_scans(path) if listing is None or len(listing.series) < 2 or not scan.series
    ]
    if len(scans) == 1 and (listing is None or len(listing.series) < 2):
        yield from _scan_lines(read_volume(scans[0].path, series=scans[0].series))
        return
    for scan in scans:
        yield ""
        yield _line("path", str(scan.path))
        try:
            yield from _scan_lines(read_volume(scan.path, series=scan.series))
        except CpclnetError as error:  # one bad file must not hide the others
            yield _line("problem", str(error))


def _series_lines(path: Path, listing: Listing) -> Iterator[str]:
    """Table of the series of a folder, from their headers alone, and below it what is wrong with them."""
    yield _line("DICOM series", str(len(listing.series)))
    table = [("", "modality", "slices", "size (z, y, x)", "spacing (mm)", "unit", "date", "description")]
    below = []
    for number, one in enumerate(listing.series, start=1):
        unit, notes = ("", one.notes) if one.problem else dicom.unit_and_notes(one)
        size = "" if one.shape is None else _product(one.shape, "{}")
        spacing = "" if one.spacing is None else _product(one.spacing, "{:.4g}")
        name = ", ".join(filter(None, (one.description, one.part)))
        table.append((str(number), one.modality, str(one.n_slices), size, spacing, unit, one.date, name))
        folder = one.folder.relative_to(path).as_posix()
        below.append(f"  {number}: {one.id}" + (f" in {folder}" if folder != "." else ""))
        below.extend(f"     {note}" for note in notes)
        if one.problem:
            below.append(f"     Cannot be opened: {one.problem}")
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    yield from below
    said = {note for one in listing.series for note in one.notes}
    for sentence in listing.left_out:
        if sentence not in said:
            yield f"  {sentence}"


def _scan_lines(volume: Volume) -> Iterator[str]:
    from napari_cpclnet.preprocessing import intensity_range

    geometry = volume.geometry
    yield _line("scan", volume.name)
    yield _line("size (z, y, x)", _product(geometry.shape, "{}") + " voxels")
    if volume.calibrated:
        yield _line("spacing (z, y, x)", _product(geometry.spacing, "{:.4g}") + " mm")
        yield from _orientation_lines(geometry)
    else:
        yield _line("spacing", "unknown: the file has no physical size")
    yield _line("modality", volume.modality)
    yield _line("unit", volume.unit or "none")
    yield _line("stored as", str(volume.array.dtype))
    yield _line("values", f"{float(volume.array.min()):.6g} to {float(volume.array.max()):.6g}")
    low, high = intensity_range(volume, PreprocessingSettings())
    yield _line("network sees", f"{low:.6g} to {high:.6g} {volume.unit}".rstrip())
    for note in volume.notes:
        yield _line("note", note)


def _orientation_lines(geometry: Geometry) -> Iterator[str]:
    runs = [""] * 3
    for (first, last), (axis, flipped) in zip(_ENDS, geometry.anatomical_axes, strict=True):
        runs[axis] = f"{'zyx'[axis]} {last} to {first}" if flipped else f"{'zyx'[axis]} {first} to {last}"
    yield _line("orientation", ", ".join(runs) + (" (oblique)" if geometry.is_oblique else ""))
    yield _line("origin (S, P, L)", ", ".join(f"{mm:.2f}" for mm in geometry.origin) + " mm")


def _weights_lines(path: Path) -> Iterator[str]:
    from napari_cpclnet.model import read_metadata, weights_hash

    metadata = read_metadata(path)
    yield _line("weights", path.name)
    yield _line("hash", weights_hash(path))
    yield _line("file size", f"{path.stat().st_size / 1e6:.1f} MB")
    for key, value in metadata.items():
        yield from _metadata_lines(key, value)


def _metadata_lines(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield _line(key, "")
        for name, inner in value.items():
            yield f"  {name:<{_WIDTH + 6}} {inner if isinstance(inner, str) else json.dumps(inner)}"
    else:
        yield _line(key, value if isinstance(value, str) else json.dumps(value))


def _line(name: str, value: str) -> str:
    return f"{name:<{_WIDTH}}  {value}".rstrip()


def _product(values: tuple[float, ...], form: str) -> str:
    return " x ".join(form.format(value) for value in values)
