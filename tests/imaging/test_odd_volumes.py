"""NIfTI, NRRD and MetaImage files that are out of the ordinary, against independent readers."""

from __future__ import annotations

import gzip
import os
import struct
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import (
    find_scans,
    read_segmentation,
    read_volume,
    write_segmentation,
    write_volume,
)
from napari_cpclnet.imaging.deskew import shear_of

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
NHDR = "NRRD0004\ntype: short\ndimension: 3\nendian: little\nencoding: raw\n"
TYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


def same_as_nibabel(path: Path, *, series: str | None = None) -> None:
    """Values and place of every voxel as nibabel has them."""
    image, volume = nib.load(path), read_volume(path, series=series)
    data = np.asanyarray(image.dataobj)
    if series is not None:
        data = data.reshape(*data.shape[:3], -1, order="F")[..., int(series)]
    data = data.reshape(*data.shape, *(1,) * (3 - data.ndim))
    np.testing.assert_allclose(volume.array, data.T, rtol=1e-6)
    swap = [2, 1, 0, 3]
    np.testing.assert_allclose(
        volume.geometry.affine[np.ix_(swap, swap)], RAS_TO_LPS @ image.affine, atol=1e-4
    )


def oblique(angle: float = 0.3) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, cos, -sin], [0, sin, cos]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * (1.5, 2.0, 3.0)
    affine[:3, 3] = 11, -22, 33
    return affine


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_of_either_version_is_read(tmp_path: Path, version, dtype: str, suffix: str) -> None:
    array = np.random.default_rng(0).integers(0, 100, (4, 5, 6)).astype(dtype)
    path = tmp_path / f"scan{suffix}"
    nib.save(version(array, oblique(), dtype=array.dtype), path)
    same_as_nibabel(path)
    assert read_volume(path).geometry.is_oblique


@pytest.mark.parametrize("version", [nib.Nifti1Header, nib.Nifti2Header])
def test_big_endian_rescaled_values_are_read(tmp_path: Path, version) -> None:
    header = version(endianness=">")
    header.set_data_dtype(">i2")
    image = {nib.Nifti1Header: nib.Nifti1Image, nib.Nifti2Header: nib.Nifti2Image}[version]
    array = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6)).astype(">i2")
    made = image(array, oblique(), header)
    made.header.set_slope_inter(0.37, -12.5)
    path = tmp_path / "scan.nii"
    nib.save(made, path)
    same_as_nibabel(path)
    assert read_volume(path).array.dtype == np.float32


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_phases_of_a_nifti_file_are_chosen_by_number(tmp_path: Path, suffix: str) -> None:
    array = np.random.default_rng(0).integers(0, 500, (4, 5, 6, 3)).astype(np.int16)
    path = tmp_path / f"dynamic{suffix}"
    nib.save(nib.Nifti1Image(array, oblique()), path)
    for phase in "012":
        same_as_nibabel(path, series=phase)
    assert read_volume(path, series="2").name == "dynamic 2"
    for wrong, sentence in (
        ("3", "holds no series 3, only the series 0 to 2"),
        ("first", "has no series first"),
    ):
        with pytest.raises(ImageError, match=sentence):
            read_volume(path, series=wrong)


def test_a_number_in_another_phase_does_not_spoil_the_chosen_one(tmp_path: Path) -> None:
    array = np.ones((4, 5, 6, 2), np.float32)
    array[0, 0, 0, 1] = np.nan
    path = tmp_path / "dynamic.nii.gz"
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    assert read_volume(path, series="0").array.max() == 1
    with pytest.raises(ImageError, match="contains NaN"):
        read_volume(path, series="1")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_phases_of_itk_files_are_chosen_by_number(tmp_path: Path, suffix: str) -> None:
    array = np.random.default_rng(0).integers(0, 500, (2, 3, 4, 5, 6)).astype(np.int16)
    images = [sitk.JoinSeries([sitk.GetImageFromArray(volume) for volume in phases]) for phases in array]
    path = tmp_path / f"dynamic{suffix}"
    sitk.WriteImage(sitk.JoinSeries(images), str(path))
    for number, expected in enumerate(array.reshape(6, 4, 5, 6)):
        np.testing.assert_array_equal(read_volume(path, series=str(number)).array, expected)


@pytest.mark.parametrize("first", [True, False])
def test_a_list_of_volumes_in_nrrd_is_phases(tmp_path: Path, first: bool) -> None:
    array = np.arange(360, dtype="<i2").reshape(3, 6, 5, 4)
    sizes, kinds, axes = (
        ("3 4 5 6", "list domain domain domain", "none (1,0,0) (0,2,0) (0,0,3)")
        if first
        else ("4 5 6 3", "domain domain domain list", "(1,0,0) (0,2,0) (0,0,3) none")
    )
    header = (
        f"NRRD0005\ntype: short\ndimension: 4\nspace: left-posterior-superior\nsizes: {sizes}\n"
        f"space directions: {axes}\nkinds: {kinds}\nendian: little\nencoding: raw\nspace origin: (1,2,3)\n\n"
    )
    path = tmp_path / "sequence.nrrd"
    path.write_bytes(header.encode() + (np.moveaxis(array, 0, -1) if first else array).tobytes())
    for number in range(3):
        volume = read_volume(path, series=str(number))
        np.testing.assert_array_equal(volume.array, array[number])
        assert volume.geometry.spacing == (3.0, 2.0, 1.0)
    with pytest.raises(ImageError, match="holds 3 phases"):
        read_volume(path)


