"""Read any supported file or folder as a scan."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.files.scratch import finished
from napari_cpclnet.imaging import dicom
from napari_cpclnet.imaging.deskew import SHEAR, deskew, shear_of
from napari_cpclnet.imaging.formats import ome_zarr
from napari_cpclnet.imaging.formats.pictures import (
    PICTURES,
    is_picture,
    natural_key,
    read_picture,
    read_stack,
)
from napari_cpclnet.imaging.formats.raw_image import FORMATS, RawImage, open_image, read_raw, volume_suffix
from napari_cpclnet.imaging.formats.size_checks import check_file
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.modality import detect_modality, name_hint, unit_note, unit_of
from napari_cpclnet.imaging.volume import MODALITIES, Modality, Volume
from napari_cpclnet.imaging.walking import check_open, entries

# Formats of other programs, told by their suffix so that the way out can be named.
FOREIGN = {
    ".mnc": "a MINC file",
    ".mgz": "a FreeSurfer file",
    ".mgh": "a FreeSurfer file",
    ".head": "an AFNI file",
    ".brik": "an AFNI file",
    ".par": "a Philips PAR/REC file",
    ".rec": "a Philips PAR/REC file",
    ".v": "an ECAT file",
}
LABEL_NAME = re.compile(r"(^|[_\-. ])(labels?|seg|segmentation|masks?)$", re.IGNORECASE)


def plain_name(path: Path) -> str:
    """File name without its image suffix."""
    alone = is_picture(path) or path.suffix.lower() in (".dcm", ".zarr")
    suffix = volume_suffix(path) or ome_zarr.suffix_of(path) or (path.suffix if alone else "")
    return path.name[: len(path.name) - len(suffix)] if suffix else path.name


def is_label_name(path: Path) -> bool:
    """Whether the file name says that it is a label map, as in ``ct_10_label.nii.gz``."""
    return bool(LABEL_NAME.search(plain_name(path)))


def pictures_in(folder: Path) -> list[Path]:
    """Pictures of a folder in the order of their numbers, without label maps unless there is nothing else."""
    pictures = sorted(
        (p for p in entries(folder) if is_picture(p) and os.path.isfile(p)),
        key=natural_key,
    )
    return [p for p in pictures if not is_label_name(p)] or pictures


def read_volume(
    path: str | Path,
    *,
    series: str | None = None,
    modality: Modality | None = None,
    lazy_above: int | None = None,
) -> Volume:
    """Read a scan.

    Parameters
    ----------
    path
        NIfTI, NRRD, MetaImage, DICOM or picture file, a folder of OME-Zarr, a DICOM folder, or a folder of pictures
        that are the slices of one scan.
    series
        Which one, if there are several: the id of a series of a DICOM folder (see `list_series`), or the number,
        from 0, of a phase of a file with four dimensions.
    modality
        Overrides what the tags, the values or the file name say.
    lazy_above
        A DICOM series or OME-Zarr of more bytes of voxels stays in its files: the array is one of dask, as
        `read_series` says.

    Returns
    -------
    Volume
        Array (z, y, x); float32 if values were rescaled or stored in another float type. That of more than 256 MB
        is read-only and lies in a temporary file (see `napari_cpclnet.files.scratch`).

    Raises
    ------
    ImageError
        If there is no readable three-dimensional scan of finite grey values.
    OutputError
        If there is no room for the temporary file.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, Volume, read_volume, write_volume
    >>> volume = Volume(np.full((4, 8, 8), 40, np.int16), Geometry((4, 8, 8), (5.0, 1.0, 1.0)))
    >>> scan = read_volume(write_volume(volume, "ct.nii.gz"), modality="CT")
    >>> scan.geometry.spacing, scan.modality, int(scan.array.max())
    ((5.0, 1.0, 1.0), 'CT', 40)
    """
    return finished(reading_volume(path, series=series, modality=modality, lazy_above=lazy_above))


def reading_volume(
    path: str | Path,
    *,
    series: str | None = None,
    modality: Modality | None = None,
    lazy_above: int | None = None,
) -> Generator[float, None, Volume]:
    """Read a scan as `read_volume` does; reports the share that is done while a large OME-Zarr is read part by part."""
    path = Path(path)
    check_file(path)
    if modality is not None and modality not in MODALITIES:
        raise ImageError(f"Modality {modality!r} is none of {', '.join(MODALITIES)}.")
    if series is not None and not path.is_dir() and not volume_suffix(path):
        raise ImageError(f"{path}: a series can only be chosen in a DICOM folder or a 4-D file.")
    if ome_zarr.is_ome_zarr(path):
        volume = yield from _from_zarr(path, lazy_above)
    elif path.is_dir():
        volume = _read_folder(path, series, lazy_above)
    elif volume_suffix(path):
        volume = _from_raw(path, _straight(path, read_raw(path, phase_number(path, series))), series)
    elif is_picture(path):
        volume = _from_pictures(path, read_picture(path))
    elif path.suffix.lower() in (".dcm", ".ima") or path.name.upper() == "DICOMDIR" or dicom.is_dicom(path):
        volume = dicom.read_dicom_file(path, lazy_above)
    else:
        raise ImageError(unknown_kind(path))
    lazy = hasattr(volume.array, "dask")  # to look at every voxel would be to read it all
    array = volume.array if lazy else finite(path, volume.array)
    if modality is not None and modality != volume.modality:
        unit = unit_of(modality, array)
        volume = volume.replaced(
            modality=modality, unit=unit, notes=(*volume.notes, *unit_note(modality, unit))
        )
    return volume if array is volume.array else volume.replaced(array=array)


def _read_folder(folder: Path, series: str | None, lazy_above: int | None) -> Volume:
    check_open(folder)
    volume = dicom.read_dicom_folder(folder, series, lazy_above)
    if volume is not None:
        return volume
    if series is not None:
        raise ImageError(f"{folder}: holds no DICOM images, so it has no series {series}.")
    pictures = pictures_in(folder)
    if pictures:
        return _from_pictures(folder, read_stack(pictures))
    files = [p.name for p in entries(folder) if volume_suffix(p)]
    if files:
        raise ImageError(
            f"{folder}: is a folder of {len(files)} scans; choose one of its files, such as {files[0]}."
        )
    raise ImageError(f"{folder}: holds neither DICOM slices nor pictures.")


def phase_number(path: Path, series: str | None) -> int | None:
    """Number of a phase from its id; ImageError if it is none."""
    if series is None:
        return None
    if not re.fullmatch(r"\d{1,9}", series):
        raise ImageError(
            f"{path}: has no series {series}; phases of a 4-D file are chosen by number, from 0."
        )
    return int(series)


def _straight(path: Path, raw: RawImage) -> RawImage:
    """Grey values on a grid of right angles."""
    if shear_of(raw.geometry) <= SHEAR:
        return raw
    try:
        array, geometry = deskew(finite(path, raw.array), raw.geometry)
    except GeometryError as error:
        raise ImageError(f"{path}: {error}") from error
    note = "Its voxel grid is sheared (axes not at right angles): resampled to a regular grid."
    return RawImage(array, geometry, raw.metadata, (*raw.notes, note), raw.calibrated)


def _from_raw(path: Path, raw: RawImage, series: str | None) -> Volume:
    name = plain_name(path)
    modality, unit, notes = _guess(raw.array, name_hint(name))
    name = name if series is None else f"{name} {series}"
    notes = (*raw.notes, *notes)
    return Volume(
        raw.array, raw.geometry, modality, unit, name, path, raw.calibrated, notes=notes, series=series
    )


def _from_zarr(path: Path, lazy_above: int | None) -> Generator[float, None, Volume]:
    found = ome_zarr.open_ome_zarr(path)
    name = plain_name(path)
    lazy = lazy_above is not None and found.array.nbytes > lazy_above
    array = found.array
    if not lazy:
        array = yield from ome_zarr.loading(path, found, partial(finite, path), _kept(array.dtype))
    notes: tuple[str, ...] = ()
    if found.meaning is not None and found.meaning[0] in MODALITIES:
        modality, unit = found.meaning
    else:  # of one that stays in its files a slice must do
        looked_at = np.asarray(array[len(array) // 2]) if lazy else array
        modality, unit, notes = _guess(looked_at, name_hint(name))
    return Volume(
        array, found.geometry, cast("Modality", modality), unit, name, path, found.calibrated, notes=notes
    )


def _from_pictures(path: Path, array: NDArray[Any]) -> Volume:
    name = plain_name(path)
    stated = name_hint(name, prefix_only=True)
    modality, unit, notes = _guess(array, name_hint(name))
    if stated != "other":
        modality, unit = stated, unit_of(stated, array)
        notes = (f"Taken as {stated} because of the file name.", *unit_note(modality, unit))
    geometry = Geometry((array.shape[0], array.shape[1], array.shape[2]))
    notes = (*notes, "Pictures carry no voxel size; 1 mm is a placeholder.")
    return Volume(array, geometry, modality, unit, name, path, calibrated=False, notes=notes)


def _guess(array: NDArray[Any], hint: Modality) -> tuple[Modality, str, tuple[str, ...]]:
    modality, unit = detect_modality(array)
    if modality == "other" and hint != "other":
        modality, unit = detect_modality(array, hint=hint)
        return modality, unit, (f"Taken as {modality} because of the file name.", *unit_note(modality, unit))
    if modality == "other":
        return modality, unit, ("The modality is unknown; intensities are scaled by percentiles.",)
    if modality == "MR" and hint in ("CT", "PT"):
        # Positive values beyond 8 bits are what MR looks like, but not only MR: the name settles it.
        modality, unit = detect_modality(array, hint=hint)
        return modality, unit, (f"Taken as {modality} because of the file name.", *unit_note(modality, unit))
    of_unit = {"HU": " in HU", "HU8": " windowed to 8 bits", "SUVbw": " in SUV by body weight"}.get(unit, "")
    return modality, unit, (f"Taken as {modality}{of_unit} because of its values.",)


def finite(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Grey values in a type we work with; ImageError if one of them is no number."""
    if array.dtype.kind != "f":
        return array.astype(np.uint8) if array.dtype == bool else array
    # Minimum and maximum carry NaN and infinity along, without a temporary of the size of the scan.
    low, high = float(array.min()), float(array.max())
    if np.isnan(low) or np.isnan(high):
        raise ImageError(f"{path}: contains NaN; replace these voxels by a number.")
    if not np.isfinite(low) or not np.isfinite(high):
        raise ImageError(f"{path}: contains infinite values; replace these voxels by a number.")
    if array.dtype == np.float32:
        return array
    if max(abs(low), abs(high)) > np.finfo(np.float32).max:
        raise ImageError(
            f"{path}: contains values up to {max(abs(low), abs(high)):.3g}, too large for a scan."
        )
    return array.astype(np.float32)


def _kept(kind: np.dtype[Any]) -> np.dtype[Any]:
    """Type of the grey values that `finite` makes of those of a type."""
    return np.dtype({"b": np.uint8, "f": np.float32}.get(kind.kind, kind.newbyteorder("=")))


def unknown_kind(path: Path) -> str:
    """Sentence about a file that is none of those we read; ImageError if it cannot be opened at all."""
    with open_image(path):
        pass
    name = path.name.lower().removesuffix(".gz")
    kind = next((kind for suffix, kind in FOREIGN.items() if name.endswith(suffix)), "")
    if kind:
        return f"{path}: is {kind}, which this program does not read; convert it to NIfTI."
    if name.endswith((".img", ".raw")):
        return f"{path}: holds voxels without a header; open the header file beside it (.hdr, .nhdr or .mhd)."
    known = ", ".join([*FORMATS, ".dcm", *PICTURES])
    return f"{path}: unsupported file format; supported are {known}."
