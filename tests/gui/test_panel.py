"""What the panel shows and what its controls do."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QDoubleSpinBox

from napari_cpclnet.gui.layers.class_names import class_names
from napari_cpclnet.gui.layers.scan_layers import slice_axis
from napari_cpclnet.gui.segment.options_box import CUSTOM, NO_POST_PROCESSING, NONE, RECOMMENDED
from napari_cpclnet.gui.widgets.class_table import SLICES, VALUE
from napari_cpclnet.gui.widgets.column_scroll import ColumnScroll
from napari_cpclnet.gui.widgets.shortcuts import (
    COPY_ON,
    IMPORT_MASK,
    MARK_ABSENT,
    NEW_LABELS,
    NEXT_PAINTED,
    RUN,
    printed,
)
from napari_cpclnet.imaging import Geometry, Segmentation, write_segmentation
from napari_cpclnet.segmentation.settings import PostprocessingSettings

from .doubles import DIRECTIONS, add_volume, factory, make_volume


def indices(support):
    return [entry.index for entry in support.slices.tree.entries(support.session.active)]


SHORTCUTS = (RUN, NEW_LABELS, IMPORT_MASK, NEXT_PAINTED, COPY_ON, MARK_ABSENT)


@pytest.fixture
def panel(make_panel):
    return make_panel(factory())


@pytest.fixture
def support(panel, viewer):
    add_volume(viewer, make_volume("mr"))
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.segment.support.new_labels()
    return panel.segment.support


def test_everything_a_mouse_can_use_has_a_tooltip(panel):
    for kind in (QAbstractButton, QComboBox, QDoubleSpinBox, QAbstractItemView):
        for widget in panel.findChildren(kind):
            ours = type(widget).__module__.startswith("napari_cpclnet") or kind is not QAbstractItemView
            internal = widget.objectName().startswith(("qt_", "ScrollLeft", "ScrollRight"))
            corner = type(widget).__name__ in (
                "QTableCornerButton",
                "QAbstractButton",
                "CloseButton",
                "QToolButton",
            )
            if ours and not internal and not corner:
                assert widget.toolTip(), (widget, widget.objectName())


def test_shortcuts_are_printed_on_the_buttons(panel):
    support = panel.segment.support
    slices = support.slices
    buttons = (
        panel.segment.bar.button,
        support.new,
        support.importing,
        slices.next,
        slices.copy,
        slices.absent,
    )
    for button, shortcut in zip(buttons, SHORTCUTS, strict=True):
        assert printed(shortcut) in button.text()


def test_shortcuts_are_bound_and_do_not_clash_with_napari(panel, viewer):
    taken = {str(key) for keys in default_shortcuts.values() for key in keys}
    ours = {str(key) for key in viewer.keymap}
    assert len(ours) >= len(SHORTCUTS)
    assert not ours & taken


def test_shortcut_does_what_the_button_does(panel, viewer):
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    press = next(action for key, action in viewer.keymap.items() if str(key).endswith("N"))
    press(viewer)
    assert "ct – painted slices" in viewer.layers


def test_painting_appears_in_the_tables(qtbot, support, viewer):
    layer = support.session.support_labels
    layer.selected_label = 3
    layer.paint((2, 8, 8), 3)
    qtbot.waitUntil(lambda: indices(support) == [2], timeout=300_000)
    assert support.classes.table.rowCount() == 2
    assert support.classes.table.item(1, VALUE).text() == "3"
    assert support.classes.table.item(1, SLICES).text() == "1"
    layer.undo()
    qtbot.waitUntil(lambda: indices(support) == [], timeout=300_000)


def test_swatch_has_the_colour_of_the_layer(support):
    image = support.classes.table.item(0, 0).icon().pixmap(14, 14).toImage()
    expected = support.session.support_labels.colormap.map(1)[:3]
    np.testing.assert_allclose(image.pixelColor(7, 7).getRgbF()[:3], expected, atol=0.01)


def test_a_class_can_be_named_and_added(support):
    support.classes.table.item(0, 1).setText("liver")
    assert class_names(support.session.support_labels) == {1: "liver"}
    support.classes.add_class()
    assert class_names(support.session.support_labels) == {1: "liver", 2: "label 2"}
    assert support.session.support_labels.selected_label == 2


def test_clicking_a_slice_goes_there_even_from_another_plane(support, viewer):
    support.session.support_labels.data[6, 2:5, 2:5] = 1
    support.show_painted()
    viewer.dims.order = (1, 0, 2)
    tree = support.slices.tree
    tree.itemClicked.emit(tree.topLevelItem(0).child(0), 0)
    assert viewer.dims.order[0] == 0
    assert viewer.dims.current_step[0] == 6


def test_next_painted_slice_goes_round(support, viewer):
    for index in (1, 6):
        support.session.support_labels.data[index, 2:5, 2:5] = 1
    support.show_painted()
    viewer.dims.set_current_step(0, 3)
    seen = []
    for _ in range(3):
        support.slices.next_painted()
        seen.append(viewer.dims.current_step[0])
    assert seen == [6, 1, 6]


def test_new_labels_show_the_support_scan_alone(support, viewer):
    assert viewer.layers["ct"].visible
    assert not viewer.layers["mr"].visible
    assert viewer.layers.selection.active is support.session.support_labels


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_mask_is_imported_onto_the_scan(qtbot, panel, viewer, tmp_path, direction):
    volume = make_volume("ct", direction)
    add_volume(viewer, volume)
    panel.segment.refresh()
    mask = Segmentation((volume.array > 0.5).astype(np.uint8) * 6, {6: "liver"}, volume.geometry, "mask")
    write_segmentation(mask, tmp_path / "mask.nii.gz")
    panel.segment.support.load_mask(tmp_path / "mask.nii.gz")
    qtbot.waitUntil(lambda: panel.session.support_labels is not None, timeout=300_000)
    np.testing.assert_array_equal(panel.session.support_labels.data, mask.labels)
    n = mask.labels.shape[slice_axis(volume.geometry, "auto")]
    assert indices(panel.segment.support) == list(range(n // 4, 3 * n // 4))


def test_mask_of_another_scan_is_refused_in_the_panel(qtbot, panel, viewer, tmp_path):
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    other = make_volume("other", shape=(4, 9, 9))
    elsewhere = Geometry(other.array.shape, origin=(900.0, 0.0, 0.0))
    mask = Segmentation((other.array > 0.5).astype(np.uint8), {}, elsewhere, "mask")
    write_segmentation(mask, tmp_path / "mask.nrrd")
    panel.segment.support.load_mask(tmp_path / "mask.nrrd")
    qtbot.waitUntil(lambda: panel.segment.bar.message.property("kind") == "error", timeout=300_000)
    assert "mask: " in panel.segment.bar.message.text()
    assert "outside the scan altogether" in panel.segment.bar.message.text()
    assert panel.session.support_labels is None
    assert panel.segment.support.importing.isEnabled()


def test_mask_on_other_voxels_is_brought_to_the_scan_with_its_colours(qtbot, panel, viewer, tmp_path):
    volume = make_volume("ct")
    add_volume(viewer, volume)
    panel.segment.refresh()
    grid = volume.geometry
    half = Geometry(
        (grid.shape[0], 12, grid.shape[2]),
        (grid.spacing[0], 2 * grid.spacing[1], grid.spacing[2]),
        (grid.origin[0], grid.origin[1] + grid.spacing[1] / 2, grid.origin[2]),
    )
    coarse = (volume.array[:, ::2] > 0.5).astype(np.uint8) * 6
    mask = Segmentation(coarse, {6: "liver"}, half, "mask", {6: (10, 20, 250)})
    write_segmentation(mask, tmp_path / "mask.seg.nrrd")
    panel.segment.support.load_mask(tmp_path / "mask.seg.nrrd")
    qtbot.waitUntil(lambda: panel.session.support_labels is not None, timeout=300_000)
    layer = panel.session.support_labels
    np.testing.assert_array_equal(layer.data, coarse.repeat(2, axis=1))
    np.testing.assert_allclose(layer.colormap.map(6)[:3] * 255, (10, 20, 250), atol=1)
    assert "nearest neighbour" in panel.segment.bar.message.text()


def test_unusable_images_are_listed_with_the_reason(panel, viewer):
    viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo")
    panel.segment.refresh()
    item = panel.segment.queries.list.item(0)
    assert item.text() == "photo"
    assert not item.flags() & Qt.ItemFlag.ItemIsEnabled
    assert "colour" in item.toolTip()


def test_tick_boxes_say_what_is_labelled(panel, viewer):
    add_volume(viewer, make_volume("mr"))
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    texts = [panel.segment.queries.list.item(row).text() for row in range(2)]
    assert texts == ["ct  (support)", "mr"]
    panel.segment.queries.list.item(1).setCheckState(Qt.CheckState.Unchecked)
    panel.segment.queries.list.item(0).setCheckState(Qt.CheckState.Checked)
    assert panel.session.is_ticked(viewer.layers["ct"])
    assert not panel.session.is_ticked(viewer.layers["mr"])
    panel.segment.refresh()
    assert panel.segment.queries.list.item(0).checkState() == Qt.CheckState.Checked


def test_clicking_a_scan_shows_it_alone(panel, viewer):
    add_volume(viewer, make_volume("mr"))
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.segment.queries.list.itemClicked.emit(panel.segment.queries.list.item(1))
    assert viewer.layers["mr"].visible
    assert not viewer.layers["ct"].visible


def test_layers_are_followed_when_added_renamed_and_removed(qtbot, panel, viewer):
    layer = add_volume(viewer, make_volume("first"))
    qtbot.waitUntil(lambda: panel.segment.support.scan.currentText() == "first", timeout=300_000)
    layer.name = "renamed"
    qtbot.waitUntil(lambda: panel.segment.support.scan.currentText() == "renamed", timeout=300_000)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: panel.segment.support.scan.count() == 0, timeout=300_000)


def test_run_without_anything_says_what_to_do(panel):
    panel.segment.bar.press()
    assert panel.segment.bar.message.text().startswith("Open a scan first")


def test_options_reach_the_session(panel):
    options = panel.segment.options
    assert panel.session.options.postprocessing == PostprocessingSettings()
    options.plane.setCurrentIndex(options.plane.findData("coronal"))
    options.device.setCurrentIndex(options.device.findData("cpu"))
    options.post.setCurrentIndex(options.post.findData(NONE))
    assert (panel.session.options.plane, panel.session.options.device) == ("coronal", "cpu")
    assert panel.session.options.postprocessing == NO_POST_PROCESSING
    options.post.setCurrentIndex(options.post.findData(CUSTOM))
    options.holes.setChecked(True)
    options.closing.setValue(3.0)
    settings = panel.session.options
    assert settings.postprocessing == NO_POST_PROCESSING.model_copy(
        update={"fill_holes": True, "closing_mm": 3.0}
    )
    assert settings.plane == "coronal"
    assert settings.postprocessing.fill_holes
    assert not settings.postprocessing.largest_component
    options.post.setCurrentIndex(options.post.findData(RECOMMENDED))
    assert panel.session.options.postprocessing == PostprocessingSettings()


def test_panel_fits_a_small_screen(panel):
    assert panel.minimumSizeHint().height() <= 560
    assert panel.minimumSizeHint().width() <= 360


def test_nothing_is_cut_off_at_the_side_of_a_tab(panel):
    for tab in (panel.segment, panel.train, panel.evaluate):
        (scroll,) = tab.findChildren(ColumnScroll)
        assert scroll.widget().minimumSizeHint().width() < scroll.minimumSizeHint().width() <= 360
