from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cpclnet.errors import DeviceError, SettingsError, SupportError
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.model import CPCLNet, CPCLNetSettings
from napari_cpclnet.model.body_level import BodyLevelFit
from napari_cpclnet.segmentation import (
    PostprocessingSettings,
    SegmentationSettings,
    Segmenter,
    SupportSet,
)
from napari_cpclnet.segmentation.memory import slices_at_once
from napari_cpclnet.segmentation.prediction import chunks, decide, outwards, uncertainty

RAW = PostprocessingSettings(largest_component=False, fill_holes=False)
CPU = SegmentationSettings(device="cpu", self_support=False, align=False, postprocessing=RAW)


def dice(a, b):
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


@pytest.fixture
def segmenter(grey_model, scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5], absent=[0])
    segmenter = Segmenter(grey_model, CPU)
    segmenter.set_support(support)
    return segmenter


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return CPCLNet(CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1))


def run(segmenter, volume, **kwargs):
    results = list(segmenter.predict(volume, **kwargs))
    return results, segmenter.result()


def test_labels_of_another_patient_are_found_on_its_own_grid(segmenter, scan):
    query, truth = scan(seed=3)
    _, result = run(segmenter, query)
    for value in (1, 3):
        assert dice(result.labels == value, truth == value) > 0.9
    assert result.classes == {1: "liver", 3: "spleen"}
    assert result.geometry == query.geometry
    assert result.labels.dtype == np.uint8


@pytest.mark.parametrize(
    ("start", "expected"), [(0, [0, 1, 2, 3, 4]), (4, [4, 3, 2, 1, 0]), (1, [1, 2, 0, 3, 4])]
)
def test_slices_come_outwards_from_the_first(start, expected):
    assert list(outwards(start, 5)) == expected


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_every_slice_comes_once_with_its_progress(grey_model, segmenter, scan, batch):
    segmenter.batch_size = batch
    query, _ = scan(seed=1)
    results = list(segmenter.predict(query, start_slice=7))
    assert [r.index for r in results[:4]] == [7, 8, 6, 9]
    assert sorted(r.index for r in results) == list(range(12))
    assert [r.done for r in results] == list(range(1, 13))
    assert {r.total for r in results} == {12}


def test_the_result_is_what_was_streamed(segmenter, scan):
    query, _ = scan(seed=2)
    results, whole = run(segmenter, query)
    for one in results:
        np.testing.assert_array_equal(whole.labels[one.index], one.labels)
        assert one.probabilities.shape == (2, 60, 70)
        assert one.probabilities.dtype == np.float32


@pytest.mark.parametrize("plane", ["coronal", "sagittal", "native"])
def test_other_planes_answer_on_the_same_grid(grey_model, scan, organs, plane):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    segmenter = Segmenter(grey_model, CPU.model_copy(update={"plane": plane}))
    segmenter.set_support(support)
    query, truth = scan(seed=3)
    results, result = run(segmenter, query)
    assert len(results) == {"coronal": 60, "sagittal": 70, "native": 12}[plane]
    assert dice(result.labels == 1, truth == 1) > 0.85


def test_the_support_is_encoded_once_for_all_scans(grey_model, segmenter, scan, organs):
    assert grey_model.described == [2]
    volume, labels = scan()
    again = SupportSet(organs)
    again.add(volume, labels, absent=[0], slices=[5])
    segmenter.set_support(again)
    assert grey_model.described == [2]
    again.add(volume, labels, slices=[6])
    segmenter.set_support(again)
    assert grey_model.described == [2, 3]


def test_changed_weights_encode_the_support_again(grey_model, segmenter, scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5], absent=[0])
    with torch.no_grad():
        grey_model.width.mul_(0.5)
    segmenter.set_support(support)
    assert grey_model.described == [2, 2]