def sheared(dtype, skew: float = 0.3) -> nib.Nifti1Image:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[1, 2] = skew * 3.0
    field = np.indices((6, 7, 8)).astype(np.float64)
    image = nib.Nifti1Image((field[0] * 2 + field[2] * 5 + 9).astype(dtype), None)
    image.header.set_sform(affine, 1)
    image.header.set_qform(None, 0)
    return image


def test_a_sheared_scan_is_resampled_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sheared.nii"
    image = sheared(np.float32)
    nib.save(image, path)
    volume = read_volume(path)
    assert any("sheared" in note and "resampled" in note for note in volume.notes)
    assert shear_of(volume.geometry) < 1e-6
    # What was at the centre of the file is at the same place in the patient.
    world = (RAS_TO_LPS @ image.header.get_sform() @ np.array([3, 3, 4, 1]))[:3][::-1]
    z, y, x = np.rint(volume.geometry.world_to_index([world])[0]).astype(int)
    assert volume.array[z, y, x] == pytest.approx(3 * 2 + 4 * 5 + 9, abs=0.01)


def test_a_sheared_label_map_keeps_its_labels(tmp_path: Path) -> None:
    path = tmp_path / "sheared_label.nii"
    nib.save(sheared(np.uint8), path)
    found = read_segmentation(path)
    assert set(np.unique(found.labels)) <= {0, *range(9, 60)}
    assert any("sheared" in note for note in found.notes)
    write_segmentation(
        found, tmp_path / "straight.nii.gz"
    )  # a NIfTI writer refuses what is not at right angles
    np.testing.assert_array_equal(read_segmentation(tmp_path / "straight.nii.gz").labels, found.labels)


@pytest.mark.parametrize("packed", [True, False])
def test_a_pair_of_header_and_voxels_is_read(tmp_path: Path, packed: bool) -> None:
    array = np.random.default_rng(0).integers(0, 500, (4, 5, 6)).astype(np.int16)
    path = tmp_path / "pair.hdr"
    nib.save(nib.Nifti1Pair(array, oblique()), path)
    same_as_nibabel(path)
    voxels = tmp_path / "pair.img"
    if packed:
        (tmp_path / "pair.img.gz").write_bytes(gzip.compress(voxels.read_bytes()))
    voxels.unlink()
    if packed:
        np.testing.assert_array_equal(read_volume(path).array, array.T)
    else:
        with pytest.raises(ImageError, match=r"pair.img with the voxels is missing"):
            read_volume(path)


def test_the_suffix_does_not_decide_whether_a_file_is_packed(tmp_path: Path) -> None:
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "plain.nii")
    raw = (tmp_path / "plain.nii").read_bytes()
    (tmp_path / "packed.nii").write_bytes(gzip.compress(raw))
    (tmp_path / "plain.nii.gz").write_bytes(raw)
    for name in ("packed.nii", "plain.nii.gz"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, array.T)


def test_one_flipped_bit_in_a_packed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    nib.save(
        nib.Nifti1Image(np.random.default_rng(0).integers(0, 9, (20, 20, 20)).astype(np.int16), np.eye(4)),
        path,
    )
    damaged = bytearray(path.read_bytes())
    damaged[-6] ^= 1  # in the checksum, as any flipped voxel would contradict it
    path.write_bytes(damaged)
    with pytest.raises(ImageError, match="truncated or damaged gzip"):
        read_volume(path)


def test_numbers_behind_the_voxels_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.int16), np.eye(4)), path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"more"))
    assert read_volume(path).array.sum() == 60


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"huge{suffix}"
    if ".nii" in suffix:
        nib.save(nib.Nifti2Image(np.zeros((2, 2, 2), np.float64), np.eye(4)), path)
        raw = path.read_bytes() if suffix == ".nii" else gzip.decompress(path.read_bytes())
        raw = raw[:24] + struct.pack("<3q", 1 << 20, 1 << 20, 1 << 20) + raw[48:]
        path.write_bytes(raw if suffix == ".nii" else gzip.compress(raw))
    else:
        sitk.WriteImage(sitk.Image(2, 2, 2, sitk.sitkFloat64), str(path), suffix == ".nrrd")
        key = b"sizes: 2 2 2" if suffix == ".nrrd" else b"DimSize = 2 2 2"
        path.write_bytes(path.read_bytes().replace(key, key.replace(b"2 2 2", b"1048576 1048576 1048576")))
    with pytest.raises(ImageError, match=r"truncated|more than this machine's memory"):
        read_volume(path)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("/dev/zero", "outside its folder"),
        ("../secret.raw", "outside its folder"),
        ("deeper/secret.raw", "outside its folder"),
        ("..\\secret.raw", "outside its folder"),
        ("LIST\n../secret.raw", "outside its folder"),
        ("../secret%d.raw 1 1 1", "outside its folder"),
        (".", "outside its folder"),
        ("missing.raw", "is missing"),
        ("nul\0.raw", "is missing"),
        ("folder", "is no plain file"),
    ],
)
@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_header_that_points_elsewhere_is_refused(
    tmp_path: Path, suffix: str, target: str, sentence: str
) -> None:
    folder = tmp_path / "scans"
    (folder / "folder").mkdir(parents=True)
    (folder / "deeper").mkdir()
    for name in ("secret.raw", "secret1.raw", "scans/deeper/secret.raw"):
        (tmp_path / name).write_bytes(bytes(120))
    text = {
        ".nhdr": f"{NHDR}sizes: 3 4 5\ndata file: {target}\n",
        ".mhd": f"NDims = 3\nDimSize = 3 4 5\nElementType = MET_SHORT\nElementDataFile = {target}\n",
    }[suffix]
    path = folder / f"scan{suffix}"
    path.write_text(text)
    with pytest.raises(ImageError, match=sentence):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
