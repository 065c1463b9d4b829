"""What the user chose becomes a job, or one sentence that says what is missing. No window, no Qt."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.layers.class_names import class_names
from napari_cpclnet.gui.layers.scan_layers import copied_transform, same_grid
from napari_cpclnet.gui.session.classes import preset_of
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.segmentation.settings import RunSettings

from .doubles import DIRECTIONS, add_volume, make_volume


@pytest.fixture
def session(viewer):
    return Session(viewer)


def paint(session, *slices, value=1):
    for index in slices:
        np.asarray(session.support_labels.data)[index, 4:9, 4:9] = value


def ready(session, viewer):
    add_volume(viewer, make_volume("mr"))
    add_volume(viewer, make_volume("ct"))
    session.forget_removed()
    session.new_support_labels()
    paint(session, 2, 5)
    return session


def test_new_labels_lie_on_the_support_scan_and_can_be_painted(session, viewer):
    scan = add_volume(viewer, make_volume(direction=DIRECTIONS["flipped"]))
    session.forget_removed()
    layer = session.new_support_labels()
    assert same_grid(layer, scan)
    assert layer.mode == "paint"
    assert class_names(layer) == {1: "label 1"}
    layer.paint((3, 10, 10), 1)
    assert session.slices.painted_slices() == {3: (1,)}


def test_job_is_a_snapshot(session, viewer):
    ready(session, viewer)
    job = session.job()
    (part,) = job.supports
    before = part.labels.copy()
    paint(session, 0, value=3)
    np.testing.assert_array_equal(part.labels, before)
    assert part.slices == (2, 5)
    assert [query.scan.name for query in job.queries] == ["mr"]


def test_class_names_travel_with_the_job(session, viewer):
    ready(session, viewer)
    session.class_actions.rename(1, "liver")
    assert session.class_actions.add() == 2
    paint(session, 2, value=2)
    assert session.job().classes == {2: "label 2", 1: "liver"}


def test_the_class_that_came_with_the_layer_takes_the_first_name(session, viewer):
    ready(session, viewer)
    session.support_labels.data[:] = 0
    assert session.class_actions.add("spleen") == 1
    assert class_names(session.support_labels) == {1: "spleen"}
    assert session.classes.color(1) == preset_of("spleen").color
    assert session.class_actions.add("liver") == 2


def test_a_painted_class_keeps_its_lack_of_a_name(session, viewer):
    ready(session, viewer)
    assert session.class_actions.add("spleen") == 2
    assert session.classes.names() == {1: "label 1", 2: "spleen"}


def test_support_scan_may_be_its_own_query(session, viewer):
    ready(session, viewer)
    session.tick_query(session.support_scan, True)
    assert [query.part for query in session.job().queries] == [0, None]


def test_run_starts_with_the_slice_in_view(session, viewer):
    ready(session, viewer)
    layer = viewer.layers["mr"]
    viewer.dims.set_point(0, layer.data_to_world((6, 0, 0))[0])
    assert session.job().queries[0].start_slice == 6


def test_slices_are_counted_along_the_plane(session, viewer):
    ready(session, viewer)
    session.options = RunSettings(plane="sagittal")
    assert sorted(session.slices.painted_slices()) == [4, 5, 6, 7, 8]
    assert session.job().queries[0].axis == 2


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s, v: v.layers.clear(), "Open a scan"),
        (lambda s, v: v.layers.remove(s.support_labels), "press 'New'"),
        (lambda s, v: s.support_labels.data.fill(0), "Nothing is painted"),
        (lambda s, v: s.tick_query(v.layers["mr"], False), "Tick at least one scan"),
        (lambda s, v: setattr(s.support_labels, "translate", (9, 9, 9)), "does not lie on the voxels"),
    ],
    ids=["no scan", "no labels", "no paint", "no query", "moved labels"],
)
def test_what_is_missing_is_said_in_one_sentence(session, viewer, spoil, words):
    ready(session, viewer)
    kept = session.support_labels
    spoil(session, viewer)
    session.forget_removed()
    if words.startswith("does not"):
        session.support_labels = kept
    with pytest.raises(CpclnetError, match=words) as caught:
        session.job()
    assert str(caught.value).count(". ") == 0


def test_choices_of_removed_layers_are_forgotten(session, viewer):
    ready(session, viewer)
    viewer.layers.remove(session.support_scan)
    session.forget_removed()
    assert session.support_scan is viewer.layers["mr"]
    # Same numbers of voxels at the same place: the painted layer fits the other scan as well.
    assert session.support_labels is not None
    viewer.layers.clear()
    session.forget_removed()
    assert (session.support_scan, session.support_labels) == (None, None)


def test_colour_and_multiscale_images_are_listed_but_never_used(session, viewer):
    rgb = viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo")
    session.forget_removed()
    assert session.support_scan is None
    assert not session.is_ticked(rgb)


def test_labels_of_another_grid_are_not_offered(session, viewer):
    scan = add_volume(viewer, make_volume("a"))
    other = add_volume(viewer, make_volume("b", shape=(5, 9, 9)))
    viewer.add_labels(np.zeros(other.data.shape, np.uint8), **copied_transform(other))
    session.support_scan = scan
    assert session.labels_layers() == []
