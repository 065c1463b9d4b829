"""Baselines on scans made by hand, where the right answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_cpclnet.errors import SupportError
from napari_cpclnet.evaluation.baselines import features as baseline_features
from napari_cpclnet.evaluation.baselines import registration as baseline_registration
from napari_cpclnet.evaluation.baselines.annotated_slices import painted_scans
from napari_cpclnet.evaluation.baselines.intensity_window import IntensityPredictor
from napari_cpclnet.evaluation.baselines.nearest_mask import CopyPredictor
from napari_cpclnet.evaluation.baselines.registration import RegistrationPredictor
from napari_cpclnet.evaluation.baselines.registry import DESCRIPTIONS, make_baseline
from napari_cpclnet.evaluation.settings import BASELINE_NAMES
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import Features
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet

SPACING = (5.0, 3.0, 3.0)
SHAPE = (16, 60, 66)
ORGAN = {2: "ball"}


class GreyFeatures(nn.Module):
    """Features that are the grey value of a cell, as a direction: nearest in features is nearest in grey value."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.metadata: dict[str, Any] = {}

    def encode(self, images: Tensor, levels: Tensor | None = None) -> Features:
        angle = F.avg_pool2d(images[:, 1:2], 4) * (torch.pi / 2)
        grid = torch.cat([torch.cos(angle), torch.sin(angle)], 1)
        return Features(grid, grid, grid.mean((1, 2, 3)), images)


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(GreyFeatures(), SegmentationSettings(device="cpu"))  # type: ignore[arg-type]


def ball(centre_mm: tuple[float, float, float], radius_mm: float = 24.0) -> np.ndarray:
    places = np.meshgrid(*(np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True)), indexing="ij")
    return sum((p - c) ** 2 for p, c in zip(places, centre_mm, strict=True)) < radius_mm**2


def scan(*balls: np.ndarray, brightness: float = 200.0, name: str = "scan") -> Volume:
    """A body of -50 HU in air with bright balls."""
    _, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    body = ((y - 29.5) / 27) ** 2 + ((x - 32.5) / 30) ** 2 < 1
    array = np.where(body, -50.0, -1000.0).astype(np.float32)
    for one in balls:
        array[one] = brightness
    return Volume(array, Geometry(SHAPE, SPACING), "CT", "HU", name=name)


def paint(volume: Volume, mask: np.ndarray, slices: list[int], value: int = 2) -> SupportSet:
    support = SupportSet(ORGAN)
    support.add(volume, mask.astype(np.uint8) * value, slices=slices)
    return support


def dice(labels: np.ndarray, mask: np.ndarray, value: int = 2) -> float:
    found = labels == value
    return 2 * np.count_nonzero(found & mask) / (np.count_nonzero(found) + np.count_nonzero(mask))


@pytest.mark.parametrize("name", ["prototype", "knn", "intensity"])
def test_a_bright_ball_is_found_at_another_place(name: str, segmenter: Segmenter) -> None:
    here, there = ball((40, 60, 60)), ball((40, 105, 120))
    predicted = make_baseline(name, segmenter).predict(paint(scan(here), here, [6, 8, 10]), scan(there))  # type: ignore[arg-type]
    assert predicted.shape == SHAPE
    # cells of 12 mm blur the outline of a ball of 48 mm
    assert dice(predicted, there) > (0.99 if name == "intensity" else 0.75)


