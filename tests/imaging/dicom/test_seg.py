"""DICOM segmentations: written through highdicom, read back by us, by pydicom and by highdicom."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.imaging.test_round_trip import grids

from napari_cpclnet.errors import ImageError, OutputError
from napari_cpclnet.imaging import (
    Geometry,
    ScanRef,
    Segmentation,
    read_segmentation,
    read_volume,
    write_segmentation,
)
from napari_cpclnet.imaging.dicom import dicom_label_kind, referenced_series

from .dicom_series import FRAME, STUDY, write_scan
from .dicom_world import write_place

hd = pytest.importorskip("highdicom")

GRID = Geometry((4, 5, 6), (3.0, 1.0, 2.0), (-30.0, 12.0, 7.0))
FLIPPED = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))


def painted(geometry: Geometry = GRID) -> Segmentation:
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1, 1:3, 2], labels[3, 0, 0], labels[1, 4, 5] = 6, 2, 9
    names = {2: "Right kidney", 6: "liver", 9: "Überbein", 11: "spleen"}
    return Segmentation(labels, names, geometry, "s", {6: (200, 30, 40), 2: (0, 0, 255)})


def written(folder: Path, segmentation: Segmentation | None = None, **tags) -> Path:
    write_scan(folder / "ct", GRID, **tags)
    return write_segmentation(segmentation or painted(), folder / "seg.dcm", source=ScanRef(folder / "ct"))


def test_labels_names_and_colours_come_back_on_the_scan(tmp_path: Path) -> None:
    path = written(tmp_path)
    volume = read_volume(tmp_path / "ct")
    back = read_segmentation(path, like=volume)
    np.testing.assert_array_equal(back.labels, painted().labels)
    assert back.classes == painted().classes
    for value, color in painted().colors.items():
        np.testing.assert_allclose(back.colors[value], color, atol=2)
    assert back.geometry == volume.geometry
    assert back.notes == ()  # nothing was moved: the frames are slices of the scan
    assert dicom_label_kind(path) == "SEG"
    assert referenced_series(path) == "1.2.826.0.1.3"


@settings(deadline=None, max_examples=25)
@given(grids(), st.data())
def test_a_voxel_lies_where_highdicom_and_pydicom_find_it(geometry: Geometry, data) -> None:
    voxel = tuple(data.draw(st.integers(0, n - 1)) for n in geometry.shape)
    labels = np.zeros(geometry.shape, np.uint8)
    labels[voxel] = 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scan(folder / "ct", geometry)
        path = write_segmentation(
            Segmentation(labels, {3: "x"}, geometry, "s"), folder / "s.dcm", source=ScanRef(folder / "ct")
        )
        back = read_segmentation(path, like=geometry)
        bare = read_segmentation(path)
        found = hd.seg.segread(path).get_volume(combine_segments=True)
        plain = pydicom.dcmread(path)
    place = geometry.index_to_world([voxel])[0]
    assert np.argwhere(back.labels == 3).tolist() == [list(voxel)]
    np.testing.assert_allclose(bare.geometry.index_to_world(np.argwhere(bare.labels))[0], place, atol=1e-3)
    (index,) = np.argwhere(found.array)
    np.testing.assert_allclose((found.affine @ (*index, 1.0))[:3], place[::-1], atol=1e-3)
    # The standard's own formula (PS3.3 C.7.6.2.1.1), on the bits as pydicom unpacks them.
    frame = plain.PerFrameFunctionalGroupsSequence[0]
    shared = plain.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    ((row, column),) = np.argwhere(plain.pixel_array.reshape(plain.Rows, plain.Columns))
    position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
    position += cosines[:3] * columns * column + cosines[3:] * rows * row
    np.testing.assert_allclose(position, place[::-1], atol=1e-3)


def test_the_source_series_the_study_and_the_codes_are_in_it(tmp_path: Path) -> None:
    found = pydicom.dcmread(written(tmp_path))
    sources = {pydicom.dcmread(p).SOPInstanceUID for p in (tmp_path / "ct").iterdir()}
    (series,) = found.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "1.2.826.0.1.3"
    assert {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence} == sources
    assert (found.StudyInstanceUID, found.FrameOfReferenceUID) == (STUDY, FRAME)
    assert (found.PatientName, found.PatientID) == ("Mustermann^Max", "4711")
    by_name = {one.SegmentLabel: one for one in found.SegmentSequence}
    assert by_name["liver"].SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    kidney = by_name["Right kidney"].SegmentedPropertyTypeCodeSequence[0]
    assert kidney.CodeValue == "64033007"
    assert kidney.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert by_name["Überbein"].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    # Each frame says from which image it was made.
    frame = found.PerFrameFunctionalGroupsSequence[0]
    assert frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID in sources


def test_a_terminology_of_the_user_comes_first(tmp_path: Path) -> None:
    codes = tmp_path / "codes.yaml"
    codes.write_text(
        "structures:\n  - {name: Überbein, category: abnormal, code: ['445008009', SCT, Ganglion cyst]}\n",
        encoding="utf-8",
    )
    write_scan(tmp_path / "ct", GRID)
    path = write_segmentation(
        painted(), tmp_path / "s.dcm", source=ScanRef(tmp_path / "ct"), terminology=codes
    )
    types = [
        one.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for one in pydicom.dcmread(path).SegmentSequence
    ]
    assert types == ["Kidney", "Liver", "Ganglion cyst", "Spleen"]


def test_of_several_series_the_one_under_the_labels_is_referenced(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", GRID)
    other = Geometry((3, 5, 6), (9.0, 1.0, 2.0), (-30.0, 12.0, 7.0))
    write_scan(tmp_path / "more", other, series="1.2.826.0.1.4")
    for path in (tmp_path / "more").iterdir():
        path.rename(tmp_path / "ct" / f"more_{path.name}")
    path = write_segmentation(painted(), tmp_path / "s.dcm", source=ScanRef(tmp_path / "ct"))
    assert referenced_series(path) == "1.2.826.0.1.3"
    off = painted(Geometry(GRID.shape, GRID.spacing, (0.0, 0.0, 0.0)))
    with pytest.raises(OutputError, match="no series in it"):
        write_segmentation(off, tmp_path / "t.dcm", source=ScanRef(tmp_path / "ct"))


def test_labels_of_a_phase_and_of_a_repaired_series_are_written(tmp_path: Path) -> None:
    tilt = (1, 0, 0, 0, float(np.cos(0.3)), float(-np.sin(0.3)))
    for number, height in enumerate((0, 4, 8, 16)):
        place, tags = (0, 0, height), {"FrameOfReferenceUID": FRAME, "SliceThickness": 4}
        write_place(tmp_path / "tilted" / f"{number}", place, tilt, **tags)
    for number in range(8):
        tags = {"FrameOfReferenceUID": FRAME, "SliceThickness": 3, "EchoTime": 1 + number // 4}
        write_place(tmp_path / "echoes" / f"{number}", (0, 0, 3 * (number % 4)), series="1.2.4", **tags)
    for folder, series in (("tilted", None), ("echoes", "1.2.4#2"), ("echoes", None)):
        volume = read_volume(tmp_path / folder, series="1.2.4#2" if folder == "echoes" else None)
        labels = np.zeros(volume.array.shape, np.uint8)
        labels[1:3, 4:7, 3:9] = 1
        path = write_segmentation(
            Segmentation(labels, {1: "liver"}, volume.geometry, "s"),
            tmp_path / "s.dcm",
            source=ScanRef(tmp_path / folder, series),
        )
        np.testing.assert_array_equal(read_segmentation(path, like=volume).labels, labels)
        assert referenced_series(path) == ("1.2.4" if folder == "echoes" else "1.2.3")


def test_labels_in_another_order_of_rows_are_written_where_they_lie(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", GRID)
    flipped = Geometry(GRID.shape, GRID.spacing, (-30.0, 12.0 + 4 * 1.0, 7.0), FLIPPED)
    path = write_segmentation(painted(flipped), tmp_path / "s.dcm", source=ScanRef(tmp_path / "ct"))
    back = read_segmentation(path, like=GRID)
    np.testing.assert_array_equal(back.labels, painted().labels[:, ::-1])


@pytest.mark.parametrize("kind", ["LABELMAP", "FRACTIONAL"])
def test_other_kinds_of_segmentation_are_read(tmp_path: Path, kind: str) -> None:
    write_scan(tmp_path / "ct", GRID)
    headers = [pydicom.dcmread(p) for p in sorted((tmp_path / "ct").iterdir())]
    for header in headers:
        for tag in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
            setattr(header, tag, "")
    pixels = (painted().labels == 6).astype(np.uint8)
    description = hd.seg.SegmentDescription(
        1,
        "liver",
        hd.sr.CodedConcept("85756007", "SCT", "Tissue"),
        hd.sr.CodedConcept("10200004", "SCT", "Liver"),
        hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    made = hd.seg.Segmentation(
        headers, pixels.copy(), kind, [description], hd.UID(), 1, hd.UID(), 1, "m", "m", "1", "1"
    )
    made.save_as(tmp_path / "s.dcm")
    back = read_segmentation(tmp_path / "s.dcm", like=GRID)
    np.testing.assert_array_equal(back.labels, pixels)
    assert back.classes == {1: "liver"}


def test_overlapping_segments_show_the_smaller_one_and_say_so(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct", GRID)
    headers = [pydicom.dcmread(p) for p in sorted((tmp_path / "ct").iterdir())]
    for header in headers:
        for tag in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
            setattr(header, tag, "")
    tissue = hd.sr.CodedConcept("85756007", "SCT", "Tissue")
    described = [
        hd.seg.SegmentDescription(i, name, tissue, tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL)
        for i, name in ((1, "tumour"), (2, "body"))
    ]
    pixels = np.zeros((*GRID.shape, 2), np.uint8)
    pixels[1:3, 1:3, 1:3, 0] = 1
    pixels[..., 1] = 1
    made = hd.seg.Segmentation(
        headers, pixels, "BINARY", described, hd.UID(), 1, hd.UID(), 1, "m", "m", "1", "1"
    )
    made.save_as(tmp_path / "s.dcm")
    back = read_segmentation(tmp_path / "s.dcm", like=GRID)
    np.testing.assert_array_equal(back.labels, np.where(pixels[..., 0], 1, 2))
    assert any("overlap" in note and "body" in note for note in back.notes)


def test_empty_slices_between_frames_stay_empty(tmp_path: Path) -> None:
    grid = Geometry((20, 4, 4), (2.5, 1.0, 1.0))
    write_scan(tmp_path / "ct", grid)
    labels = np.zeros(grid.shape, np.uint8)
    labels[3, 1, 1] = labels[15, 2, 2] = 1
    path = write_segmentation(
        Segmentation(labels, {1: "a"}, grid, "s"), tmp_path / "s.dcm", source=ScanRef(tmp_path / "ct")
    )
    data = pydicom.dcmread(path)  # a writer that does not say how far apart slices are
    del data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
    data.save_as(path)
    np.testing.assert_array_equal(read_segmentation(path, like=grid).labels, labels)


@pytest.mark.parametrize("lost", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_series_that_cannot_be_referred_to_is_refused(tmp_path: Path, lost: str) -> None:
    with pytest.raises(OutputError, match=f"lacks {lost}"):
        written(tmp_path, **{lost: None})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct"]


def test_patients_with_umlauts_and_without_names_can_be_written(tmp_path: Path) -> None:
    path = written(tmp_path / "a", SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    assert pydicom.dcmread(path).PatientName == "Müller^Jörg"
    path = written(tmp_path / "b", PatientName=None, PatientID=None)
    assert pydicom.dcmread(path).PatientName == ""


def test_without_a_series_or_labels_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="give that DICOM series"):
        write_segmentation(painted(), tmp_path / "s.dcm")
    write_segmentation(painted(), tmp_path / "s.nii.gz")
    with pytest.raises(OutputError, match="must refer to one"):
        write_segmentation(painted(), tmp_path / "s.dcm", source=ScanRef(tmp_path / "s.nii.gz"))
    empty = Segmentation(np.zeros(GRID.shape, np.uint8), {}, GRID, "s")
    with pytest.raises(OutputError, match="there is no label"):
        written(tmp_path, empty)


def test_an_organ_that_is_nowhere_is_written_as_such(tmp_path: Path) -> None:
    empty = painted().replaced(labels=np.zeros(GRID.shape, np.uint8))
    back = read_segmentation(written(tmp_path, empty), like=GRID)
    assert not back.labels.any()
    assert back.classes == painted().classes


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data.__delattr__("PerFrameFunctionalGroupsSequence"),
        lambda data: data.__setattr__("NumberOfFrames", 77),
        lambda data: data.__setattr__("PixelData", b"\0"),
        lambda data: data.__setattr__("SegmentSequence", []),
        lambda data: (
            data.PerFrameFunctionalGroupsSequence[0]
            .PlanePositionSequence[0]
            .__setattr__("ImagePositionPatient", [0, 0, 9e9])
        ),
        lambda data: (
            data.SharedFunctionalGroupsSequence[0]
            .PixelMeasuresSequence[0]
            .__setattr__("PixelSpacing", [0, 1])
        ),
    ],
)
def test_a_damaged_segmentation_is_one_sentence(tmp_path: Path, harm) -> None:
    path = written(tmp_path)
    data = pydicom.dcmread(path)
    harm(data)
    data.save_as(path)
    with pytest.raises(ImageError, match=r"seg\.dcm: "):
        read_segmentation(path, like=GRID)


def test_the_mutilated_segmentation_of_pydicom_is_refused(shared_data: Path) -> None:
    with pytest.raises(ImageError, match="says it has 1 frames, but describes 3"):
        read_segmentation(shared_data / "odd_dicom" / "pydicom" / "liver_1frame.dcm")


@pytest.mark.slow
def test_real_series_carry_segmentations(shared_data: Path, tmp_path: Path) -> None:
    folders = [
        shared_data / "sarcoma_ct_mr_pet" / "dicom" / "STS_019" / modality / "image"
        for modality in ("CT", "MR_T1", "PET")
    ]
    for number, folder in enumerate(folders):
        volume = read_volume(folder)
        labels = (volume.array > np.percentile(volume.array, 95)).astype(np.uint8)
        path = write_segmentation(
            Segmentation(labels, {1: "bone"}, volume.geometry, "s"),
            tmp_path / f"{number}.dcm",
            source=ScanRef(folder),
        )
        np.testing.assert_array_equal(read_segmentation(path, like=volume).labels, labels)
        assert int(np.count_nonzero(hd.seg.segread(path).get_volume().array)) == int(labels.sum())


def test_a_series_without_identifiers_is_refused(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ct_hounsfield" / "ct_dicom"
    geometry = read_volume(folder).geometry
    labels = np.ones(geometry.shape, np.uint8)
    with pytest.raises(OutputError, match="lacks StudyInstanceUID"):
        write_segmentation(
            Segmentation(labels, {1: "a"}, geometry, "s"), tmp_path / "s.dcm", source=ScanRef(folder)
        )


def test_an_enhanced_series_carries_a_segmentation(shared_data: Path, tmp_path: Path) -> None:
    """Philips repeats the pixel size in every frame, and this file has lost its frame of reference."""
    folder = shared_data / "odd_dicom" / "dicom2nifti" / "philips_enhanced" / "anatomical" / "001"
    data = pydicom.dcmread(next(folder.glob("IM*")))
    data.FrameOfReferenceUID = FRAME
    data.save_as(tmp_path / "mr.dcm")
    frames = data.PerFrameFunctionalGroupsSequence
    cosines = np.array(frames[0].PlaneOrientationSequence[0].ImageOrientationPatient, float)
    normal = np.cross(cosines[:3], cosines[3:])
    rows, columns = map(float, frames[0].PixelMeasuresSequence[0].PixelSpacing)
    places = [np.array(f.PlanePositionSequence[0].ImagePositionPatient, float) for f in frames]
    depths = np.unique(np.round([place @ normal for place in places], 3))
    affine = np.eye(4)
    axes = np.stack([normal * np.diff(depths).min(), cosines[3:] * rows, cosines[:3] * columns], axis=1)
    affine[:3, :3], affine[:3, 3] = axes[::-1], min(places, key=lambda p: p @ normal)[::-1]
    geometry = Geometry.from_affine((len(depths), data.Rows, data.Columns), affine)
    labels = np.zeros(geometry.shape, np.uint8)
    labels[0, 3:9, 4:12], labels[-1, 1, 1] = 1, 2
    path = write_segmentation(
        Segmentation(labels, {1: "liver"}, geometry, "s"),
        tmp_path / "s.dcm",
        source=ScanRef(tmp_path / "mr.dcm"),
    )
    np.testing.assert_array_equal(read_segmentation(path, like=geometry).labels, labels)
    assert referenced_series(path) == data.SeriesInstanceUID


def test_a_damaged_value_type_is_one_sentence(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    assert content.count(b"\x08\x00\x60\x00CS") == 1
    path.write_bytes(content.replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00C}"))
    with pytest.raises(ImageError, match=r"seg\.dcm: "):
        read_segmentation(path, like=GRID)
