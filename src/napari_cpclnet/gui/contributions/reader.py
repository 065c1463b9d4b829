"""Open medical image files and DICOM folders in napari, at their place in the patient."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_cpclnet.errors import ImageError
from napari_cpclnet.gui.contributions.series_choice import choice_without_asking, usable
from napari_cpclnet.gui.contributions.waiting import GivenUpError, wait_for
from napari_cpclnet.gui.layers.scan_layers import LayerData, segmentation_to_layer, volume_to_layer
from napari_cpclnet.gui.settings.preferences import preferences
from napari_cpclnet.imaging import (
    dicom,
    holds_segments,
    is_ome_zarr,
    list_phases,
    looks_like_labels,
    read_segmentation,
    read_volume,
    walk,
)

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Segmentation, Volume
    from napari_cpclnet.imaging.dicom import Listing, SeriesInfo

_Read = TypeVar("_Read", "Volume", "Segmentation")
SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".ima")
DICOMDIR = "DICOMDIR"
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
    nothing: list[LayerData] = [(None,)]  # napari's word for it, as when the user cancels
    try:
        if len(paths) > 1 and all(p.is_file() and is_dicom_name(p) for p in paths):
            return _read_dicom(paths[0].parent, paths) or nothing
        return [layer for p in paths for layer in _read_one(p)] or nothing
    except GivenUpError:
        return nothing


def _read_one(path: Path) -> list[LayerData]:
    reading = f"Reading {path.name}…"

    if is_ome_zarr(path):
        if holds_segments(path):
            return [segmentation_to_layer(_said(wait_for(lambda: read_segmentation(path), reading)))]
        most = preferences().lazy_bytes
        return [volume_to_layer(_said(wait_for(lambda: read_volume(path, lazy_above=most), reading)))]
    if path.is_dir() or path.name.upper() == DICOMDIR:
        folder = path if path.is_dir() else path.parent
        return _read_dicom(folder, folder)
    if holds_segments(path):
        return [segmentation_to_layer(_said(wait_for(lambda: read_segmentation(path), reading)))]
    if dicom.is_dicom_path(path):
        return _read_dicom(path, path)
    phases = list_phases(path)
    if phases is not None:
        chosen = _ask(path, phases)
        volumes = [wait_for(partial(read_volume, path, series=one.id), reading) for one in chosen]
        return [volume_to_layer(_said(volume)) for volume in volumes]
    volume = wait_for(lambda: read_volume(path), reading)
    if looks_like_labels(volume):
        return [segmentation_to_layer(_said(read_segmentation(path)), calibrated=volume.calibrated)]
    return [volume_to_layer(_said(volume))]


def _said(read: _Read) -> _Read:
    """What was read, once its notes have been shown; that CT was known for CT is nothing to warn of."""
    from napari.utils.notifications import show_warning

    notes = [note for note in read.notes if not note.startswith("Taken as ")]
    if notes:
        show_warning(f"{read.name}: {' '.join(notes)}")
    return read


def _read_dicom(place: Path, files: Path | list[Path]) -> list[LayerData]:
    """Layers of the series in a folder, one file or some files."""
    from napari.utils.notifications import show_info

    listing = wait_for(lambda: dicom.survey(files), f"Looking at the DICOM headers in {place.name}…")
    if not listing.series:
        return [volume_to_layer(read_volume(place))]  # which says what it is instead
    only = choice_without_asking(listing)
    chosen = [only] if only is not None else _ask(place, listing)
    layers = []
    for info in chosen:
        source = place if place.is_file() else None
        lazy = info.n_bytes > preferences().lazy_bytes
        what = f"Reading {info.description or place.name}, {info.n_slices} slices…"
        volume = wait_for(partial(dicom.read_series, info, lazy=lazy, source=source), what)
        if place.is_file():
            volume = volume.replaced(name=place.stem)
        layers.append(volume_to_layer(_said(volume)))
    if only is not None and listing.left_out:
        show_info(" ".join(listing.left_out))
    return layers


def _ask(place: Path, listing: Listing) -> list[SeriesInfo]:
    """Let the user choose; without a window, all that can be opened."""
    from napari import current_viewer

    found = usable(listing)
    viewer = current_viewer()
    if viewer is not None and hasattr(viewer, "window"):  # a viewer model has none
        from napari_cpclnet.gui.contributions.series_picker import pick_series

        return pick_series(place, listing, viewer.window._qt_window, viewer.theme)
    if not found:
        raise ImageError(f"{place}: {listing.series[0].problem}")
    return found


def is_dicom_name(path: Path) -> bool:
    """Whether a file name is that of a DICOM file, as `get_reader` takes them."""
    return path.suffix.lower() in (".dcm", ".ima")


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return is_ome_zarr(path) or _holds_dicom(path)
    if path.name.upper() == DICOMDIR:
        return True
    return path.name.lower().endswith(SUFFIXES) or bool(_PICTURE_OF_LABELS.search(path.name))


def _holds_dicom(folder: Path) -> bool:
    """Look at the first files only, of subfolders too: a folder may hold thousands."""
    return any(dicom.is_dicom_path(path) for path in itertools.islice(walk(folder), MOST_LOOKED_AT))
