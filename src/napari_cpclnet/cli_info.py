"""``napari-cpclnet info``: what a scan is, or what a weights file holds. Nothing that identifies the patient."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cpclnet.cli_files import series_in
from napari_cpclnet.errors import CpclnetError

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Geometry, Volume

_WIDTH = 18
_ENDS = (("inferior", "superior"), ("anterior", "posterior"), ("right", "left"))


def describe(path: Path) -> Iterator[str]:
    """Lines that say what is at a path: a scan, a folder of scans or DICOM series, or weights.

    Raises
    ------
    CpclnetError
        If it is missing or cannot be read.
    """
    if path.suffix == ".safetensors":
        yield from _weights_lines(path)
        return
    from napari_cpclnet.imaging import find_scans, read_volume

    series = series_in(path)
    if series:
        yield _line("DICOM series", str(len(series)))
        for one in series:
            description = f", {one.description}" if one.description else ""
            yield f"  {one.id}: {one.modality}, {one.n_files} files{description}"
    scans = find_scans(path)
    if len(scans) == 1:
        yield from _scan_lines(read_volume(scans[0].path, series=scans[0].series))
        return
    for scan in scans:
        yield ""
        yield _line("path", str(scan.path))
        try:
            yield from _scan_lines(read_volume(scan.path, series=scan.series))
        except CpclnetError as error:  # one bad file must not hide the others
            yield _line("problem", str(error))


def _scan_lines(volume: Volume) -> Iterator[str]:
    from napari_cpclnet.preprocessing import PreprocessingSettings, intensity_range

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
