"""napari's undo takes back what the panel did: paint, marks and classes, each action by itself and nothing else."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest

from napari_cpclnet.errors import SupportError
from napari_cpclnet.gui.layers.scan_layers import copied_transform
from napari_cpclnet.gui.layers.support_slices import SupportPair
from napari_cpclnet.gui.session.classes import ClassInfo
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.imaging import Segmentation
from napari_cpclnet.segmentation.settings import RunSettings

from .doubles import add_volume, make_volume

SHAPE = (8, 12, 10)


@pytest.fixture
def session(viewer):
    made = Session(viewer)
    made.options = RunSettings(plane="axial")
    made.support_scan = add_volume(viewer, make_volume("ct", shape=SHAPE))
    made.new_support_labels()
    return made


def stroke(layer, *places, value=1):
    """One stroke of napari's brush of one voxel along places (z, y, x)."""
    layer.brush_size = 1
    with layer.block_history():
        for place in places:
            layer.paint(place, value)


def blob(layer, index, value=1):
    stroke(layer, *((index, y, x) for y in (3, 4) for x in (3, 4, 5)), value=value)


def state(session):
    """Paint, what the table lists, and classes."""
    entries = session.slices.entries()
    session.class_actions.settle(entries)
    paint = {pair.labels.name: np.asarray(pair.labels.data).tobytes() for pair in session.slices.pairs}
    rows = [(e.pair.labels.name, e.index, e.values, e.absent, e.ticked) for e in entries]
    blank = np.zeros(SHAPE, np.uint8).tobytes()
    return {k: v for k, v in paint.items() if v != blank}, rows, dict(session.classes.items())


def actions(session, rng):
    """What a user may do next: functions that return the layer that Ctrl+Z is pressed on."""
    layer = session.support_labels
    pair, index, other = session.active, int(rng.integers(8)), int(rng.integers(8))
    value = int(rng.integers(1, 5))

    def dab():
        blob(layer, index, value)

    def across():
        stroke(layer, *((z, 6, 2) for z in range(8)), value=value)

    def fill():
        layer.fill((index, 0, 0), layer.data[index, 0, 0], value)

    def mark():
        session.slices.mark_absent(pair, index, bool(rng.integers(2)))

    def copy():
        layer.selected_label = value
        session.slices.copy_to(index, other)

    def remove():
        entries = session.slices.entries(pair)
        if entries:
            session.slices.remove(entries[int(rng.integers(len(entries)))])

    def whole():
        session.slices.replace_slice(
            pair, 0, index, (rng.random(SHAPE[1:]) < rng.integers(2) * 0.2).astype(np.uint8)
        )

    def name():
        session.class_actions.add(str(rng.choice(["liver", "spleen", "", "my cyst"])))

    def rename():
        session.class_actions.rename(value, str(rng.choice(["liver", "aorta", "knot"])))

    def color():
        session.class_actions.set_color(value, tuple(int(c) for c in rng.integers(256, size=3)))

    def code():
        session.class_actions.set_code(value, "spleen")

    def drop():
        session.class_actions.remove(value)

    def bring():
        labels = np.zeros(SHAPE, np.uint8)
        labels[2:4, 2:6, 2:6], labels[5, 1:3, 1:3] = 1, 7
        names = {1: str(rng.choice(["heart", "liver", "left lung"])), 7: "aorta"}
        mask = Segmentation(
            labels, names, make_volume("ct", shape=SHAPE).geometry, f"mask {rng.integers(1e6)}"
        )
        session.add_mask(mask)

    return dab, across, fill, mark, copy, remove, whole, name, rename, color, code, drop, bring


@pytest.mark.parametrize("seed", range(15))
def test_whatever_is_done_is_undone_one_by_one(session, seed):
    rng = np.random.default_rng(seed)
    before, done = [state(session)], []
    for _ in range(30):
        choices = actions(session, rng)
        depth = {pair.labels: len(pair.labels._undo_history) for pair in session.slices.pairs}
        with suppress(SupportError):
            choices[int(rng.integers(len(choices)))]()
        grown = [
            p.labels for p in session.slices.pairs if len(p.labels._undo_history) != depth.get(p.labels, 0)
        ]
        if grown:
            assert [len(x._undo_history) - depth.get(x, 0) for x in grown] == [1], "one action, one step"
            done.append(grown[0])
            before.append(state(session))
        else:
            assert state(session) == before[-1], "something was changed that Ctrl+Z cannot take back"
    assert len(done) > 10
    for layer, was in zip(reversed(done), reversed(before[:-1]), strict=True):
        layer.undo()
        assert state(session) == was
    for layer, will in zip(done, before[1:], strict=True):
        layer.redo()
        assert state(session) == will


