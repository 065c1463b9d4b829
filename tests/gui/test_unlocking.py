"""Wrong corrections go back to the network: by slice or by scan, undone like a stroke, free for the next run."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.layers.corrections import changes
from napari_cpclnet.gui.layers.scan_layers import slice_axis
from napari_cpclnet.gui.layers.view import jump_to_slice, show_scan
from napari_cpclnet.gui.session.result_layers import ResultLayers
from napari_cpclnet.gui.session.reuse import unlock_corrections

from .doubles import DIRECTIONS
from .test_results import finished, make_job


@pytest.fixture(params=DIRECTIONS.values(), ids=DIRECTIONS)
def session(viewer, request):
    """An MR that a run labelled with class 2 all over."""
    _, session = make_job(viewer, request.param)
    finished(ResultLayers(viewer, session.job()))
    show_scan(viewer, viewer.layers["mr"])
    look(session, 2)
    return session


def result(session):
    return session.viewer.layers["mr – CPCLNet"]


def look(session, index):
    axis = slice_axis(
        session.viewer.layers["mr"].metadata["napari_cpclnet"]["geometry"], session.options.plane
    )
    jump_to_slice(session.viewer, session.viewer.layers["mr"], axis, index)


def slices(session):
    """The result's array with the sliced axis first, as a view."""
    axis = slice_axis(
        session.viewer.layers["mr"].metadata["napari_cpclnet"]["geometry"], session.options.plane
    )
    return np.moveaxis(result(session).data, axis, 0)


def correct(session, index, value=1):
    """Three voxels of a slice."""
    layer, view = result(session), slices(session)
    mask = np.zeros(view.shape, bool)
    mask[index, 5, 5:8] = True
    axis = slice_axis(
        session.viewer.layers["mr"].metadata["napari_cpclnet"]["geometry"], session.options.plane
    )
    with layer.block_history():
        layer.data_setitem(np.nonzero(np.moveaxis(mask, 0, axis)), value)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_slice_is_given_back_and_the_others_stay(session, plane):
    session.options = session.options.model_copy(update={"plane": plane})
    for index in (2, 4):
        correct(session, index)
    look(session, 2)
    said = unlock_corrections(session, whole_scan=False)
    assert "slice 2 of mr" in said
    assert "3 voxels" in said
    assert (slices(session)[2] == 2).all()
    assert list(slices(session)[4, 5, 5:8]) == [1, 1, 1]
    assert changes(result(session)).voxels == 3
    result(session).undo()
    assert list(slices(session)[2, 5, 5:8]) == [1, 1, 1]
    assert changes(result(session)).voxels == 6, "and with the stroke the lock is back"


def test_a_whole_scan_is_given_back_in_one_step_of_undo(session):
    for index in (0, 2, 4):
        correct(session, index)
    unlock_corrections(session, whole_scan=True)
    assert (result(session).data == 2).all()
    assert not changes(result(session))
    result(session).undo()
    assert changes(result(session)).voxels == 9


def test_the_next_run_is_free_where_older_corrections_were(session):
    for index in (2, 4):
        correct(session, index)
    finished(ResultLayers(session.viewer, session.job()), value=2)
    assert changes(result(session)).voxels == 6
    correct(session, 2, value=0)
    said = unlock_corrections(session, whole_scan=False)
    assert "3 as the last run left them" in said
    assert list(slices(session)[2, 5, 5:8]) == [1, 1, 1]
    finished(ResultLayers(session.viewer, session.job()), value=2)
    assert (slices(session)[2] == 2).all()
    assert list(slices(session)[4, 5, 5:8]) == [1, 1, 1]
    assert changes(result(session)).voxels == 3


def test_older_corrections_alone_can_be_given_back(session):
    correct(session, 2)
    finished(ResultLayers(session.viewer, session.job()), value=2)
    heard = []
    result(session).events.set_data.connect(lambda _event: heard.append(1))
    said = unlock_corrections(session, whole_scan=True)
    assert "3 corrected before the last run" in said
    assert "Ctrl+Z" not in said
    assert heard, "else the project would not be saved"
    assert list(slices(session)[2, 5, 5:8]) == [1, 1, 1]
    assert not changes(result(session))
    assert all(query.locked is None for query in session.job().queries)


def test_where_nothing_is_corrected_it_is_said(session):
    correct(session, 4)
    with pytest.raises(SupportError, match="Nothing is corrected on slice 2 of mr"):
        unlock_corrections(session, whole_scan=False)
    assert changes(result(session)).voxels == 3
    session.foreground.add("Segment")
    with pytest.raises(SupportError, match="wait for this one to end"):
        unlock_corrections(session, whole_scan=True)
    assert changes(result(session)).voxels == 3
