"""What a person set right in an earlier result stays."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import GeometryError
from napari_cpclnet.segmentation import (
    Corrections,
    PostprocessingSettings,
    SegmentationSettings,
    Segmenter,
    SupportSet,
)

TIDY = PostprocessingSettings(
    largest_component=True, fill_holes=True, minimum_ml=2, closing_mm=8, refine=True
)


def segmenter_for(model, support, settings=TIDY):
    segmenter = Segmenter(
        model, SegmentationSettings(device="cpu", self_support=False, align=False, postprocessing=settings)
    )
    segmenter.set_support(support)
    return segmenter


@pytest.fixture
def support(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    return support


@pytest.fixture
def corrections(scan):
    """A speck of liver far from the liver, and a hole in the liver."""
    _, truth = scan(seed=3)
    mask, labels = np.zeros(truth.shape, bool), np.zeros_like(truth)
    mask[1, 55:57, 60:62], labels[1, 55:57, 60:62] = True, 1
    z, y, x = (int(n) for n in np.argwhere(truth == 1).mean(0))
    mask[z, y - 1 : y + 2, x - 1 : x + 2] = True
    return Corrections(mask, labels)


def test_corrected_voxels_stay_in_every_slice_and_through_tidying(grey_model, scan, support, corrections):
    query, _ = scan(seed=3)
    segmenter = segmenter_for(grey_model, support)
    for _ in segmenter.predict(query):
        pass
    free = segmenter.result().labels
    assert (free != corrections.labels)[corrections.mask].all()
    mask = corrections.mask
    for one in segmenter.predict(query, locked=corrections):
        kept = mask[one.index]
        np.testing.assert_array_equal(one.labels[kept], corrections.labels[one.index][kept])
    labels = segmenter.result().labels
    np.testing.assert_array_equal(labels[mask], corrections.labels[mask])
    # nothing else changes but the voxels next to them, which refinement may move
    assert np.count_nonzero(labels != free) <= 2 * mask.sum()
    assert not segmenter.result_uncertainty()[mask].any()


@pytest.mark.parametrize("plane", ["coronal", "sagittal"])
def test_corrections_hold_in_every_plane(grey_model, scan, support, corrections, plane):
    query, _ = scan(seed=3)
    settings = SegmentationSettings(device="cpu", self_support=False, align=False, plane=plane)
    segmenter = Segmenter(grey_model, settings)
    segmenter.set_support(support)
    axis = {"coronal": 1, "sagittal": 2}[plane]
    for one in segmenter.predict(query, locked=corrections):
        mask = corrections.mask.take(one.index, axis)
        np.testing.assert_array_equal(one.labels[mask], corrections.labels.take(one.index, axis)[mask])
    mask = corrections.mask
    np.testing.assert_array_equal(segmenter.result().labels[mask], corrections.labels[mask])


def test_corrections_survive_a_run_that_is_cancelled(grey_model, scan, support, corrections):
    query, _ = scan(seed=3)
    segmenter = segmenter_for(grey_model, support)
    stream = segmenter.predict(query, locked=corrections, start_slice=11)
    next(stream)
    stream.close()
    mask = corrections.mask
    np.testing.assert_array_equal(segmenter.result().labels[mask], corrections.labels[mask])


def test_a_painted_slice_goes_before_a_correction_that_crosses_it(grey_model, scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    mask = np.zeros(labels.shape, bool)
    mask[4:7, 10:20, 10:20] = True
    locked = Corrections(mask, np.full_like(labels, 3))
    segmenter = segmenter_for(grey_model, support)
    for _ in segmenter.predict(volume, locked=locked):
        pass
    found = segmenter.result().labels
    np.testing.assert_array_equal(found[5], labels[5])
    assert (found[[4, 6], 10:20, 10:20] == 3).all()


def test_a_correction_may_use_a_label_that_is_no_class_of_the_support(grey_model, scan, support):
    query, truth = scan(seed=3)
    mask = np.zeros(truth.shape, bool)
    mask[2, 3, 4] = True
    locked = Corrections(mask, np.full(truth.shape, 700, np.uint16))
    segmenter = segmenter_for(grey_model, support)
    for _ in segmenter.predict(query, locked=locked):
        pass
    assert segmenter.result().labels[2, 3, 4] == 700


def test_corrections_of_another_grid_are_refused(grey_model, scan, support):
    query, _ = scan(seed=3)
    segmenter = segmenter_for(grey_model, support)
    other = np.zeros((2, 3, 4), np.uint8)
    with pytest.raises(GeometryError, match="corrections have shape"):
        segmenter.predict(query, locked=Corrections(other > 0, other))
    with pytest.raises(GeometryError, match="their labels"):
        Corrections(np.zeros((2, 3, 5), bool), other)
