"""Partial slices in the panel: which slices are partial, what is said of them, and what a run is told."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.jobs.fill_job import VolumeKeeper, make_order, run_fill
from napari_cpclnet.gui.layers.scribbles import looks_scribbled
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging import BACKGROUND, Segmentation

from .doubles import add_volume, make_volume

SHAPE = (8, 96, 96)


@pytest.fixture
def session(viewer):
    add_volume(viewer, make_volume("ct", shape=SHAPE))
    session = Session(viewer)
    session.forget_removed()
    session.new_support_labels()
    return session


@pytest.fixture
def layer(session):
    return session.support_labels


def area(layer, index, value=1):
    """A painted area, as if somebody had outlined a structure and filled it: two steps."""
    for rows in (slice(20, 40), slice(40, 60)):
        where = np.zeros(SHAPE, bool)
        where[index, rows, 30:70] = True
        layer.data_setitem(np.nonzero(where), value)


def stroke(layer, index, value=1):
    """One stroke of napari's brush."""
    layer.selected_label, layer.brush_size = value, 4
    with layer.block_history():
        for column in range(30, 70, 2):
            layer.paint((index, 50, column), value)


def partial(session):
    return {entry.index: entry.partial for entry in session.slices.entries()}


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (slice(40, 44), slice(20, 70), True),  # a stroke
        (slice(40, 49), slice(40, 49), True),  # a dab
        (slice(40, 70), slice(20, 70), False),  # an area
        (slice(40, 40), slice(20, 70), False),  # nothing
    ],
)
def test_a_stroke_and_a_dab_look_scribbled(rows, columns, expected):
    labels = np.zeros((256, 256), np.uint8)
    labels[rows, columns] = 1
    assert looks_scribbled(labels) == expected


def test_a_single_stroke_makes_a_slice_partial_and_more_paint_makes_it_complete(session, layer):
    stroke(layer, 2)
    area(layer, 5)
    assert partial(session) == {2: True, 5: False}
    layer.undo()
    area(layer, 2)
    assert not partial(session)[2]


def test_a_thin_structure_that_took_several_strokes_is_complete(session, layer):
    stroke(layer, 2)
    stroke(layer, 2, 2)
    assert partial(session) == {2: False}


def test_a_scribble_of_background_makes_a_slice_partial_and_is_no_class(session, layer):
    area(layer, 5)
    session.slices.scribble_background()
    assert layer.selected_label == BACKGROUND
    assert layer.mode == "paint"
    stroke(layer, 5, BACKGROUND)
    (entry,) = session.slices.entries()
    assert entry.partial
    assert entry.values == (1,)
    session.class_actions.settle([entry])
    assert BACKGROUND not in session.classes


def test_what_the_user_says_goes_before_what_it_looks_like_and_is_undone(session, layer):
    stroke(layer, 2)
    session.slices.mark_partial(session.slices.entries(), False)
    assert partial(session) == {2: False}
    layer.undo()
    assert partial(session) == {2: True}
    layer.redo()
    assert partial(session) == {2: False}


def test_a_run_is_told_which_slices_are_partial(session, layer, viewer):
    add_volume(viewer, make_volume("mr", shape=SHAPE))
    area(layer, 5)
    stroke(layer, 2)
    stroke(layer, 7, BACKGROUND)
    (part,) = session.job().supports
    assert part.slices == (2, 5, 7)
    assert part.partial == (2, 7)
    assert (part.labels[7] == BACKGROUND).any()
    assert session.job().classes == {1: "label 1"}


def test_a_fill_does_not_take_what_is_unpainted_on_a_partial_slice_for_background(session, layer):
    area(layer, 2, 1)
    area(layer, 6, 1)
    stroke(layer, 4, 2)

    def filled():
        pair = session.active
        order = make_order(pair, "axial", session.slices.entries(pair), session.accepted, {})
        *_, last = run_fill(order, VolumeKeeper())
        return last.labels

    assert (filled()[4] == 1).any()
    session.slices.mark_partial([e for e in session.slices.entries() if e.index == 4], False)
    assert not (filled()[4] == 1).any()


def test_a_class_with_the_label_of_the_background_is_not_scribbled_over(session, layer):
    mask = Segmentation(
        np.full(SHAPE, BACKGROUND, np.uint8), {}, make_volume("ct", shape=SHAPE).geometry, "mask"
    )
    session.add_mask(mask)
    assert BACKGROUND in session.classes
    with pytest.raises(SupportError, match="stands for background"):
        session.slices.scribble_background()


def test_the_table_shows_and_changes_it(make_panel, viewer, qtbot):
    add_volume(viewer, make_volume("ct", shape=SHAPE))
    panel = make_panel()
    tab = panel.segment
    tab.refresh()
    tab.support.new_labels()
    layer = tab.session.support_labels
    stroke(layer, 2)
    tab.refresh()
    slices = tab.support.slices

    def text():
        return slices.tree.topLevelItem(0).child(0).text(0)

    assert text() == "Slice 2 · partial"
    viewer.dims.set_current_step(0, 2)
    slices.partial.click()
    assert text() == "Slice 2"
    slices.partial.click()
    assert text() == "Slice 2 · partial"
    slices.scribble.click()
    assert layer.selected_label == BACKGROUND
