"""MetaImage files: every field against SimpleITK where that reads it, and what no library may be given."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tests.imaging.itk import read_by_itk

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import Geometry, Volume, read_segmentation, read_volume, write_volume

ARRAY = np.arange(60, dtype="<i2").reshape(3, 4, 5)
BINARY = "BinaryData = True\nBinaryDataByteOrderMSB = False\n"
TURNED = "TransformMatrix = 0.6 0.8 0 -0.8 0.6 0 0 0 1\nOffset = 10 -20.5 30\nElementSpacing = 1.5 2 3\n"


def meta(
    path: Path,
    text: str = BINARY + TURNED,
    *,
    data: bytes = ARRAY.tobytes(),
    kind: str = "MET_SHORT",
    sizes: str = "5 4 3",
    source: str = "LOCAL",
) -> Path:
    """A MetaImage file line by line, to say what no library would write."""
    head = (
        f"ObjectType = Image\nNDims = {len(sizes.split())}\n{text}DimSize = {sizes}\nElementType = {kind}\n"
    )
    path.write_bytes(f"{head}ElementDataFile = {source}\n".encode() + data)
    return path


def same_as_sitk(path: Path) -> None:
    image, volume = read_by_itk(path), read_volume(path)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image).reshape(volume.array.shape))
    np.testing.assert_allclose(volume.geometry.affine, Geometry.from_sitk(image).affine, atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        TURNED,
        "Rotation = 0 1 0 -1 0 0 0 0 1\nPosition = 1 2 3\nElementSpacing = 1 2 3\n",
        "Orientation = 0 1 0 0 0 1 1 0 0\nOrigin = 1 2 3\nElementSize = 1 2 3\n",
        TURNED + "AnatomicalOrientation = LPS\nCenterOfRotation = 7 8 9\n",
        TURNED + "Foo = 1\nFoo = 2\nModality = MET_MOD_CT\nComment = a = b\n",
        TURNED.replace("1.5 2 3", "-1.5 2 3"),
    ],
)
def test_a_place_in_the_patient_is_that_of_simpleitk(tmp_path: Path, text: str) -> None:
    path = meta(tmp_path / "a.mha", BINARY + text)
    same_as_sitk(path)
    assert read_volume(path).calibrated
    assert not any("how the scan lies" in note for note in read_volume(path).notes)


def test_what_a_header_leaves_open_is_said(tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mha", BINARY)
    same_as_sitk(path)
    volume = read_volume(path)
    assert not volume.calibrated
    assert any("no voxel size; 1 mm is a placeholder" in note for note in volume.notes)
    assert any("does not say how the scan lies" in note for note in volume.notes)
    assert any("no voxel size" in note for note in read_segmentation(path).notes)


@pytest.mark.parametrize(("unit", "mm"), [("um", 1e-3), ("mm", 1), ("cm", 10), ("?", 1)])
def test_units_of_length_become_mm(tmp_path: Path, unit: str, mm: float) -> None:
    path = meta(tmp_path / "a.mha", f"{BINARY}{TURNED}DistanceUnits = {unit}\n")
    expected = Geometry.from_sitk(read_by_itk(path)).affine
    expected[:3] *= mm
    np.testing.assert_allclose(read_volume(path).geometry.affine, expected, rtol=1e-12)
    strange = read_volume(meta(tmp_path / "b.mha", f"{BINARY}{TURNED}DistanceUnits = ell\n"))
    assert any("(ell) are not known" in note for note in strange.notes)


TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("kind", "code"), TYPES.items())
def test_every_type_in_either_order_packed_and_as_text(
    tmp_path: Path, kind: str, code: str, big: bool
) -> None:
    array = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype((">" if big else "<") + code)
    raw, order = array.tobytes(), f"BinaryDataByteOrderMSB = {big}\n{TURNED}"
    forms = {
        "plain": (f"BinaryData = True\n{order}", raw),
        "zlib": (f"BinaryData = True\nCompressedData = True\n{order}", zlib.compress(raw)),
        "gzip": (f"BinaryData = True\nCompressedData = True\n{order}", gzip.compress(raw)),
        "text": (f"BinaryData = False\n{order}", " ".join(f"{value:g}" for value in array.ravel()).encode()),
    }
    for name, (text, data) in forms.items():
        path = meta(tmp_path / f"{name}.mha", text, data=data, kind=kind)
        found = read_volume(path).array
        np.testing.assert_array_equal(found, array)
        assert found.dtype.isnative
        if name == "plain":
            same_as_sitk(path)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_what_simpleitk_writes_is_read_as_it_reads_it(tmp_path: Path, dimension: int, packed: bool) -> None:
    array = np.random.default_rng(0).integers(-500, 500, (2, 3, 4, 5)[-dimension:]).astype(np.int16)
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing((0.7, 1 / 3, 2.5, 1.0)[:dimension])
    image.SetOrigin((1e-7, -100.3, 1e5, 0.0)[:dimension])
    path = tmp_path / "a.mha"
    sitk.WriteImage(image, str(path), packed)
    if dimension < 4:
        same_as_sitk(path)
    else:
        for number in range(2):
            volume = read_volume(path, series=str(number))
            np.testing.assert_array_equal(volume.array, array[number])
            assert volume.geometry.spacing == pytest.approx((2.5, 1 / 3, 0.7))


@pytest.mark.parametrize("skip", [7, -1])
def test_a_header_before_the_voxels_is_skipped(tmp_path: Path, skip: int) -> None:
    (tmp_path / "voxels").write_bytes(b"1234567" + ARRAY.tobytes())
    path = meta(tmp_path / "a.mhd", f"{BINARY}{TURNED}HeaderSize = {skip}\n", data=b"", source="voxels")
    same_as_sitk(path)


def test_a_scale_of_the_values_is_applied_and_said(tmp_path: Path) -> None:
    text = "ElementToIntensityFunctionSlope = 0.5\nElementToIntensityFunctionOffset = -10\n"
    volume = read_volume(meta(tmp_path / "a.mha", BINARY + TURNED + text))
    np.testing.assert_allclose(volume.array, ARRAY * 0.5 - 10)
    assert any("0.5 x stored + -10" in note for note in volume.notes)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("NDims = -1\n", "ndims is said twice"),
        ("DimSize = 1 1 1\n", "dimsize is said twice"),
        ("Offset = 1 2 3\nPosition = 1 2 3\n", "offset is said twice"),
        ("TransformMatrix = 1 0 0 0 1 0 1e308 0 1\n", "TransformMatrix"),
        ("TransformMatrix = 1 0 0 0 1 0 nan 0 1\n", "TransformMatrix"),
        ("TransformMatrix = 1 0 0 0 1 0\n", "TransformMatrix"),
        ("TransformMatrix = 1 0 0 1 0 0 0 0 1\n", "invertible"),
        ("ElementSpacing = 1 2 0\n", "singular"),
        ("ElementSpacing = 1 2\n", "elementspacing 1 2"),
        ("ElementSpacing = 1,5 2 3\n", "elementspacing 1,5"),
        ("Offset = 1 2 inf\n", "Offset 1 2 inf"),
        ("CompressedData = perhaps\n", "compresseddata perhaps"),
        ("ElementNumberOfChannels = 3\n", "is truncated"),
        ("ElementNumberOfChannels = 0\n", "ElementNumberOfChannels 0"),
        ("HeaderSize = 5\n", "HeaderSize 5"),
        ("HeaderSize = -2\n", "HeaderSize -2"),
        ("ElementToIntensityFunctionSlope = 0\n", "Slope 0"),
        ("Offset = \x1b[31m 2 3\n", "Offset \\?"),
        ("ElementByteOrderMSB = False\nBinaryDataByteOrderMSB = True\n", "said twice"),
    ],
)
def test_a_damaged_header_is_one_printable_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = meta(tmp_path / "a.mha", "BinaryData = True\n" + text)
    with pytest.raises(ImageError, match=sentence) as caught:
        read_volume(path)
    message = str(caught.value).removeprefix(str(path))
    assert message.isprintable()
    assert len(message) < 250


def test_colours_are_refused(tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mha", f"{BINARY}ElementNumberOfChannels = 3\n", data=ARRAY.tobytes() * 3)
    with pytest.raises(ImageError, match="3 values per voxel"):
        read_volume(path)


@pytest.mark.parametrize(
    "turned", [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, -1)), ((1, 0, 2), (1, -1, 1))]
)
def test_the_header_that_is_written_says_what_simpleitk_would(tmp_path: Path, turned) -> None:
    order, signs = turned
    direction = tuple(map(tuple, (np.eye(3)[list(order)] * signs).tolist()))
    geometry = Geometry((3, 4, 5), (3.5, 1 / 3, 0.878906), (1e-7, -100.3, 1e5), direction)
    volume = read_volume(write_volume(Volume(ARRAY, geometry), tmp_path / "ours.mha"))
    assert volume.geometry == geometry
    sitk.WriteImage(geometry.to_sitk(ARRAY), str(tmp_path / "theirs.mha"), True)
    ours, theirs = (_header(tmp_path / f"{name}.mha") for name in ("ours", "theirs"))
    assert ours.keys() == theirs.keys()
    for key, text in theirs.items():
        if key not in ("TransformMatrix", "Offset", "ElementSpacing", "CompressedDataSize"):
            assert ours[key] == text
    same_as_sitk(tmp_path / "ours.mha")


def _header(path: Path) -> dict[str, str]:
    text = path.read_bytes().partition(b"ElementDataFile")[0].decode("ascii")
    return dict(line.split(" = ") for line in text.splitlines())
