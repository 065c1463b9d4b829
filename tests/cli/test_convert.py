"""``napari-cpclnet convert``: the same voxels in another format, and a word on what is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.imaging.dicom.dicom_series import write_scan, write_structures
from typer.testing import CliRunner

from napari_cpclnet.cli.app import app
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)

GRID = Geometry((4, 5, 6), (3.0, 1.0, 2.0), (-30.0, 12.0, 7.0))


def run(*words, code: int = 0):
    done = CliRunner().invoke(app, ["convert", *map(str, words)])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done


@pytest.fixture
def labels() -> Segmentation:
    array = np.zeros(GRID.shape, np.uint8)
    array[1, 2:4, 3:5], array[2, 0, 0] = 1, 4
    return Segmentation(array, {1: "liver", 4: "nodule 7"}, GRID, "s", {1: (255, 0, 0), 4: (0, 255, 0)})


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd", ".dcm", ".png"])
def test_labels_go_to_every_format_and_back(tmp_path: Path, labels: Segmentation, suffix: str) -> None:
    if suffix == ".dcm":
        pytest.importorskip("highdicom")
    write_scan(tmp_path / "ct", GRID)
    source = write_segmentation(labels, tmp_path / "in.seg.nrrd")
    there = tmp_path / f"out{suffix}"
    run(source, there, "--like", tmp_path / "ct")
    back = tmp_path / "back.nii.gz"
    run(there if suffix != ".png" else tmp_path / "out", back, "--like", tmp_path / "ct", "--as", "labels")
    np.testing.assert_array_equal(read_segmentation(back, like=GRID).labels, labels.labels)


def test_what_is_lost_is_said(tmp_path: Path, labels: Segmentation) -> None:
    write_scan(tmp_path / "ct", GRID)
    source = write_segmentation(labels, tmp_path / "in.seg.nrrd")
    said = run(source, tmp_path / "out.nii.gz").stderr
    assert "does not hold names of classes: 1 liver, 4 nodule 7" in said
    assert "does not hold colours" in said
    assert "neither voxel size nor place" in run(source, tmp_path / "out.png").stderr
    assert "No code is known for nodule 7" in run(source, tmp_path / "out.seg.nrrd").stderr
    said = run(tmp_path / "ct", tmp_path / "ct.nii.gz").stderr
    assert "values are CT in HU" in said
    assert "DICOM header" in said


def test_a_scan_stays_a_scan(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", GRID)
    run(tmp_path / "ct", tmp_path / "ct.nrrd")
    np.testing.assert_array_equal(read_volume(tmp_path / "ct.nrrd").array, read_volume(tmp_path / "ct").array)
    assert read_volume(tmp_path / "ct.nrrd").geometry.isclose(GRID)


def test_label_values_make_a_label_map_without_being_told(tmp_path: Path, labels: Segmentation) -> None:
    write_volume(Volume(labels.labels.astype(np.float32), GRID), tmp_path / "liver_seg.mha")
    run(tmp_path / "liver_seg.mha", tmp_path / "out.nii.gz")
    assert read_volume(tmp_path / "out.nii.gz").array.dtype == np.uint8
    run(tmp_path / "liver_seg.mha", tmp_path / "scan.nii.gz", "--as", "scan")
    assert read_volume(tmp_path / "scan.nii.gz").array.dtype == np.float32


def test_a_structure_set_goes_to_the_series_it_was_drawn_on(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", GRID)
    square = np.array([(-27, 12.5, 8), (-27, 12.5, 14), (-27, 15.5, 14), (-27, 15.5, 8)], float)
    write_structures(tmp_path / "rs.dcm", {"GTV": [square]})
    assert "scan they were drawn on" in run(tmp_path / "rs.dcm", tmp_path / "o.nrrd", code=2).stderr
    run(tmp_path / "rs.dcm", tmp_path / "o.seg.nrrd", "--like", tmp_path / "ct")
    found = read_segmentation(tmp_path / "o.seg.nrrd")
    assert found.classes == {1: "GTV"}
    assert np.argwhere(found.labels).tolist() == [[1, y, x] for y in (1, 2, 3) for x in (1, 2, 3)]


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("out.jpg", "suffix must be one of"),
        ("in.seg.nrrd", "is read by this command"),
        ("there.nii.gz", "exists already"),
        ("there.png", "exists already"),
        ("no/out.nii.gz", "does not exist"),
        ("out.dcm", "give that DICOM series"),
    ],
)
def test_where_it_cannot_be_written_one_sentence_says_why(
    tmp_path: Path, labels: Segmentation, out: str, sentence: str
) -> None:
    source = write_segmentation(labels, tmp_path / "in.seg.nrrd")
    write_segmentation(labels, tmp_path / "there.nii.gz")
    (tmp_path / "there").mkdir()
    assert sentence in run(source, tmp_path / out, code=2).stderr
    if out == "there.nii.gz":
        run(source, tmp_path / out, "--overwrite")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    assert "does not exist" in run(tmp_path / "none.nii.gz", tmp_path / "o.nrrd", code=2).stderr


@pytest.mark.parametrize("target", ["x.nii.gz", "ct/1.dcm", "link.nii.gz"])
def test_the_scan_that_labels_are_put_on_is_not_replaced(
    tmp_path: Path, labels: Segmentation, target: str
) -> None:
    write_scan(tmp_path / "ct", GRID)
    slices = sorted((tmp_path / "ct").iterdir())
    slices[0].rename(tmp_path / "ct" / "1.dcm")
    source = write_segmentation(labels, tmp_path / "in.seg.nrrd")
    like = write_volume(Volume(np.zeros(GRID.shape, np.int16), GRID), tmp_path / "x.nii.gz")
    (tmp_path / "link.nii.gz").symlink_to(like)
    before = (tmp_path / target).read_bytes()
    like = tmp_path / "ct" if target.startswith("ct") else like
    said = run(source, tmp_path / target, "--like", like, "--overwrite", code=2).stderr
    assert "is read by this command" in said
    assert (tmp_path / target).read_bytes() == before


def test_a_folder_of_pictures_does_not_give_way_to_its_own_conversion(tmp_path: Path) -> None:
    pictures = write_volume(Volume(np.arange(120).reshape(4, 5, 6), GRID), tmp_path / "scan.png")
    before = {path.name: path.read_bytes() for path in pictures.iterdir()}
    assert "is read by this command" in run(pictures, tmp_path / "scan.png", "--overwrite", code=2).stderr
    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == before


def test_labels_that_lost_their_place_are_put_on_the_scan_when_asked(
    tmp_path: Path, labels: Segmentation
) -> None:
    like = write_volume(Volume(np.zeros(GRID.shape, np.int16), GRID), tmp_path / "x.nii.gz")
    lost = write_segmentation(labels.replaced(geometry=Geometry(GRID.shape)), tmp_path / "in.nii.gz")
    words = (lost, tmp_path / "out.nii.gz", "--like", like, "--as", "labels")
    assert "--mask-place" in run(*words, code=2).stderr
    assert not (tmp_path / "out.nii.gz").exists()
    run(*words, "--mask-place", "voxels")
    found = read_segmentation(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(found.labels, labels.labels)
    assert found.geometry.isclose(GRID)
