"""Scans that other plugins opened: their true place is found, or they are refused; never labelled somewhere else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.gui.layers.scan_layers import copied_transform, geometry_of, refusal
from napari_cpclnet.gui.layers.support_slices import SupportPair
from napari_cpclnet.gui.session.session import Session

AFFINE = np.array([[-1.5, 0, 0, 20], [0, 2, 0, -30], [0, 0, 4, -5], [0, 0, 0, 1.0]])
SHAPE = (20, 24, 8)  # x, y, z
BLOCK = (slice(2, 6), slice(3, 9), slice(5, 7))
CENTRE_RAS = (AFFINE @ [3.5, 5.5, 5.5, 1])[:3]


def marked():
    array = np.zeros(SHAPE, np.float32)
    array[BLOCK] = 500
    return array


def as_napari_nifti():
    """Turned to superior, anterior and right, and shown with negative scales from the far corner."""
    array = marked()[::-1].transpose(2, 1, 0)
    spacing, origin = np.array([4, 2, 1.5]), np.array([-5, -30, 20 - 19 * 1.5])
    return array, {"scale": -spacing, "translate": origin + (np.array(array.shape) - 1) * spacing}


def as_nibabel():
    """Array and affine as in the file."""
    return marked(), {"affine": AFFINE}


def reversed_axes():
    """The same with its axes the other way round."""
    turned = np.eye(4)[[2, 1, 0, 3]]
    return marked().transpose(2, 1, 0), {"affine": turned @ AFFINE @ turned}


def centre_ras(layer, where):
    """Of the voxels that are marked, by the geometry of a layer."""
    superior, posterior, left = geometry_of(layer).index_to_world(np.argwhere(where)).mean(0)
    return -left, -posterior, superior


@pytest.mark.parametrize("opened", [as_napari_nifti, as_nibabel, reversed_axes])
def test_labels_lie_where_the_scan_does(viewer, opened):
    data, kwargs = opened()
    scan = viewer.add_image(data, name="scan", metadata={"affine": AFFINE}, **kwargs)
    assert refusal(scan) == ""
    np.testing.assert_allclose(centre_ras(scan, data == 500), CENTRE_RAS, atol=1e-6)
    session = Session(viewer)
    session.support_scan = scan
    labels = session.new_support_labels()
    np.testing.assert_allclose(centre_ras(labels, data == 500), CENTRE_RAS, atol=1e-6)
    own = viewer.add_labels(np.zeros(data.shape, np.uint8), name="napari's", **copied_transform(scan))
    session.activate(SupportPair(scan, own))
    np.testing.assert_allclose(centre_ras(own, data == 500), CENTRE_RAS, atol=1e-6)


def test_a_scan_shown_in_an_unknown_way_is_refused(viewer):
    scan = viewer.add_image(marked(), name="scan", metadata={"affine": AFFINE}, scale=(3, 3, 3))
    assert "shown elsewhere than its metadata place it" in refusal(scan)


@pytest.mark.parametrize("noted", [None, "text", np.eye(3), np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_metadata_that_say_nothing_change_nothing(viewer, noted):
    scan = viewer.add_image(marked(), name="scan", metadata={"affine": noted}, scale=(3, 2, 1))
    assert refusal(scan) == ""
    np.testing.assert_allclose(geometry_of(scan).spacing, (3, 2, 1))


def test_a_sheared_layer_is_refused(viewer):
    scan = viewer.add_image(marked(), name="scan", scale=(3, 1, 1), shear=(0.3, 0, 0))
    assert "is sheared" in refusal(scan)
    session = Session(viewer)
    session.forget_removed()
    assert session.support_scan is None
    labels = viewer.add_labels(np.ones(SHAPE, np.uint8), name="labels", shear=(0.3, 0, 0))
    with pytest.raises(GeometryError, match="is sheared"):
        geometry_of(labels)
