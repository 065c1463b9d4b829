"""Pictures beside results: on their scan, with it, and never taken for anything else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.gui.layers.corrections import changes
from napari_cpclnet.gui.layers.overlays import (
    KINDS,
    FollowScans,
    Picture,
    find_maps,
    show_corrections,
    show_maps,
)
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.session.result_layers import ResultLayers
from napari_cpclnet.gui.session.session import Session

from .doubles import DIRECTIONS, add_volume, make_volume
from .test_results import finished


@pytest.fixture(params=DIRECTIONS.values(), ids=DIRECTIONS)
def session(viewer, request):
    add_volume(viewer, make_volume("mr", request.param))
    add_volume(viewer, make_volume("ct", request.param))
    session = Session(viewer)
    session.forget_removed()
    session.new_support_labels().data[3, 5:9, 5:9] = 2
    return session


def test_pictures_lie_on_their_scan_below_the_result(viewer, session):
    result, scan = finished(ResultLayers(viewer, session.job())), viewer.layers["mr"]
    selected = viewer.layers.selection.active
    picture = np.random.default_rng(0).integers(0, 256, scan.data.shape).astype(np.uint8)
    show_maps(viewer, scan, result, [Picture("probability", picture)])
    layer = viewer.layers["mr – probability"]
    np.testing.assert_array_equal(layer.data, picture)
    corner = tuple(n - 1 for n in scan.data.shape)
    np.testing.assert_allclose(layer.data_to_world(corner), scan.data_to_world(corner), atol=1e-9)
    order = [viewer.layers.index(one) for one in (scan, layer, result)]
    assert order == sorted(order)
    assert viewer.layers.selection.active is selected


def test_pictures_are_neither_scans_nor_painted(viewer, session):
    result, scan = finished(ResultLayers(viewer, session.job())), viewer.layers["mr"]
    result.data_setitem((np.array([2]), np.array([5]), np.array([5])), 1)
    before = (session.scans(), session.slices.pairs, session.labels_layers())
    show_maps(viewer, scan, result, [Picture("uncertainty", np.zeros(scan.data.shape, np.uint8))])
    show_corrections(viewer, scan, result, changes(result))
    assert len(viewer.layers) == 6
    assert (session.scans(), session.slices.pairs, session.labels_layers()) == before


def test_the_next_run_replaces_or_removes_them(viewer, session):
    result, scan = finished(ResultLayers(viewer, session.job())), viewer.layers["mr"]
    for value in (1, 2):
        picture = Picture("probability", np.full(scan.data.shape, value, np.uint8))
        show_maps(viewer, scan, result, [picture])
    assert sum("probability" in layer.name for layer in viewer.layers) == 1
    (layer,) = find_maps(viewer, scan, "probability")
    assert (layer.data == 2).all()
    show_maps(viewer, scan, result, [])
    assert find_maps(viewer, scan, "probability") == []


def test_each_class_has_a_picture_in_its_colour(viewer, session):
    result, scan = finished(ResultLayers(viewer, session.job())), viewer.layers["mr"]
    looks = {2: ("liver", (255, 0, 0)), 5: ("label 5", (0, 0, 255))}

    def pictures(level, *values):
        return [Picture("probability", np.full(scan.data.shape, level + v, np.uint8), v) for v in values]

    show_maps(viewer, scan, result, [Picture("probability", np.zeros(scan.data.shape, np.uint8))])
    show_maps(viewer, scan, result, pictures(0, 2, 5), looks)
    assert [one.name for one in find_maps(viewer, scan, "probability")] == [
        "mr – probability liver",
        "mr – probability label 5",
    ], "and the one of the likeliest class is gone"
    liver, other = find_maps(viewer, scan, "probability")
    np.testing.assert_allclose(liver.colormap.map([1.0])[0][:3], (1, 0, 0))
    np.testing.assert_allclose(other.colormap.map([0.0])[0][:3], (0, 0, 0))
    looks[5] = ("spleen", (0, 0, 255))
    show_maps(viewer, scan, result, pictures(10, 5), looks)
    assert find_maps(viewer, scan, "probability") == [other], "the layer is used again, others of the kind go"
    assert other.name == "mr – probability spleen"
    assert (other.data == 15).all()
    show_scan(viewer, scan)
    follow = FollowScans(viewer)
    scan.visible = False
    assert not other.visible
    follow.close()


def test_results_and_pictures_come_and_go_with_their_scan(viewer, session):
    follow = FollowScans(viewer)
    result, scan = finished(ResultLayers(viewer, session.job())), viewer.layers["mr"]
    show_scan(viewer, scan)
    show_maps(viewer, scan, result, [Picture(kind, np.zeros(scan.data.shape)) for kind in KINDS])
    viewer.layers["mr – uncertainty"].visible = False
    show_scan(viewer, viewer.layers["ct"])
    assert not result.visible
    assert not viewer.layers["mr – probability"].visible
    show_scan(viewer, scan)
    assert result.visible
    assert viewer.layers["mr – probability"].visible
    assert not viewer.layers["mr – uncertainty"].visible, "what the user hid stays hidden"
    follow.close()
    scan.visible = False
    assert result.visible


def test_corrections_tell_labelled_from_erased(viewer, session):
    result, scan = finished(ResultLayers(viewer, session.job())), viewer.layers["mr"]
    result.data_setitem((np.array([2, 3]), np.array([5, 6]), np.array([5, 5])), np.array([1, 0]))
    show_corrections(viewer, scan, result, changes(result))
    data = viewer.layers["mr – corrections"].data
    assert (data[2, 5, 5], data[3, 6, 5]) == (1, 2)
    assert np.count_nonzero(data) == 2
