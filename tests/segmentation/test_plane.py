"""The plane follows the paint, from the support to every query."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import Geometry
from napari_cpclnet.segmentation import SegmentationSettings, Segmenter, SupportSet

CPU = SegmentationSettings(device="cpu", self_support=False, align=False)
AXES = {"axial": 0, "coronal": 1, "sagittal": 2}


def only(labels, axis, *slices):
    painted = np.zeros_like(labels)
    for index in slices:
        np.moveaxis(painted, axis, 0)[index] = np.moveaxis(labels, axis, 0)[index]
    return painted


def stored(volume, labels, order):
    """The same scan with its axes in another order."""
    geometry = volume.geometry
    moved = Geometry(
        tuple(np.array(geometry.shape)[order].tolist()),
        tuple(np.array(geometry.spacing)[order].tolist()),
        direction=tuple(map(tuple, np.array(geometry.direction)[:, order].tolist())),
    )
    turned = volume.replaced(array=np.ascontiguousarray(volume.array.transpose(order)), geometry=moved)
    return turned, np.ascontiguousarray(labels.transpose(order))


@pytest.mark.parametrize("plane", AXES)
def test_scans_are_sliced_as_the_support_was_painted(grey_model, scan, organs, plane):
    volume, labels = scan()
    support = SupportSet(organs)
    middle = {"axial": (5, 7), "coronal": (28, 31), "sagittal": (20, 52)}[plane]
    support.add(volume, only(labels, AXES[plane], *middle))
    assert {(s.plane, s.index) for s in support.slices} == {(plane, index) for index in middle}
    segmenter = Segmenter(grey_model, CPU)
    segmenter.set_support(support)
    query, truth = stored(*scan(seed=3), [2, 0, 1])
    assert segmenter.plane_of(query) == plane
    n = len(list(segmenter.predict(query)))
    assert n == query.geometry.shape[[2, 0, 1].index(AXES[plane])]
    found = segmenter.result().labels
    assert 2 * np.sum((found == 1) & (truth == 1)) / (np.sum(found == 1) + np.sum(truth == 1)) > 0.85


def test_the_painted_scan_itself_comes_out_as_painted(grey_model, scan, organs):
    volume, labels = stored(*scan(), [2, 0, 1])
    painted = only(labels, 0, 20, 52)
    support = SupportSet(organs)
    support.add(volume, painted)
    segmenter = Segmenter(grey_model, SegmentationSettings(device="cpu"))
    segmenter.set_support(support)
    assert len(list(segmenter.predict(volume))) == 70
    np.testing.assert_array_equal(segmenter.result().labels[[20, 52]], painted[[20, 52]])


def test_a_chosen_plane_is_kept_whatever_was_painted(grey_model, scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, only(labels, 2, 20, 52))
    segmenter = Segmenter(grey_model, CPU.model_copy(update={"plane": "axial"}))
    segmenter.set_support(support)
    assert segmenter.plane_of(volume) == "axial"
    assert len(list(segmenter.predict(volume))) == 12


def test_a_complete_mask_is_sliced_axially_or_across_the_thickest_axis(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels)
    assert {s.plane for s in support.slices} == {"axial"}
    assert len(support) == 7
    thick = volume.replaced(geometry=replace(volume.geometry, spacing=(3.0, 3.0, 9.0)))
    support = SupportSet(organs)
    support.add(thick, labels)
    assert {s.plane for s in support.slices} == {"sagittal"}


def test_slices_that_only_a_stroke_crosses_are_taken_when_the_user_says_so(scan, organs):
    volume, labels = scan()
    painted = only(labels, 0, 5)
    painted[2:11, 28, 10:14] = 1  # in a coronal view
    support = SupportSet(organs)
    support.add(volume, painted)
    assert [s.index for s in support.slices] == [5]
    support.add(volume, painted, slices=[5, 6])
    assert sorted(s.index for s in support.slices) == [5, 6]


def test_the_message_names_the_plane(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    with pytest.raises(SupportError, match="no sagittal slice 70: use 0 to 69"):
        support.add(volume, only(labels, 2, 20), slices=[70])


def test_an_oblique_scan_is_seen_in_the_attitude_of_an_oblique_support(grey_model, scan, organs):
    heart = Rotation.from_euler("xyz", (40, 35, 20), degrees=True).as_matrix()
    other = Rotation.from_euler("xyz", (15, 10, -12), degrees=True).as_matrix() @ heart

    def oblique(pair, matrix):
        geometry = replace(pair[0].geometry, direction=tuple(map(tuple, matrix.tolist())))
        return pair[0].replaced(geometry=geometry), pair[1]

    volume, labels = oblique(scan(), heart)
    support = SupportSet(organs)
    support.add(volume, only(labels, 0, 4, 6, 8))
    segmenter = Segmenter(grey_model, CPU)
    segmenter.set_support(support)
    query, truth = oblique(scan(seed=3), other)
    reports = list(segmenter.predict(query))
    assert len(reports) == 12
    one, two = segmenter.scan(query).grid, segmenter.scan(volume).grid
    assert (one.axis, one.row_axis, one.column_axis, one.flips) == (
        two.axis,
        two.row_axis,
        two.column_axis,
        two.flips,
    )
    found = segmenter.result().labels
    assert 2 * np.sum((found == 1) & (truth == 1)) / (np.sum(found == 1) + np.sum(truth == 1)) > 0.85
