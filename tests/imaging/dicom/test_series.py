"""Folders as discs and archives deliver them: nested, mixed, linked, copied, several phases in one series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import find_scans, read_volume
from napari_cpclnet.imaging.dicom import list_series, survey

from .dicom_world import error_of, write_place

CORONAL = (1, 0, 0, 0, 0, -1)


def write_stack(folder: Path, n: int = 4, *, start: int = 0, suffix: str = "", **tags) -> None:
    for number in range(start, start + n):
        write_place(folder / f"{number:04d}{suffix}", (0, 0, 3.0 * number), InstanceNumber=number, **tags)


def test_a_disc_is_searched_through_all_its_folders(tmp_path: Path) -> None:
    write_stack(tmp_path / "DICOM/P1/S1", series="1.1", SeriesDescription="ct", SeriesDate="20240102")
    write_stack(tmp_path / "DICOM/P1/S2", 3, series="1.2", Modality="MR", suffix=".dcm")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "autorun.inf").write_text("[autorun]")
    (tmp_path / "DICOM" / "viewer.exe").write_bytes(b"MZ" + bytes(2000))
    ct, mr = sorted(list_series(tmp_path), key=lambda one: one.id)
    assert (ct.modality, ct.description, ct.n_slices, ct.shape, ct.date) == (
        "CT",
        "ct",
        4,
        (4, 12, 14),
        "2024-01-02",
    )
    assert (mr.modality, mr.name, mr.n_slices, mr.spacing) == ("MR", "S2", 3, pytest.approx((3.0, 2.0, 1.5)))
    np.testing.assert_allclose(error_of(read_volume(tmp_path, series="1.1")), 0, atol=0.05)
    scans = find_scans(tmp_path)
    assert [scan.path.name for scan in scans] == ["S1", "S2"]
    assert [read_volume(scan.path, series=scan.series).array.shape[0] for scan in scans] == [4, 3]


def test_one_series_in_two_folders_is_one_scan(tmp_path: Path) -> None:
    write_stack(tmp_path / "DIR000")
    write_stack(tmp_path / "DIR001", start=4)
    (info,) = list_series(tmp_path)
    assert info.n_slices == 8
    assert info.folder == tmp_path
    np.testing.assert_allclose(error_of(read_volume(tmp_path)), 0, atol=0.05)
    (scan,) = find_scans(tmp_path)
    assert read_volume(scan.path, series=scan.series).array.shape[0] == 8


def test_two_patients_with_one_series_number_are_two_scans(tmp_path: Path) -> None:
    """As anonymisers leave them."""
    for number, patient in enumerate(("a", "b")):
        write_stack(tmp_path / patient, 3 + number)
    found = list_series(tmp_path)
    assert [(one.id, one.n_slices) for one in found] == [("1.2.3@a", 3), ("1.2.3@b", 4)]
    assert read_volume(tmp_path, series="1.2.3@b").array.shape[0] == 4
    scans = find_scans(tmp_path)
    assert [read_volume(scan.path, series=scan.series).array.shape[0] for scan in scans] == [3, 4]


def test_copies_are_left_out_and_said(tmp_path: Path) -> None:
    write_stack(tmp_path / "a")
    for path in sorted((tmp_path / "a").iterdir())[:2]:
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
        (tmp_path / "a" / f"{path.name} copy").write_bytes(path.read_bytes())
    listing = survey(tmp_path)
    assert [(one.id, one.n_slices) for one in listing.series] == [("1.2.3", 4)]
    assert listing.skipped[0].startswith(
        "4 files are copies of other slices of the same series and left out: in "
    )


def test_a_damaged_file_is_said_and_does_not_hide_the_others(tmp_path: Path) -> None:
    write_stack(tmp_path)
    whole = (tmp_path / "0003").read_bytes()
    (tmp_path / "0003").write_bytes(whole[:400])
    listing = survey(tmp_path)
    assert [one.n_slices for one in listing.series] == [3]
    assert listing.left_out == (f"1 DICOM file is damaged and left out, such as {tmp_path / '0003'}.",)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    write_stack(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "gone").symlink_to(tmp_path / "nowhere")
    assert [one.n_slices for one in list_series(tmp_path)] == [4]
    assert len(find_scans(tmp_path)) == 1


def test_localisers_are_left_out_and_said(tmp_path: Path) -> None:
    write_stack(tmp_path / "ct")
    write_place(
        tmp_path / "l" / "1", (0, 0, 0), CORONAL, series="1.9", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    for number, turn in enumerate([(1, 0, 0, 0, 1, 0), CORONAL, (0, 1, 0, 0, 0, -1)]):
        write_place(
            tmp_path / "m" / f"{number}", (0, 0, 0), turn, series="1.8", SeriesDescription="3-pl Scout"
        )
    listing = survey(tmp_path)
    assert [one.id for one in listing.series] == ["1.2.3"]
    assert listing.left_out == (
        "Left out as a localiser: 3-pl Scout, CT (3 slices).",
        "Left out as a localiser: CT (1 slice).",
    )
    assert len(find_scans(tmp_path)) == 1
    assert read_volume(tmp_path).array.shape[0] == 4
    assert read_volume(tmp_path, series="1.9").array.shape[0] == 1  # who asks for it gets it
    assert read_volume(tmp_path / "l").array.shape[0] == 1  # and where there is nothing else


def dynamic(folder: Path, keyword: str | None, values, **tags) -> None:
    """Phases of 4 slices, all in one series, written slice by slice; each 100 brighter than the one before."""
    number = 0
    for z in range(4):
        for phase, value in enumerate(values):
            number += 1
            more = {keyword: value} if keyword else {}
            place = (0, 0, 3.0 * z)
            path = folder / f"{(number * 7) % 101:03d}"
            write_place(path, place, InstanceNumber=number, RescaleIntercept=100 * phase, **more, **tags)


@pytest.mark.parametrize(
    ("keyword", "values", "label"),
    [
        ("TemporalPositionIdentifier", [1, 2, 10], "phase 3 of 3: time point 10"),
        ("TriggerTime", [0, 33.5, 120], "phase 3 of 3: trigger time 120 ms"),
        ("EchoTime", [2.3, 4.6, 12], "phase 3 of 3: echo time 12 ms"),
        ("DiffusionBValue", [0, 50, 800], "phase 3 of 3: b-value 800"),
        ("AcquisitionNumber", [3, 4, 12], "phase 3 of 3: acquisition 12"),
        (
            "ImageType",
            [["A", "B", "IN"], ["A", "B", "OUT"], ["A", "B", "WATER"]],
            "phase 3 of 3: image type A/B/WATER",
        ),
        (None, [0, 1, 2], "phase 3 of 3: in the order of acquisition"),
    ],
)
def test_phases_of_a_series_are_told_apart_and_chosen(tmp_path: Path, keyword, values, label: str) -> None:
    dynamic(tmp_path, keyword, values, Modality="MR", SeriesDescription="dyn")
    with pytest.raises(
        ImageError, match=r"holds 3 phases, choose one of: 1\.2\.3#1 \(MR, 4 files, dyn, phase 1 of 3"
    ):
        read_volume(tmp_path)
    found = list_series(tmp_path)
    assert found[2].part.startswith(label)
    assert [one.name for one in found] == ["dyn phase 1", "dyn phase 2", "dyn phase 3"]
    for phase, info in enumerate(found):
        volume = read_volume(tmp_path, series=info.id)
        np.testing.assert_allclose(error_of(volume) - 100 * phase, 0, atol=0.05)
    assert [scan.series for scan in find_scans(tmp_path)] == [one.id for one in found]


def test_two_things_that_vary_make_as_many_phases_as_there_are(tmp_path: Path) -> None:
    for echo in (1, 2):
        for kind in ("M", "P"):
            for z in range(3):
                write_place(
                    tmp_path / f"{echo}{kind}{z}",
                    (0, 0, z),
                    EchoTime=echo,
                    ImageType=["ORIGINAL", "PRIMARY", kind],
                )
    assert [one.part for one in list_series(tmp_path)] == [
        "phase 1 of 4: image type ORIGINAL/PRIMARY/M, echo time 1 ms",
        "phase 2 of 4: image type ORIGINAL/PRIMARY/M, echo time 2 ms",
        "phase 3 of 4: image type ORIGINAL/PRIMARY/P, echo time 1 ms",
        "phase 4 of 4: image type ORIGINAL/PRIMARY/P, echo time 2 ms",
    ]


def test_a_cine_of_one_slice_is_no_volume(tmp_path: Path) -> None:
    for number in range(5):
        write_place(tmp_path / f"{number}", (0, 0, 0), TriggerTime=number)
    (info,) = list_series(tmp_path)
    assert "5 slices at 1 position" in info.problem


def test_problems_are_listed_without_a_path_or_a_patient(tmp_path: Path) -> None:
    write_stack(tmp_path, SamplesPerPixel=3, PhotometricInterpretation="RGB")
    (info,) = list_series(tmp_path)
    assert info.problem == "holds colours, not grey values; choose the original series."
    assert "Secret" not in repr(survey(tmp_path))


def test_a_slope_of_zero_is_said(tmp_path: Path) -> None:
    write_stack(tmp_path, RescaleSlope=0, Modality="MR")
    volume = read_volume(tmp_path)
    assert volume.notes == ("RescaleSlope is 0 in some slices; their stored values are kept.",)
    np.testing.assert_array_equal(volume.array[0], dcmread(tmp_path / "0000").pixel_array)


@pytest.mark.parametrize(
    "value", ["abc", "", None, "1e400", "nan", "1\\2\\3", "9" * 16], ids=lambda v: repr(v)[:8]
)
def test_numbers_that_are_none_are_missing(value) -> None:
    from napari_cpclnet.imaging.dicom.headers import number, numbers, sequence

    fake = {"A": value, "B": [value, 1], "C": [Dataset(), 2.0], "D": b"\0\1"}
    assert number(fake, "A") in (None, 9999999999999999.0)
    assert value == "9" * 16 or numbers(fake, "B", 2) is None
    assert numbers(fake, "C", 2) is None
    assert numbers(fake, "D", 2) is None
    assert number(fake, "none") is None
    assert sequence(fake, "A") == []
