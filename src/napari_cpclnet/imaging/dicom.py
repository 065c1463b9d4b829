"""Read a DICOM series, or one DICOM file, as a Volume."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging.dicom_headers import (
    describe,
    headers_in,
    is_image,
    read_header,
    sort_slices,
    text,
)
from napari_cpclnet.imaging.itk_files import last_line, open_image, quiet
from napari_cpclnet.imaging.modality import detect_modality
from napari_cpclnet.imaging.suv import suv_factor
from napari_cpclnet.imaging.volume import Volume


def read_dicom_folder(folder: Path, series: str | None) -> Volume | None:
    """Read one series of a folder, to be chosen if there are several; None if the folder has no DICOM."""
    groups = headers_in(folder)
    found = describe(groups)
    if not found:
        return None
    if series is None and len(found) > 1:
        listed = "; ".join(
            f"{info.id} ({info.modality}, {info.n_files} files, {info.description})" for info in found
        )
        raise ImageError(f"{folder}: holds {len(found)} DICOM series, choose one of: {listed}.")
    chosen = next((info for info in found if series is None or info.id == series), None)
    if chosen is None:
        listed = ", ".join(info.id for info in found)
        raise ImageError(f"{folder}: holds no DICOM series {series}, only {listed}.")
    where = f"{folder} (series {chosen.description or chosen.id})" if len(found) > 1 else str(folder)
    headers = [header for _, header in groups[chosen.id]]
    return _read(where, list(chosen.files), headers, chosen.description or folder.name, folder)


def read_dicom_file(path: Path) -> Volume:
    """Read one DICOM file as a volume of one slice."""
    with open_image(path):
        pass
    if path.name.upper() == "DICOMDIR":
        raise ImageError(f"{path}: is the index of a DICOM disc; open the folder in which the slices lie.")
    header = read_header(path)
    if header is None:
        raise ImageError(f"{path}: is no DICOM file, or its header is damaged.")
    if not is_image(header):
        kind = text(header, "Modality") or "a DICOM object"
        raise ImageError(f"{path}: is {kind} without grey values, not a scan; open the images it belongs to.")
    return _read(str(path), [path], [header], path.stem, path)


def _read(where: str, files: list[Path], headers: list[FileDataset], name: str, source: Path) -> Volume:
    for path, header in zip(files, headers, strict=True):
        _check_pixels(path, header)
    order, geometry, notes = sort_slices(where, files, headers)
    files, headers = [files[i] for i in order], [headers[i] for i in order]
    array = _pixels(where, files)
    if array.shape != geometry.shape:
        raise ImageError(
            f"{where}: its pixels have shape {array.shape}, but its header says {geometry.shape}."
        )
    modality, unit = detect_modality(array, dicom_modality=text(headers[0], "Modality"))
    if modality == "CT" and text(headers[0], "RescaleType") not in ("", "HU"):
        unit = ""
        notes = (*notes, f"The CT values are of type {text(headers[0], 'RescaleType')}, not HU.")
    if modality == "PT":
        factor, unit, suv_notes = suv_factor(headers)
        array *= np.float32(factor)
        notes = (*notes, *suv_notes)
    return Volume(
        array, geometry, modality, unit, name, source, calibrated="PixelSpacing" in headers[0], notes=notes
    )


def _check_pixels(path: Path, header: FileDataset) -> None:
    if int(header.get("SamplesPerPixel") or 1) > 1:
        raise ImageError(f"{path}: holds colours, not grey values; choose the original series.")
    try:
        frames = int(header.get("NumberOfFrames") or 1)
    except ValueError:
        frames = 1
    if frames > 1:
        msg = (
            f"{path}: is a multi-frame DICOM file of {frames} frames, which cannot be read; "
            "convert it to NIfTI (for example with dcm2niix)."
        )
        raise ImageError(msg)


def _pixels(where: str, files: Sequence[Path]) -> NDArray[Any]:
    """Rescaled pixels (z, y, x) in float32: the default pixel type truncates slopes that differ per slice."""
    import SimpleITK as sitk

    reader: Any = sitk.ImageSeriesReader() if len(files) > 1 else sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetOutputPixelType(sitk.sitkFloat32)
    if len(files) > 1:
        reader.SetFileNames([os.fspath(path) for path in files])
    else:
        reader.SetFileName(os.fspath(files[0]))
    try:
        with quiet():
            image = reader.Execute()
    except RuntimeError as error:
        culprit = _first_unreadable(files) if len(files) > 1 else where
        msg = (
            f"{culprit}: its pixels are truncated, damaged or in an unknown compression ({last_line(error)})."
        )
        raise ImageError(msg) from error
    array = np.asarray(sitk.GetArrayFromImage(image))
    return array if array.ndim == 3 else array[np.newaxis]


def _first_unreadable(files: Sequence[Path]) -> Path:
    for path in files:
        try:
            _pixels(str(path), [path])
        except ImageError:
            return path
    return files[0].parent
