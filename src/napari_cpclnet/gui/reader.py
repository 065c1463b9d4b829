"""Open medical image files and DICOM folders in napari, at their place in the patient."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cpclnet.gui.layers import LayerData, segmentation_to_layer, volume_to_layer
from napari_cpclnet.gui.painted import label_values

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Volume

# as many regions as pseudo-labels may have
MOST_LABELS = 1024
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima")
# Other pictures are napari's own; as an image, a picture of labels could not be corrected.
_PICTURE_OF_LABELS = re.compile(r"_(regions-[a-z]+-\d_label|(fore|back)ground_mask)\.png$", re.IGNORECASE)

_LABEL_NAME = re.compile(r"(^|[^a-z])(labels?|masks?|seg|segmentation|gt|truth)([^a-z]|$)", re.IGNORECASE)


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
    from napari_cpclnet.imaging import list_series, read_volume

    if path.is_dir():
        series = list_series(path)
        if len(series) > 1:
            return [volume_to_layer(read_volume(path, series=one.id)) for one in series]
    volume = read_volume(path)
    if looks_like_labels(volume):
        return [segmentation_to_layer(_as_segmentation(volume), calibrated=volume.calibrated)]
    return [volume_to_layer(volume)]


def looks_like_labels(volume: Volume) -> bool:
    """Whether the values are class numbers: whole, not negative, few, and mostly background.

    A file name that says label, mask or seg is believed if the values allow it.
    """
    array = volume.array
    few = array[tuple(slice(None, None, max(1, n // 64)) for n in array.shape)]
    if few.size == 0 or few.min() < 0 or len(np.unique(few)) > MOST_LABELS:
        return False  # decided in no time for nearly every scan
    if array.min() < 0 or array.max() > 65535:
        return False
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        return False
    named = bool(_LABEL_NAME.search(volume.source.name if volume.source else volume.name))
    values = label_values(array.astype(np.uint16))
    if named:
        return len(values) <= MOST_LABELS
    return array.dtype.kind in "biu" and len(values) <= 32 and bool(np.count_nonzero(array) * 2 <= array.size)


def _as_segmentation(volume: Volume) -> Any:
    from napari_cpclnet.imaging import Segmentation

    labels = volume.array.astype(np.min_scalar_type(int(volume.array.max())))
    classes = {value: f"label {value}" for value in label_values(labels) if value}
    return Segmentation(labels, classes, volume.geometry, volume.name)


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
