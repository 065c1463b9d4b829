"""Result layers lie on their scan and never replace what a user made."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.layers import Labels

from napari_cpclnet.gui.jobs.segment_job import ScanDone, SliceDone
from napari_cpclnet.gui.layers.corrections import changes, is_edited, is_result
from napari_cpclnet.gui.layers.label_snapshot import LabelSnapshot
from napari_cpclnet.gui.layers.support_slices import SupportPair
from napari_cpclnet.gui.session.result_layers import ResultLayers
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.segmentation import Summary

from .doubles import DIRECTIONS, add_volume, make_volume


def make_job(viewer, direction=DIRECTIONS["straight"], plane="axial"):
    add_volume(viewer, make_volume("mr", direction))
    add_volume(viewer, make_volume("ct", direction))
    session = Session(viewer)
    session.options = type(session.options)(plane=plane)
    session.forget_removed()
    session.new_support_labels().data[3, 5:9, 5:9] = 2
    return session.job(), session


def finished(results, number=0, value=2):
    query = results.job.queries[number]
    labels = np.full(query.scan.geometry.shape, value, results.job.dtype)
    if query.locked is not None:
        labels[query.locked.mask] = query.locked.labels[query.locked.mask]
    results.finish(ScanDone(number, labels, LabelSnapshot.of(labels), Summary((), ()), 0.1))
    return results.layer(number)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_result_lies_exactly_on_its_scan(viewer, direction):
    job, _ = make_job(viewer, direction)
    layer = ResultLayers(viewer, job).begin(0)
    scan = job.queries[0].layer
    for corner in itertools.product(*((0, n - 1) for n in scan.data.shape)):
        np.testing.assert_allclose(scan.data_to_world(corner), layer.data_to_world(corner), atol=1e-9)
    assert layer.name == "mr – CPCLNet"
    assert layer.metadata["napari_cpclnet"]["geometry"].isclose(job.queries[0].scan.geometry)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_slices_arrive_in_their_place_in_any_plane(viewer, plane):
    job, _ = make_job(viewer, DIRECTIONS["swapped"], plane)
    results, axis = ResultLayers(viewer, job), job.queries[0].axis
    shape = job.queries[0].scan.geometry.shape
    expected = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    for index in range(shape[axis]):
        assert results.write(SliceDone(0, index, np.take(expected, index, axis), index + 1, shape[axis]))
    np.testing.assert_array_equal(results.layer(0).data, expected)


def test_a_result_is_filled_again(viewer):
    _, session = make_job(viewer)
    first = finished(ResultLayers(viewer, session.job()))
    assert ResultLayers(viewer, session.job()).begin(0) is first
    assert first.data.all(), "what was found stays to be seen until it is replaced"
    assert finished(ResultLayers(viewer, session.job()), value=1) is first
    assert (first.data == 1).all()


def test_corrected_voxels_stay_through_any_number_of_runs(viewer):
    _, session = make_job(viewer)
    first = finished(ResultLayers(viewer, session.job()))
    assert not is_edited(first)
    assert first.editable
    first.data_setitem((np.array([2, 2]), np.array([5, 6]), np.array([5, 5])), np.array([1, 0]))
    assert is_edited(first)
    for value in (1, 2):
        results = ResultLayers(viewer, session.job())
        assert finished(results, value=value) is first
        assert (first.data[2, 5, 5], first.data[2, 6, 5]) == (1, 0)
        assert (first.data == value).sum() >= first.data.size - 2
        assert changes(first).voxels == 2


def test_undoing_a_correction_leaves_nothing_corrected(viewer):
    _, session = make_job(viewer)
    first = finished(ResultLayers(viewer, session.job()))
    first.paint((2, 5, 5), 1)
    found = changes(first)
    assert list(found.masks) == [2]
    assert found.gained == {1: found.voxels, 2: -found.voxels}
    first.undo()
    assert not changes(first)


def test_a_stroke_after_the_start_of_the_run_is_kept(viewer):
    _, session = make_job(viewer)
    first = finished(ResultLayers(viewer, session.job()))
    job = session.job()
    first.data_setitem((np.array([2]), np.array([5]), np.array([5])), 1)
    results = ResultLayers(viewer, job)
    results.begin(0)
    for index in range(8):
        results.write(SliceDone(0, index, np.full((24, 20), 2, np.uint8), index + 1, 8))
    assert first.data[2, 5, 5] == 1
    finished(results)
    assert first.data[2, 5, 5] == 1
    assert changes(first).voxels == 1


def test_a_cancelled_run_leaves_corrections_and_late_strokes(viewer):
    _, session = make_job(viewer)
    first = finished(ResultLayers(viewer, session.job()))
    first.data_setitem((np.array([2]), np.array([5]), np.array([5])), 1)
    job = session.job()
    first.data_setitem((np.array([3]), np.array([6]), np.array([6])), 1)
    results = ResultLayers(viewer, job)
    results.begin(0)
    results.write(SliceDone(0, 7, np.full((24, 20), 1, np.uint8), 1, 8))
    results.seal_all()
    assert first.editable
    assert (first.data[7] == 1).all()
    np.testing.assert_array_equal(np.argwhere(changes(first).mask((8, 24, 20))), [[2, 5, 5], [3, 6, 6]])


def test_a_renamed_or_copied_result_is_somebodys_own(viewer):
    _, session = make_job(viewer)
    first = finished(ResultLayers(viewer, session.job()))
    copied = Labels(first.data.copy(), name="mr – CPCLNet copy", metadata=first.metadata, scale=first.scale)
    copied.translate = first.translate
    viewer.add_layer(copied)
    first.name = "mine"
    second = finished(ResultLayers(viewer, session.job()), value=1)
    assert second not in (first, copied)
    assert (first.data == 2).all()
    assert (copied.data == 2).all()


def test_a_result_chosen_as_support_is_kept(viewer):
    _, session = make_job(viewer)
    first = finished(ResultLayers(viewer, session.job()))
    session.activate(SupportPair(viewer.layers["mr"], first))
    session.tick_query(viewer.layers["mr"], True)
    assert all(query.result is not first for query in session.job().queries)


def test_a_painted_layer_with_the_name_of_a_result_is_kept(viewer):
    job, session = make_job(viewer)
    session.support_labels.name = "mr – CPCLNet"
    layer = ResultLayers(viewer, job).begin(0)
    assert layer is not session.support_labels
    assert not is_result(session.support_labels)


def test_results_have_the_colours_of_the_support(viewer):
    _, session = make_job(viewer)
    session.class_actions.set_color(2, (10, 200, 30))
    layer = ResultLayers(viewer, session.job()).begin(0)
    np.testing.assert_allclose(layer.colormap.map(2)[:3] * 255, (10, 200, 30), atol=0.5)
    np.testing.assert_allclose(layer.colormap.map(2), session.support_labels.colormap.map(2))


def test_writing_into_a_removed_layer_is_refused(viewer):
    job, _ = make_job(viewer)
    results = ResultLayers(viewer, job)
    viewer.layers.remove(results.begin(0))
    assert not results.write(SliceDone(0, 0, np.zeros((24, 20), np.uint8), 1, 8))


def test_two_dimensional_images_get_two_dimensional_results(viewer):
    scan = viewer.add_image(np.ones((12, 10), np.float32), name="slice")
    session = Session(viewer)
    session.forget_removed()
    session.new_support_labels().data[2:5, 2:5] = 1
    session.tick_query(scan, True)
    layer = finished(ResultLayers(viewer, session.job()), value=1)
    assert layer.ndim == 2
    assert layer.data.all()


def test_an_empty_copy_is_that_of_empty_labels():
    empty = LabelSnapshot.empty((3, 4, 5), np.dtype(np.uint16))
    packed = LabelSnapshot.of(np.zeros((3, 4, 5), np.uint16))
    assert (empty.shape, empty.slices, empty.checksum) == (packed.shape, packed.slices, packed.checksum)
