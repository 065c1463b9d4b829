"""Runs in the panel: filled slice by slice, cancelled within one, never in the way of the event loop."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QThreadPool

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.gui.widgets.run_bar import RunState

from .doubles import DIRECTIONS, add_volume, factory, longest_pause, make_volume


def start(panel, viewer, *names, direction=DIRECTIONS["straight"], shape=(8, 24, 20)):
    """Open scans, paint two slices of the first, run."""
    for name in reversed(names):
        add_volume(viewer, make_volume(name, direction, shape))
    panel.segment.refresh()
    session = panel.session
    session.support_scan = viewer.layers[names[0]]
    labels = session.new_support_labels()
    for index in (2, 5):
        labels.data[index, 3:6, 3:6] = 4
    panel.segment.refresh()
    panel.segment.bar.press()


def wait_ready(qtbot, panel):
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_run_labels_every_ticked_scan(qtbot, viewer, make_panel, direction):
    panel = make_panel(factory())
    start(panel, viewer, "ct", "mr", "pet", direction=direction)
    assert panel.segment.bar.state is RunState.RUNNING
    wait_ready(qtbot, panel)
    for name in ("mr", "pet"):
        scan, result = viewer.layers[name], viewer.layers[f"{name} – CPCLNet"]
        np.testing.assert_array_equal(result.data, np.where(scan.data > 0.5, 4, 0))
        assert result.editable
    assert "ct – CPCLNet" not in viewer.layers
    assert [one.name for one in panel.session.results] == ["mr", "pet"]
    assert "2 scans" in panel.segment.bar.message.text()
    assert "weights 0123456789ab" in panel.segment.bar.status.text()


def test_volumes_are_those_of_the_voxels(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    start(panel, viewer, "ct", "mr")
    wait_ready(qtbot, panel)
    voxels = np.count_nonzero(viewer.layers["mr – CPCLNet"].data)
    assert panel.segment.results.tree.texts() == [
        ("mr", "", ""),
        ("label 4", f"{voxels * 4 * 1.5 * 1.25 / 1000:.1f}", "50 %"),
    ]


def test_support_scan_as_query_keeps_its_painted_slices(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    viewer.layers.events.inserted.connect(
        lambda event: event.value.name == "ct" and panel.session.tick_query(event.value, True)
    )
    start(panel, viewer, "ct")
    wait_ready(qtbot, panel)
    result = viewer.layers["ct – CPCLNet"].data
    for index in (2, 5):
        np.testing.assert_array_equal(result[index], panel.session.support_labels.data[index])
    assert (result[4] == 4).sum() == (viewer.layers["ct"].data[4] > 0.5).sum()


def test_event_loop_turns_during_a_run(qtbot, viewer, make_panel):
    panel = make_panel(factory(seconds=0.03))
    start(panel, viewer, "ct", "mr", shape=(40, 256, 256))
    wait_ready(qtbot, panel)

    def run():
        panel.segment.bar.press()
        wait_ready(qtbot, panel)

    assert longest_pause(run) < 0.2


def test_cancel_takes_effect_within_one_slice(qtbot, viewer, make_panel):
    make = factory(seconds=0.1)
    panel = make_panel(make)
    start(panel, viewer, "ct", "mr", shape=(60, 24, 20))
    bar = panel.segment.bar
    qtbot.waitUntil(lambda: bar.progress.value() >= 3, timeout=300_000)
    computed = make.made[0].slices_computed  # the slice in work is counted when it is done
    bar.press()
    assert bar.state is RunState.CANCELLING
    assert bar.button.text() == "Cancelling…"
    assert not bar.button.isEnabled()
    wait_ready(qtbot, panel)
    assert make.made[0].slices_computed <= computed + 1
    assert make.made[0].closed.is_set()
    result = viewer.layers["mr – CPCLNet"]
    assert 0 < np.count_nonzero(result.data.any((1, 2))) <= computed + 1
    assert "Cancelled" in bar.message.text()


def test_slice_in_view_comes_first(qtbot, viewer, make_panel):
    panel = make_panel(factory(seconds=0.05))
    start(panel, viewer, "ct", "mr", shape=(40, 24, 20))
    qtbot.waitUntil(lambda: "mr – CPCLNet" in viewer.layers, timeout=300_000)
    start_slice = panel.segment.control.job.queries[0].start_slice
    shown = viewer.dims.current_step[0]
    assert start_slice == shown
    panel.segment.control.cancel()
    wait_ready(qtbot, panel)
    assert viewer.layers["mr – CPCLNet"].data[shown].any()


def test_a_failed_scan_is_reported_and_the_rest_go_on(qtbot, viewer, make_panel):
    panel = make_panel(factory(fail_on="mr"))
    start(panel, viewer, "ct", "mr", "pet")
    wait_ready(qtbot, panel)
    assert panel.segment.bar.message.text() == "'mr' cannot be used."
    assert panel.segment.bar.message.property("kind") == "error"
    assert "mr – CPCLNet" not in viewer.layers
    assert viewer.layers["pet – CPCLNet"].data.any()


def test_a_scan_with_nan_is_reported_and_the_rest_go_on(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    broken = add_volume(viewer, make_volume("broken"))
    broken.data[0, 0, 0] = np.nan
    start(panel, viewer, "ct", "mr")
    wait_ready(qtbot, panel)
    assert "'broken' contains NaN" in panel.segment.bar.message.text()
    assert viewer.layers["mr – CPCLNet"].data.any()


def test_missing_weights_are_one_sentence(qtbot, viewer, make_panel):
    def no_weights(_options):
        raise WeightsError("The weights file is missing: install the package again.")

    panel = make_panel(no_weights)
    start(panel, viewer, "ct", "mr")
    wait_ready(qtbot, panel)
    assert panel.segment.bar.message.text() == "The weights file is missing: install the package again."


def test_a_bug_is_a_sentence_in_the_panel_and_a_traceback_in_the_log(qtbot, viewer, make_panel, caplog):
    def broken(_options):
        raise ZeroDivisionError("by zero")

    panel = make_panel(broken)
    start(panel, viewer, "ct", "mr")
    wait_ready(qtbot, panel)
    assert "Something went wrong inside CPCLNet" in panel.segment.bar.message.text()
    assert "Traceback" not in panel.segment.bar.message.text()
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("victim", ["mr – CPCLNet", "mr", "ct", "ct – painted slices"])
def test_layers_may_be_removed_during_a_run(qtbot, viewer, make_panel, victim):
    panel = make_panel(factory(seconds=0.05))
    start(panel, viewer, "ct", "mr", "pet")
    qtbot.waitUntil(
        lambda: "mr – CPCLNet" in viewer.layers or "pet – CPCLNet" in viewer.layers, timeout=300_000
    )
    if victim not in viewer.layers:
        victim = "pet – CPCLNet"
    viewer.layers.remove(victim)
    wait_ready(qtbot, panel)
    results = {layer.name for layer in viewer.layers if layer.name.endswith("CPCLNet")}
    assert results == {"mr – CPCLNet", "pet – CPCLNet"} - {victim}
    assert ("skipped" in panel.segment.bar.message.text()) == victim.endswith("CPCLNet")


def test_deleting_the_panel_ends_the_run(qtbot, viewer, make_panel):
    make = factory(seconds=0.05)
    panel = make_panel(make)
    start(panel, viewer, "ct", "mr", shape=(200, 24, 20))
    qtbot.waitUntil(lambda: bool(make.made and make.made[0].slices_computed > 2), timeout=300_000)
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert QThreadPool.globalInstance().waitForDone(30_000)
    assert make.made[0].slices_computed < 100
    # The viewer lives on, and nothing of the panel listens to it any more.
    add_volume(viewer, make_volume("later"))
    viewer.theme = "light"
    viewer.layers.clear()
    qtbot.wait(50)
    assert not any("Alt" in str(key) for key in viewer.keymap)


def test_a_second_run_waits_for_the_first(qtbot, viewer, make_panel):
    panel = make_panel(factory(seconds=0.02))
    start(panel, viewer, "ct", "mr")
    panel.segment.control.start()
    wait_ready(qtbot, panel)
    assert len(panel.session.make_segmenter.made) == 1
