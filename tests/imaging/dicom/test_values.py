"""Values that a DICOM series only seems to have: no unit is claimed that its headers do not prove."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from napari_cpclnet.errors import ImageError
from napari_cpclnet.imaging import read_volume
from napari_cpclnet.imaging.dicom import list_series, read_series, unit_and_notes
from napari_cpclnet.preprocessing import PreprocessingSettings, intensity_range

from .dicom_world import write_place

UNKNOWN = "the values are not known to be HU."


def body(*, air: int = 24, tissue: int = 1064) -> np.ndarray:
    """A round body in air, stored with an offset of 1024, with some noise."""
    rows, columns = np.mgrid[:32, :32]
    inside = (rows - 16) ** 2 + (columns - 16) ** 2 < 120
    noise = np.random.default_rng(0).integers(-20, 20, inside.shape)
    return np.where(inside, tissue, air) + noise


def write_stack(folder: Path, stored: np.ndarray, n: int = 6, lacking=lambda number: (), **tags) -> None:
    """A CT whose slices are all alike; ``lacking``: tags that are not in a slice of this number."""
    unsigned = tags.pop("PixelRepresentation", 0) == 0
    padding = {keyword: tags.pop(keyword) for keyword in list(tags) if keyword.startswith("PixelPadding")}
    scale = {"RescaleSlope": 1, "RescaleIntercept": -1024} | tags
    for number in range(n):
        path = folder / f"{number:02d}.dcm"
        pixels = stored.astype("<u2" if unsigned else "<i2").tobytes()
        more = {"PixelRepresentation": 0 if unsigned else 1, "PixelData": pixels}
        write_place(path, (0, 0, 3.0 * number), size=stored.shape, **more, **scale)
        data = dcmread(path)
        for keyword in lacking(number):
            delattr(data, keyword)
        for keyword, value in padding.items():
            data.add_new(keyword, "SS" if value < 0 else "US", value)
        data.save_as(path)


def read_both(folder: Path):
    """Volume as it is read at once, which must agree with what a listing says and with one read slice by slice."""
    pytest.importorskip("dask.array")
    volume = read_volume(folder)
    (info,) = list_series(folder)
    assert unit_and_notes(info) == (volume.unit, volume.notes)
    lazy = read_series(info, lazy=True)
    assert (lazy.unit, lazy.notes) == (volume.unit, volume.notes)
    np.testing.assert_array_equal(np.asarray(lazy.array), volume.array)
    return volume


@pytest.mark.parametrize(
    ("lacking", "named"),
    [
        (("RescaleSlope", "RescaleIntercept"), "RescaleSlope and RescaleIntercept are missing"),
        (("RescaleSlope",), "RescaleSlope is missing"),
        (("RescaleIntercept",), "RescaleIntercept is missing"),
    ],
)
def test_a_ct_without_its_scale_has_no_unit(tmp_path: Path, lacking, named: str) -> None:
    write_stack(tmp_path, body(), lacking=lambda _: lacking)
    volume = read_both(tmp_path)
    assert (volume.modality, volume.unit, volume.notes) == ("CT", "", (f"{named}: {UNKNOWN}",))


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("lacking", [("RescaleSlope", "RescaleIntercept"), ("RescaleIntercept",)])
def test_slices_of_which_some_have_no_scale_do_not_fit_together(
    tmp_path: Path, modality: str, lacking
) -> None:
    write_stack(tmp_path, body(), lacking=lambda number: lacking if number > 2 else (), Modality=modality)
    with pytest.raises(
        ImageError, match=r"missing in 3 of its 6 slices, such as 03\.dcm, so .*export it again"
    ):
        read_volume(tmp_path)
    (info,) = list_series(tmp_path)
    assert "missing in 3 of its 6 slices" in info.problem


def test_a_scale_that_changes_nothing_may_be_missing_in_some_slices(tmp_path: Path) -> None:
    write_stack(
        tmp_path, body(), Modality="MR", RescaleIntercept=0, lacking=lambda n: ("RescaleSlope",)[: n % 2]
    )
    assert read_volume(tmp_path).notes == ()


def test_values_of_two_types_do_not_fit_together(tmp_path: Path) -> None:
    write_stack(tmp_path, body(), RescaleType="HU")
    write_place(tmp_path / "00.dcm", (0, 0, 0), size=(32, 32), RescaleType="US")
    with pytest.raises(ImageError, match=r"values of different types \(RescaleType HU, US\)"):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"RescaleSlope": 0}, "RescaleSlope is 0 in some slices"),
        ({"RescaleType": "US"}, "The CT values are of type US"),
        ({"RescaleIntercept": 0}, "no value is below 0, where air would be -1000 HU"),
        ({"RescaleIntercept": 0, "PixelRepresentation": 1}, "as if an offset of about 1000 had been left in"),
        (
            {"RescaleIntercept": -24, "PixelRepresentation": 1},
            "as if an offset of about 1000 had been left in",
        ),
    ],
)
def test_a_ct_whose_values_cannot_be_hu_says_why(tmp_path: Path, tags, said: str) -> None:
    write_stack(tmp_path, body(), **tags)
    volume = read_both(tmp_path)
    assert volume.unit == ""
    (note,) = volume.notes
    assert said in note and note.endswith(UNKNOWN)
    low, high = intensity_range(volume, PreprocessingSettings())
    assert high > 500 + low  # by percentiles, not a window of HU


@pytest.mark.parametrize(
    "tags", [{}, {"RescaleType": "HU"}, {"RescaleSlope": 0.5, "RescaleIntercept": -1524}]
)
def test_a_ct_with_its_scale_is_in_hu(tmp_path: Path, tags) -> None:
    write_stack(tmp_path, body(), **tags)
    volume = read_both(tmp_path)
    assert (volume.unit, volume.notes) == ("HU", ())


def test_a_ct_stored_in_hu_is_in_hu(tmp_path: Path) -> None:
    write_stack(tmp_path, body() - 1024, RescaleIntercept=0, PixelRepresentation=1)
    volume = read_both(tmp_path)
    assert (volume.unit, volume.notes) == ("HU", ())


@pytest.mark.parametrize("lacking", [("RescaleSlope", "RescaleIntercept"), ("RescaleSlope",)])
def test_a_pet_without_its_scale_is_no_suv(tmp_path: Path, lacking) -> None:
    write_stack(tmp_path, body(), Modality="PT", Units="GML", lacking=lambda _: lacking)
    volume = read_both(tmp_path)
    assert volume.unit == ""
    assert "not converted to SUV" in volume.notes[0]


@pytest.mark.parametrize(
    ("padding", "tags"),
    [
        (63536, {}),
        (63536, {"PixelPaddingValue": -2000}),
        (4095, {"PixelRepresentation": 1}),
        (-2000, {"PixelRepresentation": 1, "PixelPaddingValue": 63536}),
        (63000, {"PixelPaddingRangeLimit": 65535}),
    ],
)
def test_padding_is_no_measurement(tmp_path: Path, padding: int, tags) -> None:
    """Whatever the sign of the tag, which scanners write as they like."""
    stored = body()
    stored[:4, :4] = padding
    if "PixelPaddingRangeLimit" in tags:
        stored[:2, :4] += 7
    write_stack(tmp_path, stored, **({"PixelPaddingValue": padding} | tags))
    volume = read_both(tmp_path)
    assert volume.unit == "HU"
    assert np.all(volume.array[:, :4, :4] == -1024)
    np.testing.assert_array_equal(volume.array[2, 4:], stored[4:] - 1024.0)
    (note,) = volume.notes
    assert "hold no measurement and are read as air (-1024 HU)" in note


def test_padding_of_an_mr_does_not_spoil_its_window(tmp_path: Path) -> None:
    plain, padded = tmp_path / "plain", tmp_path / "padded"
    stored = body()
    stored[:4, :4] = 0
    write_stack(plain, stored, Modality="MR", RescaleIntercept=0)
    stored[:4, :4] = 32767
    write_stack(padded, stored, Modality="MR", RescaleIntercept=0, PixelPaddingValue=32767)
    volume, settings = read_both(padded), PreprocessingSettings()
    assert intensity_range(volume, settings) == intensity_range(read_volume(plain), settings)
    assert "are read as 0." in volume.notes[0]


def test_a_padding_value_among_measured_ones_is_none(tmp_path: Path) -> None:
    """Some converters write 0 there, which is water where HU are stored."""
    write_stack(tmp_path, body() - 1064, RescaleIntercept=0, PixelRepresentation=1, PixelPaddingValue=0)
    volume = read_both(tmp_path)
    assert np.count_nonzero(volume.array == 0) > 20
    assert volume.notes == ()


def test_slices_of_padding_alone_and_between_others_are_air(tmp_path: Path) -> None:
    stored = body()
    write_stack(tmp_path, np.full_like(stored, 63536), 2, PixelPaddingValue=63536)
    write_place(
        tmp_path / "x.dcm",
        (0, 0, 9.0),
        size=(32, 32),
        PixelRepresentation=0,
        PixelData=stored.astype("<u2").tobytes(),
        RescaleSlope=1,
        RescaleIntercept=-1024,
    )
    volume = read_both(tmp_path)
    assert np.all(volume.array[:3] == -1024)
    assert "interpolated" in volume.notes[0] and "PixelPaddingValue" in volume.notes[1]


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "M", "VFRAME"]},
        {"private": (0x0019, "SIEMENS MR HEADER", 0x0A)},
        {"private": (0x0065, "Image Private Header", 0x50)},
    ],
)
def test_a_mosaic_is_refused_by_name(tmp_path: Path, tags) -> None:
    private = tags.pop("private", None) if "private" in (tags := dict(tags)) else None
    for number in range(3):
        path = tmp_path / f"{number}.dcm"
        write_place(path, (0, 0, 0), Modality="MR", InstanceNumber=number, **tags)
        if private is not None:
            data = dcmread(path)
            group, creator, offset = private
            data.private_block(group, creator, create=True).add_new(offset, "US", 16)
            data.save_as(path)
    for place in (tmp_path, tmp_path / "0.dcm"):
        with pytest.raises(
            ImageError, match=r"is a mosaic: .* slices side by side.*convert it with dcm2niix"
        ):
            read_volume(place)
