"""The whole job in a real napari window: open, paint, run, look."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtWidgets import QApplication

from napari_cpclnet.gui.panel import CPCLNetPanel
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.gui.widgets.run_bar import RunState

from .doubles import DIRECTIONS, add_volume, factory, make_volume
from .test_manifest import MANIFEST

pytestmark = pytest.mark.gui


def open_panel(viewer, make_segmenter):
    panel = CPCLNetPanel(viewer, Session(viewer, make_segmenter))
    viewer.window.add_dock_widget(panel, name="CPCLNet", area="right")
    return panel


def paint_two_slices(viewer, panel):
    panel.segment.support.new.click()
    labels = panel.session.support_labels
    assert labels.mode == "paint"
    labels.brush_size = 6
    for index in (2, 5):
        viewer.dims.set_current_step(0, index)
        labels.paint((index, 12, 10), 1)
    return labels


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_paint_run_and_look(qtbot, make_napari_viewer, tmp_path, direction):
    viewer = make_napari_viewer(show=True, strict_qt=True)
    viewer.window._qt_window.resize(1280, 720)
    panel = open_panel(viewer, factory(seconds=0.01))
    add_volume(viewer, make_volume("mr", direction))
    add_volume(viewer, make_volume("ct", direction))
    qtbot.waitUntil(lambda: panel.session.support_scan is not None, timeout=300_000)
    labels = paint_two_slices(viewer, panel)
    painted = labels.data.copy()
    n = len(panel.session.slices.painted_slices())
    qtbot.waitUntil(lambda: len(panel.segment.support.slices.tree.entries()) == n, timeout=300_000)
    panel.segment.bar.button.click()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)
    result, scan = viewer.layers["mr – CPCLNet"], viewer.layers["mr"]
    np.testing.assert_array_equal(result.data, scan.data > 0.5)
    np.testing.assert_array_equal(labels.data, painted)
    for corner in itertools.product(*((0, size - 1) for size in scan.data.shape)):
        np.testing.assert_allclose(scan.data_to_world(corner), result.data_to_world(corner), atol=1e-9)
    picture = viewer.screenshot(str(tmp_path / "window.png"), canvas_only=False, flash=False)
    assert picture.shape[0] >= 700
    # Something coloured is on the canvas: the result is seen, not only stored.
    canvas = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    assert (canvas.max(-1) - canvas.min(-1) > 40).sum() > 100


@pytest.mark.parametrize("focus", ["window", "table"])
def test_shortcut_works_wherever_the_focus_is(qtbot, make_napari_viewer, focus):
    viewer = make_napari_viewer(show=True)
    panel = open_panel(viewer, factory())
    add_volume(viewer, make_volume("ct"))
    qtbot.waitUntil(lambda: panel.session.support_scan is not None, timeout=300_000)
    target = viewer.window._qt_window if focus == "window" else panel.segment.queries.list
    qtbot.keyClick(
        target, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
    )
    assert "ct – painted slices" in viewer.layers


def test_closing_the_window_ends_the_run(qtbot, make_napari_viewer):
    make = factory(seconds=0.05)
    viewer = make_napari_viewer(show=True)
    panel = open_panel(viewer, make)
    add_volume(viewer, make_volume("mr", shape=(200, 24, 20)))
    add_volume(viewer, make_volume("ct", shape=(200, 24, 20)))
    qtbot.waitUntil(lambda: panel.session.support_scan is not None, timeout=300_000)
    paint_two_slices(viewer, panel)
    panel.segment.bar.button.click()
    qtbot.waitUntil(lambda: bool(make.made and make.made[0].slices_computed > 3), timeout=300_000)
    viewer.close()
    QApplication.processEvents()
    assert QThreadPool.globalInstance().waitForDone(30_000)
    assert make.made[0].slices_computed < 100
    qtbot.waitUntil(make.made[0].closed.is_set, timeout=300_000)


def test_closing_the_dock_ends_the_run_and_the_viewer_lives_on(qtbot, make_napari_viewer):
    make = factory(seconds=0.05)
    viewer = make_napari_viewer(show=True)
    panel = open_panel(viewer, make)
    add_volume(viewer, make_volume("mr", shape=(200, 24, 20)))
    add_volume(viewer, make_volume("ct", shape=(200, 24, 20)))
    qtbot.waitUntil(lambda: panel.session.support_scan is not None, timeout=300_000)
    paint_two_slices(viewer, panel)
    panel.segment.bar.button.click()
    qtbot.waitUntil(lambda: bool(make.made and make.made[0].slices_computed > 3), timeout=300_000)
    viewer.window.remove_dock_widget(panel)
    panel.deleteLater()
    qtbot.waitUntil(lambda: make.made[0].closed.is_set(), timeout=300_000)
    add_volume(viewer, make_volume("later"))
    viewer.theme = "light"
    qtbot.wait(50)


def test_panel_opens_from_the_menu_without_heavy_imports(tmp_path):
    script = """
import sys
import napari
from npe2 import PluginManager, PluginManifest
from napari._app_model import get_app_model
viewer = napari.Viewer(show=False)
if "napari-cpclnet" not in PluginManager.instance():
    PluginManager.instance().register(PluginManifest.from_file(sys.argv[1]))
app = get_app_model()
tasks = (("segment", "segment"), ("segment", "train"), ("annotate", "segment"), ("measure", "evaluate"))
for menu, task in tasks:
    ids = [item.command.id for item in app.menus.get_menu(f"napari/layers/{menu}") if hasattr(item, "command")]
    assert f"napari-cpclnet.{task}" in ids, (menu, ids)
app.commands.execute_command("napari-cpclnet.segment").result()
from napari_cpclnet.gui.panel import CPCLNetPanel
(dock,) = viewer.window.dock_widgets.values()
assert isinstance(dock, CPCLNetPanel)
assert dock.session.viewer is viewer
(name,) = viewer.window.dock_widgets
assert name.startswith("Few-shot segmentation"), name
app.commands.execute_command("napari-cpclnet.evaluate").result()
assert dock.tabs.currentWidget() is dock.evaluate
app.commands.execute_command("napari-cpclnet.train").result()
assert dock.tabs.currentWidget() is dock.train
for name in ("torch", "SimpleITK", "monai", "pydicom", "matplotlib"):
    assert name not in sys.modules, name
viewer.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(MANIFEST)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_script_may_end_while_something_is_made_in_the_background():
    script = """
import numpy as np
import napari
from qtpy.QtTest import QTest
from napari_cpclnet.gui.panel import CPCLNetPanel
viewer = napari.Viewer(show=False)
panel = CPCLNetPanel(viewer)
viewer.window.add_dock_widget(panel)
viewer.add_image(np.random.default_rng(0).random((10, 64, 64)), name="ct")
panel.segment.refresh()
panel.segment.support.new.click()
panel.session.support_labels.data[3, 10:30, 10:30] = 1
panel.segment.refresh()
for _ in range(10_000):
    if panel.segment.support.slices.pictures._busy:
        break
    QTest.qWait(1)
else:
    raise AssertionError("nothing is made")
viewer.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
