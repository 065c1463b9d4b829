"""Whole PET series from files: slopes of their own, units and warnings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage

from napari_cpclnet.imaging import Geometry, read_volume
from napari_cpclnet.imaging.dicom.suv import suv_factor

from .dicom_series import write_scan

SLOPES = (1.7141, 0.25, 3.5)


def write_pet(folder: Path, **changes) -> np.ndarray:
    """Three slices, each with its own slope, of 70 kg and 350 MBq an hour and 50 minutes after injection."""
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = 350e6, 6600.0
    tracer.RadiopharmaceuticalStartTime = "230500"
    tags = {
        "SOPClassUID": PositronEmissionTomographyImageStorage,
        "Modality": "PT",
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN"],
        "PatientWeight": 70.0,
        "SeriesDate": "20200302",
        "SeriesTime": "005500",
        "AcquisitionDate": "20200302",
        "AcquisitionTime": "005500",
        "RadiopharmaceuticalInformationSequence": [tracer],
        "RescaleIntercept": 0,
    }
    stored = write_scan(folder, Geometry((3, 8, 9), (3.0, 4.0, 4.0)), **_given(tags | changes))
    for path, slope in zip(sorted(folder.iterdir()), SLOPES, strict=True):
        data = dcmread(path)
        data.RescaleSlope = slope
        data.save_as(path)
    return stored * np.array(SLOPES)[:, None, None]


def _given(tags: dict) -> dict:
    return {keyword: value for keyword, value in tags.items() if value is not None}


def test_each_slice_is_rescaled_by_its_own_slope_before_suv(tmp_path: Path) -> None:
    activity = write_pet(tmp_path)
    volume = read_volume(tmp_path)
    assert (volume.modality, volume.unit, volume.notes) == ("PT", "SUVbw", ())
    # One half-life passed, over midnight.
    np.testing.assert_allclose(volume.array, activity * 70_000 / 350e6 * 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "unit", "tag"),
    [
        ({"PatientWeight": None}, "Bq/ml", "PatientWeight is missing"),
        ({"DecayCorrection": "NONE"}, "Bq/ml", "DecayCorrection is NONE"),
        ({"Units": "CNTS"}, "counts", "(7053,1000)"),
    ],
)
def test_without_a_tag_the_raw_values_and_unit_stay_with_a_warning(
    tmp_path: Path, changes: dict, unit: str, tag: str
) -> None:
    activity = write_pet(tmp_path, **changes)
    volume = read_volume(tmp_path)
    assert volume.unit == unit
    assert any(tag in note for note in volume.notes)
    np.testing.assert_allclose(volume.array, activity, rtol=1e-5)


def test_the_published_factor_of_a_whole_body_scan(shared_data: Path) -> None:
    folder = shared_data / "pet_wholebody/sts001_dicom_bqml/image"
    headers = [dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
    factor, unit, notes = suv_factor(headers)
    assert factor == pytest.approx(2.42903e-4, rel=2e-6)
    assert (unit, notes) == ("SUVbw", ())


def test_suv_stored_by_the_scanner_is_taken_as_it_is(shared_data: Path) -> None:
    folder = shared_data / "sarcoma_ct_mr_pet/dicom/STS_019/PET/image"
    headers = [dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
    assert suv_factor(headers) == (1.0, "SUVbw", ())
    assert len({header.RescaleSlope for header in headers}) > 40
