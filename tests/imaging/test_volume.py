from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import GeometryError, ImageError
from napari_cpclnet.imaging import Geometry, Segmentation, Volume

GRID = Geometry((2, 3, 4), (5.0, 2.0, 1.0))


def test_volumes_of_classes_are_in_ml_and_absent_classes_are_zero() -> None:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[0, 0, :3] = 1
    labels[1, 2, 2] = 7
    found = Segmentation(labels, {1: "liver", 2: "spleen"}, GRID, "s").volume_ml()
    assert found == pytest.approx({1: 3 * 0.01, 2: 0.0, 7: 0.01})


def test_array_and_geometry_must_agree() -> None:
    with pytest.raises(GeometryError, match="does not fit"):
        Volume(np.zeros((2, 3, 5)), GRID)
    with pytest.raises(ImageError, match="three-dimensional"):
        Volume(np.zeros((3, 4)), GRID)


def test_labels_must_be_unsigned_integers() -> None:
    with pytest.raises(ImageError, match="unsigned"):
        Segmentation(np.zeros(GRID.shape, np.int16), {}, GRID, "s")


def test_an_unknown_modality_is_refused() -> None:
    with pytest.raises(ImageError, match="none of CT, MR, PT, other"):
        Volume(np.zeros(GRID.shape), GRID, modality="XR")
