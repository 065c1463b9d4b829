"""Fill between slices: the preview follows the paint, and what is accepted is painted, but not drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cpclnet.gui.fill.fill_preview import KIND
from napari_cpclnet.gui.jobs.fill_job import VolumeKeeper, make_order, run_fill
from napari_cpclnet.gui.layers.overlays import is_map
from napari_cpclnet.imaging import Geometry, Volume
from napari_cpclnet.project import locate, read_project
from napari_cpclnet.project.headless import support_set as headless

from .doubles import add_volume
from .test_project import reopened, save

SHAPE = (30, 48, 44)


def ball(radius: float = 12.0) -> np.ndarray:
    z, y, x = np.ogrid[:30, :48, :44]
    return (z - 15) ** 2 + (y - 24) ** 2 + (x - 22) ** 2 < radius**2


def turned(array: np.ndarray, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, 0, axis))


@pytest.fixture(params=[0, 2], ids=["axial", "sagittal"])
def axis(request):
    return request.param


@pytest.fixture
def panel(make_panel, viewer, axis):
    array = turned(np.where(ball(), 1.0, 0.1).astype(np.float32), axis)
    add_volume(viewer, Volume(array, Geometry(array.shape, (1.0, 1.0, 1.0)), modality="MR", name="mr"))
    panel = make_panel()
    panel.segment.refresh()
    panel.segment.support.new_labels()
    return panel


def draw(panel, axis, *indices, radius=12.0):
    labels = panel.session.support_labels
    data = turned(ball(radius), axis)
    for index in indices:
        np.moveaxis(labels.data, axis, 0)[index][np.moveaxis(data, axis, 0)[index]] = 1
    labels.refresh()


def control(panel):
    return panel.segment.support.fill.control


def filled(qtbot, panel):
    qtbot.waitUntil(lambda: control(panel).can_accept, timeout=300_000)
    return control(panel).shown


def accept(qtbot, panel):
    with qtbot.waitSignal(control(panel).accepted, timeout=300_000):
        panel.segment.support.fill.accept.click()
    qtbot.waitUntil(lambda: control(panel)._seen, timeout=300_000)


def test_the_preview_shows_what_lies_between_and_follows_the_paint(qtbot, panel, viewer, axis):
    fill = panel.segment.support.fill
    draw(panel, axis, 8, 22)
    assert not any(layer.name == "mr fill" for layer in viewer.layers)
    fill.tick.click()
    first = filled(qtbot, panel)
    layer = viewer.layers["mr fill"]
    assert is_map(layer)
    assert not layer.editable
    assert layer.metadata["napari_cpclnet"]["map"] == KIND
    assert viewer.layers.selection.active is panel.session.support_labels
    slices = np.moveaxis(np.asarray(layer.data), axis, 0)
    assert not slices[[8, 22]].any(), "painted slices are shown by the paint itself"
    assert slices[15].any()
    truth = np.moveaxis(turned(ball(), axis), axis, 0)
    draw(panel, axis, 15)
    qtbot.waitUntil(lambda: control(panel).can_accept and control(panel).shown is not first, timeout=300_000)
    slices = np.moveaxis(np.asarray(viewer.layers["mr fill"].data), axis, 0)
    between = [i for i in range(9, 22) if i != 15]
    dice = (
        2
        * np.sum((slices[between] == 1) & truth[between])
        / (np.sum(slices[between] == 1) + np.sum(truth[between]))
    )
    assert dice > 0.93
    assert not slices[15].any()
    np.testing.assert_array_equal(viewer.layers["mr fill"].scale, viewer.layers["mr"].scale)


def test_the_preview_goes_when_it_is_unticked_or_removed_or_nothing_is_painted(qtbot, panel, viewer, axis):
    fill = panel.segment.support.fill
    draw(panel, axis, 8, 22)
    fill.tick.click()
    filled(qtbot, panel)
    fill.tick.click()
    assert "mr fill" not in viewer.layers
    assert not fill.accept.isVisibleTo(fill)
    fill.tick.click()
    filled(qtbot, panel)
    viewer.layers.remove("mr fill")
    assert not fill.tick.isChecked()
    fill.tick.click()
    filled(qtbot, panel)
    panel.session.support_labels.data[...] = 0
    panel.session.support_labels.refresh()
    qtbot.waitUntil(lambda: "mr fill" not in viewer.layers, timeout=300_000)
    assert fill.tick.isChecked()


def test_accepting_is_one_step_of_undo_and_leaves_what_was_drawn(qtbot, panel, viewer, axis):
    session, labels = panel.session, panel.session.support_labels
    draw(panel, axis, 8, 15, 22)
    before = labels.data.copy()
    panel.segment.support.fill.tick.click()
    shown = filled(qtbot, panel)
    expected = np.where(before, before, shown.labels)
    accept(qtbot, panel)
    np.testing.assert_array_equal(labels.data, expected)
    assert not viewer.layers["mr fill"].data.any()
    entries = session.slices.entries()
    drawn = [entry.index for entry in entries if entry not in session.accepted]
    assert drawn == [8, 15, 22]
    assert {entry.plane for entry in entries} == {"sagittal" if axis else "axial"}
    assert len(entries) == 3 + len(shown.slices)
    assert all(entry.ticked for entry in entries)
    (group,) = [top.data(0, 0x0100) for top in panel.segment.support.slices.tree._tops()]
    assert (len(group.slices), len(group.filled)) == (3, len(shown.slices))
    labels.undo()
    np.testing.assert_array_equal(labels.data, before)
    filled(qtbot, panel)  # it can be accepted again
    assert viewer.layers["mr fill"].data.any()
    labels.redo()
    np.testing.assert_array_equal(labels.data, expected)
    assert [e.index for e in session.slices.entries() if e not in session.accepted] == [8, 15, 22]


def test_a_corrected_slice_counts_as_drawn_and_all_others_are_filled_anew(qtbot, panel, axis):
    session, labels = panel.session, panel.session.support_labels
    draw(panel, axis, 8, 22)
    panel.segment.support.fill.tick.click()
    filled(qtbot, panel)
    accept(qtbot, panel)
    np.moveaxis(labels.data, axis, 0)[15] = 0
    draw(panel, axis, 15, radius=8.0)
    shown = filled(qtbot, panel)
    assert shown.order.painted == (8, 15, 22)
    corrected = np.moveaxis(labels.data, axis, 0)[15].copy()
    accept(qtbot, panel)
    np.testing.assert_array_equal(np.moveaxis(labels.data, axis, 0)[15], corrected)
    np.testing.assert_array_equal(
        np.moveaxis(labels.data, axis, 0)[12], np.moveaxis(shown.labels, axis, 0)[12]
    )
    assert [e.index for e in session.slices.entries() if e not in session.accepted] == [8, 15, 22]


def test_slices_marked_absent_end_it_and_unticked_ones_say_nothing(qtbot, panel, axis):
    session = panel.session
    draw(panel, axis, 10, 14, 18)
    session.slices.entries()
    session.slices.mark_absent(session.active, 20, True)
    session.slices.tick([e for e in session.slices.entries() if e.index == 14], False)
    panel.segment.refresh()
    panel.segment.support.fill.tick.click()
    shown = filled(qtbot, panel)
    assert (shown.order.painted, shown.order.empty) == ((10, 18), (20,))
    assert max(shown.slices) < 20
    before = np.moveaxis(session.support_labels.data, axis, 0)[14].copy()
    accept(qtbot, panel)
    np.testing.assert_array_equal(np.moveaxis(session.support_labels.data, axis, 0)[14], before)


def test_accepted_slices_teach_and_come_back_with_the_project(qtbot, panel, tmp_path, axis):
    session = panel.session
    draw(panel, axis, 8, 15, 22)
    panel.segment.support.fill.tick.click()
    shown = filled(qtbot, panel)
    accept(qtbot, panel)
    rows = [(e.plane, e.index, e.ticked, e in session.accepted) for e in session.slices.entries()]
    save(session, tmp_path / "work")
    after, _ = reopened(tmp_path / "work")
    assert [(e.plane, e.index, e.ticked, e in after.accepted) for e in after.slices.entries()] == rows
    project = read_project(tmp_path / "work")
    assert project.supports[0].accepted == shown.slices
    support = headless(project, tmp_path / "work", locate(project, tmp_path / "work"))
    assert len(support) == len(rows)
    assert not any("fill" in scan["name"] for scan in json.loads(project.model_dump_json())["scans"])


def test_an_order_that_is_cancelled_gives_nothing(panel, axis):
    session = panel.session
    draw(panel, axis, 8, 15, 22)
    pair = session.active
    entries = session.slices.entries(pair)
    order = make_order(pair, session.slices.plane_of(pair), entries, session.accepted, {1: "liver"})
    reports = run_fill(order, VolumeKeeper())
    order.cancelled.set()
    assert list(reports) == []


def test_what_cannot_be_filled_is_said_once(qtbot, panel, viewer, axis):
    viewer.layers["mr"].data[0, 0, 0] = np.nan
    draw(panel, axis, 8, 22)
    said = []
    control(panel).message.connect(lambda text, error: said.append((text, error)))
    panel.segment.support.fill.tick.click()
    qtbot.waitUntil(lambda: bool(said), timeout=300_000)
    assert said == [("'mr' contains NaN or infinite values: replace them first.", True)]
    assert not control(panel).is_filling


def test_a_preview_is_neither_painted_on_nor_taken_for_labels(qtbot, panel, viewer, axis):
    draw(panel, axis, 8, 22)
    panel.segment.support.fill.tick.click()
    filled(qtbot, panel)
    assert viewer.layers["mr fill"] not in panel.session.labels_layers()
    assert [pair.labels.name for pair in panel.session.slices.pairs] == ["mr – painted slices"]
    assert isinstance(viewer, ViewerModel)
