"""NRRD files: every field against SimpleITK where that reads it, and what no library may be given."""

from __future__ import annotations

import bz2
import gzip
import itertools
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.imaging.itk import read_by_itk

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import Geometry, read_segmentation, read_volume

ARRAY = np.arange(60, dtype="<i2").reshape(3, 4, 5)
DIRECTIONS = "space directions: (0.6,0.8,0) (-1.6,1.2,0) (0,0,3)"
ORIGIN = "space origin: (10,-20.5,30)"
PLACED = ("space: left-posterior-superior", DIRECTIONS, ORIGIN)


def nrrd(
    path: Path,
    *fields: str,
    data: bytes = ARRAY.tobytes(),
    kind: str = "short",
    sizes: str = "5 4 3",
    encoding: str = "raw",
    endian: str = "little",
) -> Path:
    """An NRRD file line by line, to say what no library would write."""
    head = ["NRRD0005", f"type: {kind}", f"dimension: {len(sizes.split())}", f"sizes: {sizes}"]
    head += [f"endian: {endian}", f"encoding: {encoding}", *fields, "", ""]
    path.write_bytes("\n".join(head).encode() + data)
    return path


def same_as_sitk(path: Path) -> None:
    image, volume = read_by_itk(path), read_volume(path)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image).reshape(volume.array.shape))
    np.testing.assert_allclose(volume.geometry.affine, Geometry.from_sitk(image).affine, atol=1e-12)


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior", "LPS", "RAS", "LAS"])
def test_a_place_in_the_patient_is_that_of_simpleitk(tmp_path: Path, space: str) -> None:
    path = nrrd(
        tmp_path / "a.nrrd", f"space: {space}", "space directions: (1,0.5,0) (-1,2,0) (0,0,3)", ORIGIN
    )
    same_as_sitk(path)
    assert not any("how the scan lies" in note for note in read_volume(path).notes)


@pytest.mark.parametrize(
    "fields",
    [
        ("spacings: 1 2 3",),
        ("spacings: -1 2 3", "axis mins: 10 20 30"),
        ("spacings: 1 2 3", "axis mins: 10 20 30", "centerings: node node cell"),
        ("space dimension: 3", DIRECTIONS, ORIGIN),
        ("space: scanner-xyz", DIRECTIONS, ORIGIN),
    ],
)
def test_axes_without_a_patient_are_those_of_simpleitk_and_noted(tmp_path: Path, fields) -> None:
    path = nrrd(tmp_path / "a.nrrd", *fields)
    same_as_sitk(path)
    volume = read_volume(path)
    assert volume.calibrated
    assert any("does not say how the scan lies" in note for note in volume.notes)


def test_ends_of_axes_are_their_spacing(tmp_path: Path) -> None:
    fields = ("axis mins: 0 0 0", "axis maxs: 10 6 6", "centerings: cell node node")
    volume = read_volume(nrrd(tmp_path / "a.nrrd", *fields))
    assert volume.geometry.spacing == (3.0, 2.0, 2.0)
    assert volume.geometry.origin == (0.0, 0.0, 1.0)
    assert volume.calibrated


@pytest.mark.parametrize(
    "fields", [(), ("spacings: nan 2 3",), ("space: LPS", ORIGIN), ("thicknesses: 3 3 3",)]
)
def test_a_missing_voxel_size_is_said_and_nothing_counted_in_ml(tmp_path: Path, fields) -> None:
    path = nrrd(tmp_path / "a.nrrd", *fields)
    volume = read_volume(path)
    assert not volume.calibrated
    assert any("no voxel size; 1 mm is a placeholder" in note for note in volume.notes)
    assert any("no voxel size" in note for note in read_segmentation(path).notes)