@pytest.mark.parametrize("how", ["pattern", "list"])
def test_slices_in_files_of_their_own_are_read(tmp_path: Path, suffix: str, how: str) -> None:
    array = np.arange(60, dtype="<i2").reshape(3, 4, 5)
    for number, picture in enumerate(array, start=1):
        (tmp_path / f"s{number}.raw").write_bytes(picture.tobytes())
    named = "s%d.raw 1 3 1" if how == "pattern" else "LIST" + "".join(f"\ns{n}.raw" for n in (1, 2, 3))
    text = {
        ".nhdr": f"{NHDR}sizes: 5 4 3\ndata file: {named}\n",
        ".mhd": "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 5 4 3\n"
        f"ElementType = MET_SHORT\nElementDataFile = {named}\n",
    }[suffix]
    path = tmp_path / f"scan{suffix}"
    path.write_text(text)
    np.testing.assert_array_equal(read_volume(path).array, array)


def test_spaces_and_letters_of_any_alphabet_in_paths(tmp_path: Path) -> None:
    folder = tmp_path / "Ärzte Haus 病院 №1"
    folder.mkdir()
    source = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    for name in ("Leber größe.nii.gz", "肝臓.nrrd", "печень 2.mha"):
        write_volume(read_volume(_written(source, tmp_path / "plain.nii.gz")), folder / name)
        np.testing.assert_array_equal(read_volume(folder / name).array, sitk.GetArrayFromImage(source))
    assert len(find_scans(folder)) == 3


def test_two_files_of_one_name_are_two_scans(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        _written(sitk.Image(3, 4, 5, sitk.sitkInt16), tmp_path / folder / "scan.nii.gz")
    _written(sitk.Image(3, 4, 5, sitk.sitkInt16), tmp_path / "scan.nii.gz")
    _written(sitk.Image(3, 4, 5, sitk.sitkInt16), tmp_path / "scan.nrrd")
    assert len({ref.path for ref in find_scans(tmp_path)}) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights there")
def test_a_link_to_itself_is_said(tmp_path: Path) -> None:
    (tmp_path / "nowhere.nii").symlink_to(tmp_path / "nowhere.nii")
    with pytest.raises(ImageError):
        read_volume(tmp_path / "nowhere.nii")


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="needs a user who may not read everything"
)
def test_a_file_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    path = _written(sitk.Image(3, 4, 5, sitk.sitkInt16), tmp_path / "scan.nii.gz")
    path.chmod(0)
    with pytest.raises(ImageError, match="cannot be opened"):
        read_volume(path)


@pytest.mark.parametrize("size", [1e-4, 500.0, 1e5])
def test_unusual_voxel_sizes_are_read_as_they_are(tmp_path: Path, size: float) -> None:
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.int16), np.diag([size, size, size, 1])), path)
    assert read_volume(path).geometry.spacing == pytest.approx((size,) * 3)


@pytest.mark.parametrize(("units", "factor"), [("meter", 1000.0), ("mm", 1.0), ("micron", 0.001)])
def test_units_of_length_are_heeded(tmp_path: Path, units: str, factor: float) -> None:
    image = nib.Nifti1Image(np.ones((3, 4, 5), np.int16), np.diag([2.0, 3.0, 4.0, 1]))
    image.header.set_xyzt_units(units)
    nib.save(image, tmp_path / "scan.nii")
    assert read_volume(tmp_path / "scan.nii").geometry.spacing == pytest.approx(
        (4 * factor, 3 * factor, 2 * factor)
    )


def _written(image: sitk.Image, path: Path) -> Path:
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights there")
def test_a_folder_that_holds_itself_is_searched_once(tmp_path: Path) -> None:
    _written(sitk.Image(3, 4, 5, sitk.sitkInt16), tmp_path / "scan.nii.gz")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert [ref.path.name for ref in find_scans(tmp_path)] == ["scan.nii.gz"]
