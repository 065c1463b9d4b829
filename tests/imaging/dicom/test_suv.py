from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from napari_cpclnet.imaging.dicom.suv import suv_factor

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")  # damage on purpose


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
        (
            {"SeriesTime": "130000"},
            "SeriesTime lies after AcquisitionTime, and FrameReferenceTime is missing",
        ),
        ({"PatientWeight": 0}, "PatientWeight is 0"),
        ({"PatientWeight": 70000}, "PatientWeight is 70000 kg, which cannot be (is it in grams?)"),
        ({"RadionuclideTotalDose": 0}, "RadionuclideTotalDose is 0"),
        ({"RadionuclideTotalDose": 350}, "RadionuclideTotalDose is 350 Bq, which cannot be (is it in MBq?)"),
        ({"RadionuclideHalfLife": 0}, "RadionuclideHalfLife is 0"),
        (
            {"RadionuclideHalfLife": 282240.0},
            "RadiopharmaceuticalStartDateTime is missing, and the tracer lasts",
        ),
        ({"RadiopharmaceuticalStartDateTime": "20200301123000"}, "StartDateTime lies after the scan"),
        ({"CorrectedImage": None}, "CorrectedImage does not list ATTN and DECY"),
        ({"SeriesDate": None}, "SeriesDate"),
        ({"AcquisitionDate": None}, "AcquisitionDate"),
        ({"RadiopharmaceuticalStartDateTime": "20200201080000"}, "RadiopharmaceuticalStartDateTime"),
    ],
)
def test_without_a_tag_the_activity_stays_and_the_tag_is_named(change: dict, tag: str) -> None:
    factor, unit, notes = suv_factor([header(**change)])
    assert (factor, unit) == (1.0, "Bq/ml")
    assert tag in notes[0]


PHILIPS = "Philips PET Private Group"


def philips(to_suv=None, to_activity=None, **changes) -> Dataset:
    """A Philips header, whose values are counts, with its two private factors."""
    data = header(Units="CNTS", **changes)
    block = data.private_block(0x7053, PHILIPS, create=True)
    if to_suv is not None:
        block.add_new(0x00, "DS", to_suv)
    if to_activity is not None:
        block.add_new(0x09, "DS", to_activity)
    return data


def test_philips_counts_become_suv_by_the_private_factor() -> None:
    assert suv_factor([philips(0.00042, 1.7)]) == (0.00042, "SUVbw", ())


@pytest.mark.parametrize("to_suv", [None, 0])
def test_philips_counts_become_activity_where_the_suv_factor_is_missing_or_zero(to_suv) -> None:
    factor, unit, _ = suv_factor([philips(to_suv, 1.7)])
    assert factor == pytest.approx(1.7 * 70_000 / 350e6 * 2)
    assert unit == "SUVbw"


def test_a_private_factor_of_unknown_type_is_understood() -> None:
    data = header(Units="CNTS")
    data.private_block(0x7053, PHILIPS, create=True).add_new(0x00, "UN", b"0.00042 ")
    assert suv_factor([data])[:2] == (0.00042, "SUVbw")


@pytest.mark.parametrize(
    ("data", "tags"),
    [
        (header(Units="CNTS"), ("(7053,1000)", "(7053,1009)")),
        (philips(0, 0), ("(7053,1000)", "(7053,1009)")),
        (philips(None, 1.7, PatientWeight=None), ("PatientWeight",)),
        (philips(0.00042, CorrectedImage=["DECY"]), ("CorrectedImage does not list ATTN",)),
    ],
)
def test_counts_without_a_factor_stay_counts(data: Dataset, tags: tuple[str, ...]) -> None:
    factor, unit, notes = suv_factor([data])
    assert (factor, unit) == (1.0, "counts")
    assert all(tag in notes[0] for tag in tags)


def test_factors_that_differ_between_slices_are_not_used() -> None:
    assert "differs between the slices" in suv_factor([philips(0.1), philips(0.2)])[2][0]
    factor, unit, notes = suv_factor([header(), header(PatientWeight=71.0)])
    assert (factor, unit) == (1.0, "Bq/ml")
    assert "PatientWeight differs" in notes[0]


