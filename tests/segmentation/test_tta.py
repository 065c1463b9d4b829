"""A slice that the network takes for another part of the body is read in another tone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings
from napari_cpclnet.preprocessing.tta import intensity_variants, is_outlier
from napari_cpclnet.segmentation import feature_cache as encoded
from napari_cpclnet.segmentation.feature_cache import FeatureCache

from .conftest import Grey

SLICES, STEP, HEIGHT = 30, 8.0, 220.0
DARK = 20
"""The slice whose picture came out too dark."""
GAMMA = 0.4
"""The curve that brings its true brightness back; one of the tones."""


class Reader:
    """Reads the level of a slice off its brightness, which rises from slice to slice."""

    def __init__(self) -> None:
        self.read = 0
        self.told: list[Tensor | None] = []

    def __call__(self, images: Tensor, levels: Tensor | None) -> Grey:
        self.read += len(images)
        self.told.append(levels)
        brightness = images[:, 1].amax((1, 2))
        return Grey(brightness[:, None], (brightness * (SLICES + 1) - 1) * STEP / HEIGHT)


def brightness(index: int) -> float:
    return (index + 1) / (SLICES + 1)


def body(dark: bool = True) -> tuple[FeatureCache, Reader]:
    """A body that grows brighter towards the head, but for one slice."""
    values = np.array([brightness(i) for i in range(SLICES)])
    if dark:
        values[DARK] **= 1 / GAMMA
    settings = PreprocessingSettings()
    low, high = settings.ct_window
    array = np.full((SLICES, 40, 40), -1000, np.float32)
    array[:, 8:32, 8:32] = (low + values * (high - low))[:, None, None]
    geometry = Geometry((SLICES, 40, 40), (STEP, 5.0, 5.0))
    volume = Volume(array, geometry, modality="CT", unit="HU", name="body")
    reader = Reader()
    return FeatureCache(volume, ModelGrid.for_volume(volume, "axial", settings), reader, 1), reader


def test_a_misread_slice_is_read_in_the_tone_that_fits_the_line() -> None:
    scan, _ = body()
    (features,) = scan.features([DARK])
    assert features is not None
    assert float(features.grid) == pytest.approx(brightness(DARK), abs=0.01)


def test_slices_that_fit_the_line_are_read_as_they_are_and_once() -> None:
    scan, reader = body(dark=False)
    found = scan.features(list(range(SLICES)))
    estimated = 16  # for the line
    assert reader.read == estimated + SLICES
    np.testing.assert_allclose(
        [float(f.grid) for f in found if f is not None], [brightness(i) for i in range(SLICES)], atol=0.01
    )


def test_slices_are_encoded_with_their_levels_on_the_line() -> None:
    scan, reader = body(dark=False)
    found = scan.features([3, 4])
    told = torch.cat([levels for levels in reader.told if levels is not None])
    torch.testing.assert_close(told, torch.cat([f.level for f in found if f is not None]))
    assert scan.line is not None and told[1] - told[0] == pytest.approx(scan.line.slope * STEP, abs=1e-4)
    assert sum(levels is None for levels in reader.told) == 16  # estimates for the line, one by one


def test_the_best_tone_is_looked_for_once() -> None:
    scan, reader = body()
    first = scan.features([DARK])[0]
    count = reader.read
    assert scan.features([DARK])[0] == first
    assert reader.read == count


def test_a_slice_that_memory_has_no_room_for_keeps_its_tone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "CACHE_BYTES", 0)
    scan, reader = body()
    scan.features([DARK])
    count = reader.read
    (features,) = scan.features([DARK])
    assert features is not None
    assert float(features.grid) == pytest.approx(brightness(DARK), abs=0.01)
    assert reader.read == count + 1


@pytest.mark.parametrize("kept", [1, 8, 11, SLICES])
def test_as_many_slices_are_kept_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(encoded, "CACHE_BYTES", 8 * kept)  # two numbers of four bytes a slice
    scan, reader = body(dark=False)
    first = scan.features(list(range(SLICES)))
    count = reader.read
    again = scan.features(list(range(SLICES)))
    assert reader.read == count + SLICES - kept
    for one, other in zip(first, again, strict=True):
        assert one is not None and other is not None
        assert torch.equal(one.grid, other.grid) and torch.equal(one.level, other.level)


def test_what_is_kept_in_inference_is_replaced_outside_of_it() -> None:
    scan, reader = body()
    with torch.inference_mode():
        scan.features(list(range(DARK)))
    (features,) = scan.features([DARK])
    assert features is not None
    assert float(features.grid) == pytest.approx(brightness(DARK), abs=0.01)
    count = reader.read
    scan.features(list(range(DARK + 1)))
    assert reader.read == count


def test_tones_begin_with_the_slice_itself_and_keep_black_black() -> None:
    images = torch.rand(1, 3, 8, 8)
    images[..., :4] = 0
    found = intensity_variants(images)
    assert torch.equal(found[0], images)
    for tone in found:
        assert tone.shape == images.shape
        assert not tone[..., :4].any()
        assert 0 <= float(tone.min()) <= float(tone.max()) <= 1


def test_outside_the_trunk_nothing_counts_as_misread() -> None:
    assert is_outlier(0.2, 0.7)
    assert not is_outlier(0.65, 0.7)
    assert not is_outlier(0.2, -0.9)
    assert not is_outlier(0.2, 1.8)