def test_slices_added_after_setting_wait_for_the_next_set(segmenter, grey_model, scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    segmenter.set_support(support)
    wrong = np.zeros_like(labels)
    wrong[7, :5, :5] = 3
    support.add(volume, wrong, slices=[7])
    _, result = run(segmenter, volume)
    assert not (result.labels[7, :5, :5] == 3).any()


def test_closing_the_generator_cancels_within_one_batch_and_keeps_what_was_done(grey_model, segmenter, scan):
    query, _truth = scan(seed=3)
    grey_model.segmented.clear()
    segmenter.batch_size = 4
    stream = segmenter.predict(query, start_slice=5)
    for _ in range(3):
        next(stream)
    stream.close()
    assert grey_model.segmented == [1, 2], "two classes of two slices are as many maps as four slices"
    assert not segmenter.has_run(query)
    labels = segmenter.result().labels
    assert labels[[4, 5, 6]].any(axis=(1, 2)).all()
    assert not labels[[3, 7]].any()


def test_a_second_run_is_not_disturbed_by_an_unfinished_first(segmenter, scan):
    query, _ = scan(seed=3)
    other, truth = scan(seed=4)
    first = segmenter.predict(query)
    next(first)
    second = segmenter.predict(other)
    for _ in second:
        next(first, None)
    assert dice(segmenter.result().labels > 0, truth > 0) > 0.9


def test_painted_slices_come_out_exactly_as_painted(grey_model, scan, organs):
    volume, labels = scan()
    painted = labels.copy()
    painted[6] = 0
    painted[6, 10:14, 50:60] = 3  # nothing a network or a filter would ever say
    painted[6, 40, 20] = 1
    support = SupportSet(organs)
    support.add(volume, painted, slices=[5, 6], absent=[0])
    everything = PostprocessingSettings(
        largest_component=True, fill_holes=True, minimum_ml=2, closing_mm=8, refine=True
    )
    segmenter = Segmenter(grey_model, CPU.model_copy(update={"postprocessing": everything}))
    segmenter.set_support(support)
    reopened = Volume(volume.array.copy(), volume.geometry, "other", "", "reopened")
    for query in (volume, reopened):
        results, result = run(segmenter, query)
        by_index = {r.index: r for r in results}
        for index in (5, 6, 0):
            np.testing.assert_array_equal(result.labels[index], painted[index])
            np.testing.assert_array_equal(by_index[index].labels, painted[index])


def test_slices_painted_in_another_plane_come_out_exactly_too(grey_model, scan, organs):
    volume, labels = scan()
    painted = np.zeros_like(labels)
    painted[:, 30] = 1
    painted[3, :, 60] = 3
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    support.add(volume, painted, slices=[30], plane="coronal")
    support.add(volume, painted, slices=[60], plane="sagittal")
    segmenter = Segmenter(grey_model, CPU)
    segmenter.set_support(support)
    results, result = run(segmenter, volume)
    np.testing.assert_array_equal(result.labels[:, :, 60], painted[:, :, 60])
    np.testing.assert_array_equal(
        np.delete(result.labels[:, 30], 60, axis=1), np.delete(painted[:, 30], 60, axis=1)
    )
    for one in results:
        np.testing.assert_array_equal(one.labels, result.labels[one.index])


def test_ct_and_mr_slices_of_different_sizes_teach_together(grey_model, scan, organs):
    ct, ct_labels = scan()
    mr, mr_labels = scan("MR", (12, 60, 160))
    support = SupportSet(organs)
    support.add(ct, ct_labels, slices=[5, 6])
    support.add(mr, mr_labels, slices=[4])
    segmenter = Segmenter(grey_model, CPU)
    segmenter.set_support(support)
    assert sorted(set(grey_model.sizes)) == [(128, 128), (128, 160)]
    assert len(list(segmenter.predict(ct))) == 12


def test_the_class_with_the_best_probability_wins_above_the_threshold(segmenter):
    probabilities = np.array([[[0.6, 0.2, 0.49]], [[0.7, 0.1, 0.48]]], np.float32)
    labels = decide(probabilities, np.array([1, 3]), segmenter.settings.threshold)
    np.testing.assert_array_equal(labels, [[3, 0, 0]])


def test_a_high_threshold_answers_less(grey_model, scan, organs):
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[5])
    query, _ = scan(seed=3)
    noise = np.random.default_rng(0).normal(0, 6, query.array.shape)
    query = query.replaced(array=query.array + noise)
    counts = []
    for threshold in (0.2, 0.5, 0.99):
        segmenter = Segmenter(grey_model, CPU.model_copy(update={"threshold": threshold}))
        segmenter.set_support(support)
        counts.append(np.count_nonzero(run(segmenter, query)[1].labels))
    assert counts[0] > counts[1] > counts[2] > 0


