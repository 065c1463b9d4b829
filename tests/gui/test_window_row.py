"""Grey values in the panel: presets by modality, and a field to drag."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.settings.display_presets import (
    CT_WINDOWS,
    DisplayPresets,
    ct_limits,
    level_and_width,
    limits_of,
)

from .doubles import add_volume, factory, make_volume


def scan(viewer, name, modality, unit):
    rng = np.random.default_rng(1)
    values = {"CT": rng.normal(0, 400, (8, 24, 20)), "PT": rng.gamma(1, 2, (8, 24, 20))}
    array = values.get(modality, rng.random((8, 24, 20)) * 900).astype(np.float32)
    return add_volume(viewer, make_volume(name).replaced(array=array, modality=modality, unit=unit))


def drag(field, right, up):
    start = field.rect().center()
    QTest.mousePress(field, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(field, start + QPoint(right, -up))
    QTest.mouseRelease(field, Qt.MouseButton.LeftButton, pos=start + QPoint(right, -up))


@pytest.fixture
def row(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    for name, modality, unit in (("mr", "MR", ""), ("pet", "PT", "SUVbw"), ("ct", "CT", "HU")):
        scan(viewer, name, modality, unit)
    panel.segment.refresh()
    panel.show()
    row = panel.segment.viewing.window_row

    def look_at(name):
        show_scan(viewer, viewer.layers[name])
        viewer.layers.selection.active = viewer.layers[name]
        row.look()
        return row

    row.look_at = look_at
    return row


def test_each_modality_has_its_presets(viewer, row):
    assert list(row.look_at("ct").choices())[:5] == [name.capitalize() for name in CT_WINDOWS]
    row.choose("Lung")
    assert tuple(viewer.layers["ct"].contrast_limits) == (-1350, 150)
    assert row.field.text() == "L -600  W 1500  ▾"
    assert "SUV 0 to 5" in row.look_at("pet (SUVbw)").choices()
    row.choose("SUV 0 to 5")
    assert tuple(viewer.layers["pet (SUVbw)"].contrast_limits) == (0, 5)
    assert row.field.text() == "0 to 5 SUV  ▾"
    assert not any("SUV" in name or "Lung" in name for name in row.look_at("mr").choices())
    row.choose("All values")
    data = viewer.layers["mr"].data
    assert tuple(viewer.layers["mr"].contrast_limits) == pytest.approx((data.min(), data.max()))
    assert tuple(viewer.layers["ct"].contrast_limits) == (-1350, 150), "only the scan in view changes"


def test_a_drag_to_the_right_widens_and_up_raises(viewer, row):
    ct = viewer.layers["ct"]
    row.look_at("ct").choose("Soft tissue")
    drag(row.field, 60, 0)
    level, width = level_and_width(tuple(ct.contrast_limits), "HU")
    assert level == pytest.approx(40) and width > 500
    row.choose("Soft tissue")
    drag(row.field, 0, 50)
    level, width = level_and_width(tuple(ct.contrast_limits), "HU")
    assert level > 80 and width == pytest.approx(400)
    before = tuple(ct.contrast_limits)
    QTest.mouseClick(row.field, Qt.MouseButton.LeftButton)
    assert tuple(ct.contrast_limits) == before, "a click offers the presets"
    assert row.menu.isVisible() and [one.text() for one in row.menu.actions()] == list(row.choices())
    row.menu.actions()[0].trigger()
    row.menu.close()
    assert tuple(ct.contrast_limits) == DisplayPresets().limits(ct.data, "HU")


def test_uptake_begins_at_nothing_however_it_is_dragged(viewer, row):
    row.look_at("pet (SUVbw)").choose("SUV 0 to 10")
    drag(row.field, 70, 30)
    low, high = viewer.layers["pet (SUVbw)"].contrast_limits
    assert low == 0 and high > 15


def test_the_field_says_what_napari_itself_is_told(viewer, row):
    row.look_at("ct")
    viewer.layers["ct"].contrast_limits = (-100, 200)
    assert row.field.text() == "L 50  W 300  ▾"


@pytest.mark.parametrize("unit", ["HU", "HU8", ""])
def test_level_and_width_are_the_way_back(unit):
    for window in CT_WINDOWS.values():
        limits = ct_limits(window, unit or "HU")
        assert level_and_width(limits, unit) == pytest.approx(window)
        assert limits_of(window, unit) == pytest.approx(limits)
