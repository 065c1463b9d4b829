from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    find_scans,
    read_volume,
    write_segmentation,
    write_volume,
)


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = Geometry((2, 3, 4))
    if path.name.endswith(".seg.nrrd"):
        return write_segmentation(Segmentation(np.ones(grid.shape, np.uint8), {1: "a"}, grid), path)
    return write_volume(Volume(np.ones(grid.shape, np.int16), grid), path)


def test_a_folder_of_volumes_is_listed_without_its_label_maps(tmp_path: Path) -> None:
    for name in ("b 10.nii.gz", "b 9.nrrd", "a.mha", "sub/c.nii"):
        save(tmp_path / name)
    for name in (
        "a_label.nii.gz",
        "a_seg.nrrd",
        "a-mask.nii",
        "b_masks.mha",
        "a.seg.nrrd",
        "labelsTr/x.nii.gz",
    ):
        save(tmp_path / name)
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "empty.nii.gz").touch()
    save(tmp_path / ".hidden.nii.gz")
    found = find_scans(tmp_path)
    assert [scan.name for scan in found] == ["a", "b 9", "b 10", "c"]
    for scan in found:
        assert read_volume(scan.path, series=scan.series).name == scan.name


def test_a_file_is_itself(tmp_path: Path) -> None:
    path = save(tmp_path / "case_label.nii.gz")
    assert [scan.path for scan in find_scans(path)] == [path]


def test_nothing_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        find_scans(tmp_path / "none")
    with pytest.raises(ImageError, match="holds no scan"):
        find_scans(tmp_path)


def test_a_folder_of_volumes_is_no_single_scan(tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz")
    with pytest.raises(ImageError, match=r"choose one of its files, such as a\.nii\.gz"):
        read_volume(tmp_path)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(path)
    return path


def test_pictures_of_the_published_layout_are_scans_of_their_own_before_there_are_masks(
    tmp_path: Path,
) -> None:
    for name in ("CT_001", "CT_002", "MRI_001"):
        picture(tmp_path / "images" / f"{name}.png")
        picture(tmp_path / "images" / f"{name}_regions-slic-1_label.png")
    assert [scan.name for scan in find_scans(tmp_path)] == ["CT_001", "CT_002", "MRI_001"]


def test_pictures_of_another_folder_are_the_slices_of_one_scan(tmp_path: Path) -> None:
    for k in (1, 2):
        picture(tmp_path / "images" / f"slice_{k}.png")
        picture(tmp_path / "scan" / f"CT_{k}.png")
    assert [scan.path for scan in find_scans(tmp_path)] == [tmp_path / "images", tmp_path / "scan"]