@pytest.mark.parametrize(
    ("unit", "mm"), [("um", 1e-3), ("mm", 1), ("microns", 1e-3), ("cm", 10), ("m", 1000), ("", 1)]
)
def test_units_of_length_become_mm(tmp_path: Path, unit: str, mm: float) -> None:
    quoted = f'"{unit}" "{unit}" "{unit}"'
    placed = nrrd(tmp_path / "a.nrrd", "space: RAS", DIRECTIONS, ORIGIN, f"space units: {quoted}")
    volume = read_volume(placed)
    expected = Geometry.from_sitk(read_by_itk(placed)).affine
    expected[:3] *= mm
    np.testing.assert_allclose(volume.geometry.affine, expected, rtol=1e-12)
    assert volume.calibrated and not any("unit" in note for note in volume.notes)
    spaced = nrrd(tmp_path / "b.nrrd", "spacings: 1 2 3", f"units: {quoted}", "axis mins: 1 1 1")
    assert read_volume(spaced).geometry.spacing == pytest.approx((3 * mm, 2 * mm, mm))
    assert read_volume(spaced).geometry.origin == pytest.approx((2.5 * mm, 2 * mm, 1.5 * mm))


def test_an_unknown_unit_is_said(tmp_path: Path) -> None:
    volume = read_volume(nrrd(tmp_path / "a.nrrd", *PLACED, 'space units: "mm" "mm" "ell"'))
    assert any("(ell) are no known unit of length" in note for note in volume.notes)


def test_a_missing_origin_is_said(tmp_path: Path) -> None:
    volume = read_volume(nrrd(tmp_path / "a.nrrd", "space: LPS", DIRECTIONS))
    assert volume.geometry.origin == (0, 0, 0)
    assert any("where its first voxel lies" in note for note in volume.notes)


def test_a_measurement_frame_and_fields_of_other_programs_change_nothing(tmp_path: Path) -> None:
    more = (
        "measurement frame: (0,1,0) (1,0,0) (0,0,-1)",
        "content: x",
        "a key:=a value: with more",
        "# 1: 2",
    )
    same_as_sitk(nrrd(tmp_path / "a.nrrd", *PLACED, *more))


TYPES = {
    "signed char": "i1",
    "uchar": "u1",
    "short": "i2",
    "unsigned short": "u2",
    "int": "i4",
    "uint32": "u4",
    "long long": "i8",
    "unsigned long long": "u8",
    "float": "f4",
    "double": "f8",
}


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize(("kind", "code"), TYPES.items())
def test_every_type_in_either_order_and_every_encoding(
    tmp_path: Path, kind: str, code: str, endian: str
) -> None:
    array = (np.random.default_rng(0).integers(0, 100, (3, 4, 5))).astype(
        ("<" if endian == "little" else ">") + code
    )
    raw = array.tobytes()
    forms = {
        "raw": raw,
        "gzip": gzip.compress(raw[:50]) + gzip.compress(raw[50:]),
        "gz": zlib.compress(raw),
        "bzip2": bz2.compress(raw[:50]) + bz2.compress(raw[50:]),
        "hex": raw.hex("\n", 20).upper().encode(),
        "ascii": ", ".join(f"{value:g}" for value in array.ravel()).encode() + b"\n",
    }
    for encoding, data in forms.items():
        path = nrrd(
            tmp_path / f"{encoding}.nrrd", *PLACED, data=data, kind=kind, encoding=encoding, endian=endian
        )
        found = read_volume(path).array
        np.testing.assert_array_equal(found, array)
        assert found.dtype.isnative
        assert found.dtype == (np.float32 if code == "f8" else np.dtype(code))
        if encoding in ("raw", "hex"):
            same_as_sitk(path)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("skip", ["byte skip: 7", "byte skip: -1", "line skip: 2"])
