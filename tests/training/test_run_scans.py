"""Runs on a folder of unlabelled scans: pictures, volumes, and both; with phantoms or without."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import Geometry, Volume, write_volume
from napari_cpclnet.model import load_weights
from napari_cpclnet.training import PreparationReport, StepReport, TrainingSettings, train

Folder = Callable[[str], Path]
Tiny = Callable[..., TrainingSettings]
SCANS = {"phantoms": 0.0, "shapes": 0.0, "scans": 1.0}


def body(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """An oval with blobs of several grey values that go on through the slices."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]]
    oval = ((y - shape[1] / 2) / (0.4 * shape[1])) ** 2 + ((x - shape[2] / 2) / (0.42 * shape[2])) ** 2 < 1
    picture = np.where(oval, 60.0, 0.0)
    for grey in (110, 150, 190, 230):
        cy, cx = rng.uniform(0.35, 0.65, 2) * shape[1:]
        picture[((y - cy) ** 2 + (x - cx) ** 2 < (0.1 * shape[1]) ** 2) & oval] = grey
    return np.repeat(picture[None], shape[0], 0) + rng.normal(0, 2, shape) * oval


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The published layout, a volume beside it, and a file that is none."""
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    for i, name in enumerate(("CT_001", "CT_002", "MRI_003")):
        picture = body(i, (1, 96, 96))[0].clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(root / "images" / f"{name}.png")
    (root / "more").mkdir()
    volume = Volume(body(9, (8, 48, 56)).astype(np.float32), Geometry((8, 48, 56), (4.0, 6.0, 6.0)), "MR")
    write_volume(volume, root / "more" / "mr.nii.gz")
    (root / "more" / "bad.nii.gz").write_bytes(b"no scan")
    return root


def test_pictures_and_volumes_are_learned_from(data: Path, folder: Folder, tiny: Tiny) -> None:
    out = folder("scans")
    reports = list(train(tiny(sources=SCANS, steps=3), out, data_root=data, device="cpu"))
    prepared = [r for r in reports if isinstance(r, PreparationReport)]
    assert [(r.done, r.total) for r in prepared] == [(i, 5) for i in range(1, 6)]
    (problem,) = [r.problem for r in prepared if r.problem]
    assert "bad.nii.gz" in problem
    steps = [r for r in reports if isinstance(r, StepReport)]
    assert [r.step for r in steps] == [1, 2, 3]
    for report in steps:  # nobody named structures, so the whole network learns from the first step on
        assert not {"anatomy", "level"} & set(report.losses)
        assert report.losses["segmentation"] > 0 and math.isfinite(report.losses["total"])
    metadata = load_weights(out / "models" / "best_model.safetensors").metadata
    assert metadata["sources"] == ["4 unlabelled scans of the user"]
    assert {p.name for p in data.rglob("*") if p.is_file()} == {
        "CT_001.png", "CT_002.png", "MRI_003.png", "mr.nii.gz", "bad.nii.gz",
    }  # fmt: skip


def test_a_run_on_scans_goes_on_without_naming_them_again(data: Path, folder: Folder, tiny: Tiny) -> None:
    settings = tiny(sources={"phantoms": 1.0, "shapes": 0.0, "scans": 1.0}, steps=6)
    whole, stopped = folder("whole"), folder("stopped")
    seen = [r for r in train(settings, whole, data_root=data, device="cpu") if isinstance(r, StepReport)]
    assert all("anatomy" in r.losses for r in seen[:2])  # the encoder alone learns from phantoms alone
    assert {"anatomy" in r.losses for r in seen[2:]} == {True, False}
    assert {"dice", "dice_phantoms", "dice_scans"} <= set(seen[-1].validation)
    reports = train(settings, stopped, data_root=data, device="cpu")
    next(r for r in reports if isinstance(r, StepReport) and r.step == 3)
    reports.close()
    rest = [r for r in train(None, stopped, resume=True, device="cpu") if isinstance(r, StepReport)]
    assert [(r.step, r.losses) for r in rest] == [(r.step, r.losses) for r in seen[3:]]


def test_too_little_is_an_error(tmp_path: Path, data: Path, folder: Folder, tiny: Tiny) -> None:
    settings = tiny(sources=SCANS)
    with pytest.raises(ImageError, match="nowhere"):
        list(train(settings, folder("a"), data_root=tmp_path / "nowhere", device="cpu"))
    with pytest.raises(ImageError, match="too few"):
        list(train(settings, folder("b"), data_root=data / "images" / "CT_001.png", device="cpu"))
    with pytest.raises(ImageError, match=r"bad\.nii\.gz"):
        list(train(settings, folder("c"), data_root=data / "more" / "bad.nii.gz", device="cpu"))
