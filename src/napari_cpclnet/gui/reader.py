"""Open medical image files and DICOM folders in napari, at their place in the patient."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from napari_cpclnet.gui.layers import LayerData, segmentation_to_layer, volume_to_layer

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima")
# Other pictures are napari's own; as an image, a picture of labels could not be corrected.
_PICTURE_OF_LABELS = re.compile(r"_(regions-[a-z]+-\d_label|(fore|back)ground_mask)\.png$", re.IGNORECASE)


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return the reader for files by suffix and for folders that hold a DICOM series, else None."""
    paths = [path] if isinstance(path, str) else list(path)
    return read if paths and all(_is_ours(Path(p)) for p in paths) else None


def read(path: str | list[str]) -> list[LayerData]:
    """Read each path into one image layer, or one labels layer where the file holds label values.

    A folder with several DICOM series becomes one layer per series.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [layer for p in paths for layer in _read_one(Path(p))]


def _read_one(path: Path) -> list[LayerData]:
    from napari_cpclnet.imaging import (
        holds_segments,
        is_dicom_path,
        list_series,
        looks_like_labels,
        read_segmentation,
        read_volume,
    )

    if path.is_dir():
        series = list_series(path)
        if len(series) > 1:
            return [volume_to_layer(read_volume(path, series=one.id)) for one in series]
    if holds_segments(path):
        return [segmentation_to_layer(read_segmentation(path))]
    volume = read_volume(path)
    if looks_like_labels(volume) and not is_dicom_path(path):
        return [segmentation_to_layer(read_segmentation(path), calibrated=volume.calibrated)]
    return [volume_to_layer(volume)]


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return _holds_dicom(path)
    return path.name.lower().endswith(SUFFIXES) or bool(_PICTURE_OF_LABELS.search(path.name))


def _holds_dicom(folder: Path) -> bool:
    """Look at the first few files only: a folder may hold thousands."""
    for count, entry in enumerate(sorted(folder.iterdir())):
        if count == 20:
            break
        if entry.is_file():
            with entry.open("rb") as stream:
                stream.seek(128)
                if stream.read(4) == b"DICM":
                    return True
    return False