def test_undo_of_a_mark_leaves_paint_out_of_sight_alone(session):
    layer = session.support_labels
    for index in (1, 2, 3):
        blob(layer, index)
    session.slices.mark_absent(session.active, 6, True)
    layer.undo()
    assert [(e.index, e.absent) for e in session.slices.entries()] == [(1, False), (2, False), (3, False)]
    layer.redo()
    assert session.slices.entries()[-1].absent


def test_a_hidden_layer_is_undone_as_well(session):
    session.slices.mark_absent(session.active, 6, True)
    session.support_labels.visible = False
    session.support_labels.undo()
    assert session.slices.entries() == []


def test_choosing_a_layer_whose_classes_are_renumbered_is_taken_back(session, viewer):
    session.class_actions.rename(1, "liver")
    truth = viewer.add_labels(
        np.zeros(SHAPE, np.uint8), name="truth", **copied_transform(session.support_scan)
    )
    truth.metadata = {"napari_cpclnet": {"classes": {1: "heart", 2: "Liver"}}}
    truth.data[1], truth.data[3] = 1, 2
    paint, names = truth.data.copy(), session.classes.names()
    session.activate(SupportPair(session.support_scan, truth))
    assert session.slices.painted_slices() == {1: (2,), 3: (1,)}
    truth.undo()
    session.slices.entries()
    np.testing.assert_array_equal(truth.data, paint)
    assert session.classes.names() == names
    assert truth.metadata["napari_cpclnet"]["classes"] == {1: "heart", 2: "Liver"}
    assert not session.slices.is_in_use(SupportPair(session.support_scan, truth))


def test_classes_that_came_with_a_mask_go_with_its_layer(session, viewer):
    blob(session.support_labels, 2)
    session.class_actions.rename(1, "liver")
    labels = np.zeros(SHAPE, np.uint8)
    labels[4, :3, :3], labels[5, :3, :3] = 1, 2
    geometry = make_volume("ct", shape=SHAPE).geometry
    layer = session.add_mask(Segmentation(labels, {1: "liver", 2: "aorta"}, geometry, "mask"))
    assert set(session.classes.names().values()) == {"liver", "aorta"}
    viewer.layers.remove(layer)
    session.forget(layer)
    assert session.classes.names() == {1: "liver"}


def test_a_new_class_does_not_look_like_another(session):
    session.classes.replace({1: ClassInfo("stone", (240, 196, 50))})
    session.classes.ensure([3])  # whose own colour is nearly that
    distance = np.linalg.norm(np.subtract(session.classes.color(3), session.classes.color(1)))
    assert distance > 60


def test_the_panel_says_what_to_do_with_crossed_slices(viewer, make_panel, qtbot):
    panel = make_panel()
    add_volume(viewer, make_volume("ct", shape=SHAPE))
    panel.segment.options.set_options(RunSettings(plane="axial"))
    panel.segment.refresh()
    panel.segment.support.new.click()
    layer = panel.session.support_labels
    for index in (2, 5):
        blob(layer, index)
    stroke(layer, *((z, 6, x) for z in range(8) for x in (5, 6)))
    slices = panel.segment.support.slices
    qtbot.waitUntil(lambda: slices.crossed.isVisibleTo(panel), timeout=3000)
    assert slices.crossed.text.text().startswith("6 slices are only crossed")
    assert [entry.index for entry in slices.tree.entries() if entry.ticked] == [2, 5]
    assert slices.crossed.turn.isVisibleTo(panel)
    slices.crossed.use.click()
    assert all(entry.ticked for entry in slices.tree.entries())
    assert not slices.crossed.isVisibleTo(panel)


def test_ctrl_z_after_a_mark_takes_the_mark_back(session, viewer, make_panel, qtbot):
    panel = make_panel()
    panel.segment.refresh()
    panel.segment.support.new.click()
    layer, slices = panel.session.support_labels, panel.segment.support.slices
    blob(layer, 2)
    viewer.layers.selection.active = panel.session.support_scan
    viewer.dims.set_current_step(0, 6)
    slices.mark_absent()
    assert [e.index for e in slices.tree.entries()] == [2, 6]
    viewer.layers.selection.active.undo()
    qtbot.waitUntil(lambda: [e.index for e in slices.tree.entries()] == [2], timeout=3000)


def test_a_hidden_layer_that_was_never_drawn_can_be_changed(session, viewer):
    layer = viewer.add_labels(
        np.zeros(SHAPE, np.uint8), name="hidden", visible=False, **copied_transform(session.support_scan)
    )
    pair = SupportPair(session.support_scan, layer)
    layer.data[3, 2:6, 2:6] = 1
    session.activate(pair)
    (entry,) = session.slices.entries(pair)
    session.slices.remove(entry)
    assert not layer.data.any()
    layer.undo()
    assert layer.data[3].sum() == 16
