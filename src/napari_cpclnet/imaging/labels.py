"""Read any supported file or folder as a label map, on the voxels of a scan if asked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging import dicom
from napari_cpclnet.imaging.deskew import SHEAR, deskew, shear_of
from napari_cpclnet.imaging.formats import ome_zarr
from napari_cpclnet.imaging.formats.pictures import is_picture, read_picture, read_stack
from napari_cpclnet.imaging.formats.raw_image import FORMATS, read_raw, volume_suffix
from napari_cpclnet.imaging.formats.seg_nrrd import read_segments
from napari_cpclnet.imaging.formats.size_checks import check_file
from napari_cpclnet.imaging.geometry import Geometry
from napari_cpclnet.imaging.label_resampling import place
from napari_cpclnet.imaging.label_values import WIDEST_STEP, stored_step, tolerance, whole_numbers
from napari_cpclnet.imaging.reading import pictures_in, plain_name, unknown_kind
from napari_cpclnet.imaging.volume import Segmentation, Volume

# A mask of another program may be rounded to a few digits; a fiftieth of a voxel moves no label.
SAME_GRID = 0.02
# More distinct values than any anatomical atlas has: a scan was opened as a label map.
MOST_LABELS = 1024
# Wider than what tells masks from scans in a folder: here the values must agree.
LABEL_WORD = re.compile(r"(^|[^a-z])(labels?|masks?|seg|segmentation|gt|truth)([^a-z]|$)", re.IGNORECASE)


def read_segmentation(
    path: str | Path,
    *,
    classes: dict[int, str] | None = None,
    like: Volume | Geometry | None = None,
    resample: bool = True,
    by_voxel: bool = False,
) -> Segmentation:
    """Read a label map.

    Parameters
    ----------
    path
        NIfTI, NRRD (3D Slicer's ``.seg.nrrd`` too), MetaImage or picture file, a folder of pictures, a DICOM
        segmentation or structure set (RTSTRUCT). Floats are welcome if they are whole numbers. A picture of 0 and
        255 only is a mask of label 1.
    classes
        Names of labels; others are called as the file says, or ``label 1`` and so on.
    like
        Scan (or its geometry) on whose voxels the labels are wanted. Labels on other voxels are brought there by
        nearest neighbour in physical space; the notes say so, and what lies outside. A structure set needs it.
    resample
        False refuses labels on other voxels.
    by_voxel
        Put the labels on ``like`` voxel for voxel, wherever their header places them: for files that lost their
        place. Not for outlines.

    Returns
    -------
    Segmentation
        With a ``doubt`` where the place on ``like`` can hardly be right.

    Raises
    ------
    ImageError
        If the file is unreadable, or holds negative, fractional or too many values.
    GeometryError
        If the labels lie on another grid than ``like`` and may not be resampled, or have no place in the patient
        and another size; the sentence says what differs.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, Segmentation, read_segmentation, write_segmentation
    >>> made = Segmentation(np.ones((4, 8, 8), np.uint8), {1: "liver"}, Geometry((4, 8, 8)))
    >>> read_segmentation(write_segmentation(made, "labels.seg.nrrd")).classes
    {1: 'liver'}
    """
    path = Path(path)
    check_file(path)
    kind = dicom.dicom_label_kind(path)
    if kind == "RTSTRUCT":
        found, placed = _outlines(path, like), True
    elif kind == "SEG":
        found, placed = dicom.read_dicom_seg(path, None if like is None else _target(like)[0]), True
    else:
        found, placed = _read_image(path, classes or {})
    found = found.replaced(classes=dict(sorted((found.classes | (classes or {})).items())))
    if like is None:
        return found
    if by_voxel and kind != "RTSTRUCT":
        return _voxel_for_voxel(path, found, like)
    return _on_grid(path, found, like, placed, resample)


def looks_like_labels(volume: Volume) -> bool:
    """Whether the values are class numbers: whole, not negative, few, and mostly background.

    A file name that says label, mask or seg is believed if the values allow it.
    """
    array, source = volume.array, volume.source
    few = array[tuple(slice(None, None, max(1, n // 64)) for n in array.shape)]
    if few.size == 0 or few.min() <= -WIDEST_STEP or len(np.unique(few)) > MOST_LABELS:
        return False  # decided in no time for nearly every scan
    floats = array.dtype.kind == "f"
    step = stored_step(source) if floats and source is not None and source.is_file() else 0.0
    beside = tolerance(step) if floats else 0.0
    if array.min() < -beside or array.max() > 65535:
        return False
    counts = np.zeros(65536, np.int64)
    for plane in array:  # a plane at a time: what is made of a whole scan on the way is many times its size
        labels = np.rint(plane) if floats else plane
        if floats and np.abs(plane - labels).max() > beside:
            return False
        counts += np.bincount(labels.astype(np.uint16).ravel(), minlength=len(counts))
    n_values = int(np.count_nonzero(counts))
    if LABEL_WORD.search(source.name if source else volume.name):
        return n_values <= MOST_LABELS
    return (not floats or step > 0) and n_values <= 32 and int(counts[0]) * 2 >= array.size


def holds_segments(path: Path) -> bool:
    """Whether a file says itself that it is a label map: a DICOM segmentation, 3D Slicer's ``.seg.nrrd``, OME-Zarr."""
    if ome_zarr.is_ome_zarr(path):
        return ome_zarr.open_ome_zarr(path).is_labels
    return path.name.lower().endswith(".seg.nrrd") or dicom.dicom_label_kind(path) is not None


def _read_image(path: Path, classes: dict[int, str]) -> tuple[Segmentation, bool]:
    """Label map of an image file, and whether the file says where it lies."""
    geometry: Geometry | None = None
    names: dict[int, str] = {}
    colors: dict[int, tuple[int, int, int]] = {}
    notes: tuple[str, ...] = ()
    suffix = volume_suffix(path)
    if ome_zarr.is_ome_zarr(path):
        stored = ome_zarr.open_ome_zarr(path)
        array, geometry = ome_zarr.loaded(path, stored), stored.geometry
        names, colors = stored.names, stored.colors
    elif path.is_dir():
        pictures = pictures_in(path)
        if not pictures:
            raise ImageError(f"{path}: is a folder without pictures; choose a label file.")
        array = read_stack(pictures, as_labels=True)
    elif is_picture(path):
        array = read_picture(path, as_labels=True)
    elif suffix and FORMATS[suffix] == "NRRD":
        raw, names, colors = read_segments(path)
        array, geometry, notes = raw.array, raw.geometry, raw.notes
    elif suffix:
        raw = read_raw(path)
        array, geometry, notes = raw.array, raw.geometry, raw.notes
    elif dicom.is_dicom(path):
        raise ImageError(f"{path}: is a DICOM image, not a segmentation or structure set.")
    else:
        raise ImageError(unknown_kind(path))
    labels, rounded = whole_numbers(path, array, tolerance(stored_step(path)) if suffix else 0.0)
    notes = (*notes, *rounded)
    if geometry is not None and shear_of(geometry) > SHEAR:
        try:
            labels, geometry = deskew(labels, geometry, labels=True)
        except GeometryError as error:
            raise ImageError(f"{path}: {error}") from error
        notes = (*notes, "Its voxel grid is sheared: brought to a regular grid by nearest neighbour.")
    values = [int(v) for v in np.unique(labels) if v != 0]
    if len(values) > MOST_LABELS:
        raise ImageError(
            f"{path}: has {len(values)} different values; it looks like a scan, not a label map."
        )
    if geometry is None and values == [255] and 255 not in classes:
        labels, values = (labels > 0).astype(np.uint8), [1]
    names = {value: f"label {value}" for value in values} | names
    grid = geometry or Geometry((labels.shape[0], labels.shape[1], labels.shape[2]))
    name = plain_name(path).removesuffix(".seg")
    return Segmentation(labels, names, grid, name, colors, notes), geometry is not None


def _outlines(path: Path, like: Volume | Geometry | None) -> Segmentation:
    if like is None:
        msg = f"{path}: holds outlines, which have no voxels of their own; give the scan they were drawn on."
        raise ImageError(msg)
    return dicom.read_rtstruct(path, *_target(like))


def _target(like: Volume | Geometry) -> tuple[Geometry, str]:
    return (like.geometry, like.name) if isinstance(like, Volume) else (like, "the scan")


def _on_grid(
    path: Path, found: Segmentation, like: Volume | Geometry, placed: bool, resample: bool
) -> Segmentation:
    target, name = _target(like)
    if not placed and found.geometry.shape == target.shape:
        return found.replaced(geometry=target)  # pictures have no place of their own
    differences = found.geometry.differences(target, SAME_GRID)
    if not differences:
        return found.replaced(geometry=target)
    if not placed or not resample:
        # Of pictures only the size can disagree.
        what = ", ".join(differences if placed else differences[:1])
        same_size = found.geometry.shape == target.shape
        or_header = ", or give it the header of the scan if its voxels are the scan's" if same_size else ""
        raise GeometryError(
            f"{path}: lies on another grid than {name}: {what}; resample it to the grid of the scan{or_header}."
        )
    return place(found, target, name)


def _voxel_for_voxel(path: Path, found: Segmentation, like: Volume | Geometry) -> Segmentation:
    target, name = _target(like)
    if found.geometry.shape != target.shape:
        sizes = " against ".join(
            " x ".join(str(n) for n in shape) for shape in (found.geometry.shape, target.shape)
        )
        raise GeometryError(
            f"{path}: cannot be put on {name} voxel for voxel: it has another size ({sizes} voxels); resample it."
        )
    if found.geometry.isclose(target, SAME_GRID):
        return found.replaced(geometry=target)
    note = f"Put on {name} voxel for voxel, although its header places it elsewhere."
    return found.replaced(geometry=target, notes=(*found.notes, note))