def test_large_label_values_fit(grey_model, scan):
    volume, labels = scan()
    support = SupportSet({300: "a", 70000: "b"})
    support.add(volume, np.select([labels == 1, labels == 3], [300, 70000]), slices=[5])
    segmenter = Segmenter(grey_model, CPU)
    segmenter.set_support(support)
    _, result = run(segmenter, volume)
    assert set(np.unique(result.labels)) == {0, 300, 70000}


def test_probabilities_are_kept_only_if_asked(segmenter, scan):
    query, _ = scan(seed=3)
    run(segmenter, query)
    with pytest.raises(SettingsError, match="not kept"):
        segmenter.result_probabilities()
    results, _ = run(segmenter, query, keep_probabilities=True)
    kept = segmenter.result_probabilities()
    assert kept.shape == (2, 12, 60, 70)
    assert kept.dtype == np.uint8
    for one in results:
        np.testing.assert_allclose(kept[:, one.index] / 255, one.probabilities, atol=2.1e-3)


def test_mistakes_are_said_before_anything_runs(grey_model, scan, organs):
    volume, labels = scan()
    segmenter = Segmenter(grey_model, CPU)
    with pytest.raises(SupportError, match="no support"):
        segmenter.predict(volume)
    with pytest.raises(SupportError, match="Nothing was segmented"):
        segmenter.result()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[], absent=[0])
    with pytest.raises(SupportError, match="shows no class"):
        segmenter.set_support(support)
    support.add(volume, labels, slices=[5])
    segmenter.set_support(support)
    with pytest.raises(SettingsError, match="no slice 12"):
        segmenter.predict(volume, start_slice=12)
    with pytest.raises(DeviceError):
        Segmenter(grey_model, SegmentationSettings(device="cuda:99"))


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_the_real_network_runs_from_end_to_end(tiny, scan, organs, modality):
    ct, ct_labels = scan()
    mr, mr_labels = scan("MR", (12, 60, 160))
    support = SupportSet(organs)
    support.add(ct, ct_labels, slices=[4, 6], absent=[0])
    support.add(mr, mr_labels, slices=[5])
    segmenter = Segmenter(tiny, CPU)
    segmenter.set_support(support)
    query, _ = scan(modality, seed=3)
    results, result = run(segmenter, query)
    assert all(np.isfinite(r.probabilities).all() for r in results)
    assert result.labels.shape == query.array.shape
    _, painted = run(segmenter, ct)
    np.testing.assert_array_equal(painted.labels[4], ct_labels[4])


def test_the_real_networks_answer_depends_on_neither_start_nor_batch_nor_order_of_adding(tiny, scan, organs):
    ct, labels = scan()
    query, _ = scan(seed=3)
    found = []
    for slices, start, batch in (([4, 6], 0, 1), ([6, 4], 7, 4)):
        support = SupportSet(organs)
        for index in slices:
            support.add(ct, labels, slices=[index])
        segmenter = Segmenter(tiny, CPU.model_copy(update={"batch_size": batch}))
        segmenter.set_support(support)
        run(segmenter, query, start_slice=start, keep_probabilities=True)
        found.append(segmenter.result_probabilities() / 255)
    np.testing.assert_allclose(found[0], found[1], atol=4e-3)


@pytest.mark.parametrize("fill", [0, 7])
def test_an_empty_scan_gives_empty_labels_and_no_nan(tiny, scan, organs, fill):
    ct, labels = scan()
    support = SupportSet(organs)
    support.add(ct, labels, slices=[5])
    segmenter = Segmenter(tiny, CPU)
    segmenter.set_support(support)
    query = Volume(np.full((3, 40, 50), fill, np.int16), Geometry((3, 40, 50), (5, 4, 4)), "MR")
    results, result = run(segmenter, query)
    assert not result.labels.any()
    assert not any(r.probabilities.any() for r in results)


def test_bfloat16_on_the_cpu_is_close_to_float32(tiny, scan, organs):
    ct, labels = scan()
    support = SupportSet(organs)
    support.add(ct, labels, slices=[5])
    found = []
    for precision in ("fp32", "bf16"):
        segmenter = Segmenter(tiny, CPU.model_copy(update={"precision": precision}))
        segmenter.set_support(support)
        found.append(next(segmenter.predict(ct, start_slice=4)).probabilities)
    np.testing.assert_allclose(found[0], found[1], atol=0.1)


