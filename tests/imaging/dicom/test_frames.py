"""Enhanced multi-frame images, compressed and other transfer syntaxes, and files that promise more than they hold."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedPETImageStorage,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import Geometry, read_segmentation, read_volume
from napari_cpclnet.imaging.dicom import list_series
from napari_cpclnet.imaging.dicom.codecs import decode_frame

from .dicom_world import assert_in_place, enhanced, error_of, stored, write_place

resource = pytest.importorskip("resource", reason="memory is measured the Unix way")

PLACES = [(-20.0, 30.0, 3.0 * z) for z in (2, 0, 1, 3)]


def save(data, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def test_frames_lie_at_their_places_with_their_slopes(tmp_path: Path) -> None:
    path = save(enhanced(PLACES, slopes=[1 / 32, 1 / 64, 1 / 16, 1 / 40]), tmp_path / "e.dcm")
    for volume in (read_volume(path), read_volume(tmp_path)):
        assert volume.array.shape == (4, 12, 14)
        np.testing.assert_allclose(error_of(volume), 0, atol=0.05)
        assert (volume.modality, volume.unit, volume.notes) == ("CT", "HU", ())
    (info,) = list_series(tmp_path)
    assert (info.n_files, info.n_slices) == (1, 4)
    assert info.spacing == pytest.approx((3.0, 2.0, 1.5))


def test_a_missing_frame_and_a_tilt_are_repaired_in_one_file_too(tmp_path: Path) -> None:
    tilt = (1, 0, 0, 0, float(np.cos(0.2)), float(-np.sin(0.2)))
    places = [(0, 0, 4.0 * z) for z in (0, 1, 2, 4, 5)]
    volume = read_volume(save(enhanced(places, orientation=tilt), tmp_path / "e.dcm"))
    assert volume.array.shape[0] == 6
    assert_in_place(volume)
    assert len(volume.notes) == 2


def test_phases_of_one_file_are_chosen(tmp_path: Path) -> None:
    places = [(0, 0, 3.0 * z) for z in (0, 1, 2)] * 2
    contents = [{"TemporalPositionIndex": 1 + i // 3} for i in range(6)]
    data = enhanced(places, contents=contents)
    array = np.frombuffer(data.PixelData, np.int16).reshape(6, 12, 14).copy()
    array[3:] += 3200
    data.PixelData = array.tobytes()
    path = save(data, tmp_path / "e.dcm")
    with pytest.raises(
        ImageError, match=r"holds 2 phases, open its folder .* choose one: 1\.2\.9#1 .*point 1"
    ):
        read_volume(path)
    first, second = (read_volume(tmp_path, series=f"1.2.9#{n}") for n in (1, 2))
    np.testing.assert_allclose(second.array - first.array, 100.0)
    assert second.name.endswith("phase 2")


def test_orientation_and_pixel_size_may_stand_in_the_header(tmp_path: Path) -> None:
    """As one scanner of low field writes them."""
    data = enhanced(PLACES)
    (shared,) = data.SharedFunctionalGroupsSequence
    data.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    data.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
    del data.SharedFunctionalGroupsSequence
    volume = read_volume(save(data, tmp_path / "e.dcm"))
    np.testing.assert_allclose(error_of(volume), 0, atol=0.05)


def test_an_enhanced_pet_that_does_not_say_its_unit_keeps_its_values(tmp_path: Path) -> None:
    data = enhanced(PLACES)
    data.Modality, data.SOPClassUID = "PT", EnhancedPETImageStorage
    volume = read_volume(save(data, tmp_path / "e.dcm"))
    assert (volume.modality, volume.unit) == ("PT", "")
    assert any("Units" in note for note in volume.notes)
    np.testing.assert_allclose(error_of(volume), 0, atol=0.05)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda d: setattr(d, "NumberOfFrames", 5), "says it has 5 frames, but describes 4"),
        (
            lambda d: delattr(d, "PerFrameFunctionalGroupsSequence"),
            "of 4 frames that do not say where they lie",
        ),
        (
            lambda d: setattr(d, "Rows", 60000),
            "its pixels are truncated: the header says 4 x 60000 x 14 values",
        ),
        (lambda d: (setattr(d, "Rows", 65535), setattr(d, "Columns", 65535)), "which is damage"),
        (lambda d: setattr(d, "PixelData", d.PixelData[:-40]), "its pixels are truncated"),
        (lambda d: delattr(d, "PixelData"), "its pixels are truncated"),
        (
            lambda d: setattr(d, "PerFrameFunctionalGroupsSequence", d.PerFrameFunctionalGroupsSequence[:3]),
            "describes 3",
        ),
    ],
)
def test_damaged_multi_frame_files_are_one_sentence(tmp_path: Path, capfd, harm, sentence: str) -> None:
    data = enhanced(PLACES)
    harm(data)
    path = save(data, tmp_path / "e.dcm")
    with pytest.raises(ImageError, match=sentence) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_scale_beyond_all_measure_is_refused(tmp_path: Path, keyword: str) -> None:
    write_place(tmp_path / "1.dcm", (0, 0, 0), **{keyword: "1e36"})
    with pytest.raises(ImageError, match=r"1\.dcm: says its values are scaled by 1e\+36, which is damage"):
        read_volume(tmp_path / "1.dcm")


def test_a_slice_that_promises_more_than_it_holds_is_named(tmp_path: Path) -> None:
    for number in range(4):
        write_place(tmp_path / f"{number}.dcm", (0, 0, number))
    for rows, columns in ((130, 14), (12, 150), (10000, 10000), (60000, 60000)):
        write_place(tmp_path / "1.dcm", (0, 0, 1), Rows=rows, Columns=columns)
        with pytest.raises(ImageError, match=r"1\.dcm: its pixels are truncated|1\.dcm: says"):
            read_volume(tmp_path)
        with pytest.raises(ImageError, match=r"1\.dcm: its pixels are truncated|1\.dcm: says"):
            read_volume(tmp_path / "1.dcm")


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_uncompressed_syntaxes(tmp_path: Path, syntax) -> None:
    for number, data in enumerate([enhanced(PLACES), enhanced([(0, 0, 0)])]):
        if syntax == ExplicitVRBigEndian:
            data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
        data.file_meta.TransferSyntaxUID = syntax
        path = tmp_path / f"{number}.dcm"
        if syntax == ExplicitVRBigEndian:
            data["PixelData"].VR = "OW"
            dcmwrite(path, data, implicit_vr=False, little_endian=False, enforce_file_format=True)
        else:
            save(data, path)
        np.testing.assert_allclose(error_of(read_volume(path)), 0, atol=0.05)


def test_run_lengths_of_an_enhanced_image(tmp_path: Path) -> None:
    data = enhanced(PLACES)
    data.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_allclose(error_of(read_volume(save(data, tmp_path / "e.dcm"))), 0, atol=0.05)


def without_pydicom(monkeypatch) -> None:
    """Decode in this process, where pydicom is made to have no decoder."""
    monkeypatch.setattr(
        "napari_cpclnet.imaging.dicom.pixels.decoded",
        lambda _, path, *__, **frame: decode_frame(path, **frame),
    )
    monkeypatch.setattr("napari_cpclnet.imaging.dicom.codecs._pydicom_decodes", lambda _: False)


@pytest.mark.parametrize("encoding", ["compressed_jpeg", "compressed_jpegls", "compressed_j2k"])
def test_compressed_frames_of_an_enhanced_image(
    shared_data: Path, tmp_path: Path, monkeypatch, encoding
) -> None:
    """The frames of four classic files put into one; once with what pydicom has, once through GDCM alone."""
    folder = shared_data / "odd_dicom/dicom2nifti/generic"
    sources = [dcmread(path) for path in sorted((folder / encoding / "001").iterdir())]
    frames = [next(generate_frames(one.PixelData, number_of_frames=1)) for one in sources]
    data = enhanced([[float(v) for v in one.ImagePositionPatient] for one in sources], slopes=[1, 2, 3, 4])
    (shared,) = data.SharedFunctionalGroupsSequence
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = sources[0].ImageOrientationPatient
    for keyword in ("Rows", "Columns", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(data, keyword, sources[0][keyword].value)
    data.file_meta.TransferSyntaxUID = sources[0].file_meta.TransferSyntaxUID
    data.PixelData = encapsulate(frames)
    data["PixelData"].VR = "OB"
    path = save(data, tmp_path / "e.dcm")
    plain = [dcmread(p).pixel_array for p in sorted((folder / "compressed_rle/001").iterdir())]
    expected = np.stack([slope * picture.astype(float) for slope, picture in enumerate(plain, start=1)])
    if read_volume(path).geometry.direction[2][0] < 0:
        expected = expected[::-1]
    np.testing.assert_array_equal(read_volume(path).array, expected)
    without_pydicom(monkeypatch)
    np.testing.assert_array_equal(read_volume(path).array, expected)


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch) -> None:
    without_pydicom(monkeypatch)
    for syntax, sentence in (
        (HTJ2KLossless, r"High-Throughput JPEG 2000 .*: pip install pylibjpeg pylibjpeg-openjpeg\."),
        (
            "1.2.840.10008.1.2.4.102",
            r"is compressed as MPEG-4 .*, which cannot be read; export it uncompressed",
        ),
        (JPEGLSLossless, "truncated, damaged or in an unknown compression"),
    ):
        data = enhanced(PLACES[:1])
        data.file_meta.TransferSyntaxUID = syntax
        data.PixelData = encapsulate([b"\xff\x4f\xff\x51 no picture"])
        data["PixelData"].VR = "OB"
        with pytest.raises(ImageError, match=sentence) as caught:
            read_volume(save(data, tmp_path / "e.dcm"))
        assert "\n" not in str(caught.value)


def test_dark_and_bright_of_an_x_ray_are_swapped_but_never_measured_values(tmp_path: Path) -> None:
    write_place(tmp_path / "ct.dcm", (0, 0, 0), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(error_of(read_volume(tmp_path / "ct.dcm")), 0, atol=0.05)
    write_place(
        tmp_path / "cr.dcm", (0, 0, 0), PhotometricInterpretation="MONOCHROME1", Modality="CR", RescaleSlope=1
    )
    np.testing.assert_array_equal(read_volume(tmp_path / "cr.dcm").array[0], -1.0 - stored((0, 0, 0)))


def deflated(path: Path, n_bytes: int, **tags) -> Path:
    """A packed file whose pixels are followed by so many bytes of nothing, packed without ever being in memory."""
    data = enhanced(PLACES)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    save(data, path)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = [packer.compress(zlib.decompress(content[start:], -zlib.MAX_WBITS))]
    packed += [packer.compress(bytes(1 << 20)) for _ in range(n_bytes >> 20)]
    path.write_bytes(content[:start] + b"".join([*packed, packer.flush()]))
    return path


@pytest.mark.parametrize("modality", ["CT", "SEG", "RTSTRUCT"])
def test_a_packed_file_is_refused_before_it_fills_the_memory(tmp_path: Path, modality: str) -> None:
    path = deflated(tmp_path / "d" / "bomb.dcm", 400 << 20, Modality=modality)
    assert path.stat().st_size < 1 << 20
    write_place(tmp_path / "d" / "whole.dcm", (0, 0, 0))
    grid = Geometry((2, 3, 4))
    for read in (read_volume, lambda path: read_segmentation(path, like=grid)):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(
            ImageError, match=r"unpacks to more than 64 MB, which no scan does; save it unpacked"
        ):
            read(path)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert len(list_series(tmp_path / "d")) == 1  # and does not hide what lies beside it


def test_a_packed_file_that_unpacks_to_little_is_read(tmp_path: Path) -> None:
    path = deflated(tmp_path / "e.dcm", 0)
    np.testing.assert_allclose(error_of(read_volume(path)), 0, atol=0.05)
