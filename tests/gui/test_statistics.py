"""The table of statistics: filled in a worker, kept up to date, copied and saved."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_cpclnet.gui.layers.scan_layers import FileScan
from napari_cpclnet.gui.layers.view import show_scan
from napari_cpclnet.gui.session.queries import QueryState
from napari_cpclnet.gui.statistics import statistics_box
from napari_cpclnet.gui.statistics.statistics_table import SUV_PEAK
from napari_cpclnet.imaging import ScanRef, Segmentation, write_segmentation, write_volume

from .doubles import add_volume, factory, longest_pause, make_volume
from .test_run import start, wait_ready

ALL = ["ct (painted)", "mr", "pet"]
VOXEL_ML = 4 * 1.5 * 1.25 / 1000


@pytest.fixture
def panel(qtbot, viewer, make_panel, monkeypatch):
    """A CT that was painted with class 4, an MR and a PET that were labelled from it."""
    monkeypatch.setattr(statistics_box, "WAIT_MS", 50)
    panel = make_panel(factory())
    start(panel, viewer, "ct", "mr", "pet")
    wait_ready(qtbot, panel)
    return panel


def opened(qtbot, panel, rows):
    layers = panel.session.viewer.layers
    show_scan(panel.session.viewer, layers[rows[0]])
    layers.selection.active = layers[f"{rows[0]} – CPCLNet"]
    panel.segment.viewing.statistics.click()
    box = panel.segment.viewing.statistics_dock.box
    wait_for(qtbot, box, rows)
    return box


def wait_for(qtbot, box, rows):
    qtbot.waitUntil(
        lambda: [row.scan for row in box.table.rows()] == rows and not box.runner.is_running, timeout=300_000
    )


def test_the_scan_in_view_is_measured_and_then_all(qtbot, viewer, panel):
    box = opened(qtbot, panel, ["mr"])
    (row,) = box.table.rows()
    labels, grey = viewer.layers["mr – CPCLNet"].data, viewer.layers["mr"].data
    assert row.ml == pytest.approx(np.count_nonzero(labels) * VOXEL_ML)
    assert row.mean == pytest.approx(grey[labels == 4].mean())
    assert row.name == panel.session.classes.name(4)
    assert box.table.isColumnHidden(SUV_PEAK), "an MR has no SUV"
    box.all_scans.click()
    wait_for(qtbot, box, ALL)
    painted = box.table.rows()[0]
    assert painted.voxels == 18 and painted.components == 2


def test_a_stroke_and_its_undo_are_measured_and_turning_slices_is_not(qtbot, viewer, panel):
    box = opened(qtbot, panel, ["mr"])
    (before,) = box.table.rows()
    layer = viewer.layers["mr – CPCLNet"]
    layer.data_setitem((np.array([0, 0]), np.array([1, 2]), np.array([1, 1])), np.array([4, 4]))
    qtbot.waitUntil(lambda: [row.voxels for row in box.table.rows()] == [before.voxels + 2], timeout=300_000)
    layer.undo()
    qtbot.waitUntil(lambda: [row.voxels for row in box.table.rows()] == [before.voxels], timeout=300_000)
    qtbot.waitUntil(lambda: not box.runner.is_running, timeout=300_000)
    (same,) = box.table.rows()
    viewer.dims.set_current_step(0, 2)
    viewer.dims.set_current_step(0, 3)
    box.measure()
    qtbot.waitUntil(lambda: not box.runner.is_running, timeout=300_000)
    assert box.table.rows()[0] is same, "nothing is measured twice"


def test_rows_are_copied_with_tabs_and_saved_as_csv(qtbot, viewer, panel, tmp_path):
    box = opened(qtbot, panel, ["pet"])
    box.all_scans.click()
    wait_for(qtbot, box, ALL)
    box.copy.click()
    copied = list(csv.DictReader(io.StringIO(QApplication.clipboard().text()), delimiter="\t"))
    path = tmp_path / "statistics.csv"
    box.save_rows(path)
    assert "3 rows saved" in box.state.text()
    with path.open(encoding="utf-8", newline="") as file:
        saved = list(csv.DictReader(file))
    assert saved == copied
    assert [row["scan"] for row in saved] == ALL
    (tmp_path / "folder").mkdir()
    box.save_rows(tmp_path / "folder")
    assert "Cannot write the statistics" in box.state.text()


def test_a_row_leads_to_the_slice_of_its_diameter(qtbot, viewer, panel):
    box = opened(qtbot, panel, ["mr"])
    (row,) = box.table.rows()
    viewer.dims.set_current_step(0, 7)
    box.table.cellClicked.emit(0, 0)
    assert viewer.dims.current_step[0] == row.diameter_slice != 7


def test_files_on_the_list_are_read_with_their_saved_results(qtbot, viewer, make_panel, tmp_path):
    panel = make_panel(factory())
    volume = make_volume("on disk")
    image = write_volume(volume, tmp_path / "on disk.nii.gz")
    labels = (volume.array > 0.5).astype(np.uint8) * 4
    saved = write_segmentation(
        Segmentation(labels, {4: "liver"}, volume.geometry), tmp_path / "on disk_labels.nii.gz"
    )
    (source,) = panel.session.queries.add_files([ScanRef(image, None, "on disk")])
    assert isinstance(source, FileScan)
    panel.session.queries.set_status(source, QueryState.DONE, saved=saved)
    panel.segment.viewing.statistics.click()
    box = panel.segment.viewing.statistics_dock.box
    box.all_scans.click()
    wait_for(qtbot, box, ["on disk"])
    assert box.table.rows()[0].voxels == np.count_nonzero(labels)
    saved.unlink()
    box.measure()
    qtbot.waitUntil(lambda: box.table.rowCount() == 0, timeout=300_000)
    assert box.state.text() == "Nothing is segmented yet."


def test_the_table_is_closed_by_the_same_button_and_goes_with_the_panel(qtbot, viewer, panel):
    opened(qtbot, panel, ["pet"])
    dock = panel.segment.viewing.statistics_dock
    panel.segment.viewing.statistics.click()
    assert dock.box is None
    assert opened(qtbot, panel, ["pet"]).isVisible()


@pytest.mark.slow
def test_measuring_a_large_scan_never_blocks_the_window(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    add_volume(viewer, make_volume("large", shape=(80, 300, 300)))
    panel.segment.refresh()
    session = panel.session
    session.support_scan = viewer.layers["large"]
    labels = session.new_support_labels()
    labels.data[10:70, 50:250, 50:250] = 4
    labels.data[::7, ::50, ::50] = 2
    panel.segment.viewing.statistics.click()
    box = panel.segment.viewing.statistics_dock.box

    def measured():
        box._known = None
        box.table.clear_rows()
        box.measure()
        qtbot.waitUntil(lambda: box.table.rowCount() == 2 and not box.runner.is_running, timeout=300_000)

    assert longest_pause(measured) < 0.2


def test_a_unit_is_marked_unless_the_file_or_the_user_states_it(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    rng = np.random.default_rng(2)
    array = np.where(rng.random((8, 24, 20)) < 0.5, -1000, rng.normal(40, 20, (8, 24, 20))).astype(np.int16)
    scan = viewer.add_image(array, name="of another reader", scale=(4, 1.5, 1.25))
    panel.segment.refresh()
    labels = panel.session.new_support_labels()
    labels.data[2:4, 5:9, 5:9] = 1
    panel.segment.viewing.statistics.click()
    box = panel.segment.viewing.statistics_dock.box
    wait_for(qtbot, box, ["of another reader (painted)"])
    (row,) = box.table.rows()
    assert (row.unit, row.assumed) == ("HU", True)
    panel.segment.queries._say_meaning(scan, ("CT", "HU"))
    box.measure()
    qtbot.waitUntil(lambda: [row.assumed for row in box.table.rows()] == [False], timeout=300_000)
