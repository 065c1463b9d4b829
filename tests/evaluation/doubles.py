"""Tables of small scans whose truth is known, and predictors whose scores are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from napari_cpclnet.imaging import Volume
from napari_cpclnet.imaging.cases import Case, read_cases
from napari_cpclnet.segmentation import SupportSet

SHAPE = (10, 24, 26)
SPACING = (5.0, 2.0, 3.0)
LIVER, SPLEEN = 100.0, 200.0


def make_labels(seed: int, *, spleen: bool = True, values: tuple[int, int] = (6, 1)) -> np.ndarray:
    """A liver in slices 2 to 7 and a spleen in 3 to 5, moved by `seed`."""
    labels = np.zeros(SHAPE, np.uint8)
    s = seed % 3
    labels[2:8, 4 + s : 12 + s, 3:13] = values[0]
    if spleen:
        labels[3:6, 8:14, 16 + s : 22 + s] = values[1]
    return labels


def make_image(labels: np.ndarray, values: tuple[int, int] = (6, 1)) -> np.ndarray:
    """Every organ has a grey value of its own, so an oracle can read the truth from the image."""
    image = np.full(SHAPE, -1000.0, np.float32)
    image[:, 2:-2, 2:-2] = 0
    image[labels == values[0]], image[labels == values[1]] = LIVER, SPLEEN
    return image


def save(array: np.ndarray, path: Path, spacing: tuple[float, float, float] = SPACING) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


@dataclass
class Table:
    """A cases table that grows scan by scan."""

    folder: Path
    rows: list[str] = field(default_factory=list)

    def add(
        self, patient: str, modality: str = "CT", *, seed: int = 0, spleen: bool = True, classes: str = ""
    ) -> Table:
        values = (6, 1) if modality == "CT" else (1, 4)
        labels = make_labels(seed, spleen=spleen, values=values)
        name = f"{patient}_{modality}"
        save(make_image(labels, values), self.folder / f"scans/{name}.nii.gz")
        save(labels, self.folder / f"scans/{name}_label.nii.gz")
        named = classes or f"{values[0]}=liver;{values[1]}=spleen"
        self.rows.append(f"{patient},{modality},scans/{name}.nii.gz,scans/{name}_label.nii.gz,{named}")
        return self

    def write(self, name: str = "cases.csv") -> Path:
        path = self.folder / name
        path.write_text("patient,modality,image,label,classes\n" + "\n".join(self.rows) + "\n")
        return path

    def cases(self) -> tuple[Case, ...]:
        return read_cases(self.write())


class Oracle:
    """Right everywhere: reads the organ's grey value from the image."""

    name = "oracle"

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
        self.calls += 1
        labels = np.zeros(query.array.shape, np.uint8)
        for value, organ in support.classes.items():
            labels[query.array == {"liver": LIVER, "spleen": SPLEEN}[organ]] = value
        return labels


class Half:
    """Finds the first half of the organ's columns: half of its voxels, so Dice is 2/3."""

    name = "half"

    def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
        labels = Oracle().predict(support, query)
        columns = np.flatnonzero(labels.any(axis=(0, 1)))
        if columns.size:
            labels[:, :, columns[columns.size // 2] :] = 0
        return labels


class Nothing:
    """Never finds anything."""

    name = "nothing"

    def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
        return np.zeros(query.array.shape, np.uint8)


class Everywhere:
    """Right on the organ's slices, and marks 4 voxels on each slice without it: a known false volume."""

    name = "everywhere"

    def predict(self, support: SupportSet, query: Volume) -> np.ndarray:
        labels = Oracle().predict(support, query)
        (value,) = support.classes
        empty = ~labels.any(axis=(1, 2))
        labels[empty, 0:2, 0:2] = value
        return labels
