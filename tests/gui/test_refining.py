"""Slices of results become painted slices, of the right scan and without touching anybody's paint."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan
from napari_cpclnet.gui.session.result_layers import ResultLayers
from napari_cpclnet.gui.session.reuse import result_in_view, scan_in_view, use_slice
from napari_cpclnet.gui.session.session import Session

from .doubles import add_volume, make_volume
from .test_results import finished


@pytest.fixture
def session(viewer):
    """A painted CT, and an MR with a result: class 2 in the middle of slices 2 to 5."""
    mr = add_volume(viewer, make_volume("mr"))
    add_volume(viewer, make_volume("ct"))
    session = Session(viewer)
    session.forget_removed()
    session.new_support_labels().data[3, 5:9, 5:9] = 2
    layer = finished(ResultLayers(viewer, session.job()))
    layer.data[[0, 1, 6, 7]] = 0
    show_scan(viewer, mr)
    jump_to_slice(viewer, mr, 0, 4)
    return session


def entry(session, name, index):
    return next(e for e in session.slices.entries() if e.pair.scan.name == name and e.index == index)


def test_the_slice_in_view_is_painted_as_it_was_corrected(viewer, session):
    active, result = session.active, viewer.layers["mr – CPCLNet"]
    viewer.layers.selection.active = result
    result.data_setitem((np.array([4, 4]), np.array([1, 2]), np.array([3, 3])), np.array([0, 1]))
    said = use_slice(session)
    painted = viewer.layers["mr – painted slices"]
    np.testing.assert_array_equal(painted.data[4], result.data[4])
    assert not np.delete(painted.data, 4, 0).any()
    assert entry(session, "mr", 4).ticked
    assert "Slice 4 of mr" in said
    # One goes on with what one was at.
    assert session.active == active
    assert viewer.layers.selection.active is result
    assert session.is_ticked(viewer.layers["mr"]), "the scan is to be labelled again, with what was learnt"
    painted.undo()
    assert not painted.data.any()


def test_the_run_learns_from_the_slice(viewer, session):
    use_slice(session)
    job = session.job()
    assert {part.scan.name: part.slices for part in job.supports} == {"ct": (3,), "mr": (4,)}
    assert [query.part is not None for query in job.queries] == [True]


def test_a_slice_on_which_nothing_was_found_is_marked_absent(viewer, session):
    jump_to_slice(viewer, viewer.layers["mr"], 0, 6)
    assert "marked as empty" in use_slice(session)
    assert entry(session, "mr", 6).absent
    assert not viewer.layers["mr – painted slices"].data.any()


def test_more_slices_come_into_the_same_layer(viewer, session):
    use_slice(session)
    before = viewer.layers["mr – painted slices"].data[4].copy()
    jump_to_slice(viewer, viewer.layers["mr"], 0, 2)
    use_slice(session)
    painted = viewer.layers["mr – painted slices"].data
    assert sorted(np.flatnonzero(painted.any((1, 2)))) == [2, 4]
    np.testing.assert_array_equal(painted[4], before)
    assert sum("painted" in layer.name for layer in viewer.layers) == 2


def test_labels_that_were_only_opened_are_left_alone(viewer, session):
    mr = viewer.layers["mr"]
    truth = viewer.add_labels(np.ones(mr.data.shape, np.uint8), scale=mr.scale, translate=mr.translate)
    use_slice(session)
    assert (truth.data == 1).all()
    assert viewer.layers["mr – painted slices"].data[4].any()


def test_the_painted_slices_of_the_active_scan_are_not_touched(viewer, session):
    before = session.support_labels.data.copy()
    use_slice(session)
    np.testing.assert_array_equal(session.support_labels.data, before)


def test_without_a_result_it_says_what_to_do(viewer, session):
    show_scan(viewer, viewer.layers["ct"])
    viewer.layers.selection.active = viewer.layers["ct"]
    assert scan_in_view(session).name == "ct"
    assert result_in_view(session) is None
    with pytest.raises(SupportError, match="press Run"):
        use_slice(session)