@pytest.mark.parametrize(
    ("kind", "words"), [("LBM", "lean body mass"), ("BSA", "body surface"), ("XYZ", "XYZ")]
)
def test_other_kinds_of_suv_are_told_apart(kind: str, words: str) -> None:
    factor, unit, notes = suv_factor([header(Units="GML", SUVType=kind)])
    assert (factor, unit) == (1.0, "g/ml")
    assert "SUVType" in notes[0] and words in notes[0]


def test_suv_said_to_be_by_weight_is_suv() -> None:
    assert suv_factor([header(Units="GML", SUVType="BW")]) == (1.0, "SUVbw", ())


@pytest.mark.parametrize(("units", "unit"), [(None, ""), ("CM2ML", "CM2ML"), ("PROPCPS", "PROPCPS")])
def test_other_units_stay_and_are_named(units: str | None, unit: str) -> None:
    factor, found, notes = suv_factor([header(Units=units)])
    assert (factor, found) == (1.0, unit)
    assert f"Units is {units or 'missing'}" in notes[0]


def test_a_time_zone_of_the_injection_is_brought_to_that_of_the_file() -> None:
    # 08:00 in UTC is 10:00 in UTC+2, two hours before the scan.
    zoned = header(RadiopharmaceuticalStartDateTime="20200301080000.00+0000")
    zoned.TimezoneOffsetFromUTC = "+0200"
    assert suv_factor([zoned])[0] == pytest.approx(70_000 / 350e6 * 2)


def test_fractions_of_seconds_and_short_times_are_understood() -> None:
    # Half a second later, and seconds that nobody wrote.
    short = header(RadiopharmaceuticalStartTime="1000", SeriesTime="120000.5", AcquisitionTime="12:00:01")
    assert suv_factor([short])[0] == pytest.approx(70_000 / 350e6 * 2 ** (7200.5 / 7200), rel=1e-9)


def test_slow_tracers_with_a_date_are_followed_over_days() -> None:
    zirconium = header(RadionuclideHalfLife=282240.0, RadiopharmaceuticalStartDateTime="20200226120000")
    days = 4 * 86400  # 2020 is a leap year
    assert suv_factor([zirconium])[0] == pytest.approx(70_000 / 350e6 * 2 ** (days / 282240))


def test_ge_says_privately_when_the_scan_began() -> None:
    later = header(SeriesTime="150000")
    block = later.private_block(0x0009, "GEMS_PETD_01", create=True)
    block.add_new(0x0D, "DT", "20200301120000.00")
    assert suv_factor([later])[:2] == (pytest.approx(70_000 / 350e6 * 2), "SUVbw")


def beds(*positions: tuple[str, float]) -> list[Dataset]:
    """Slices of a Siemens series made later (15:00): time of acquisition and frame reference time in ms."""
    return [
        header(
            SeriesTime="150000",
            AcquisitionTime=time,
            FrameReferenceTime=reference,
            ActualFrameDuration=240000,
        )
        for time, reference in positions
    ]


def test_the_start_of_the_scan_is_computed_from_the_reference_times_of_the_beds() -> None:
    # The average count rate of a frame of 240 s at this half-life is at 119.77 s, a little before its middle.
    during = np.log(2) / 7200 * 240
    average = np.log(during / (1 - np.exp(-during))) * 7200 / np.log(2)
    assert average == pytest.approx(119.77, abs=0.01)
    factor, unit, notes = suv_factor(beds(("120000", 1000 * average), ("120400", 1000 * (average + 240))))
    assert (factor, unit, notes) == (pytest.approx(70_000 / 350e6 * 2, rel=1e-5), "SUVbw", ())


def test_reference_times_that_contradict_each_other_are_not_used() -> None:
    notes = suv_factor(beds(("120000", 120000), ("120400", 120000)))[2]
    assert "FrameReferenceTime differs" in notes[0]


@pytest.mark.parametrize("damaged", ["", "99999999", "20201301", "00010101", "99991231"])
def test_impossible_dates_are_missing_dates(damaged: str) -> None:
    notes = suv_factor([header(SeriesDate=damaged)])[2]
    assert "SeriesDate or SeriesTime is missing" in notes[0]
