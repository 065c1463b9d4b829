from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage
from skimage import measure

from napari_cpclnet.preprocessing import PseudoLabelSettings, RegionMap, body_mask, picture_regions
from napari_cpclnet.preprocessing.pseudo_labels.regions import LINKED_SLICES, MOST_REGIONS, RegionLinker

# centre (row, column), radius and grey value of organs in a trunk of 0.4, all in mm
ORGANS = ((60, 60, 22, 0.75), (60, 130, 30, 0.6), (130, 95, 25, 0.15))
SIZE_MM = 192


def disc(row: float, column: float, radius: float, mm: float) -> np.ndarray:
    n = int(SIZE_MM / mm)
    rows, columns = np.mgrid[:n, :n] * mm + mm / 2
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def trunk(mm: float = 1.5, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """Picture of a round trunk with three organs, and its labels."""
    labels = disc(95, 95, 88, mm).astype(np.uint8)
    picture = np.where(labels, 0.4, 0.0)
    for number, (row, column, radius, grey) in enumerate(ORGANS, start=2):
        organ = disc(row, column, radius, mm)
        labels[organ] = number
        picture[organ] = grey
    rng = np.random.default_rng(0)
    return np.clip(picture + rng.normal(0, noise, picture.shape), 0, 1).astype(np.float32), labels


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def best_dice(organ: np.ndarray, regions: np.ndarray) -> float:
    return max((dice(organ, regions == value) for value in np.unique(regions[organ]) if value), default=0.0)


@pytest.fixture(scope="module")
def cut() -> tuple[np.ndarray, np.ndarray, dict[RegionMap, np.ndarray]]:
    picture, labels = trunk()
    return picture, labels, picture_regions(picture, spacing=(1.5, 1.5))


def test_there_is_one_map_per_method_and_scale(cut):
    assert [which.name for which in cut[2]] == [
        *("slic-1", "slic-2", "slic-3"),
        *("felzenszwalb-1", "felzenszwalb-2", "felzenszwalb-3"),
    ]


def test_an_organ_that_stands_out_is_a_region(cut):
    _, labels, maps = cut
    for which, regions in maps.items():
        for number, (_, _, radius, _) in enumerate(ORGANS, start=2):
            if 2 * radius > PseudoLabelSettings().scales_mm[which.scale - 1]:
                assert best_dice(labels == number, regions) > 0.85, (which, number)


def test_regions_are_connected_numbered_from_one_and_inside_the_body(cut):
    _, labels, maps = cut
    for regions in maps.values():
        assert regions.dtype == np.uint16
        values = np.unique(regions)
        np.testing.assert_array_equal(values, np.arange(len(values)))
        pieces = measure.label(regions, background=0, connectivity=1)
        assert pieces.max() == regions.max()
        # the mask of the body is smoothed, and blurred by a pixel
        assert np.count_nonzero(regions[labels == 0]) < 0.02 * np.count_nonzero(labels)


def test_regions_are_neither_too_small_nor_too_large(cut):
    picture, _, maps = cut
    settings = PseudoLabelSettings()
    body = np.count_nonzero(body_mask(picture, 0.2, spacing=(1.5, 1.5)))
    for regions in maps.values():
        areas = np.bincount(regions.ravel())[1:]
        assert areas.min() * 1.5**2 >= 0.9 * settings.minimum_mm2  # the outline of the body is drawn finer
        assert areas.max() <= 1.02 * settings.maximum_share * body


def test_coarser_scales_have_fewer_regions():
    blobs = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 6)
    maps = picture_regions(
        (blobs - blobs.min()) / np.ptp(blobs), spacing=(1.5, 1.5), body=np.ones(blobs.shape, bool)
    )
    for method in ("slic", "felzenszwalb"):
        counts = [int(maps[RegionMap(method, scale)].max()) for scale in (1, 2, 3)]
        assert counts[0] > counts[1] > counts[2]


def test_organs_are_found_whatever_the_size_of_the_pixels():
    fine, labels = trunk(0.75)
    for which, regions in picture_regions(fine, spacing=(0.75, 0.75)).items():
        for number in (2, 3, 4):
            assert best_dice(labels == number, regions) > 0.85, (which, number)


def test_the_same_picture_gives_the_same_regions(cut):
    picture, _, maps = cut
    again = picture_regions(picture.copy(), spacing=(1.5, 1.5))
    for which in maps:
        np.testing.assert_array_equal(again[which], maps[which])


@pytest.mark.parametrize("method", ["slic", "felzenszwalb"])
def test_what_lies_along_the_border_of_the_picture_is_dropped_and_what_only_reaches_it_is_kept(method):
    picture = np.full((120, 120), 0.4, np.float32)
    picture[40:80, :10] = 0.9  # 40 of 100 pixels of its outline are border
    picture[:40, 55:65] = 0.9  # 10 of 100
    chosen = PseudoLabelSettings(methods=(method,), scales_mm=(25,), smoothing_mm=0, working_mm=1)
    (regions,) = picture_regions(picture, chosen, body=np.ones(picture.shape, bool)).values()
    assert np.count_nonzero(regions[40:80, :10]) < 20
    assert best_dice(picture * (np.arange(120) > 20) > 0.5, regions) > 0.9


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_flat_picture_has_no_regions(value):
    for regions in picture_regions(np.full((60, 50), value, np.float32)).values():
        assert not regions.any()
        assert regions.shape == (60, 50)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 200)])
