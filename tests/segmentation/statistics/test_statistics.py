"""Statistics against SimpleITK's filters, brute force, and phantoms whose sizes are known."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_cpclnet.errors import GeometryError, OutputError
from napari_cpclnet.imaging import Geometry, Segmentation, Volume
from napari_cpclnet.segmentation.statistics import (
    COLUMNS,
    ClassStatistics,
    as_csv,
    axial_diameters,
    intensity_peak,
    measure,
    write_statistics,
)
from napari_cpclnet.segmentation.statistics.measure import count_components

RNG = np.random.default_rng(3)


def turned(degrees: float, axis: str) -> tuple[tuple[float, ...], ...]:
    """Direction of a grid that leans from the patient's axes."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return {
        "left": ((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)),
        "superior": ((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)),
    }[axis]


def blobs(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Ragged labels 1, 2 and 5 in several components."""
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return np.select([noise > 0.18, noise < -0.2, np.abs(noise) < 0.004], [1, 2, 5]).astype(np.uint16)


@pytest.fixture(params=[0, 1, 2])
def case(request: pytest.FixtureRequest) -> tuple[Volume, Segmentation]:
    shape = [(12, 40, 33), (30, 21, 24), (7, 50, 50)][request.param]
    spacing = [(5.0, 1.2, 0.8), (1.0, 1.0, 3.0), (4.0, 2.0, 2.0)][request.param]
    direction = [turned(0, "left"), turned(20, "left"), turned(35, "superior")][request.param]
    geometry = Geometry(shape, spacing, (3.0, -7.0, 11.0), direction)
    array = RNG.normal(40, 15, shape).astype(np.float32)
    volume = Volume(array, geometry, "CT", "HU", "a scan")
    return volume, Segmentation(blobs(shape, request.param), {1: "liver", 2: "spleen"}, geometry)


def test_sizes_and_grey_values_are_those_of_simpleitk(case: tuple[Volume, Segmentation]) -> None:
    volume, segmentation = case
    labels, grey = volume.geometry.to_sitk(segmentation.labels), volume.geometry.to_sitk(volume.array)
    shape, intensity = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelIntensityStatisticsImageFilter()
    shape.Execute(labels)
    intensity.Execute(labels, grey)
    rows = {row.value: row for row in measure(volume, segmentation)}
    assert set(rows) == set(shape.GetLabels()) == {1, 2, 5}
    for value, row in rows.items():
        assert row.voxels == shape.GetNumberOfPixels(value)
        assert row.ml == pytest.approx(shape.GetPhysicalSize(value) / 1000)
        assert row.mean == pytest.approx(intensity.GetMean(value))
        assert row.sd == pytest.approx(intensity.GetStandardDeviation(value))
        assert (row.minimum, row.maximum) == (intensity.GetMinimum(value), intensity.GetMaximum(value))
        pieces = sitk.ConnectedComponentImageFilter()
        pieces.FullyConnectedOn()
        pieces.Execute(labels == value)
        assert row.components == pieces.GetObjectCount() > 1
    assert [rows[value].name for value in (1, 2, 5)] == ["liver", "spleen", "label 5"]
    assert {row.unit for row in rows.values()} == {"HU"}


def test_the_diameter_is_that_of_simpleitk_from_centre_to_centre(case: tuple[Volume, Segmentation]) -> None:
    """Feret diameters of SimpleITK join centres of pixels: ours are longer by at most the diagonal of one."""
    volume, segmentation = case
    geometry = volume.geometry
    for value in (1, 2):
        found = axial_diameters(segmentation.labels == value, geometry)
        assert found is not None
        ferets = []
        for one in np.moveaxis(segmentation.labels == value, found.axis, 0):
            image = sitk.GetImageFromArray(one.astype(np.uint8))
            image.SetSpacing(np.delete(geometry.spacing, found.axis)[::-1].tolist())
            measured = sitk.LabelShapeStatisticsImageFilter()
            measured.ComputeFeretDiameterOn()
            measured.Execute(sitk.ConnectedComponent(image, True))
            ferets.append(max((measured.GetFeretDiameter(n) for n in measured.GetLabels()), default=0.0))
        diagonal = np.linalg.norm(np.delete(geometry.spacing, found.axis))
        assert max(ferets) < found.longest_mm <= max(ferets) + diagonal
        assert ferets[found.index] >= max(ferets) - diagonal


@pytest.mark.parametrize("lean", [0.0, 25.0])
@pytest.mark.parametrize("along", ["rows", "columns"])
def test_a_box_is_as_long_and_as_wide_as_its_pixels(lean: float, along: str) -> None:
    geometry = Geometry((9, 30, 40), (5.0, 0.7, 1.3), direction=turned(lean, "left"))
    mask = np.zeros(geometry.shape, bool)
    mask[4, 5:25, 7:8] = along == "rows"
    mask[4, 5:6, 7:27] |= along == "columns"
    found = axial_diameters(mask, geometry)
    assert found is not None and found.index == 4
    length, width = (20 * 0.7, 1.3) if along == "rows" else (20 * 1.3, 0.7)
    assert found.longest_mm == pytest.approx(length)
    assert found.perpendicular_mm == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize("angle", [0, 17, 45, 80])
@pytest.mark.parametrize("spacing", [(4.0, 0.5, 0.5), (4.0, 0.4, 0.9)])
def test_an_ellipse_has_its_two_axes_whichever_way_it_lies(
    angle: float, spacing: tuple[float, float, float]
) -> None:
    geometry = Geometry((3, 160, 160), spacing)
    rows, columns = np.meshgrid(
        (np.arange(160) - 80.2) * spacing[1], (np.arange(160) - 79.6) * spacing[2], indexing="ij"
    )
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    inside = ((c * rows + s * columns) / 25) ** 2 + ((c * columns - s * rows) / 12) ** 2 <= 1
    found = axial_diameters(np.stack([inside & False, inside, inside & False]), geometry)
    assert found is not None and found.index == 1
    assert found.longest_mm == pytest.approx(50, abs=0.6)
    assert found.perpendicular_mm == pytest.approx(24, abs=0.9)


def test_axial_slices_are_found_in_scans_that_are_stored_in_another_order() -> None:
    """Sagittal slices: axes are left, superior (downwards), posterior."""
    geometry = Geometry(
        (10, 40, 50), (4.0, 1.0, 0.5), direction=((0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    )
    mask = np.zeros(geometry.shape, bool)
    mask[5, 3:37, 20] = True  # long along the body, which no axial slice shows
    mask[5, 12, 10:40] = True
    found = axial_diameters(mask, geometry)
    assert found is not None
    assert (found.axis, found.index) == (1, 12)
    assert found.longest_mm == pytest.approx(15, abs=0.05)


def test_of_two_components_the_longer_one_is_measured_and_not_what_lies_between() -> None:
    geometry = Geometry((1, 20, 100), (1.0, 1.0, 1.0))
    mask = np.zeros(geometry.shape, bool)
    mask[0, 5, 2:12] = mask[0, 5, 80:95] = True
    found = axial_diameters(mask, geometry)
    assert found is not None
    assert found.longest_mm == pytest.approx(15, abs=0.05)


def test_the_diameter_on_a_sheared_grid_is_that_in_the_patient() -> None:
    """A gantry that leans moves each row a little; along the shear a row is what it was."""
    straight = Geometry((1, 30, 30), (3.0, 1.0, 1.0))
    shear = np.array(straight.affine)
    shear[:3, 1] = [0.0, 0.8, 0.6]  # rows step aside to the left
    geometry = Geometry.from_affine(straight.shape, shear)
    mask = np.zeros(geometry.shape, bool)
    mask[0, 4:24, 4:24] = True
    found = axial_diameters(mask, geometry)
    corners = geometry.index_to_world([[0, 3.5, 3.5], [0, 23.5, 23.5]])
    assert found is not None
    assert found.longest_mm == pytest.approx(float(np.linalg.norm(corners[1] - corners[0])), abs=0.9)


def brute_peak(array: np.ndarray, mask: np.ndarray, geometry: Geometry) -> float:
    centres = geometry.index_to_world(np.argwhere(np.ones(array.shape, bool)))
    radius = (3000 / (4 * math.pi)) ** (1 / 3)
    means = []
    for centre in geometry.index_to_world(np.argwhere(mask)):
        near = np.linalg.norm(centres - centre, axis=1) <= radius
        means.append(array.ravel()[near].mean())
    return max(means)


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((9, 14, 15), (5.0, 4.07, 4.07)),
        Geometry((12, 12, 13), (1.5, 1.5, 1.0), direction=turned(30, "superior")),
        Geometry((8, 9, 10), (2.0, 2.0, 2.0)),
    ],
    ids=["scanner", "fine, by Fourier transform", "oblique"],
)
def test_suv_peak_is_the_highest_mean_in_a_ball_of_one_millilitre(geometry: Geometry) -> None:
    array = RNG.gamma(2.0, 2.0, geometry.shape).astype(np.float32)
    mask = np.zeros(geometry.shape, bool)
    mask[:4, 2:7, 3:9] = True  # at the border of the scan
    assert intensity_peak(array, mask, geometry) == pytest.approx(brute_peak(array, mask, geometry))


def test_suv_peak_of_a_large_hot_ball_is_its_uptake_and_of_a_small_one_less() -> None:
    geometry = Geometry((40, 40, 40), (2.0, 2.0, 2.0))
    far = np.linalg.norm((np.argwhere(np.ones(geometry.shape, bool)) - 20) * 2.0, axis=1)
    distance = far.reshape(geometry.shape)
    for radius, peak in ((16.0, 8.0), (4.0, None)):
        array = np.where(distance <= radius, 8.0, 1.0).astype(np.float32)
        volume = Volume(array, geometry, "PT", "SUVbw", "pet")
        labels = (distance <= radius).astype(np.uint8)
        (row,) = measure(volume, Segmentation(labels, {1: "tumour"}, geometry))
        assert (row.unit, row.suv_max, row.suv_mean) == ("SUV", 8.0, 8.0)
        if peak is None:
            share = np.count_nonzero(distance <= 4.0) / np.count_nonzero(distance <= 6.2)
            assert row.suv_peak == pytest.approx(8 * share + 1 - share)
        else:
            assert row.suv_peak == pytest.approx(peak)
        assert row.ml == pytest.approx(np.count_nonzero(labels) * 0.008)


def test_what_has_no_meaning_is_left_empty() -> None:
    geometry = Geometry((4, 8, 8))
    array = np.arange(256, dtype=np.uint8).reshape(geometry.shape)
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1, 2, 3] = 7
    picture = Volume(array, geometry, "other", "", "picture", calibrated=False)
    absent, one = measure(picture, Segmentation(labels, {3: "gone", 7: "dot"}, geometry))
    assert (absent.voxels, absent.components) == (0, 0)
    assert one.voxels == 1 and one.mean == array[1, 2, 3] and one.unit == ""
    for row in (absent, one):
        for name in ("ml", "sd", "suv_peak", "suv_max", "diameter_mm", "perpendicular_mm"):
            assert math.isnan(getattr(row, name)), name
    counts = Volume(array.astype(np.float32), geometry, "PT", "Bq/ml", "pet")
    _, row = measure(counts, Segmentation(labels, {3: "gone", 7: "dot"}, geometry))
    assert math.isnan(row.suv_max) and row.ml == pytest.approx(0.001)


def test_labels_of_another_grid_are_refused() -> None:
    geometry = Geometry((4, 8, 8))
    moved = Geometry((4, 8, 8), origin=(0.0, 5.0, 0.0))
    segmentation = Segmentation(np.zeros(moved.shape, np.uint8), {1: "liver"}, moved)
    with pytest.raises(GeometryError, match="does not lie on the voxels"):
        list(measure(Volume(np.zeros(geometry.shape, np.int16), geometry), segmentation))


def test_a_unit_that_was_concluded_from_the_values_is_marked() -> None:
    geometry = Geometry((2, 4, 4))
    labels = np.ones(geometry.shape, np.uint8)
    for notes, expected in ((("Taken as CT in HU because of its values.",), "values"), ((), "file")):
        volume = Volume(np.zeros(geometry.shape, np.int16), geometry, "CT", "HU", "ct", notes=notes)
        rows = list(
            csv.DictReader(io.StringIO(as_csv(measure(volume, Segmentation(labels, {1: "a"}, geometry)))))
        )
        assert rows[0]["unit_from"] == expected


def test_the_table_has_a_cell_for_each_column_and_computes_nothing() -> None:
    row = ClassStatistics("=scan,1", 2, "Leber – größer", 3, 1 / 3, "HU", 1.5, 2.0, -3.0, 4.0, components=1)
    (read,) = csv.DictReader(io.StringIO(as_csv([row])))
    assert tuple(read) == COLUMNS
    assert read["scan"] == "'=scan,1" and read["class"] == "Leber – größer"
    assert read["volume_ml"] == "0.333333" and read["minimum"] == "-3"
    assert read["suv_peak"] == read["diameter_slice"] == ""


def test_the_file_is_utf_8_and_an_old_one_stays_if_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "statistics.csv"
    write_statistics(path, [ClassStatistics("scan", 1, "größer", 1)])
    before = path.read_bytes()
    assert "größer" in before.decode("utf-8")

    def failing():
        yield ClassStatistics("scan", 1, "other", 1)
        raise OSError("the disk is full")

    with pytest.raises(OutputError, match="the disk is full"):
        write_statistics(path, failing())
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["statistics.csv"]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_components_are_those_of_simpleitk_in_any_tangle(share: float) -> None:
    mask = np.random.default_rng(7).random((9, 17, 15)) < share
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    pieces = sitk.ConnectedComponentImageFilter()
    pieces.FullyConnectedOn()
    pieces.Execute(image)
    assert count_components(mask) == pieces.GetObjectCount()
