"""The support table in the panel: rows appear by themselves, pictures are what the network sees."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_cpclnet.gui.layers.scan_layers import LayerScan, copied_transform
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.segment.thumbnails import SIZE, ThumbnailMaker, ThumbnailOrder
from napari_cpclnet.gui.session.classes import PRESETS
from napari_cpclnet.preprocessing import ModelGrid, PreprocessingSettings

from .doubles import DIRECTIONS, add_volume, factory, make_volume


@pytest.fixture
def panel(make_panel):
    return make_panel(factory())


@pytest.fixture
def box(panel, viewer):
    """Two painted scans; the CT is the active one."""
    for name, shape in (("mr", (6, 18, 22)), ("ct", (8, 24, 20))):
        panel.session.support_scan = add_volume(viewer, make_volume(name, shape=shape))
        layer = panel.session.new_support_labels()
        for index in (2, 4):
            layer.data[index, 4:9, 4:9] = 1
    panel.segment.refresh()
    return panel.segment.support


def group(box, name):
    tree = box.slices.tree
    tops = [tree.topLevelItem(number) for number in range(tree.topLevelItemCount())]
    return next(top for top in tops if top.text(0) == name)


def test_every_scan_is_a_group_and_the_active_one_is_open(box):
    assert group(box, "ct").isExpanded()
    assert not group(box, "mr").isExpanded()
    assert [group(box, name).childCount() for name in ("ct", "mr")] == [2, 2]


def test_unticking_a_slice_or_a_scan_reaches_the_session(box):
    group(box, "ct").child(0).setCheckState(0, Qt.CheckState.Unchecked)
    assert [e.ticked for e in box.session.slices.entries(box.session.active)] == [False, True]
    assert group(box, "ct").checkState(0) == Qt.CheckState.PartiallyChecked
    group(box, "ct").setCheckState(0, Qt.CheckState.Unchecked)
    assert not any(e.ticked for e in box.session.slices.entries(box.session.active))
    group(box, "ct").setCheckState(0, Qt.CheckState.Checked)
    assert all(e.ticked for e in box.session.slices.entries())


def test_clicking_a_scan_paints_on_it(box, viewer):
    box.slices.tree.itemClicked.emit(group(box, "mr"), 0)
    assert box.session.support_scan.name == "mr"
    assert viewer.layers.selection.active is box.session.support_labels
    assert viewer.layers["mr"].visible
    assert not viewer.layers["ct"].visible
    assert group(box, "mr").isExpanded()


def test_clicking_the_scan_one_paints_on_shows_it_again(box, viewer):
    show_scan(viewer, viewer.layers["mr"])
    box.slices.tree.itemClicked.emit(group(box, "ct"), 0)
    assert viewer.layers["ct"].visible
    assert not viewer.layers["mr"].visible
    assert viewer.layers.selection.active is box.session.support_labels


def test_painting_on_a_layer_makes_it_the_active_one(qtbot, box, viewer):
    mr = viewer.layers["mr – painted slices"]
    show_scan(viewer, viewer.layers["mr"])
    mr.selected_label = 1
    mr.paint((0, 8, 8), 1)
    qtbot.waitUntil(lambda: group(box, "mr").childCount() == 3, timeout=300_000)
    assert box.session.support_labels is mr
    assert box.classes.table.item(0, 3).text() == "5"


def test_removed_slices_come_back_with_undo(qtbot, box):
    tree, layer = box.slices.tree, box.session.support_labels
    before = layer.data.copy()
    group(box, "ct").child(1).setSelected(True)
    assert box.slices.removing.isEnabled()
    box.slices.removing.click()
    assert [e.index for e in tree.entries(box.session.active)] == [2]
    layer.undo()
    qtbot.waitUntil(lambda: group(box, "ct").childCount() == 2, timeout=300_000)
    np.testing.assert_array_equal(layer.data, before)


def test_the_slice_in_view_is_marked_absent_and_back(box, viewer):
    viewer.dims.set_current_step(0, 6)
    box.slices.absent.click()
    assert [(e.index, e.absent) for e in box.session.slices.entries(box.session.active)][-1] == (6, True)
    assert group(box, "ct").childCount() == 3
    box.slices.absent.click()
    assert group(box, "ct").childCount() == 2


def test_a_painted_slice_is_not_marked_absent(panel, box, viewer):
    viewer.dims.set_current_step(0, 2)
    box.slices.absent.click()
    assert "is painted" in panel.segment.bar.message.text()


def test_a_class_is_copied_to_the_next_slice(panel, box, viewer):
    layer = box.session.support_labels
    layer.selected_label = 1
    viewer.dims.set_current_step(0, 4)
    box.slices.copy.click()
    assert viewer.dims.current_step[0] == 5
    np.testing.assert_array_equal(layer.data[5], layer.data[4])
    layer.undo()
    assert not layer.data[5].any()
    box.slices.copy.click()
    assert "no label 1 on slice 5" in panel.segment.bar.message.text()


def test_a_preset_comes_with_its_colour_and_code(box):
    box.classes.add_class("spleen")
    table = box.classes.table
    assert [table.item(1, column).text() for column in (1, 2)] == ["spleen", "78961009"]
    assert box.session.support_labels.selected_label == 2


def test_organs_that_would_not_fit_a_screen_are_in_a_menu_of_their_own(box):
    menu = box.classes.add.menu()
    menu.aboutToShow.emit()
    (more,) = [action.menu() for action in menu.actions() if action.menu() is not None]
    first, rest = ([action.text() for action in one.actions()] for one in (menu, more))
    assert len(first) <= 16
    assert {one.name for one in PRESETS} <= {*first, *rest}
    next(action for action in more.actions() if action.text() == "bone").trigger()
    assert box.session.classes.value_of("bone") == box.session.support_labels.selected_label


def test_a_code_is_an_organ_the_terminology_knows(panel, box):
    box.classes.table.item(0, 2).setText("nonsense")
    assert "no 'nonsense'" in panel.segment.bar.message.text()
    assert box.session.classes[1].code is None
    box.classes.table.item(0, 2).setText("liver")
    assert box.session.classes[1].code == "liver"


def test_a_name_is_given_once(qtbot, panel, box):
    box.classes.add_class("spleen")
    box.classes.table.item(0, 1).setText("Spleen")
    assert "already" in panel.segment.bar.message.text()
    qtbot.waitUntil(lambda: box.classes.table.item(0, 1).text() == "label 1", timeout=300_000)


def test_pictures_come_from_the_background(qtbot, box):
    entry = box.session.slices.entries(box.session.active)[0]
    qtbot.waitUntil(lambda: box.slices.pictures.picture(entry) is not None, timeout=300_000)
    first = box.slices.pictures.picture(entry)
    assert first.shape == (SIZE, SIZE, 3)
    box.session.class_actions.set_color(1, (10, 250, 20))
    box.show_painted()
    qtbot.waitUntil(
        lambda: (box.slices.pictures.picture(entry) == (10, 250, 20)).all(-1).any(), timeout=300_000
    )


@pytest.mark.parametrize("plane", ["axial", "sagittal"])
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_a_picture_is_the_networks_middle_channel_with_the_paint(viewer, direction, plane):
    volume = make_volume("ct", direction, (20, 64, 60))
    scan = LayerScan.of(add_volume(viewer, volume))
    grid = ModelGrid.for_volume(volume, plane, PreprocessingSettings())
    index = grid.n_slices // 2
    labels = np.asarray(grid.take(volume.array, index) > 0.5).astype(np.uint8) * 3
    plain = ThumbnailOrder("a", scan, plane, index, labels, {})
    painted = ThumbnailOrder("b", scan, plane, index, labels, {3: (255, 0, 0)})
    (_, grey), (_, red) = ThumbnailMaker().make([plain, painted], None)
    seen = grid.images(volume, [index])[0, 1].numpy()
    side = max(seen.shape)
    step = SIZE / side
    rows = ((np.arange(seen.shape[0]) + (side - seen.shape[0]) / 2 + 0.5) * step).astype(int)
    columns = ((np.arange(seen.shape[1]) + (side - seen.shape[1]) / 2 + 0.5) * step).astype(int)
    drawn = grey[np.ix_(rows, columns)][..., 0] / 255
    assert np.corrcoef(drawn.ravel(), seen.ravel())[0, 1] > 0.95
    inside = grid.mask(labels, 3).numpy() > 0.5
    coloured = red[np.ix_(rows, columns)][..., 0] > red[np.ix_(rows, columns)][..., 1]
    assert (coloured == inside).mean() > 0.98


def test_labels_somebody_opened_have_pictures_and_names_of_their_own(qtbot, box, viewer):
    ct = viewer.layers["ct"]
    truth = viewer.add_labels(np.zeros(ct.data.shape, np.uint8), name="truth", **copied_transform(ct))
    truth.metadata = {"napari_cpclnet": {"classes": {1: "heart"}}}
    truth.data[3, 3:9, 3:9] = 1
    box.refresh()
    tree = box.slices.tree
    top = next(t for t in map(tree.topLevelItem, range(3)) if "'truth'" in t.toolTip(0))
    assert top.checkState(0) == Qt.CheckState.Unchecked
    assert "heart" in top.child(0).toolTip(0)


def test_big_layers_are_looked_through_in_the_background(qtbot, panel, viewer):
    panel.session.support_scan = add_volume(viewer, make_volume("big", shape=(20, 512, 512)))
    layer = panel.session.new_support_labels()
    layer.data[:, 4:9, 4:9] = 1
    panel.segment.refresh()
    tree = panel.segment.support.slices.tree
    assert tree.entries() == []
    qtbot.waitUntil(lambda: len(tree.entries()) == 20, timeout=300_000)
    layer.data_setitem((np.array([3]), np.array([100]), np.array([100])), 5)
    qtbot.waitUntil(lambda: tree.entries()[3].values == (1, 5), timeout=300_000)
    panel.session.tick_query(viewer.layers["big"], True)
    assert panel.session.job().supports[0].slices == tuple(range(20))
