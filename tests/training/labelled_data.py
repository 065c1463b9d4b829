"""Labelled scans of a few voxels: a body with a bright ball (1) and a dark one (2) in another place in each patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_cpclnet.imaging import Geometry, Segmentation, Volume, write_segmentation, write_volume

SHAPE = (10, 40, 48)
GREYS = {1: 210.0, 2: 120.0}


def patient(seed: int, shape: tuple[int, int, int] = SHAPE) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Grey values and labels."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    oval = ((y - shape[1] / 2) / (0.45 * shape[1])) ** 2 + ((x - shape[2] / 2) / (0.45 * shape[2])) ** 2 < 1
    labels = np.zeros(shape, np.uint8)
    for value, side in ((1, 0.35), (2, 0.65)):
        centre = (
            shape[0] / 2,
            shape[1] * rng.uniform(0.42, 0.58),
            shape[2] * (side + rng.uniform(-0.03, 0.03)),
        )
        labels[(z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < 5.5**2] = value
    grey = np.where(oval, 60.0, 0.0)
    for value, bright in GREYS.items():
        grey[labels == value] = bright
    return (grey + rng.normal(0, 2, shape) * oval).astype(np.float32), labels


def write_table(folder: Path, patients: tuple[str, ...], classes: str = "1=ball;2=stone") -> Path:
    """A scan of each name in the list, and their table; a patient may come twice."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["patient,modality,image,label,classes"]
    for number, name in enumerate(patients):
        grey, labels = patient(number)
        geometry = Geometry(SHAPE, (8.0, 5.0, 5.0))
        write_volume(Volume(grey, geometry, "MR"), folder / f"scan{number}.nii.gz")
        write_segmentation(Segmentation(labels, {}, geometry), folder / f"scan{number}_label.nii.gz")
        lines.append(f"{name},MR,scan{number}.nii.gz,scan{number}_label.nii.gz,{classes}")
    table = folder / "cases.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def write_layout(folder: Path, names: tuple[str, ...]) -> Path:
    """``images`` and ``masks`` with a picture each."""
    for sub in ("images", "masks"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        grey, labels = patient(number, (10, 96, 96))
        middle = grey[5].clip(0, 255).astype(np.uint8)
        Image.fromarray(middle).save(folder / "images" / f"{name}.png")
        Image.fromarray(labels[5]).save(folder / "masks" / f"{name}.png")
    return folder