def test_what_stands_before_the_voxels_is_skipped(tmp_path: Path, encoding: str, skip: str) -> None:
    pack = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}[encoding]
    raw = ARRAY.tobytes()
    data = b"one\ntwo\n" + pack(raw) if "line" in skip else pack(b"1234567" + raw)
    path = nrrd(tmp_path / "a.nrrd", *PLACED, skip, data=data, encoding=encoding)
    np.testing.assert_array_equal(read_volume(path).array, ARRAY)
    (tmp_path / "voxels").write_bytes(data)
    apart = nrrd(tmp_path / "a.nhdr", *PLACED, skip, "data file: ./voxels", data=b"", encoding=encoding)
    np.testing.assert_array_equal(read_volume(apart).array, ARRAY)


@settings(deadline=None, max_examples=40)
@given(st.permutations(["x", "y", "z", "list", "time"]), st.integers(0, 5))
def test_phases_may_lie_anywhere_among_the_axes(tmp_path_factory, order: list[str], chosen: int) -> None:
    space = [name for name in order if len(name) == 1]
    phase = [name for name in order if len(name) > 1]
    lengths = dict(zip([*space, *phase], (2, 3, 4, 2, 3), strict=True))
    sizes = [lengths[name] for name in order]
    data = np.arange(np.prod(sizes), dtype="<i2")
    vectors = iter(("(1,0,0)", "(0,1,0)", "(0,0,1)"))
    directions = " ".join("none" if len(name) > 1 else next(vectors) for name in order)
    kinds = " ".join(name if len(name) > 1 else "space" for name in order)
    path = nrrd(
        tmp_path_factory.getbasetemp() / "order.nrrd",
        *("space: LPS", f"space directions: {directions}", f"kinds: {kinds}", "space origin: (0,0,0)"),
        data=data.tobytes(),
        sizes=" ".join(map(str, sizes)),
    )
    volume = read_volume(path, series=str(chosen))
    steps = dict(zip(order, np.cumprod([1, *sizes[:-1]]), strict=True))
    offset = chosen % 2 * steps[phase[0]] + chosen // 2 * steps[phase[1]]
    for z, y, x in itertools.product(range(4), range(3), range(2)):
        at = offset + z * steps[space[2]] + y * steps[space[1]] + x * steps[space[0]]
        assert volume.array[z, y, x] == data[at]


@pytest.mark.parametrize("packed", [True, False])
def test_slices_across_files_are_read_by_phase(tmp_path: Path, packed: bool) -> None:
    array = np.arange(240, dtype="<i2").reshape(4, 3, 4, 5)
    for number, part in enumerate(array.reshape(2, -1)):  # two phases in each file
        (tmp_path / f"p{number:02d}").write_bytes(gzip.compress(part.tobytes()) if packed else part.tobytes())
    path = nrrd(
        tmp_path / "a.nhdr",
        "data file: p%02d 0 1 1 4",
        *("space: LPS", f"{DIRECTIONS} none", ORIGIN),
        data=b"",
        sizes="5 4 3 4",
        encoding="gzip" if packed else "raw",
    )
    for number in range(4):
        np.testing.assert_array_equal(read_volume(path, series=str(number)).array, array[number])


