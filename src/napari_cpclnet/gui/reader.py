"""Open medical image files and DICOM folders in napari, at their place in the patient."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cpclnet.gui.layers import LayerData, segmentation_to_layer, volume_to_layer
from napari_cpclnet.gui.series_choice import choice_without_asking, usable

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Listing, SeriesInfo

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima")
DICOMDIR = "DICOMDIR"
GIB = 1 << 30
MOST_LOOKED_AT = 200
# Other pictures are napari's own; as an image, a picture of labels could not be corrected.
_PICTURE_OF_LABELS = re.compile(r"_(regions-[a-z]+-\d_label|(fore|back)ground_mask)\.png$", re.IGNORECASE)


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return the reader for files by suffix and for folders that hold a DICOM series, else None."""
    paths = [path] if isinstance(path, str) else list(path)
    return read if paths and all(_is_ours(Path(p)) for p in paths) else None


def read(path: str | list[str]) -> list[LayerData]:
    """Read each path into one image layer, or one labels layer where the file holds label values.

    Of a folder with several DICOM series the user chooses; where there is no window to ask in, all that can be
    opened are. DICOM files given together are slices of one folder.
    """
    paths = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    if len(paths) > 1 and all(p.is_file() and is_dicom_name(p) for p in paths):
        return _read_dicom(paths[0].parent, paths)
    # napari's word for a reader that has nothing to show, as when the user cancels.
    return [layer for p in paths for layer in _read_one(p)] or [(None,)]


def _read_one(path: Path) -> list[LayerData]:
    from napari_cpclnet.imaging import (
        holds_segments,
        is_dicom_path,
        list_phases,
        looks_like_labels,
        read_segmentation,
        read_volume,
    )

    if path.is_dir() or path.name.upper() == DICOMDIR:
        folder = path if path.is_dir() else path.parent
        return _read_dicom(folder, folder)
    if holds_segments(path):
        return [segmentation_to_layer(read_segmentation(path))]
    if is_dicom_path(path):
        return _read_dicom(path, path)
    phases = list_phases(path)
    if phases is not None:
        return [volume_to_layer(read_volume(path, series=one.id)) for one in _ask(path, phases)]
    volume = read_volume(path)
    if looks_like_labels(volume):
        return [segmentation_to_layer(read_segmentation(path), calibrated=volume.calibrated)]
    return [volume_to_layer(volume)]


def _read_dicom(place: Path, files: Path | list[Path]) -> list[LayerData]:
    """Layers of the series in a folder, one file or some files."""
    from napari.utils.notifications import show_info, show_warning

    from napari_cpclnet.imaging import read_series, read_volume, survey

    listing = survey(files)
    if not listing.series:
        return [volume_to_layer(read_volume(place))]  # which says what it is instead
    only = choice_without_asking(listing)
    chosen = [only] if only is not None else _ask(place, listing)
    layers = []
    for info in chosen:
        source = place if place.is_file() else None
        volume = read_series(info, lazy=info.n_bytes > lazy_limit(), source=source)
        if place.is_file():
            volume = volume.replaced(name=place.stem)
        if volume.notes:
            show_warning(f"{volume.name}: {' '.join(volume.notes)}")
        layers.append(volume_to_layer(volume))
    if only is not None and listing.left_out:
        show_info(" ".join(listing.left_out))
    return layers


def _ask(place: Path, listing: Listing) -> list[SeriesInfo]:
    """Let the user choose; without a window, all that can be opened."""
    from napari import current_viewer

    from napari_cpclnet.errors import ImageError

    found = usable(listing)
    viewer = current_viewer()
    if viewer is not None:
        from napari_cpclnet.gui.series_picker import pick_series

        return pick_series(place, listing, viewer.window._qt_window, viewer.theme)
    if not found:
        raise ImageError(f"{place}: {listing.series[0].problem}")
    return found


def lazy_limit() -> int:
    """Bytes of voxels above which a series stays in its files and is read slice by slice as it is looked at.

    2 GiB, or as many as the environment variable CPCLNET_LAZY_GIB says.
    """
    try:
        return int(float(os.environ.get("CPCLNET_LAZY_GIB", "")) * GIB)
    except ValueError:
        return 2 * GIB


def is_dicom_name(path: Path) -> bool:
    """Whether a file name is that of a DICOM file, as `get_reader` takes them."""
    return path.suffix.lower() in (".dcm", ".ima")


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return _holds_dicom(path)
    if path.name.upper() == DICOMDIR:
        return True
    return path.name.lower().endswith(SUFFIXES) or bool(_PICTURE_OF_LABELS.search(path.name))


def _holds_dicom(folder: Path) -> bool:
    """Look at the first files only, of subfolders too: a folder may hold thousands."""
    from napari_cpclnet.imaging import is_dicom_path, walk

    return any(is_dicom_path(path) for path in itertools.islice(walk(folder), MOST_LOOKED_AT))
