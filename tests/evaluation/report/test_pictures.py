"""Pictures of cases: the right slice, the right way up, in true proportions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from napari_cpclnet.evaluation.report.pictures import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    FILL,
    TRUE_POSITIVE,
    cut_slice,
    overlay,
    panels,
)
from napari_cpclnet.imaging import Geometry, Volume

SHAPE = (9, 60, 120)


def scan(spacing: tuple[float, float, float] = (5.0, 4.0, 2.0), direction_y: float = 1.0) -> Volume:
    """A body that fills the field of view: 240 by 240 mm, darker towards the front."""
    y = np.linspace(0, 100, SHAPE[1], dtype=np.float32)[None, :, None]
    if direction_y < 0:
        y = y[:, ::-1]
    geometry = Geometry(SHAPE, spacing, direction=((1.0, 0.0, 0.0), (0.0, direction_y, 0.0), (0.0, 0.0, 1.0)))
    return Volume(np.broadcast_to(y, SHAPE) + 50, geometry, "CT", "HU", name="secret name")


def masks() -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    truth[3:7, 20:40, 40:80] = True
    truth[5, 15:40, 40:80] = True  # the fullest slice
    predicted[5, 15:40, 50:90] = True
    return truth, predicted


def test_the_slice_with_most_of_the_truth_is_shown() -> None:
    assert cut_slice(scan(), *masks()).index == 5


def test_without_truth_the_slice_with_most_of_the_prediction_is_shown() -> None:
    _, predicted = masks()
    predicted[2, :50] = True
    assert cut_slice(scan(), np.zeros(SHAPE, bool), predicted).index == 2


def test_without_anything_the_middle_is_shown_and_drawn() -> None:
    nothing = np.zeros(SHAPE, bool)
    assert cut_slice(scan(), nothing, nothing).index == 4
    assert overlay(scan(), nothing, nothing).startswith(b"\x89PNG")


def test_errors_have_their_colours_and_the_rest_stays_grey() -> None:
    shown = cut_slice(scan(), *masks())
    _, _, errors = panels(shown)
    for place, colour in (((30, 60), TRUE_POSITIVE), ((30, 85), FALSE_POSITIVE), ((30, 45), FALSE_NEGATIVE)):
        expected = (1 - FILL) * shown.grey[place] + FILL * np.asarray(colour)
        assert errors[place] == pytest.approx(expected, abs=1e-5)
    assert errors[5, 5] == pytest.approx(np.repeat(shown.grey[5, 5], 3))


def test_a_scan_stored_back_to_front_is_shown_front_up() -> None:
    stored = scan(direction_y=-1.0)
    truth, predicted = masks()
    shown = cut_slice(stored, truth[:, ::-1], predicted[:, ::-1])
    straight = cut_slice(scan(), truth, predicted)
    assert np.allclose(shown.grey, straight.grey, atol=1e-5)
    assert np.array_equal(shown.truth, straight.truth)
    assert shown.grey[0, 60] < shown.grey[-1, 60]


def test_pixels_that_are_not_square_are_drawn_in_true_proportions() -> None:
    truth = np.zeros(SHAPE, bool)
    truth[4, 20:40, 30:70] = True  # 80 by 80 mm in pixels of 4 by 2 mm
    data = overlay(scan(), truth, np.zeros(SHAPE, bool))
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    left = picture[: int(picture.shape[0] * 0.85), : picture.shape[1] // 3]
    green = (left[..., 1] - left[..., 0]) > 40
    height, width = np.ptp(np.flatnonzero(green.any(1))) + 1, np.ptp(np.flatnonzero(green.any(0))) + 1
    assert height / width == pytest.approx(1.0, abs=0.04)


def test_the_file_names_neither_scan_nor_program() -> None:
    data = overlay(scan(), *masks())
    assert not Image.open(io.BytesIO(data)).info.keys() & {"Software", "Title", "Author", "Comment"}
    assert b"secret" not in data and b"http" not in data


@pytest.mark.parametrize("plane", ["coronal", "sagittal", "native"])
def test_other_planes_are_drawn_too(plane: str) -> None:
    assert overlay(scan(), *masks(), plane=plane).startswith(b"\x89PNG")  # type: ignore[arg-type]


def test_masks_on_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="on a scan of shape"):
        overlay(scan(), np.zeros((2, 2, 2), bool), np.zeros(SHAPE, bool))
