"""Labelled scans, prepared once for training: slices and labels in the network's pixels, a file for each scan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from napari_cpclnet.episodes.prepared_scans import SMALLEST, PreparedSlices, file_name, prepared
from napari_cpclnet.errors import CpclnetError, ImageError, SettingsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import load_json
from napari_cpclnet.imaging import Segmentation, Volume, read_segmentation, read_volume
from napari_cpclnet.imaging.cases import Case
from napari_cpclnet.preprocessing import PreprocessingSettings

MOST_CLASSES = 255


@dataclass(frozen=True, eq=False)
class LabelledFile:
    """A prepared labelled scan.

    Attributes
    ----------
    path : Path
        safetensors with ``images`` and ``labels`` (Z, H, W) uint8: 0 is background, i is class i - 1 of `names`. Slices
        run in the direction in which the plane counts them, from inferior to superior where it is axial.
    patient : str
    plane : str
        axial, coronal or sagittal: how it was cut.
    context : float
        Distance of neighbouring slices, in mm.
    names : tuple of str
        Classes that the labels hold.
    area : ndarray (Z, classes) of int64
        Pixels of each class on each slice.
    absent, too_small : frozenset of str
        Classes that the labels would show and do not hold, and those of which no slice shows enough to learn from.
    complete : bool
        Whether the labels would show every class that there is.
    """

    path: Path
    patient: str
    plane: str
    context: float
    names: tuple[str, ...]
    area: NDArray[np.int64]
    absent: frozenset[str]
    too_small: frozenset[str]
    complete: bool

    def knows(self, name: str) -> bool:
        """Whether it is known where the class lies, or that it is not there."""
        return name in self.names or name in self.absent or (self.complete and name not in self.too_small)


def prepare_labelled(
    cases: Sequence[Case], folder: Path, settings: PreprocessingSettings, workers: int | None = None
) -> Iterator[tuple[Case, Path | None, str]]:
    """Prepare labelled scans on all cores, in the order given; closing it cancels, and files that exist are kept.

    Yields
    ------
    case : Case
    path : Path or None
        None if the scan cannot be used.
    problem : str
        Why not.
    """
    targets = [folder / _file_name(case, settings) for case in cases]
    yield from prepared(_prepare, cases, targets, settings, workers)


def open_labelled(path: Path, case: Case) -> LabelledFile:
    """What must be known of a prepared scan before its slices are read.

    Raises
    ------
    SettingsError
        If the file is damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = load_json(file.metadata()["facts"])
            area = file.get_tensor("area").astype(np.int64)
        names, absent, doubtful = (tuple(map(str, metadata[key])) for key in ("names", "absent", "doubtful"))
        if area.shape[1:] != (len(names),):
            raise ValueError("areas of other classes")
        plane, context = str(metadata["plane"]), float(metadata["context"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        msg = f"'{path}' is damaged: remove it, and it is made again."
        raise SettingsError(msg) from error
    rest = frozenset(absent), frozenset(doubtful)
    return LabelledFile(path, case.patient, plane, context, names, area, *rest, complete=not case.classes)


def _file_name(case: Case, settings: PreprocessingSettings) -> str:
    classes = json.dumps(sorted(case.classes.items()))
    identity = (
        str(case.image.resolve()),
        str(case.label.resolve()),
        case.modality,
        classes,
        settings.model_dump_json(),
    )
    return file_name("labelled", identity, (case.image, case.label))


def _prepare(case: Case, path: Path, settings: PreprocessingSettings) -> str:
    """Write the file of one scan; returns why it cannot be used, or nothing."""
    try:
        volume = read_volume(case.image, modality=None if case.modality == "other" else case.modality)
        labels = _labels(case, volume)
        tensors, metadata = labelled_tensors(volume, labels, settings)
        if not metadata["names"]:
            return f"{case.label}: shows no class on {SMALLEST} pixels of a slice, too little to learn from."
        with atomic_write(path, "a prepared scan") as temporary:
            save_file(tensors, temporary, {"facts": json.dumps(metadata)})
    except CpclnetError as error:
        return str(error)
    return ""


def _labels(case: Case, volume: Volume) -> Segmentation:
    """Labels on the voxels of the scan; their classes are those that the case names, or all values if it names none."""
    found = read_segmentation(case.label, classes=case.classes, like=volume, resample=False)
    classes = case.classes or {
        int(value): found.classes.get(int(value), f"label {value}")
        for value in np.unique(found.labels)
        if value
    }
    if len(classes) > MOST_CLASSES:
        raise ImageError(f"{case.label}: has {len(classes)} classes; training takes {MOST_CLASSES} at most.")
    return found.replaced(classes=classes)


def labelled_tensors(
    volume: Volume, labels: Segmentation, settings: PreprocessingSettings
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and metadata of a :class:`LabelledFile`; classes of which no slice shows enough are left out."""
    slices = PreparedSlices(volume, "auto", settings)
    native = slices.labels(labels.labels)
    planes = np.zeros(native.shape, np.uint8)
    metadata: dict[str, Any] = {"names": [], "absent": [], "doubtful": [], "plane": slices.grid.plane}
    areas = []
    for value, name in sorted(labels.classes.items()):
        shown = native == value
        area = shown.sum((1, 2))
        if area.max(initial=0) < SMALLEST:
            metadata["doubtful" if (labels.labels == value).any() else "absent"].append(name)
            continue
        metadata["names"].append(name)
        areas.append(area)
        planes[shown] = len(areas)
    tensors: dict[str, NDArray[Any]] = {
        "images": slices.images(),
        "labels": planes,
        "area": np.stack(areas, 1).astype(np.int32) if areas else np.zeros((len(planes), 0), np.int32),
    }
    return tensors, metadata | {"context": slices.distance}
