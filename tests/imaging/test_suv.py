from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from napari_cpclnet.imaging.suv import suv_factor


def header(**changes) -> Dataset:
    """A PET header of 70 kg and 350 MBq, injected one half-life (two hours) before the scan."""
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = 350e6, 7200.0
    tracer.RadiopharmaceuticalStartTime = "100000"
    data = Dataset()
    data.Units, data.DecayCorrection, data.PatientWeight = "BQML", "START", 70.0
    data.CorrectedImage = ["DECY", "ATTN"]
    data.SeriesDate = data.AcquisitionDate = "20200301"
    data.SeriesTime = data.AcquisitionTime = "120000.00"
    data.RadiopharmaceuticalInformationSequence = [tracer]
    for keyword, value in changes.items():
        target = tracer if keyword in tracer or "StartDateTime" in keyword else data
        if value is None:
            delattr(target, keyword)
        else:
            setattr(target, keyword, value)
    return data


def test_a_decaying_dose_doubles_the_factor_after_a_half_life() -> None:
    factor, unit, notes = suv_factor([header()])
    assert factor == pytest.approx(70_000 / 350e6 * 2)
    assert (unit, notes) == ("SUVbw", ())


def test_activity_corrected_to_administration_does_not_decay() -> None:
    assert suv_factor([header(DecayCorrection="ADMIN")])[0] == pytest.approx(70_000 / 350e6)


def test_an_injection_before_midnight_is_of_the_day_before() -> None:
    late = header(RadiopharmaceuticalStartTime="233000", SeriesTime="013000", AcquisitionTime="013000")
    assert suv_factor([late])[0] == pytest.approx(70_000 / 350e6 * 2)


def test_a_full_date_of_injection_goes_before_the_clock_time() -> None:
    full = header(RadiopharmaceuticalStartDateTime="20200301080000.00")
    assert suv_factor([full])[0] == pytest.approx(70_000 / 350e6 * 4)


def test_suv_in_the_file_stays() -> None:
    assert suv_factor([header(Units="GML")]) == (1.0, "SUVbw", ())


@pytest.mark.parametrize(
    ("change", "tag"),
    [
        ({"PatientWeight": None}, "PatientWeight"),
        ({"RadionuclideTotalDose": None}, "RadionuclideTotalDose"),
        ({"RadionuclideHalfLife": None}, "RadionuclideHalfLife"),
        ({"RadiopharmaceuticalStartTime": None}, "RadiopharmaceuticalStartTime"),
        ({"RadiopharmaceuticalInformationSequence": []}, "RadiopharmaceuticalInformationSequence"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection is NONE"),
        ({"DecayCorrection": None}, "DecayCorrection is missing"),
        ({"CorrectedImage": ["ATTN"]}, "CorrectedImage"),
        ({"SeriesTime": None}, "SeriesTime"),
        ({"AcquisitionTime": None}, "AcquisitionTime"),
        ({"SeriesTime": "130000"}, "SeriesTime lies after AcquisitionTime"),
        ({"RadiopharmaceuticalStartDateTime": "20200201080000"}, "RadiopharmaceuticalStartDateTime"),
    ],
)
def test_without_a_tag_the_activity_stays_and_the_tag_is_named(change: dict, tag: str) -> None:
    factor, unit, notes = suv_factor([header(**change)])
    assert (factor, unit) == (1.0, "Bq/ml")
    assert tag in notes[0]


def test_counts_and_other_kinds_of_suv_are_not_converted() -> None:
    assert suv_factor([header(Units="CNTS")])[:2] == (1.0, "counts")
    assert suv_factor([header(Units="GML", SUVType="LBM")])[:2] == (1.0, "g/ml")
