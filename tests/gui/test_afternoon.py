"""A whole working day in real windows: paint, run, correct, save; the machine goes down; open, and export."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_cpclnet.gui.layers.corrections import corrected_text
from napari_cpclnet.gui.layers.scan_layers import geometry_of
from napari_cpclnet.imaging import read_segmentation
from napari_cpclnet.model import bundled_weights

from .hands import Hands, register_plugin
from .working_day import WorkingDay

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.timeout(2700)]


def work_until_killed(folder: Path, seconds: float = 600) -> None:
    """Go through the first half of the day in a process of its own, and kill it when all of that is done.

    Each step of it may take so many seconds.
    """
    log = folder / "log.txt"
    environment = {**os.environ, "NAPARI_CONFIG": str(folder / "napari.yaml")}
    script = Path(__file__).with_name("first_half.py")
    with log.open("w") as stream:
        work = subprocess.Popen(
            [sys.executable, str(script), str(folder)], stdout=stream, stderr=stream, env=environment
        )
        said, since = "", time.monotonic()
        try:
            while "\nready\n" not in said:
                assert work.poll() is None, log.read_text()
                assert time.monotonic() - since < seconds, said
                time.sleep(0.1)
                if log.read_text() != said:
                    said, since = log.read_text(), time.monotonic()
        finally:
            work.send_signal(signal.SIGKILL)
            work.wait()
    said = log.read_text()
    print(said)
    assert "Traceback" not in said and "Warning" not in said, said


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
@pytest.mark.skipif(not bundled_weights().is_file(), reason="no weights are bundled in this checkout")
def test_a_working_day(qtbot, make_napari_viewer, tmp_path):
    work_until_killed(tmp_path)
    seen = np.load(tmp_path / "seen.npz")
    facts = json.loads((tmp_path / "seen.json").read_text())

    register_plugin()
    viewer = make_napari_viewer(show=True, strict_qt=True)
    viewer.window._qt_window.resize(1280, 720)
    day = WorkingDay(Hands(viewer))
    day.open_panel()
    day.open_recent("liver day")
    assert day.tab.bar.message.property("kind") != "error", day.tab.bar.message.text()
    assert sorted(layer.name for layer in viewer.layers) == sorted(seen)
    for layer in viewer.layers:
        np.testing.assert_array_equal(layer.data, seen[layer.name], layer.name)
    session = day.panel.session
    assert session.support_scan.name == "phantom_ct"
    day.hands.until(lambda: day.listed() == facts["listed"], "the painted slices are listed")
    assert all(entry.ticked for entry in session.slices.entries())
    assert {str(value): name for value, name in session.classes.names().items()} == facts["classes"]
    assert session.classes.color(1) == tuple(facts["colors"]["1"])
    kept = corrected_text(day.result)
    assert kept and {str(value): text for value, text in kept.items()} == facts["corrected"]

    for suffix in (".seg.nrrd", ".nii.gz"):
        path = tmp_path / f"exported{suffix}"
        day.export(day.result, path)
        exported = read_segmentation(path)
        np.testing.assert_array_equal(exported.labels, day.result.data)
        assert exported.geometry.isclose(geometry_of(day.result))
        assert exported.geometry.isclose(geometry_of(viewer.layers["phantom_mr"]))
        if suffix == ".seg.nrrd":
            assert exported.classes == {1: "liver"}
            assert exported.colors[1] == session.classes.color(1)
    day.wait_for_pictures()
