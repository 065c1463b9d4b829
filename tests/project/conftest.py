"""A project of two small scans, one of them painted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.imaging import Geometry, Segmentation, Volume, write_segmentation, write_volume
from napari_cpclnet.project import (
    ClassEntry,
    Project,
    QueryEntry,
    ScanEntry,
    SupportEntry,
    fingerprint,
    relative_path,
    write_project,
)

GRID = Geometry((6, 20, 24), (5.0, 2.0, 2.0), (-10.0, 3.0, 7.0))


def make_scan(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(40, 10, GRID.shape).round().astype(np.int16)
    values[:, :4] = -1000
    return write_volume(Volume(values, GRID), path)


def entry(scan_id: str, path: Path, folder: Path) -> ScanEntry:
    known = fingerprint(path)
    return ScanEntry(
        id=scan_id,
        name=path.name.partition(".")[0],
        path=relative_path(path, folder),
        sha256=known.sha256,
        size=known.size,
        geometry=GRID,
        modality="CT",
        unit="HU",
    )


def painted() -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[2, 8:12, 8:12] = 6
    labels[4, 8:12, 8:12] = 1
    return labels


def make_project(folder: Path, scans: Path) -> Project:
    ct, mr = make_scan(scans / "ct.nii.gz", 1), make_scan(scans / "mr.nii.gz", 2)
    (folder / "masks").mkdir(parents=True)
    mask = Segmentation(painted(), {1: "spleen", 6: "liver"}, GRID)
    write_segmentation(mask, folder / "masks" / "ct.seg.nrrd")
    project = Project(
        scans=(entry("scan-1", ct, folder), entry("scan-2", mr, folder)),
        classes=(ClassEntry(value=6, name="liver", color=(200, 30, 30)), ClassEntry(value=1, name="spleen")),
        supports=(SupportEntry(scan="scan-1", mask="masks/ct.seg.nrrd"),),
        queries=(QueryEntry(scan="scan-2"), QueryEntry(scan="scan-1", ticked=False)),
    )
    write_project(folder, project)
    return project


@pytest.fixture
def make() -> Callable[[Path, Path], Project]:
    return make_project
