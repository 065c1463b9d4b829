"""DICOM series made here, slice by slice, so that each fault is known."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import find_scans, read_volume
from napari_cpclnet.imaging.dicom import list_series

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def write_slice(path: Path, position, value: int = 0, *, series="1.2.3", orientation=UPRIGHT, **tags) -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.SeriesInstanceUID, data.StudyInstanceUID, data.Modality = series, "1.2", "CT"
    data.PatientName, data.PatientID = "Secret^Name", "4711"
    data.Rows, data.Columns, data.PixelSpacing = 4, 5, [2.0, 0.5]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.RescaleIntercept, data.RescaleSlope = -1024, 1
    if position is not None:
        data.ImagePositionPatient, data.ImageOrientationPatient = list(position), list(orientation)
    data.PixelData = np.full((data.Rows, data.Columns), value, np.int16).tobytes()
    for keyword, content in tags.items():
        setattr(data, keyword, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def write_series(folder: Path, heights, **tags) -> None:
    for number, height in enumerate(heights):
        write_slice(folder / f"{number:03d}.dcm", (10.0, 20.0, height), number, **tags)


def test_slices_are_sorted_by_position_not_by_name(tmp_path: Path) -> None:
    write_series(tmp_path, [35.0, 30.0, 40.0, 45.0])
    volume = read_volume(tmp_path)
    assert volume.array[:, 0, 0].tolist() == [-1023, -1024, -1022, -1021]
    assert volume.array.dtype == np.float32
    assert (volume.modality, volume.unit) == ("CT", "HU")
    assert volume.geometry.spacing == pytest.approx((5.0, 2.0, 0.5))
    assert volume.geometry.origin == (30.0, 20.0, 10.0)


def test_a_coronal_series_lies_where_its_header_says(tmp_path: Path) -> None:
    for number, depth in enumerate((7.0, 4.0, 1.0)):
        write_slice(tmp_path / f"{number}.dcm", (0.0, depth, 50.0), number, orientation=(1, 0, 0, 0, 0, -1))
    volume = read_volume(tmp_path)
    # The last voxel of the slice at y = 7: 4 columns of 0.5 mm to the left, 3 rows of 2 mm down.
    index = [int(np.argwhere(volume.array[:, 0, 0] == -1024)[0, 0]), 3, 4]
    np.testing.assert_allclose(volume.geometry.index_to_world([index])[0], (44.0, 7.0, 2.0))


def test_a_slope_per_slice_is_not_truncated(tmp_path: Path) -> None:
    for number, slope in enumerate((0.25, 0.75, 1.5)):
        write_slice(
            tmp_path / f"{number}.dcm",
            (0, 0, number),
            10,
            RescaleSlope=slope,
            RescaleIntercept=0,
            Modality="MR",
        )
    assert read_volume(tmp_path).array[:, 0, 0].tolist() == [2.5, 7.5, 15.0]


@pytest.mark.parametrize(
    ("heights", "sentence"),
    [
        ([0, 5, 5, 10], "has 4 slices at 3 positions"),
        ([5, 5, 5], "has 3 slices at 1 position "),
    ],
)
def test_slices_at_one_position_are_refused(tmp_path: Path, heights, sentence: str) -> None:
    write_series(tmp_path, heights)
    with pytest.raises(ImageError, match=sentence):
        read_volume(tmp_path)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path: Path) -> None:
    write_series(tmp_path, np.round(np.arange(40) * 3.27, 1))
    assert read_volume(tmp_path).geometry.spacing[0] == pytest.approx(3.27, abs=0.01)


def test_several_series_must_be_chosen_from(tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10], series="1.2.3", SeriesDescription="thick")
    for number in range(4):
        write_slice(tmp_path / f"x{number}", (0, 0, number), series="1.2.4", SeriesDescription="thin")
    with pytest.raises(ImageError, match=r"choose one of: 1\.2\.3 \(CT, 3 files, thick\); 1\.2\.4"):
        read_volume(tmp_path)
    assert read_volume(tmp_path, series="1.2.4").array.shape == (4, 4, 5)
    assert [(s.id, s.n_files, s.description) for s in list_series(tmp_path)] == [
        ("1.2.3", 3, "thick"),
        ("1.2.4", 4, "thin"),
    ]
    assert [(s.series, s.name) for s in find_scans(tmp_path)] == [("1.2.3", "thick"), ("1.2.4", "thin")]
    with pytest.raises(ImageError, match=r"no DICOM series 9\.9"):
        read_volume(tmp_path, series="9.9")


def test_the_name_of_the_patient_is_nowhere(tmp_path: Path) -> None:
    write_series(tmp_path / "a", [0, 5])
    volume = read_volume(tmp_path / "a")
    assert volume.name == "a"
    assert "Secret" not in repr((volume.name, volume.notes, volume.source, list_series(tmp_path / "a")))


def test_one_file_is_one_slice_of_its_thickness(tmp_path: Path) -> None:
    write_slice(tmp_path / "one.dcm", (0, 0, 0), SliceThickness=3)
    assert read_volume(tmp_path / "one.dcm").geometry.spacing == pytest.approx((3.0, 2.0, 0.5))
    write_slice(tmp_path / "two.dcm", None)
    assert len(read_volume(tmp_path / "two.dcm").notes) == 1


def test_slices_without_a_position_are_no_volume(tmp_path: Path) -> None:
    for number in range(3):
        write_slice(tmp_path / f"{number}.dcm", None)
    with pytest.raises(ImageError, match="do not say where they lie"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ({"Modality": "SEG"}, "is SEG without grey values"),
        ({"NumberOfFrames": 3, "PixelData": bytes(120)}, "multi-frame DICOM file of 3 frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "holds colours"),
    ],
)
def test_dicom_files_that_are_no_scan(tmp_path: Path, capfd, tags: dict, sentence: str) -> None:
    write_slice(tmp_path / "one.dcm", (0, 0, 0), **tags)
    with pytest.raises(ImageError, match=sentence):
        read_volume(tmp_path / "one.dcm")
    assert capfd.readouterr().err == ""


def test_the_unreadable_slice_of_a_series_is_named(tmp_path: Path) -> None:
    write_series(tmp_path, [0, 5, 10])
    whole = (tmp_path / "001.dcm").read_bytes()
    (tmp_path / "001.dcm").write_bytes(whole[:-20])
    with pytest.raises(ImageError, match=r"001\.dcm: its pixels are truncated"):
        read_volume(tmp_path)


def test_a_folder_without_images_says_so(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("hello")
    for read in (read_volume, list_series, find_scans):
        with pytest.raises(ImageError, match=r"holds no|holds neither"):
            read(tmp_path)


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_preamble_are_read(tmp_path: Path, implicit: bool) -> None:
    """Old systems write the bare data set."""
    write_slice(tmp_path / "whole.dcm", (0, 0, 0), 7)
    data = dcmread(tmp_path / "whole.dcm")
    data.preamble = None
    data.file_meta = FileMetaDataset()
    with (tmp_path / "bare").open("wb") as stream:
        dcmwrite(stream, data, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert (tmp_path / "bare").read_bytes()[:2] == b"\x08\x00"
    whole, bare = read_volume(tmp_path / "whole.dcm"), read_volume(tmp_path / "bare")
    assert np.array_equal(bare.array, whole.array) and bare.geometry.isclose(whole.geometry)


@pytest.mark.parametrize("start", [b"\x08\x00", b"\x08\x00\x05\x00CS\xff\xff", b"\x08\x00\x99\x00CS\x04\x00"])
def test_files_that_only_begin_like_a_data_set_are_no_dicom(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "file").write_bytes(start + b"\x20" * 300)
    with pytest.raises(ImageError, match="unsupported file format"):
        read_volume(tmp_path / "file")


def test_a_damaged_code_is_not_repeated(tmp_path: Path) -> None:
    """A broken length may put the patient's name where the modality should be."""
    write_slice(tmp_path / "s.dcm", None)
    data = dcmread(tmp_path / "s.dcm")
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(data, keyword)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.Modality = "CT PN Secret^Name LO"
        data.save_as(tmp_path / "s.dcm")
    with pytest.raises(ImageError, match="is a DICOM object without grey values") as caught:
        read_volume(tmp_path / "s.dcm")
    assert "Secret" not in str(caught.value)


def test_a_damaged_transfer_syntax_is_not_repeated(tmp_path: Path) -> None:
    write_slice(tmp_path / "s.dcm", (0, 0, 0))
    content = (tmp_path / "s.dcm").read_bytes()
    (tmp_path / "s.dcm").write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1 SH\nSecret^Name\n  \0"))
    with pytest.raises(ImageError, match="cannot be read; export it uncompressed") as caught:
        read_volume(tmp_path / "s.dcm")
    assert "Secret" not in str(caught.value) and "\n" not in str(caught.value)
