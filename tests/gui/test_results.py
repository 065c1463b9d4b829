"""Result layers lie on their scan and never replace what a user made."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_cpclnet.gui.job import ScanDone, SliceDone, checksum
from napari_cpclnet.gui.results import ResultLayers, is_edited, is_result
from napari_cpclnet.gui.session import Session

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
    shape = results.job.queries[number].scan.geometry.shape
    labels = np.full(shape, value, results.job.dtype)
    results.finish(ScanDone(number, labels, checksum(labels), {value: 1.0}, 0.1))
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


def test_an_untouched_result_is_used_again(viewer):
    job, _ = make_job(viewer)
    first = finished(ResultLayers(viewer, job))
    second = ResultLayers(viewer, job).begin(0)
    assert second is first
    assert not second.data.any()


def test_an_edited_result_is_kept_and_a_new_layer_made(viewer):
    job, _ = make_job(viewer)
    first = finished(ResultLayers(viewer, job))
    assert first.editable
    first.paint((2, 5, 5), 1)
    assert is_edited(first)
    kept = first.data.copy()
    second = finished(ResultLayers(viewer, job), value=1)
    assert second is not first
    assert second.name != first.name
    np.testing.assert_array_equal(first.data, kept)


def test_a_result_chosen_as_support_is_kept(viewer):
    job, session = make_job(viewer)
    first = finished(ResultLayers(viewer, job))
    assert ResultLayers(viewer, job, keep=[first]).begin(0) is not first
    assert session.support_labels is not first


def test_a_painted_layer_with_the_name_of_a_result_is_kept(viewer):
    job, session = make_job(viewer)
    session.support_labels.name = "mr – CPCLNet"
    layer = ResultLayers(viewer, job).begin(0)
    assert layer is not session.support_labels
    assert not is_result(session.support_labels)


def test_results_have_the_colours_of_the_support(viewer):
    _, session = make_job(viewer)
    session.set_class_color(2, (10, 200, 30))
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