def test_odd_shapes_are_no_problem(shape):
    picture = np.random.default_rng(0).uniform(size=shape)
    for regions in picture_regions(picture, body=np.ones(shape, bool)).values():
        assert regions.shape == shape


class TestBody:
    def test_holes_are_filled_and_a_couch_is_left_out(self):
        picture, labels = trunk(1.5, noise=0)
        picture[-3:] = 0.5  # 4.5 mm thick
        found = body_mask(picture, 0.2, spacing=(1.5, 1.5))
        assert dice(found, labels > 0) > 0.98
        assert not found[-3:].any()

    def test_a_second_leg_belongs_to_the_body_and_a_finger_does_not(self):
        legs = disc(95, 50, 40, 1.5) | disc(95, 145, 38, 1.5)
        found = body_mask((legs | disc(180, 20, 8, 1.5)).astype(float), 0.5, spacing=(1.5, 1.5))
        assert dice(found, legs) > 0.97
        assert not found[disc(180, 20, 8, 1.5)].any()

    def test_a_body_that_fills_the_picture_keeps_its_corners(self):
        assert body_mask(np.ones((40, 40)), 0.5).all()

    def test_air_has_none(self):
        assert not body_mask(np.zeros((40, 40)), 0.5).any()


class TestLinker:
    def test_a_region_that_goes_on_keeps_its_number(self):
        linker = RegionLinker(0.5)
        first = linker.link(numbered([disc(60, 60, 20, 2), disc(60, 140, 20, 2)]))
        second = linker.link(numbered([disc(140, 60, 20, 2), disc(62, 142, 20, 2), disc(58, 62, 18, 2)]))
        assert second[at(60, 60)] == first[at(60, 60)] == 1
        assert second[at(60, 140)] == first[at(60, 140)] == 2
        assert second[at(140, 60)] == 3

    def test_of_two_halves_the_larger_goes_on(self):
        linker = RegionLinker(0.3)
        whole = disc(95, 95, 40, 2)
        columns = np.arange(96)[None]
        linker.link(numbered([whole]))
        halves = linker.link(numbered([whole & (columns < 40), whole & (columns >= 40)]))
        assert halves[at(95, 120)] == 1
        assert halves[at(95, 65)] == 2

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_within_three_slices_a_number_is_one_chain_of_overlaps(self, seed):
        rng = np.random.default_rng(seed)
        linker, stack = RegionLinker(0.4), []
        for _ in range(12):
            regions = np.repeat(np.arange(12), rng.integers(0, 5, 12))[None].astype(np.uint16)
            regions = np.resize(regions, (1, 30)) if regions.size else np.zeros((1, 30), np.uint16)
            _, regions = np.unique(np.append(regions, 0), return_inverse=True)
            stack.append(linker.link(regions[:-1].reshape(1, 30).astype(np.uint16)))
        for index, linked in enumerate(stack):
            for distance in range(1, LINKED_SLICES + 1):
                for number in set(np.unique(linked)) & set(np.unique(stack[max(index - distance, 0)])) - {0}:
                    for k in range(max(index - distance, 0), index):
                        assert dice(stack[k] == number, stack[k + 1] == number) >= 0.4

    def test_numbers_stay_few_in_a_long_scan(self):
        linker = RegionLinker(0.5)
        rng = np.random.default_rng(0)
        highest = 0
        for _ in range(100):
            slice_regions = rng.permutation(np.repeat(np.arange(1, 51), 20)).reshape(25, 40)
            highest = max(highest, int(linker.link(slice_regions.astype(np.uint16)).max()))
        assert highest <= 50 * (LINKED_SLICES + 1)

    def test_more_regions_than_a_label_map_may_hold_are_left_out(self):
        linked = RegionLinker(0.5).link(np.arange(2000, dtype=np.uint16).reshape(40, 50))
        assert linked.max() == MOST_REGIONS


def numbered(masks: list[np.ndarray]) -> np.ndarray:
    regions = np.zeros(masks[0].shape, np.uint16)
    for number, mask in enumerate(masks, start=1):
        regions[mask] = number
    return regions


def at(row: float, column: float) -> tuple[int, int]:
    return int(row / 2), int(column / 2)


def test_every_setting_is_described():
    assert all(field.description for field in PseudoLabelSettings.model_fields.values())


@pytest.mark.parametrize(
    "wrong", [{"methods": ("watershed",)}, {"scales_mm": ()}, {"scales_mm": (1.0,) * 10}, {"link_overlap": 0}]
)
def test_a_setting_without_meaning_is_refused(wrong):
    with pytest.raises(ValidationError):
        PseudoLabelSettings(**wrong)