def test_a_picture_may_lie_anywhere_in_the_patient(tmp_path: Path) -> None:
    fields = ("space: LPS", "space directions: (0,2,0) (0,0,-3)", ORIGIN)
    volume = read_volume(nrrd(tmp_path / "a.nrrd", *fields, sizes="5 12"))
    assert volume.geometry.shape == (1, 12, 5)
    world = volume.geometry.index_to_world([(0, 2, 1)])[0]
    np.testing.assert_allclose(world, (30 - 6, -20.5 + 2, 10))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (("kinds: " + "A" * 2000 + " domain domain",), "kinds"),
        (("A" * 2000,), "a line without a colon: A{40}"),
        (("A" * 2000 + ": 1",), "unknown field a{40}"),
        (("foo: 1",), "unknown field foo"),
        (("nonsense",), "line without a colon"),
        (("sizes: 5 4 3",), "sizes is said twice"),
        (("datafile: a", "data file: b"), "data file is said twice"),
        (("spacings: 1 2 3", *PLACED), "spacings and space directions"),
        (("spacings: 1 2",), "spacings"),
        (("spacings: 1 2 0",), "spacings 0"),
        (("spacings: 1 2 1e999",), "spacings 1e999"),
        (("spacings: 1 2 inf",), "spacings inf"),
        (("spacings: 1,5 2 3",), "spacings 1,5"),
        (("space: sideways",), "space sideways"),
        (("space: LPS", "space dimension: 3"), "space and space dimension"),
        (("space: LPS", "space directions: (1,0) (0,2) (0,3)"), "space directions"),
        (("space: LPS", "space directions: (1,0,nan) (0,2,0) (0,0,3)"), "space directions"),
        (("space: LPS", "space directions: (1,0,0) (1,0,0) (0,0,3)"), "invertible"),
        (("space: LPS", "space directions: (1,0,0) (0,0,0) (0,0,3)"), "singular"),
        (("space: LPS", "space directions: (1e300,0,0) (0,1,0) (0,0,3)"), "space directions"),
        (("byte skip: -2",), "byte skip -2"),
        (("line skip: 99",), "line skip 99"),
        (("byte skip: 999999999999",), "is truncated"),
        (("kinds: vector domain domain",), "5 values per voxel"),
        (("kinds: complex domain domain",), "complex numbers"),
        (('space units: "mm"',), "space units"),
        (("content: \x00\x1b[31m", "foo\x1b: 1"), "unknown field foo\\?"),
    ],
)
def test_a_damaged_header_is_one_printable_sentence(tmp_path: Path, fields, sentence: str) -> None:
    path = nrrd(tmp_path / "a.nrrd", *fields)
    with pytest.raises(ImageError, match=sentence) as caught:
        read_volume(path)
    message = str(caught.value).removeprefix(str(path))
    assert message.isprintable()
    assert len(message) < 250


@pytest.mark.parametrize(
    ("encoding", "data", "sentence"),
    [
        ("ascii", b"1 2 3 " + b"Z" * 3000 + b" 4" * 57, "among the numbers of its voxels"),
        ("ascii", b"1 2 3 " + b"1" * 3000 + b" 4" * 57, "more than 400 digits"),
        ("ascii", b"70000 " + b" 4" * 59, "no number of the type"),
        ("ascii", b"1.5 " + b" 4" * 59, "no number of the type"),
        ("ascii", b"1 " * 59 + b" " * 60, "is truncated"),
        ("hex", b"00" * 119 + b"  ", "is truncated"),
        ("gzip", gzip.compress(ARRAY.tobytes(), mtime=0)[:-30], "is truncated"),
        ("gzip", gzip.compress(ARRAY.tobytes(), mtime=0)[:-8] + bytes(8), "are damaged"),
        ("gzip", b"\x1f\x8b\x08rubbish" * 20, "are damaged"),
        ("bzip2", bz2.compress(ARRAY.tobytes())[:-30], "is truncated"),
        ("bzip2", b"BZh9rubbish" * 20, "are damaged"),
        ("raw", bytes(119), "is truncated"),
    ],
)
def test_damaged_voxels_are_one_sentence(tmp_path: Path, encoding: str, data: bytes, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        read_volume(nrrd(tmp_path / "a.nrrd", data=data, encoding=encoding))


def test_no_more_is_unpacked_than_the_header_promises(tmp_path: Path) -> None:
    import tracemalloc

    bomb = gzip.compress(bytes(300 << 20), 9)
    for skip in ("byte skip: 0", "byte skip: 1000", "byte skip: -1"):
        path = nrrd(tmp_path / "a.nrrd", *PLACED, skip, data=bomb, encoding="gzip")
        tracemalloc.start()
        if "-1" in skip:
            with pytest.raises(ImageError, match="far more than the voxels"):
                read_volume(path)
        else:
            assert not np.any(read_volume(path).array)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 60 << 20
