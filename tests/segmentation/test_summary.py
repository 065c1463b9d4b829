"""A result at a glance."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.segmentation import (
    Corrections,
    PostprocessingSettings,
    SegmentationSettings,
    Segmenter,
    SupportSet,
)

RAW = PostprocessingSettings(largest_component=False)


@pytest.fixture
def segmenter(grey_model, scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5], absent=[0])
    segmenter = Segmenter(
        grey_model, SegmentationSettings(device="cpu", self_support=False, align=False, postprocessing=RAW)
    )
    segmenter.set_support(support)
    return segmenter


def noisy(query, sigma=12):
    noise = np.random.default_rng(0).normal(0, sigma, query.array.shape)
    return query.replaced(array=query.array + noise)


def run(segmenter, volume):
    return list(segmenter.predict(volume, keep_probabilities=True)), segmenter.summary()


def test_volume_and_confidence_are_those_of_the_final_labels(segmenter, scan):
    query = noisy(scan(seed=3)[0])
    _, summary = run(segmenter, query)
    result, probabilities = segmenter.result(), segmenter.result_probabilities() / 255
    for c, one in enumerate(summary.classes):
        inside = result.labels == one.value
        assert one.name == result.classes[one.value]
        assert one.ml == pytest.approx(result.volume_ml()[one.value])
        likely = np.where(probabilities[c] < 0.05, 0, probabilities[c])
        expected = 2 * likely[inside].sum() / (inside.sum() + likely.sum())
        assert one.confidence == pytest.approx(expected, abs=0.005)
        assert 0.6 < one.confidence < 1


def test_every_slice_says_how_sure_it_is_of_what_it_shows(segmenter, scan):
    query = noisy(scan(seed=3)[0])
    results, _ = run(segmenter, query)
    for one in results:
        for c, value in enumerate((1, 3)):
            inside = one.labels == value
            if inside.any():
                assert one.confidence[c] == pytest.approx(one.probabilities[c][inside].mean(), abs=1e-5)
            else:
                assert np.isnan(one.confidence[c])


def test_a_spoiled_slice_is_the_most_uncertain_and_a_painted_one_never_is(segmenter, scan):
    volume, labels = scan()
    array = volume.array.copy()
    liver = labels[7] == 1
    array[7][liver] += 7.7  # at the edge of what a liver may be
    _, summary = run(segmenter, volume.replaced(array=array))
    worst = summary.uncertain[0]
    assert (worst.index, worst.value) == (7, 1)
    assert 0.1 < worst.score <= 1
    assert 5 not in {d.index for d in summary.uncertain}


def test_uncertainty_of_the_whole_scan_is_that_of_its_best_class(segmenter, scan):
    query = noisy(scan(seed=3)[0])
    results, _ = run(segmenter, query)
    found = segmenter.result_uncertainty()
    assert found.dtype == np.uint8 and found.shape == query.array.shape
    for one in results:
        expected = 255 * (1 - np.abs(2 * one.probabilities.max(0) - 1))
        np.testing.assert_allclose(found[one.index], expected, atol=1.1)


def test_without_a_physical_size_volumes_are_voxels(segmenter, scan):
    query, _ = scan(seed=3)
    query = query.replaced(calibrated=False)
    _, summary = run(segmenter, query)
    labels = segmenter.result().labels
    assert [c.ml for c in summary.classes] == [np.count_nonzero(labels == v) for v in (1, 3)]


def test_a_cancelled_run_is_summarised_as_far_as_it_went(segmenter, scan):
    query, _ = scan(seed=3)
    stream = segmenter.predict(query, start_slice=5)
    next(stream)
    stream.close()
    labels = segmenter.result().labels
    liver = segmenter.summary().classes[0]
    assert liver.ml == pytest.approx(np.count_nonzero(labels == 1) * query.geometry.voxel_ml)
    assert liver.ml > 0


def test_a_class_that_is_not_found_seems_absent_until_it_is_painted_on_the_scan(segmenter, scan):
    query, truth = scan(seed=3)
    array = query.array.copy()
    array[truth == 3] = -50  # no spleen
    query = query.replaced(array=array)
    _, summary = run(segmenter, query)
    assert [c.seems_absent for c in summary.classes] == [False, True]
    mask = np.zeros(truth.shape, bool)
    mask[4, 30, 52] = True
    for _ in segmenter.predict(query, locked=Corrections(mask, np.full_like(truth, 3))):
        pass
    assert [c.seems_absent for c in segmenter.summary().classes] == [False, False]


def test_a_class_that_is_found_in_doubt_only_seems_absent(segmenter, scan):
    query, truth = scan(seed=3)
    array = query.array.copy()
    array[truth == 3] = 175 + 7.8  # at the very edge of what a spleen may be
    _, summary = run(segmenter, query.replaced(array=array))
    spleen = summary.classes[1]
    assert spleen.seems_absent
    assert not summary.classes[0].seems_absent
