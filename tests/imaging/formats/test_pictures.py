from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging import Geometry, find_scans, read_segmentation, read_volume, seed_pairs

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def test_a_picture_is_one_uncalibrated_slice(tmp_path: Path) -> None:
    volume = read_volume(save(tmp_path / "a.png", GREY))
    np.testing.assert_array_equal(volume.array, GREY[np.newaxis])
    assert not volume.calibrated
    assert volume.geometry == Geometry((1, 6, 8))


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    volume = read_volume(save(tmp_path / "a.png", GREY.astype(np.uint16) * 1000))
    assert volume.array.dtype == np.uint16
    assert volume.array.max() == 47000


@pytest.mark.parametrize("channels", [3, 4])
def test_equal_channels_are_grey_and_colours_are_refused(tmp_path: Path, channels: int) -> None:
    colours = np.repeat(GREY[..., None], channels, axis=2)
    np.testing.assert_array_equal(read_volume(save(tmp_path / "grey.png", colours)).array[0], GREY)
    colours[2, 3, 0] += 1
    with pytest.raises(ImageError, match="colour picture"):
        read_volume(save(tmp_path / "red.png", colours))


def test_a_grey_palette_is_grey_and_a_label_palette_is_indices(tmp_path: Path) -> None:
    image = Image.fromarray((GREY % 3).astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 100, 100, 100, 200, 200, 200])
    image.save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "grey.png").array[0], (GREY % 3) * 100)
    np.testing.assert_array_equal(read_segmentation(tmp_path / "grey.png").labels[0], GREY % 3)


def test_a_folder_of_pictures_is_a_stack_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        save(tmp_path / f"slice_{number}.png", np.full((6, 8), number, np.uint8))
    save(tmp_path / "slice_1_label.png", np.zeros((2, 2), np.uint8))
    assert read_volume(tmp_path).array[:, 0, 0].tolist() == [1, 9, 10]
    assert [(s.path, s.name) for s in find_scans(tmp_path)] == [(tmp_path, tmp_path.name)]


def test_slices_of_different_size_are_no_stack(tmp_path: Path) -> None:
    save(tmp_path / "1.png", GREY)
    save(tmp_path / "2.png", GREY[:5])
    with pytest.raises(ImageError, match="a stack needs one size"):
        read_volume(tmp_path)


def test_pages_of_a_tiff_are_slices(tmp_path: Path) -> None:
    stack = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    np.testing.assert_array_equal(read_volume(tmp_path / "stack.tif").array, stack)


def test_a_tiff_of_colours_or_of_phases_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "rgb.tif", rng.integers(0, 9, (5, 6, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "4d.tif", np.ones((2, 3, 5, 6), np.uint8), photometric="minisblack")
    with pytest.raises(ImageError, match="colour picture"):
        read_volume(tmp_path / "rgb.tif")
    with pytest.raises(ImageError, match="two or three dimensions"):
        read_volume(tmp_path / "4d.tif")


def test_a_black_and_white_picture_is_a_mask_of_label_one(tmp_path: Path) -> None:
    mask = save(tmp_path / "mask.png", (GREY > 20).astype(np.uint8) * 255)
    found = read_segmentation(mask)
    assert found.classes == {1: "label 1"}
    np.testing.assert_array_equal(found.labels[0], GREY > 20)
    assert read_segmentation(mask, classes={255: "tumour"}).labels.max() == 255


def test_a_picture_mask_takes_the_place_of_its_scan(tmp_path: Path) -> None:
    mask = save(tmp_path / "mask.png", (GREY > 20).astype(np.uint8))
    scan = Geometry((1, 6, 8), (4.0, 2.0, 2.0), (1.0, 2.0, 3.0))
    assert read_segmentation(mask, like=scan).geometry == scan
    with pytest.raises(GeometryError, match="size"):
        read_segmentation(mask, like=Geometry((1, 6, 9)))


@pytest.mark.parametrize(
    ("name", "modality"),
    [("CT_001", "CT"), ("MR_1", "MR"), ("MRI_002", "MR"), ("PET_3", "PT"), ("PT_3", "PT"), ("CTA", "other")],
)
def test_the_prefix_of_a_picture_is_its_modality(tmp_path: Path, name: str, modality: str) -> None:
    volume = read_volume(save(tmp_path / f"{name}.png", GREY * 4))
    assert volume.modality == modality
    assert (volume.unit == "HU8") == (modality == "CT")
    assert read_volume(volume.source, modality="MR").modality == "MR"


def test_pictures_of_the_published_layout_are_scans_with_masks(tmp_path: Path) -> None:
    for name in ("CT_001", "MRI_002", "MRI_010"):
        save(tmp_path / "images" / f"{name}.png", GREY)
    for name in ("CT_001", "MRI_010"):
        save(tmp_path / "masks" / f"{name}.png", GREY)
    images, masks = tmp_path / "images", tmp_path / "masks"
    expected = [(images / f"{n}.png", masks / f"{n}.png") for n in ("CT_001", "MRI_010")]
    assert seed_pairs(tmp_path) == expected
    for folder in (tmp_path, images):
        assert [s.name for s in find_scans(folder)] == ["CT_001", "MRI_002", "MRI_010"]


def test_a_layout_without_masks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="has no folder images"):
        seed_pairs(tmp_path)
    save(tmp_path / "images" / "CT_001.png", GREY)
    save(tmp_path / "masks" / "CT_002.png", GREY)
    with pytest.raises(ImageError, match="no file in images has a mask"):
        seed_pairs(tmp_path)


def test_a_damaged_tiff_is_refused_without_a_word_on_the_error_stream(tmp_path: Path, capfd) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.ones((4, 30, 40), np.uint8), photometric="minisblack")
    whole = bytearray(path.read_bytes())
    whole[10:24] = b"\xff" * 14  # the first tags
    path.write_bytes(whole)
    with pytest.raises(ImageError):
        read_volume(path)
    assert capfd.readouterr().err == ""


def test_a_tiff_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, np.ones((30, 40), np.uint8), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags["ImageWidth"].overwrite(1_000_000)
        tiff.pages[0].tags["ImageLength"].overwrite(1_000_000)
    with pytest.raises(ImageError, match="is truncated"):
        read_volume(path)


@pytest.mark.parametrize("big", [False, True])
def test_pages_of_a_tiff_file_in_a_circle_are_refused(tmp_path: Path, big: bool) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([GREY] * 3), photometric="minisblack", metadata=None, bigtiff=big)
    np.testing.assert_array_equal(read_volume(path).array, np.stack([GREY] * 3))
    with tifffile.TiffFile(path) as tiff:
        first, last = tiff.pages[0].offset, tiff.pages[2]
        at = last.offset + (8 + len(last.tags) * 20 if big else 2 + len(last.tags) * 12)
    data = bytearray(path.read_bytes())
    width = 8 if big else 4
    assert data[at : at + width] == bytes(width)
    data[at : at + width] = first.to_bytes(width, "little")
    path.write_bytes(data)
    with pytest.raises(ImageError, match="in a circle"):
        read_volume(path)
