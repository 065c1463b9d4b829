"""Find the scans in files and folders."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import dicom
from napari_cpclnet.imaging.formats.ome_zarr import is_ome_zarr
from napari_cpclnet.imaging.formats.pictures import is_picture, natural_key
from napari_cpclnet.imaging.formats.raw_image import volume_suffix
from napari_cpclnet.imaging.formats.size_checks import check_file
from napari_cpclnet.imaging.modality import name_hint
from napari_cpclnet.imaging.reading import is_label_name, pictures_in, plain_name
from napari_cpclnet.imaging.volume import ScanRef
from napari_cpclnet.imaging.walking import check_open, entries, is_first_visit

LABEL_FOLDERS = (
    "mask",
    "masks",
    "label",
    "labels",
    "labelstr",
    "labelsts",
    "segmentation",
    "segmentations",
    "seg",
)


def find_scans(path: str | Path) -> list[ScanRef]:
    """Scans of a file or of a folder and its subfolders.

    A file is one scan. In a folder each volume file is one, each DICOM series is one, and pictures of a
    folder are the slices of one; but in the layout ``data/images``, ``data/masks`` each picture is one, and so
    it is while there are no masks yet if all names of ``images`` say the modality, as ``CT_001.png`` does. Files
    whose names end in ``_label``, ``_seg`` or ``_mask``, and folders of such a name, are left out.

    Raises
    ------
    ImageError
        If the path does not exist, or a folder holds no scan.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_cpclnet import Geometry, Volume, find_scans, write_volume
    >>> for name in ("ct", "mr", "mr_label"):
    ...     _ = write_volume(Volume(np.zeros((4, 8, 8), np.int16), Geometry((4, 8, 8))), f"{name}.nii.gz")
    >>> [scan.name for scan in find_scans(".")]
    ['ct', 'mr']
    """
    path = Path(path)
    check_file(path)
    if not path.exists():
        raise ImageError(f"{path}: does not exist.")
    if not path.is_dir() or is_ome_zarr(path):
        return [ScanRef(path, None, plain_name(path))]
    check_open(path)
    of_folder: dict[Path, list[dicom.SeriesInfo]] = defaultdict(list)
    for info in dicom.survey(path).series:
        of_folder[info.folder].append(info)
    found = list(_scans_in(path, of_folder))
    if not found:
        raise ImageError(f"{path}: holds no scan (DICOM, NIfTI, NRRD, MetaImage, OME-Zarr or pictures).")
    return found


def seed_pairs(data_root: str | Path) -> list[tuple[Path, Path]]:
    """Pairs (image, mask) of the layout ``data/images/CT_001.png``, ``data/masks/CT_001.png``.

    Images without a mask are left out.

    Raises
    ------
    ImageError
        If the folders are missing, or no image has a mask.
    """
    root = Path(data_root)
    images, masks = root / "images", root / "masks"
    for folder in (images, masks):
        if not folder.is_dir():
            raise ImageError(
                f"{root}: has no folder {folder.name}; expected are images/CT_001.png and masks/CT_001.png."
            )
    of_name = {
        plain_name(p): p
        for p in sorted(masks.iterdir())
        if _is_file(p) and (is_picture(p) or volume_suffix(p))
    }
    files = sorted(
        (p for p in images.iterdir() if _is_file(p) and (is_picture(p) or volume_suffix(p))), key=natural_key
    )
    pairs = [(image, of_name[plain_name(image)]) for image in files if plain_name(image) in of_name]
    if not pairs:
        raise ImageError(f"{root}: no file in images has a mask of the same name in masks.")
    return pairs


def _scans_in(root: Path, of_folder: dict[Path, list[dicom.SeriesInfo]]) -> Iterator[ScanRef]:
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        if not is_first_visit(folder, seen):  # a link to a folder above
            continue
        found = sorted(entries(folder), key=natural_key)
        for info in of_folder.get(folder, ()):
            yield ScanRef(folder, info.id_in_folder, info.name)
        for path in found:
            volume = (_is_file(path) and volume_suffix(path)) or is_ome_zarr(path)
            if volume and not is_label_name(path):
                yield ScanRef(path, None, plain_name(path))
        pictures = [p for p in pictures_in(folder) if not is_label_name(p)] if found else []
        if len(pictures) == 1 or _is_seed_folder(folder, pictures):
            for path in pictures:
                yield ScanRef(path, None, plain_name(path))
        elif pictures:
            yield ScanRef(folder, None, folder.name)
        subfolders = [
            path
            for path in found
            if os.path.isdir(path) and path.name.lower() not in LABEL_FOLDERS and not is_ome_zarr(path)
        ]
        waiting.extend(reversed(subfolders))


def _is_seed_folder(folder: Path, pictures: list[Path]) -> bool:
    if folder.name.lower() != "images":
        return False
    named = all(name_hint(plain_name(path), prefix_only=True) != "other" for path in pictures)
    return named or (folder.parent / "masks").is_dir()


def _is_file(path: Path) -> bool:
    return os.path.isfile(path) and not path.name.startswith(".") and path.stat().st_size > 0
