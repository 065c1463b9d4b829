"""What is written comes back: array, spacing, origin, direction, physical place."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cpclnet.errors import OutputError
from napari_cpclnet.imaging import (
    Geometry,
    Segmentation,
    Volume,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)

from .itk import read_by_itk

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


@st.composite
def grids(draw) -> Geometry:
    shape = draw(st.tuples(*[st.integers(1, 7)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.3, 6.0)] * 3))
    origin = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    matrix = np.eye(3)[list(draw(st.permutations(range(3))))] * signs
    angle = draw(st.sampled_from([0.0, 0.0, 0.1, -0.7]))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return Geometry(shape, spacing, origin, tuple(map(tuple, (turn @ matrix).tolist())))


@settings(deadline=None, max_examples=40)
@given(grids(), st.sampled_from(SUFFIXES), st.sampled_from([np.uint8, np.int16, np.int32, np.float32]))
def test_a_volume_comes_back_as_it_was(geometry: Geometry, suffix: str, dtype) -> None:
    array = (np.arange(np.prod(geometry.shape)).reshape(geometry.shape) % 200).astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scan{suffix}"
        write_volume(Volume(array, geometry), path)
        back = read_volume(path)
        assert [p.name for p in Path(folder).iterdir()] == [path.name]  # no temporary file is left
    np.testing.assert_array_equal(back.array, array)
    assert back.array.dtype == dtype
    assert back.geometry.isclose(geometry)


@settings(deadline=None, max_examples=40)
@given(grids(), st.sampled_from(SUFFIXES), st.data())
def test_a_painted_voxel_comes_back_at_the_same_physical_place(geometry: Geometry, suffix: str, data) -> None:
    voxel = tuple(data.draw(st.integers(0, n - 1)) for n in geometry.shape)
    labels = np.zeros(geometry.shape, np.uint8)
    labels[voxel] = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"mask{suffix}"
        write_segmentation(Segmentation(labels, {3: "x"}, geometry, "mask"), path)
        image = read_by_itk(path)
        back = read_segmentation(path, like=geometry)
    place = geometry.index_to_world([voxel])[0]
    # SimpleITK, which knows nothing of Geometry, finds the label at that place.
    assert image[image.TransformPhysicalPointToIndex([float(v) for v in place[::-1]])] == 3
    assert tuple(np.argwhere(back.labels == 3)[0]) == voxel
    assert back.geometry == geometry


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_paths_may_have_spaces_and_umlauts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "Größe 測試 ordner" / f"schicht 1 ü{suffix}"
    path.parent.mkdir()
    write_volume(Volume(np.ones((2, 3, 4), np.int16), Geometry((2, 3, 4))), path)
    assert read_volume(path).name == "schicht 1 ü"


def test_nrrd_carries_the_names_of_the_classes(tmp_path: Path) -> None:
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[0, 0, 0], labels[1, 1, 1], labels[1, 2, 3] = 2, 5, 9
    path = tmp_path / "organs.seg.nrrd"
    write_segmentation(Segmentation(labels, {2: "liver", 5: "left kidney"}, Geometry((2, 3, 4)), "s"), path)
    assert read_segmentation(path).classes == {2: "liver", 5: "left kidney", 9: "label 9"}
    assert read_segmentation(path, classes={2: "Leber"}).classes[2] == "Leber"
    assert read_by_itk(path).GetMetaData("Segment0_Name") == "liver"


def test_large_labels_keep_their_values(tmp_path: Path) -> None:
    labels = np.array([[[0, 1, 255, 300]]], np.uint16)
    path = tmp_path / "atlas.nii.gz"
    write_segmentation(Segmentation(labels, {}, Geometry(labels.shape), "atlas"), path)
    np.testing.assert_array_equal(read_segmentation(path).labels, labels)


def test_an_existing_result_survives_a_failed_write(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "mask.nii.gz"
    segmentation = Segmentation(np.ones((2, 3, 4), np.uint8), {1: "a"}, Geometry((2, 3, 4)), "s")
    write_segmentation(segmentation, path)
    before = path.read_bytes()

    def refuse(self, image):
        raise RuntimeError("No space left on device")

    monkeypatch.setattr(sitk.ImageFileWriter, "Execute", refuse)
    with pytest.raises(OutputError, match="cannot be written"):
        write_segmentation(segmentation, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".nrrd", ".seg.nrrd", ".mha"])
def test_nothing_is_left_of_a_file_that_does_not_fit_on_the_disk(tmp_path: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource", reason="limits of files are a matter of Unix")
    path = tmp_path / f"mask{suffix}"
    small = Segmentation(np.ones((2, 3, 4), np.uint8), {1: "a"}, Geometry((2, 3, 4)), "s")
    write_segmentation(small, path)
    before = path.read_bytes()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 40)).astype(np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write_segmentation(Segmentation(noise, {}, Geometry(noise.shape), "s"), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_a_full_disk_cut_short_is_not_accepted(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "mask.nii"
    execute = sitk.ImageFileWriter.Execute

    def cut(self, image):
        execute(self, image)
        whole = Path(self.GetFileName()).read_bytes()
        Path(self.GetFileName()).write_bytes(whole[:-100])

    monkeypatch.setattr(sitk.ImageFileWriter, "Execute", cut)
    labels = np.ones((8, 8, 8), np.uint8)
    with pytest.raises(OutputError, match="disk is full"):
        write_segmentation(Segmentation(labels, {1: "a"}, Geometry((8, 8, 8)), "s"), path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"), [("mask.jpg", "suffix must be one of"), ("no/mask.nii.gz", "does not exist")]
)
def test_where_nothing_can_be_written_one_sentence_says_why(tmp_path: Path, name: str, message: str) -> None:
    segmentation = Segmentation(np.ones((2, 3, 4), np.uint8), {}, Geometry((2, 3, 4)), "s")
    with pytest.raises(OutputError, match=message):
        write_segmentation(segmentation, tmp_path / name)