def test_nearest_neighbours_do_not_depend_on_the_size_of_the_pieces(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = ball((40, 60, 60)), ball((40, 105, 120))
    support = paint(scan(here), here, [8])
    whole = make_baseline("knn", segmenter).predict(support, scan(there))
    monkeypatch.setattr(baseline_features, "LARGEST_TABLE", 1024 * 7)
    assert np.array_equal(make_baseline("knn", segmenter).predict(support, scan(there)), whole)


def test_nearest_neighbours_work_with_fewer_cells_than_neighbours() -> None:
    cells, tokens = F.normalize(torch.rand(4, 3), dim=1), F.normalize(torch.rand(2, 3), dim=1)
    votes = baseline_features.NeighbourPredictor._foreground(
        object(),
        cells,
        tokens,
        torch.tensor([[1.0, 0.0]]),  # type: ignore[arg-type]
    )
    assert torch.allclose(votes, torch.full((1, 4), 0.5))


def test_prototype_gives_a_cell_to_the_nearer_of_the_two_means() -> None:
    tokens = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    cells = F.normalize(torch.tensor([[2.0, 1.0], [1.0, 1.0], [1.0, 2.0]]), dim=1)
    value = baseline_features.PrototypePredictor._foreground(
        object(),
        cells,
        tokens,
        torch.tensor([[1.0, 0.0]]),  # type: ignore[arg-type]
    )
    assert value[0, 0] > 0.99 and value[0, 2] < 0.01
    assert value[0, 1] == pytest.approx(0.5)


def test_a_class_that_was_not_painted_is_nowhere(segmenter: Segmenter) -> None:
    here = ball((40, 60, 60))
    support = SupportSet({2: "ball", 5: "never painted"})
    support.add(scan(here), here.astype(np.uint8) * 2, slices=[7, 9])
    for name in BASELINE_NAMES:
        assert not np.any(make_baseline(name, segmenter).predict(support, scan(here, name="other")) == 5)


@pytest.mark.parametrize("name", BASELINE_NAMES)
def test_painted_slices_of_the_same_scan_come_out_as_painted(name: Any, segmenter: Segmenter) -> None:
    here = ball((40, 60, 60))
    volume = scan(here)
    odd = here & ball((40, 70, 60))  # what was painted is kept even where it is not what the method would say
    predicted = make_baseline(name, segmenter).predict(paint(volume, odd, [6, 9]), volume)
    for index in (6, 9):
        assert np.array_equal(predicted[index] == 2, odd[index])


@pytest.mark.parametrize("name", BASELINE_NAMES)
def test_every_name_makes_a_method_of_that_name_with_a_description(name: Any, segmenter: Segmenter) -> None:
    assert make_baseline(name, segmenter).name == name
    assert DESCRIPTIONS[name]


def test_a_support_without_a_class_is_refused(segmenter: Segmenter) -> None:
    support = SupportSet(ORGAN)
    support.add(scan(), np.zeros(SHAPE, np.uint8), absent=[4])
    for name in BASELINE_NAMES:
        with pytest.raises(SupportError, match="shows no class"):
            make_baseline(name, segmenter).predict(support, scan())


class TestSpread:
    def test_slices_repeat_the_nearest_painted_one_and_end_half_a_gap_outside(self) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[4, 20:30, 20:30], labels[9, 30:40, 30:40] = 2, 2
        (painted,) = painted_scans(paint(scan(), labels > 0, [4, 9]))
        spread = painted.spread(ORGAN)
        assert np.flatnonzero(spread.any((1, 2))).tolist() == list(range(2, 12))
        assert all(np.array_equal(spread[i], labels[4]) for i in range(2, 7))
        assert all(np.array_equal(spread[i], labels[9]) for i in range(7, 12))

    def test_an_absent_slice_ends_the_organ_half_way(self) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[4, 20:30, 20:30] = 2
        support = SupportSet(ORGAN)
        support.add(scan(), labels, slices=[4], absent=[7])
        spread = painted_scans(support)[0].spread(ORGAN)
        assert np.flatnonzero(spread.any((1, 2))).tolist() == [3, 4, 5]

    def test_a_single_slice_reaches_by_the_radius_of_its_area(self) -> None:
        here = ball((40, 90, 90), 24.0)
        spread = painted_scans(paint(scan(here), here, [8]))[0].spread(ORGAN)
        # 24 mm are 4.8 slices of 5 mm
        assert np.flatnonzero(spread.any((1, 2))).tolist() == list(range(4, 13))


class TestCopy:
    def test_between_equal_bodies_it_is_the_spread_label_map(self) -> None:
        here = ball((40, 60, 60))
        support = paint(scan(here), here, [5, 7, 9, 11])
        copied = CopyPredictor(PreprocessingSettings()).predict(support, scan(name="another"))
        spread = painted_scans(support)[0].spread(ORGAN)
        assert np.array_equal(copied.any((1, 2)), spread.any((1, 2)))
        assert dice(copied, spread == 2) > 0.98

    def test_levels_are_counted_from_the_feet_whatever_the_order_of_slices(self) -> None:
        here = ball((55, 60, 60))
        support = paint(scan(here), here, [9, 11, 13])
        other = scan(name="head first")
        reverse = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        upside_down = other.replaced(
            array=other.array[::-1].copy(), geometry=Geometry(SHAPE, SPACING, (75.0, 0.0, 0.0), reverse)
        )
        method = CopyPredictor(PreprocessingSettings())
        assert np.array_equal(method.predict(support, upside_down)[::-1], method.predict(support, other))


class TestIntensity:
    def test_only_the_largest_piece_stays(self) -> None:
        here, small = ball((40, 60, 60)), ball((40, 130, 130), 12.0)
        found = IntensityPredictor(PreprocessingSettings()).predict(
            paint(scan(here), here, [8]), scan(here, small)
        )
        assert dice(found, here) > 0.99
        assert not found[small].any()

    def test_where_windows_overlap_the_nearer_mean_wins(self) -> None:
        volume = scan()
        array = volume.array.copy()
        rng = np.random.default_rng(0)
        labels = np.zeros(SHAPE, np.uint8)
        labels[:, 20:30, 15:30], labels[:, 20:30, 35:50] = 1, 2
        array[labels == 1] = rng.normal(60, 30, np.count_nonzero(labels == 1))
        array[labels == 2] = rng.normal(120, 30, np.count_nonzero(labels == 2))
        support = SupportSet({1: "dark", 2: "bright"})
        support.add(volume.replaced(array=array), labels, slices=[8])
        query = volume.array.copy()
        query[labels == 1], query[labels == 2] = 80, 100  # both inside both windows
        found = IntensityPredictor(PreprocessingSettings()).predict(support, volume.replaced(array=query))
        assert np.array_equal(found, labels)


def blobs(shift_mm: tuple[float, float, float], modality: str) -> tuple[Volume, np.ndarray]:
    """A body with organs of several grey values, moved as a whole; MR has other contrasts. 6 mm voxels."""
    shape, spacing = (26, 40, 44), 6.0
    z, y, x = (
        p * spacing - s
        for p, s in zip(np.meshgrid(*map(np.arange, shape), indexing="ij"), shift_mm, strict=True)
    )
    greys = {
        "CT": (-1000.0, -80.0, 60.0, 150.0, 250.0, 20.0),
        "MR": (0.0, 900.0, 300.0, 650.0, 60.0, 500.0),
    }
    air, fat, liver, kidney, bone, gut = greys[modality]

    def inside(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
        return sum(((p - c) / r) ** 2 for p, c, r in zip((z, y, x), centre, radii, strict=True)) < 1

    array = np.full(shape, air, np.float32)
    array[inside((78, 120, 132), (70, 80, 105))] = fat
    labels = inside((96, 100, 85), (38, 42, 40))
    for mask, grey in (
        (labels, liver),
        (inside((60, 140, 185), (30, 18, 20)), kidney),
        (inside((78, 175, 132), (60, 14, 14)), bone),
        (inside((55, 80, 150), (24, 22, 38)), gut),
    ):
        array[mask] = grey
    volume = Volume(array, Geometry(shape, (spacing,) * 3), modality, "HU" if modality == "CT" else "")  # type: ignore[arg-type]
    return volume, labels


class TestRegistration:
    def test_it_recovers_a_known_shift_across_modalities(self) -> None:
        support_scan, mask = blobs((0, 0, 0), "CT")
        query, moved_mask = blobs((12, -9, 15), "MR")
        support = SupportSet(ORGAN)
        support.add(support_scan, mask * np.uint8(2), slices=list(range(10, 23)))
        method = RegistrationPredictor(PreprocessingSettings())
        transform = method.register(query, support_scan)
        assert method.note == ""
        # the middle of the organ, in (x, y, z): from the query back to the support
        x, y, z = transform.TransformPoint((100.0, 91.0, 108.0))
        assert (x, y, z) == pytest.approx((85.0, 100.0, 96.0), abs=4.0)
        assert dice(method.predict(support, query), moved_mask) > 0.88

    def test_it_gives_the_same_answer_twice(self) -> None:
        support_scan, mask = blobs((0, 0, 0), "CT")
        query, _ = blobs((6, 0, -6), "CT")
        support = SupportSet(ORGAN)
        support.add(support_scan, mask * np.uint8(2), slices=[14, 18])
        first, second = (RegistrationPredictor(PreprocessingSettings()).predict(support, query) for _ in "ab")
        assert np.array_equal(first, second)

    def test_a_scan_too_thin_is_laid_on_the_centres_and_the_note_says_so(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        support_scan, mask = blobs((0, 0, 0), "CT")
        thin = support_scan.replaced(
            array=support_scan.array[14:17], geometry=Geometry((3, 40, 44), (6.0,) * 3, (84.0, 0.0, 0.0))
        )
        support = SupportSet(ORGAN)
        support.add(support_scan, mask * np.uint8(2), slices=[12, 15, 18])
        method = RegistrationPredictor(PreprocessingSettings())
        found = method.predict(support, thin)
        assert "too thin" in method.note and "centres" in method.note
        assert "too thin" in caplog.text
        assert found.any()

    def test_a_failed_step_falls_back_and_says_what_failed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        support_scan, mask = blobs((0, 0, 0), "CT")
        query, moved_mask = blobs((0, 12, 12), "CT")
        support = SupportSet(ORGAN)
        support.add(support_scan, mask * np.uint8(2), slices=list(range(10, 23)))

        def fail(*_: Any) -> Any:
            raise RuntimeError("ITK says:\nall samples map outside the moving image")

        monkeypatch.setattr(baseline_registration, "_affine", fail)
        method = RegistrationPredictor(PreprocessingSettings())
        found = method.predict(support, query)
        assert "all samples map outside" in method.note
        # the bodies have one shape, so their centres give the shift in the plane
        assert dice(found, moved_mask) > 0.85

    def test_the_organs_of_one_pair_are_registered_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        support_scan, _ = blobs((0, 0, 0), "CT")
        query, _ = blobs((0, 12, 12), "CT")
        calls: list[int] = []

        def count(*arguments: Any) -> Any:
            calls.append(1)
            return arguments[2]

        monkeypatch.setattr(baseline_registration, "_affine", count)
        monkeypatch.setattr(baseline_registration, "_spline", count)
        method = RegistrationPredictor(PreprocessingSettings())
        for _ in range(3):
            method.register(query, support_scan)
        assert len(calls) == 2  # one affine step and one B-spline step


@pytest.mark.parametrize("name", ["interpolation", "fill"])
def test_methods_of_the_same_scan_fill_it_and_leave_others_empty(name) -> None:
    rng = np.random.default_rng(0)
    z, y, x = np.mgrid[:12, :40, :44]
    there = ((z - 6) / 6) ** 2 + ((y - 20) / 12) ** 2 + ((x - 20) / 12) ** 2 < 1
    volume = Volume(
        (100.0 * there + rng.normal(0, 10, there.shape)).astype(np.float32), Geometry(there.shape, (4, 2, 2))
    )
    support = SupportSet({3: "organ"})
    support.add(volume, 3 * there.astype(np.uint8), slices=[2, 6, 10], plane="axial")
    predictor = make_baseline(name, None)
    found = predictor.predict(support, volume)
    between = [3, 4, 5, 7, 8, 9]
    assert np.mean((found[between] == 3) == there[between]) > 0.95
    assert np.array_equal(found[6] == 3, there[6])
    other = Volume(volume.array[:, ::-1].copy(), volume.geometry)
    assert not predictor.predict(support, other).any()
