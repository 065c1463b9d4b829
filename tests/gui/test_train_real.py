"""The training itself in the panel: tiny, but with all its files; beside a segmentation, and when napari closes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tests.training.labelled_data import write_layout

from napari_cpclnet.gui.jobs.segmenters import SegmenterMaker
from napari_cpclnet.gui.jobs.training_folder import look_into
from napari_cpclnet.gui.train.training_box import MASKS, RANDOM
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.model import CPCLNet, CPCLNetSettings, load_weights, save_weights
from napari_cpclnet.preprocessing import PreprocessingSettings
from napari_cpclnet.segmentation import Segmenter
from napari_cpclnet.segmentation.settings import RunSettings
from napari_cpclnet.training import TrainingSettings

from .doubles import add_volume, make_volume
from .training_doubles import choose, give_phantoms, train_tiny, wait_ready


def untrained(options):
    torch.manual_seed(0)
    settings = CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1)
    return Segmenter(CPCLNet(settings), options)


def tensors(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def segment(qtbot, panel, viewer):
    """Label the MR and return its labels."""
    panel.segment.bar.press()
    assert panel.segment.bar.state is RunState.RUNNING, panel.segment.bar.message.text()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)
    result = next(layer for layer in viewer.layers if layer.name.startswith("mr – CPCLNet"))
    labels = result.data.copy()
    viewer.layers.remove(result)
    return labels


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_and_segmentation_at_once_give_what_each_gives_alone(
    qtbot, viewer, make_panel, phantom_stack, tmp_path
):
    steps, every = 12, 4
    for name in ("alone", "panel"):
        give_phantoms(phantom_stack, tmp_path / name)
    for _ in train_tiny(
        TrainingSettings(steps=steps, validate_every=every), tmp_path / "alone", device="cpu"
    ):
        pass
    panel = make_panel(untrained, train_tiny)
    add_volume(viewer, make_volume("mr", shape=(12, 48, 48)))
    add_volume(viewer, make_volume("ct", shape=(12, 48, 48)))
    panel.session.support_scan = viewer.layers["ct"]
    panel.session.new_support_labels().data[3, 10:30, 10:30] = 1
    panel.segment.refresh()
    alone = segment(qtbot, panel, viewer)
    choose(panel, tmp_path / "panel", steps=steps, every=every)
    panel.train.settings.start.setCurrentText(RANDOM)
    panel.train.bar.press()
    curve = panel.train.progress.loss.curves["Loss"]
    qtbot.waitUntil(lambda: len(curve.points) >= 2, timeout=300_000)
    beside = segment(qtbot, panel, viewer)
    assert panel.train.bar.state is RunState.RUNNING
    panel.train.bar.press()  # and it is stopped and gone on with, too
    wait_ready(qtbot, panel)
    assert 0 < look_into(tmp_path / "panel").step < steps
    panel.train.bar.press()
    wait_ready(qtbot, panel)
    assert "Done" in panel.train.bar.message.text()
    np.testing.assert_array_equal(beside, alone)
    expected = tensors(tmp_path / "alone" / "models" / "last_model.safetensors")
    found = tensors(tmp_path / "panel" / "models" / "last_model.safetensors")
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    panel.train.progress.use.click()
    used = SegmenterMaker()(panel.session.options).model
    assert used.metadata["hash"] == load_weights(panel.train.progress.weights).metadata["hash"]


def test_weights_that_are_replaced_are_read_anew(tmp_path):
    path, make = tmp_path / "best_model.safetensors", SegmenterMaker()
    small = CPCLNetSettings(channels=16, skip_channels=8, latent_channels=8, blocks=1)
    used = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_weights(
            CPCLNet(small), path, {"preprocessing": PreprocessingSettings().model_dump(), "seed": seed}
        )
        used.append([make(RunSettings(weights=path, device="cpu")).model for _ in range(2)])
    assert used[0][0] is used[0][1]
    assert used[1][0] is used[1][1]
    assert [pair[0].metadata["seed"] for pair in used] == [0, 1]


SCRIPT = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import napari
from qtpy.QtCore import QThreadPool, QTimer
from napari_cpclnet.gui.panel import CPCLNetPanel
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.gui.train.training_box import RANDOM
from training_doubles import choose, train_tiny

viewer = napari.Viewer(show=True)
panel = CPCLNetPanel(viewer, Session(viewer, train=train_tiny))
viewer.window.add_dock_widget(panel, name="CPCLNet", area="right")
choose(panel, Path(sys.argv[1]), steps=10_000, every=5_000)
panel.train.settings.start.setCurrentText(RANDOM)
panel.train.bar.press()
curve = panel.train.progress.loss.curves["Loss"]
timer = QTimer()

def look():
    if len(curve.points) >= 4:
        if sys.argv[3] == "paused" and not panel.train.control.is_paused:
            panel.train.pause.click()
        elif sys.argv[3] != "paused" or "paused" in panel.train.bar.status.text():
            timer.stop()
            viewer.window._qt_window.close()

timer.timeout.connect(look)
timer.start(50)
napari.run()
active = QThreadPool.globalInstance().activeThreadCount()
assert active == 0, active
others = [t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
print("threads", others)
"""


@pytest.mark.gui
@pytest.mark.slow
@pytest.mark.parametrize("state", ["running", "paused"])
def test_closing_napari_keeps_the_checkpoint_and_leaves_no_thread(phantom_stack, tmp_path, state):
    give_phantoms(phantom_stack, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parent), state],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = [line for line in done.stdout.splitlines() if line.startswith("threads")]
    assert found == ["threads []"] or "Dummy" in found[0], done.stdout
    # Nothing was validated: the checkpoint can only be that of the closing.
    assert look_into(tmp_path).step >= 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_learns_from_images_and_masks_and_is_judged_by_the_held_out_fold(qtbot, make_panel, tmp_path):
    panel, out = make_panel(untrained, train_tiny), tmp_path / "run"
    root = write_layout(tmp_path / "data", ("CT_001", "MRI_001", "CT_002", "CT_003", "MRI_004"))
    sources = panel.train.sources
    sources.phantoms.setChecked(False)
    sources.labels.setCurrentText(MASKS)
    sources.labelled.edit.setText(str(root))
    sources.folds.setValue(2)
    sources.fold.setValue(2)
    choose(panel, out, steps=4, every=2)
    panel.train.settings.start.setCurrentText(RANDOM)
    panel.train.bar.press()
    wait_ready(qtbot, panel)
    assert panel.train.bar.message.text().startswith("Done: 4 steps")
    metadata = load_weights(look_into(out).weights).metadata
    assert metadata["fold"] == "2/2"
    assert any("2 other patients (fold 2/2) for validation only" in words for words in metadata["sources"])
