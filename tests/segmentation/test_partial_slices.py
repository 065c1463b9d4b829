"""Partial slices of a support set: what is unpainted there teaches nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cpclnet.errors import SupportError
from napari_cpclnet.imaging import BACKGROUND
from napari_cpclnet.model import CPCLNet, CPCLNetSettings
from napari_cpclnet.model.losses import segmentation_loss
from napari_cpclnet.segmentation import PostprocessingSettings, SegmentationSettings, Segmenter, SupportSet
from napari_cpclnet.segmentation.partial_slices import Completion
from napari_cpclnet.training.adaptation import AdaptationSettings, adapt

RAW = PostprocessingSettings(largest_component=False, fill_holes=False)
CPU = SegmentationSettings(device="cpu", self_support=False, align=False, postprocessing=RAW)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return CPCLNet(CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1, alignment=True))


def scribbles(labels: np.ndarray, index: int) -> np.ndarray:
    """A copy in which of one slice a tenth of the pixels is painted."""
    painted = labels.copy()
    drawn = np.where(labels[index] > 0, labels[index], BACKGROUND)
    kept = np.random.default_rng(0).random(drawn.shape) < 0.1
    painted[index] = np.where(kept, drawn, 0)
    return painted


def test_unpainted_pixels_of_a_partial_slice_are_unknown(scan, organs):
    volume, labels = scan()
    painted = scribbles(labels, 5)
    support = SupportSet(organs)
    support.add(volume, painted, slices=[4], partial=[5])
    complete, partial = sorted(support.slices, key=lambda one: one.index)
    assert not complete.partial
    assert complete.known_of(1).all()
    assert partial.partial
    np.testing.assert_array_equal(partial.known, painted[5] > 0)
    assert set(np.unique(partial.labels2d)) == {0, 1, 3}


def test_partial_and_complete_slices_of_the_same_paint_are_told_apart(scan, organs):
    volume, labels = scan()
    one, other = SupportSet(organs), SupportSet(organs)
    one.add(volume, labels, slices=[5])
    other.add(volume, labels, slices=[], partial=[5])
    assert one.content_hash() != other.content_hash()


def test_the_background_is_no_class(scan):
    volume, labels = scan()
    support = SupportSet()
    support.add(volume, scribbles(labels, 5), slices=[], partial=[5])
    assert support.classes == {1: "label 1", 3: "label 3"}


def test_mistakes_are_said(scan):
    volume, labels = scan()
    with pytest.raises(SupportError, match="Nothing is painted on the partial slice 0"):
        SupportSet({1: "liver"}).add(volume, labels, slices=[5], partial=[0])
    with pytest.raises(SupportError, match="another value for the background"):
        SupportSet({1: "liver", BACKGROUND: "skin"}).add(volume, labels, slices=[], partial=[5])


def test_a_set_without_partial_slices_is_used_as_it_is(scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    assert Completion()(support) is support


def test_a_class_that_is_not_scribbled_on_a_slice_is_known_where_there_is_paint_only(scan, organs):
    volume, labels = scan()
    painted = scribbles(labels, 5)
    painted[5][painted[5] == 3] = 0
    support = SupportSet(organs)
    support.add(volume, painted, slices=[4], partial=[5])
    one = next(s for s in Completion()(support).slices if s.partial)
    np.testing.assert_array_equal(one.known_of(3), painted[5] > 0)
    assert one.known_of(1).sum() > 2 * (painted[5] > 0).sum()


def test_unknown_pixels_describe_nothing(tiny):
    """Whatever an image shows where nothing is known: descriptors, statistics and appearance stay the same."""
    torch.manual_seed(1)
    images, masks = torch.rand(2, 3, 64, 64), torch.zeros(1, 2, 64, 64)
    masks[:, :, 16:32, 16:32] = 1
    known = torch.ones_like(masks)
    known[..., 40:] = 0
    same = torch.tensor([True, True])
    features = tiny.encode(images)
    grid, seen = features.grid.clone(), features.intensity_features.clone()
    grid[..., 10:] = torch.randn_like(grid[..., 10:])
    seen[..., 40:] = torch.rand_like(seen[..., 40:])
    other = type(features)(**{**vars(features), "grid": grid, "intensity_features": seen})
    one, two = (tiny.describe([f], [masks], [same], known=[known]) for f in (features, other))
    torch.testing.assert_close(one.appearance.tables, two.appearance.tables)
    torch.testing.assert_close(one.prototypes.vectors, two.prototypes.vectors)
    torch.testing.assert_close(one.statistics.outside, two.statistics.outside)
    three = tiny.describe([other], [masks], [same])
    assert not torch.allclose(one.prototypes.vectors, three.prototypes.vectors)


def test_what_is_known_everywhere_describes_as_ever(tiny):
    images, masks = torch.rand(2, 3, 64, 64), torch.zeros(1, 2, 64, 64)
    masks[:, :, 16:32, 16:32] = 1
    features = tiny.encode(images)
    one = tiny.describe([features], [masks])
    two = tiny.describe([features], [masks], known=[torch.ones_like(masks)])
    torch.testing.assert_close(one.prototypes.vectors, two.prototypes.vectors)
    torch.testing.assert_close(one.statistics.outside, two.statistics.outside)


def test_the_loss_does_not_look_where_nothing_is_known():
    torch.manual_seed(2)
    logits, target = torch.randn(1, 1, 2, 8, 8), (torch.rand(1, 1, 8, 8) > 0.5).float()
    known = torch.ones_like(target)
    known[..., 4:] = 0
    changed = logits.clone()
    changed[..., 4:] = torch.randn(1, 1, 2, 8, 4)
    one, two = (segmentation_loss(x, target, known=known) for x in (logits, changed))
    torch.testing.assert_close(one, two)
    cropped = segmentation_loss(logits[..., :4], target[..., :4])
    torch.testing.assert_close(one, cropped)


def test_scribbles_teach_nearly_what_a_complete_slice_teaches(grey_model, scan, organs):
    volume, labels = scan()
    query, truth = scan(seed=3)
    found = []
    for paint, kind in ((labels, "slices"), (scribbles(labels, 5), "partial")):
        support = SupportSet(organs)
        support.add(volume, paint, **{"slices": [], kind: [5]})
        segmenter = Segmenter(grey_model, CPU)
        segmenter.set_support(support)
        list(segmenter.predict(query))
        labelled = segmenter.result().labels
        found.append(
            [
                2 * np.sum((labelled == v) & (truth == v)) / np.sum((labelled == v) * 1.0 + (truth == v))
                for v in organs
            ]
        )
    assert np.min(np.array(found[1]) - found[0]) > -0.05


def test_painted_pixels_come_out_exactly_and_the_rest_of_the_slice_is_labelled(grey_model, scan, organs):
    volume, labels = scan()
    painted = scribbles(labels, 5)
    support = SupportSet(organs)
    support.add(volume, painted, slices=[3, 8], partial=[5])
    segmenter = Segmenter(grey_model, CPU)
    segmenter.set_support(support)
    list(segmenter.predict(volume))
    result = segmenter.result().labels
    known = painted[5] > 0
    np.testing.assert_array_equal(result[5][known], labels[5][known])
    np.testing.assert_array_equal(result[3], labels[3])
    for value in organs:
        both = np.sum((result[5] == value) & (labels[5] == value))
        assert 2 * both / (np.sum(result[5] == value) + np.sum(labels[5] == value)) > 0.9


def test_a_few_scribbles_on_a_scan_do_not_keep_other_scans_from_telling(grey_model, scan, organs):
    volume, labels = scan()
    query, truth = scan(seed=3)
    dab = np.zeros_like(truth)
    dab[6, 5:8, 5:8] = BACKGROUND
    y, x = np.argwhere(truth[6] == 1).mean(0).astype(int)
    dab[6, y - 2 : y + 3, x - 2 : x + 3] = 1
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    support.add(query, dab, slices=[], partial=[6])
    after = Segmenter(grey_model, CPU)
    after.set_support(support)
    list(after.predict(query))
    known = dab > 0
    result = after.result().labels
    np.testing.assert_array_equal(result[known], np.where(dab == BACKGROUND, 0, dab)[known])
    for value in organs:
        both = np.sum((result == value) & (truth == value))
        assert 2 * both / (np.sum(result == value) + np.sum(truth == value)) > 0.9


def test_a_network_adapts_to_scribbles(tiny, scan, organs):
    import copy

    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, scribbles(labels, 5), slices=[4], partial=[5])
    segmenter = Segmenter(copy.deepcopy(tiny), CPU)
    losses = [report.loss for report in adapt(segmenter, support, AdaptationSettings(steps=2))]
    assert np.isfinite(losses).all()
