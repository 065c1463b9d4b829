"""Batches that the panel hands to a cluster: the same results, none lost with a worker, and stopped when asked to."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

import numpy as np
import psutil
import pytest

from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.imaging import ScanRef, read_segmentation, write_volume

from .doubles import add_volume, make_volume
from .evaluation_doubles import add_case
from .test_real_network import paint, run, untrained

pytest.importorskip("distributed")


def open_scans(panel, viewer, tmp_path, *, files=2):
    """An open scan and some in files to label, and a painted one."""
    for name in ("mr", "ct"):
        add_volume(viewer, make_volume(name, shape=(8, 24, 20)))
    paint(panel, viewer)
    refs = []
    for number in range(files):
        volume = make_volume(f"file_{number}", shape=(9, 24, 20))
        refs.append(ScanRef(write_volume(volume, tmp_path / f"{volume.name}.nii.gz"), None, volume.name))
    queries = panel.session.queries
    queries.add_files(refs)
    queries.save_to = replace(queries.save_to, folder=tmp_path / "results")
    search = panel.segment.options.search
    search.setCurrentIndex(search.findData("quick"))


def found(viewer, tmp_path):
    files = sorted((tmp_path / "results").iterdir())
    labels = {path.name: read_segmentation(path).labels for path in files}
    return labels | {"mr": viewer.layers["mr – CPCLNet"].data.copy()}


def workers():
    """Workers that have loaded what they compute with."""
    return [p for p in psutil.Process().children(recursive=True) if p.memory_info().rss > 300e6]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_worker_killed_in_the_middle_of_a_batch_loses_no_scan(qtbot, viewer, make_panel, tmp_path):
    panel = make_panel(untrained)
    open_scans(panel, viewer, tmp_path)
    run(qtbot, panel)
    here = found(viewer, tmp_path)
    for path in (tmp_path / "results").iterdir():
        path.unlink()
    panel.segment.options.scheduler.setText("local")
    killed = []

    def kill() -> bool:
        for one in workers()[:1]:
            killed.append(one.pid)
            os.kill(one.pid, signal.SIGKILL)
        return bool(killed)

    panel.segment.bar.press()
    qtbot.waitUntil(kill, timeout=300_000)
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=500_000)
    assert panel.segment.bar.message.property("kind") != "error", panel.segment.bar.message.text()
    assert "3 scans" in panel.segment.bar.message.text()
    there = found(viewer, tmp_path)
    assert here.keys() == there.keys() and len(here) == 4  # the open scan is saved, too
    for name, labels in here.items():
        np.testing.assert_array_equal(there[name], labels)
    assert "cluster" in panel.segment.bar.status.text()
    qtbot.waitUntil(lambda: not workers(), timeout=300_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_cancelling_stops_the_workers_and_keeps_what_is_finished(qtbot, viewer, make_panel, tmp_path):
    panel = make_panel(untrained)
    open_scans(panel, viewer, tmp_path, files=30)
    panel.segment.options.scheduler.setText("local")
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: len(panel.session.results) > 0, timeout=300_000)
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)
    assert "Cancelled" in panel.segment.bar.message.text()
    assert 1 <= len(panel.session.results) < 31
    qtbot.waitUntil(lambda: not workers(), timeout=300_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_open_scans_are_evaluated_by_workers(qtbot, viewer, make_panel):
    panel = make_panel(untrained)
    for name in ("ct", "mr"):
        add_case(viewer, name)
    panel.evaluate.settings.shots.setText("2")
    panel.evaluate.refresh()
    rows = {}
    for scheduler in ("", "local"):
        panel.segment.options.scheduler.setText(scheduler)
        panel.evaluate.bar.press()
        qtbot.waitUntil(lambda: panel.evaluate.bar.state is RunState.READY, timeout=300_000)
        assert "2 cases" in panel.evaluate.bar.message.text(), panel.evaluate.bar.message.text()
        rows[scheduler] = {row.key: row.dice for row in panel.evaluate.scores.results()}
    assert rows[""] == pytest.approx(rows["local"], nan_ok=True) and len(rows["local"]) == 2


def test_what_is_no_scheduler_is_said_in_one_sentence(qtbot, viewer, make_panel, tmp_path):
    panel = make_panel(untrained)
    open_scans(panel, viewer, tmp_path, files=0)
    panel.segment.options.scheduler.setText("nonsense")
    assert panel.session.options.scheduler == "nonsense"
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)
    assert "use local, tcp://HOST:PORT" in panel.segment.bar.message.text()
    panel.segment.options.set_options(panel.session.options.model_copy(update={"scheduler": None}))
    assert panel.session.options.scheduler is None