def test_a_run_leaves_gradients_enabled_between_slices(segmenter, scan):
    query, _ = scan(seed=3)
    for _ in segmenter.predict(query):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        break


def test_uncertainty_is_highest_where_the_best_class_is_a_coin_toss():
    np.testing.assert_array_equal(
        uncertainty(np.array([0, 64, 127, 128, 255], np.uint8)), [0, 128, 254, 254, 0]
    )


def test_levels_come_from_the_line_of_the_scan_not_from_single_slices(
    segmenter, grey_model, scan, organs, monkeypatch
):
    """The network is sure of nothing here; the line says 0.2 at the first slice and 5 mm more at each next."""
    line = BodyLevelFit(0.2, 1 / 200)
    monkeypatch.setattr("napari_cpclnet.segmentation.feature_cache.fit_scan_levels", lambda *_: line)
    volume, labels = scan(seed=5)
    support = SupportSet(organs)
    support.add(volume, labels, slices=[4, 7])
    grey_model.levels.clear()
    segmenter.set_support(support)
    query, _ = scan(seed=3)
    run(segmenter, query)
    described, *segmented = grey_model.levels
    np.testing.assert_allclose(sorted(described.tolist()), [0.3, 0.375], rtol=1e-5)
    np.testing.assert_allclose(np.sort(torch.cat(segmented).numpy()), 0.2 + np.arange(12) * 0.025, rtol=1e-5)


def test_a_scan_is_encoded_once_for_all_supports(segmenter, grey_model, scan, organs):
    """Another painted slice, and another organ: the query's features are those of before."""
    query, _ = scan(seed=3)
    run(segmenter, query)
    volume, labels = scan()
    support = SupportSet(organs)
    support.add(volume, labels, slices=[4, 7])
    segmenter.set_support(support)
    grey_model.encoded.clear()
    again = Volume(query.array.copy(), query.geometry, query.modality, query.unit, name="read again")
    first, _ = run(segmenter, again)
    assert sum(grey_model.encoded) <= 1  # slice 0, which was painted before
    fresh = Segmenter(grey_model, segmenter.settings)
    fresh.set_support(support)
    for one, two in zip(first, run(fresh, query)[0], strict=True):
        np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_a_scan_of_other_content_is_encoded_anew(segmenter, grey_model, scan):
    query, _ = scan(seed=3)
    run(segmenter, query)
    grey_model.encoded.clear()
    query.array[5, 20, 20] += 1
    run(segmenter, query)
    assert sum(grey_model.encoded) >= 12


def test_features_are_kept_only_while_there_is_room(segmenter, grey_model, scan, monkeypatch):
    size = 4 * 96 * 96
    monkeypatch.setattr("napari_cpclnet.segmentation.feature_cache.CACHE_BYTES", 5 * size)
    query, _ = scan(seed=3)
    first, _ = run(segmenter, query)
    grey_model.encoded.clear()
    second, _ = run(segmenter, query)
    assert 0 < sum(grey_model.encoded) < 12
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_the_slice_in_view_is_answered_before_any_other_is_looked_at(grey_model, segmenter, scan):
    query, _ = scan(seed=5)
    grey_model.segmented.clear()
    assert next(segmenter.predict(query, start_slice=3)).index == 3
    assert grey_model.segmented == [1]


@pytest.mark.parametrize(("side", "expected"), [(96, 14), (128, 8), (256, 2), (512, 1), (1024, 1)])
def test_a_cpu_takes_fewer_slices_at_once_the_larger_they_are(side, expected):
    assert slices_at_once(torch.device("cpu"), (side, side)) == expected


def test_a_gpu_takes_as_many_slices_at_once_whatever_their_size():
    assert (
        slices_at_once(torch.device("cuda"), (96, 96)) == slices_at_once(torch.device("cuda"), (512, 512)) > 1
    )


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [[0]]), (6, [[0], [1, 2, 3], [4, 5]]), (7, [[0], [1, 2, 3], [4, 5, 6]])],
)
def test_the_first_slice_comes_alone_and_the_others_some_at_once(count, expected):
    assert list(chunks(list(range(count)), 3)) == expected
