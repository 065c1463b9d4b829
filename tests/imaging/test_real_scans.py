"""Real files against what independent programs made of them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import find_scans, read_segmentation, read_volume


@pytest.mark.parametrize("kind", ["CT", "MR_T1", "PET"])
def test_a_dicom_series_equals_its_nifti_twin(shared_data: Path, kind: str) -> None:
    folder = shared_data / "sarcoma_ct_mr_pet"
    dicom = read_volume(folder / "dicom" / "STS_019" / kind / "image")
    twin = read_volume(folder / "nifti" / "STS_019" / f"{kind}_image.nii.gz")
    assert (dicom.modality, dicom.unit) == (twin.modality, twin.unit)
    assert dicom.geometry.isclose(twin.geometry)
    np.testing.assert_allclose(dicom.array, twin.array, atol=1e-4)


@pytest.mark.slow
def test_whole_body_pet_becomes_suv(shared_data: Path) -> None:
    suv = read_volume(shared_data / "pet_wholebody/sts001_dicom_bqml/image")
    twin = read_volume(shared_data / "pet_wholebody/sts001_pet_suv.nii.gz")
    assert (suv.modality, suv.unit, suv.notes) == ("PT", "SUVbw", ())
    assert suv.geometry.isclose(twin.geometry)
    np.testing.assert_allclose(suv.array, twin.array, rtol=1e-4, atol=1e-5)


def test_a_dicom_ct_meets_its_labels_in_physical_space(shared_data: Path) -> None:
    ct = read_volume(shared_data / "ct_hounsfield/ct_dicom")
    labels = read_segmentation(shared_data / "ct_hounsfield/example_seg_dicom.nii.gz")
    points = np.argwhere(labels.labels == 5)[::97]
    index = np.rint(ct.geometry.world_to_index(labels.geometry.index_to_world(points))).astype(int)
    liver = ct.array[tuple(index.T)]
    assert 30 < np.median(liver) < 180  # HU of liver; mirrored labels would meet air and bone
    assert np.mean((liver > -20) & (liver < 250)) > 0.9


def test_labels_stored_as_float64_are_labels(shared_data: Path) -> None:
    scan = read_volume(shared_data / "abdomen_mr/mr_1_image.nii.gz")
    found = read_segmentation(shared_data / "abdomen_mr/asfound_float64_label_1.nii.gz", like=scan)
    clean = read_segmentation(shared_data / "abdomen_mr/mr_1_label.nii.gz", like=scan)
    np.testing.assert_array_equal(found.labels, clean.labels)
    assert 1000 < found.volume_ml()[1] < 2500  # a liver


@pytest.mark.parametrize(
    ("series", "sentence"),
    [
        ("sliceorientation/001", "2 stacks of slices of different orientations"),
        ("notavolume/001", "4 slices at 1 position"),
    ],
)
def test_series_that_simpleitk_misreads_are_refused(shared_data: Path, series: str, sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        read_volume(shared_data / "odd_dicom/dicom2nifti/failing" / series)


@pytest.mark.parametrize(
    ("series", "shape", "sentences"),
    [
        ("gantrytilting/001", (4, 521, 512), ["a gantry tilt of 14.0 degrees"]),
        ("sliceincrement/001", (5, 512, 512), ["1 slice is missing"]),
        ("sliceincrement/002", (5, 514, 512), ["1 slice is missing", "a gantry tilt of 15.5 degrees"]),
    ],
)
def test_series_that_simpleitk_misreads_are_repaired_and_said(
    shared_data: Path, series: str, shape: tuple[int, ...], sentences: list[str]
) -> None:
    folder = shared_data / "odd_dicom/dicom2nifti/failing" / series
    volume = read_volume(folder)
    assert volume.array.shape == shape
    assert len(volume.notes) == len(sentences)
    assert all(sentence in note for sentence, note in zip(sentences, volume.notes, strict=True))
    # The corner of each slice that was scanned lies at its position, and has its value.
    for path in folder.iterdir():
        data = dcmread(path)
        corner = np.array(data.ImagePositionPatient, float)[::-1]
        place = volume.geometry.world_to_index(corner)
        assert place == pytest.approx(np.round(place, 3), abs=0.02)
        z, y, x = (float(v) for v in place)
        below, part = int(y), y - int(y)
        found = volume.array[round(z), below + 1, round(x)]
        stored = data.pixel_array.astype(float) * data.RescaleSlope + data.RescaleIntercept
        expected = stored[1, 0] if part < 1e-3 else (1 - part) * stored[1, 0] + part * stored[0, 0]
        assert found == pytest.approx(expected, abs=2.0)


@pytest.mark.parametrize("encoding", ["compressed", "compressed_rle", "compressed_jpegls", "compressed_jpeg"])
def test_compressed_slices_equal_what_pydicom_decodes(shared_data: Path, encoding: str) -> None:
    folder = shared_data / "odd_dicom/dicom2nifti/generic"
    volume = read_volume(folder / encoding / "001")
    assert volume.geometry == read_volume(folder / "anatomical/001").geometry
    # All encodings hold the same pixels; run lengths are the ones pydicom decodes without further help.
    slices = [dcmread(path) for path in sorted((folder / "compressed_rle/001").iterdir())]
    slices.sort(key=lambda data: data.ImagePositionPatient[0], reverse=volume.geometry.direction[2][0] < 0)
    np.testing.assert_array_equal(volume.array, np.stack([data.pixel_array for data in slices]))


def test_every_odd_file_gives_a_scan_or_one_sentence(shared_data: Path, capfd) -> None:
    paths = [
        p for kind in ("odd_dicom/pydicom", "odd_files") for p in sorted((shared_data / kind).rglob("*"))
    ]
    assert len(paths) > 100
    for path in paths:
        # Anything but a scan or an ImageError ends this test.
        with suppress(ImageError):
            volume = read_volume(path)
            assert volume.array.shape == volume.geometry.shape
    assert capfd.readouterr().err == ""


def test_scans_of_a_mixed_tree_are_found(shared_data: Path) -> None:
    found = find_scans(shared_data / "sarcoma_ct_mr_pet")
    assert sum(scan.series is not None for scan in found) == 3
    assert sum(scan.series is None for scan in found) == 24
