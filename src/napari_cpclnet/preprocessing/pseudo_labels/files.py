"""Files of pseudo-labels: beside their scan, under names that no command takes for scans.

``CT_001.png`` gets ``CT_001_regions-slic-1_label.png`` and so on for each method and scale, and the body and what is
around it as ``CT_001_foreground_mask.png`` and ``CT_001_background_mask.png``; those of volumes end in ``.nii.gz``.
The files of a folder that is one scan lie inside it and bear its name.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.imaging import Geometry, Segmentation, Volume, write_segmentation
from napari_cpclnet.imaging.formats.pictures import is_picture
from napari_cpclnet.imaging.reading import plain_name
from napari_cpclnet.preprocessing.pseudo_labels.regions import RegionMap
from napari_cpclnet.preprocessing.pseudo_labels.settings import METHODS, MOST_SCALES

FOREGROUND, BACKGROUND = "foreground", "background"
PICTURE, VOLUME = ".png", ".nii.gz"


def find_pseudo_labels(image_path: str | Path, *, series: str | None = None) -> list[Path]:
    """Region files of a scan that exist, by method and scale.

    Parameters
    ----------
    image_path : path
        The scan, as :func:`~napari_cpclnet.imaging.find_scans` gives it: a file, or a folder that is one scan.
    series : str, optional
        SeriesInstanceUID, where the scan is a series of a DICOM folder.

    Returns
    -------
    list of Path
        Label maps on the grid of the scan. Within three slices of a volume a number is one region; farther
        away it may be another one. Empty if there are none.
    """
    base = base_path(Path(image_path), series)
    maps = (RegionMap(method, scale) for method in METHODS for scale in range(1, MOST_SCALES + 1))
    return [path for which in maps if (path := existing(base, which))]


def base_path(path: Path, series: str | None = None) -> Path:
    """Path of a scan's pseudo-labels up to the part that names the kind."""
    if not path.is_dir():
        return path.with_name(plain_name(path))
    # a short name for a series: its identifier is too long, and belongs to a patient
    suffix = f"_{zlib.crc32(series.encode()):08x}" if series else ""
    return path / f"{path.resolve().name}{suffix}"


def existing(base: Path, kind: RegionMap | str) -> Path | None:
    """File of a kind, if there is one with something in it."""
    paths = (_named(base, kind, suffix) for suffix in (VOLUME, PICTURE))
    return next((path for path in paths if path.is_file() and path.stat().st_size > 0), None)


def is_drawn(volume: Volume) -> bool:
    """Whether a scan is one picture, whose pseudo-labels are pictures, too."""
    return volume.source is not None and is_picture(volume.source) and len(volume.array) == 1


def write_labels(
    labels: NDArray[np.uint16], geometry: Geometry, base: Path, kind: RegionMap | str, *, drawn: bool
) -> Path:
    """Write the pseudo-labels (z, y, x) of one kind, whole or not at all, and return their path.

    A picture gets a picture (``drawn``); masks are 0 and 255 there, as elsewhere in that layout.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    if drawn:
        from PIL import Image

        path = _named(base, kind, PICTURE)
        flat = labels[0] if isinstance(kind, RegionMap) else (labels[0] > 0).astype(np.uint8) * np.uint8(255)
        with atomic_write(path, "pseudo-labels") as temporary:
            Image.fromarray(flat).save(temporary)
        return path
    path = _named(base, kind, VOLUME)
    stored = labels if isinstance(kind, RegionMap) else labels.astype(np.uint8)
    write_segmentation(Segmentation(stored, {}, geometry, path.name), path)
    return path


def _named(base: Path, kind: RegionMap | str, suffix: str) -> Path:
    ending = f"_regions-{kind.name}_label" if isinstance(kind, RegionMap) else f"_{kind}_mask"
    return base.with_name(f"{base.name}{ending}{suffix}")
