"""Training in the panel: started, paused, stopped, gone on with, and never in the way of a segmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QThreadPool

from napari_cpclnet.errors import OutputError, WeightsError
from napari_cpclnet.gui.jobs import training_folder, training_job
from napari_cpclnet.gui.train.training_box import FILE, FOLDER, MASKS, NO_SCANS, OPEN, RANDOM, TABLE
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.imaging import read_volume
from napari_cpclnet.model import bundled_weights
from napari_cpclnet.training import TrainingSettings
from napari_cpclnet.training import run as training_run

from .doubles import FLIPPED, add_volume, factory, longest_pause, make_volume
from .training_doubles import FakeTrainer, choose, run, saved_step, wait_ready, wait_step


@pytest.fixture
def trainer():
    return FakeTrainer()


@pytest.fixture
def panel(make_panel, trainer):
    return make_panel(factory(), trainer)


def message(panel):
    return panel.train.bar.message.text()


def test_the_names_of_files_are_those_of_the_training_room():
    assert training_run.CHECKPOINT == training_job.CHECKPOINT
    assert training_run.SETTINGS == training_job.SETTINGS
    assert training_run.LOG == training_folder.LOG


def test_a_run_comes_to_its_end_with_curves_picture_and_weights(qtbot, panel, trainer, tmp_path):
    choose(panel, tmp_path / "run")
    run(qtbot, panel)
    assert message(panel).startswith("Done: 20 steps")
    progress = panel.train.progress
    assert progress.loss.curves["Loss"].points[-1] == (20, pytest.approx(0.05))
    assert progress.dice.curves["held out"].points[-1] == (20, 1.0)
    assert progress.preview.path == tmp_path / "run" / "visualizations" / "epoch_001.png"
    assert progress.weights == tmp_path / "run" / "models" / "best_model.safetensors"
    assert "best_model.safetensors" in progress.where.text()
    assert progress.use.isEnabled()


def test_progress_is_seen_while_the_run_goes_on(qtbot, make_panel, tmp_path):
    trainer = FakeTrainer(seconds=0.05)
    panel = make_panel(factory(), trainer)
    choose(panel, tmp_path, steps=200, every=5)
    panel.train.bar.press()
    bar, progress = panel.train.bar, panel.train.progress
    qtbot.waitUntil(lambda: " left" in bar.status.text(), timeout=300_000)
    qtbot.waitUntil(lambda: progress.preview.path is not None, timeout=300_000)
    assert bar.status.text().startswith("CPU · ")
    assert bar.status.text().endswith(" · from bundled weights")
    assert bar.progress.maximum() == 200
    assert len(progress.loss.curves["Loss"].points) >= 5
    assert progress.use.isEnabled()
    panel.train.control.cancel()
    wait_ready(qtbot, panel)


def test_new_runs_keep_the_proportions_of_the_recipe(qtbot, panel, trainer, tmp_path):
    default = TrainingSettings()
    choose(panel, tmp_path / "run", steps=default.steps // 10)
    trainer.__class__ = type("Idle", (FakeTrainer,), {"_run": lambda *_: (x for x in ())})
    run(qtbot, panel)
    (call,) = trainer.calls
    assert call["settings"].anatomy_steps == default.anatomy_steps // 10
    assert call["settings"].warmup == default.warmup // 10
    assert call["settings"].validate_every == 5
    # training chooses a rate that suits the start
    assert "learning_rate" not in call["settings"].model_fields_set
    assert call["resume"] is True
    assert call["start"] == bundled_weights()
    assert (call["settings"].sources.phantoms, call["settings"].sources.scans) == (1.0, 0.0)


def test_sources_and_start_are_what_was_chosen(qtbot, panel, trainer, tmp_path):
    choose(panel, tmp_path / "run")
    train = panel.train
    train.sources.phantoms.setChecked(False)
    train.sources.scans.setCurrentText(FOLDER)
    train.sources.folder.edit.setText(str(tmp_path / "scans"))
    assert not train.settings.encoder.isVisibleTo(train.settings)
    train.settings.start.setCurrentText(RANDOM)
    assert train.settings.encoder.isVisibleTo(train.settings)
    train.settings.encoder.setCurrentText("ResNet-50")
    run(qtbot, panel)
    assert trainer.calls[0]["settings"].network.encoder == "resnet50"
    assert trainer.calls[0]["data_root"] == tmp_path / "scans"
    assert trainer.calls[0]["start"] is None
    assert trainer.calls[0]["settings"].learning_rate == TrainingSettings().learning_rate
    sources = trainer.calls[0]["settings"].sources
    assert (sources.phantoms, sources.scans) == (0.0, 1.0)
    choose(panel, tmp_path / "other")
    train.settings.start.setCurrentText(FILE)
    train.settings.file.edit.setText(str(tmp_path / "w.safetensors"))
    run(qtbot, panel)
    assert trainer.calls[1]["start"] == tmp_path / "w.safetensors"
    assert trainer.calls[1]["settings"].network.encoder == "compact"


def test_labelled_scans_and_their_fold_are_what_was_chosen(qtbot, panel, trainer, tmp_path):
    choose(panel, tmp_path / "run")
    sources = panel.train.sources
    assert sources.labelled.isHidden() and sources.folds.isHidden() and sources.fold.isHidden()
    sources.phantoms.setChecked(False)
    sources.labels.setCurrentText(TABLE)
    assert not sources.labelled.isHidden() and not sources.folds.isHidden() and sources.fold.isHidden()
    panel.train.bar.press()
    assert message(panel) == "Choose the table of cases to learn from."
    assert not trainer.calls
    sources.labelled.edit.setText(str(tmp_path / "cases.csv"))
    sources.folds.setValue(5)
    assert not sources.fold.isHidden()
    sources.fold.setValue(9)  # no more than there are
    sources.fold.setValue(2)
    assert sources.words() == "labelled scans without fold 2 of 5"
    run(qtbot, panel)
    (call,) = trainer.calls
    assert call["labels"] == tmp_path / "cases.csv"
    assert call["data_root"] is None
    settings = call["settings"]
    assert (settings.fold, settings.folds) == (2, 5)
    assert (settings.sources.phantoms, settings.sources.scans, settings.sources.labels) == (0.0, 0.0, 1.0)
    choose(panel, tmp_path / "other")
    sources.labels.setCurrentText(MASKS)
    sources.folds.setValue(1)
    assert sources.fold.isHidden()
    run(qtbot, panel)
    assert trainer.calls[1]["labels"] == tmp_path / "cases.csv"
    assert trainer.calls[1]["settings"].folds is None


def test_open_scans_are_learned_from_where_they_lie(qtbot, viewer, panel, trainer, tmp_path):
    volume = make_volume("ct of somebody", FLIPPED)
    add_volume(viewer, volume)
    viewer.add_image(np.zeros((4, 4, 3)), rgb=True, name="photo")
    choose(panel, tmp_path)
    panel.train.sources.scans.setCurrentText(OPEN)
    panel.train.refresh()
    assert panel.train.sources.open.text() == "ct of somebody"
    run(qtbot, panel)
    folder = trainer.calls[0]["data_root"]
    (file,) = folder.iterdir()
    assert folder == tmp_path / "open_scans"
    assert "somebody" not in file.name
    found = read_volume(file)
    np.testing.assert_array_equal(found.array, volume.array)
    assert found.geometry.isclose(volume.geometry)
    assert found.modality == "MR"


def test_open_scans_without_physical_size_are_refused(qtbot, viewer, panel, trainer, tmp_path):
    viewer.add_image(np.random.default_rng(0).random((40, 50)), name="picture")
    choose(panel, tmp_path)
    panel.train.sources.scans.setCurrentText(OPEN)
    run(qtbot, panel)
    assert "'picture' has no physical size" in message(panel)
    assert not trainer.calls


def test_what_is_missing_is_said_before_anything_runs(panel, trainer, tmp_path):
    train = panel.train
    train.bar.press()
    assert "Choose a folder for the run" in message(panel)
    choose(panel, tmp_path)
    train.settings.start.setCurrentText(FILE)
    train.bar.press()
    assert "weights file" in message(panel)
    train.settings.start.setCurrentText(RANDOM)
    for kind, words in (
        (FOLDER, "folder of scans"),
        (OPEN, "Open the scans"),
        (NO_SCANS, "something to learn"),
    ):
        train.sources.phantoms.setChecked(kind != NO_SCANS)
        train.sources.scans.setCurrentText(kind)
        train.bar.press()
        assert words in message(panel)
    assert train.bar.state is RunState.READY
    assert not trainer.calls


def test_a_stopped_run_keeps_its_checkpoint_and_goes_on(qtbot, make_panel, tmp_path):
    trainer = FakeTrainer(seconds=0.02)
    panel = make_panel(factory(), trainer)
    choose(panel, tmp_path, steps=500, every=400)
    panel.train.bar.press()
    wait_step(qtbot, trainer, 10)
    assert not panel.train.choices.isVisibleTo(panel.train)
    panel.train.bar.press()
    assert panel.train.bar.button.text() == "Stopping…"
    wait_ready(qtbot, panel)
    step = trainer.step
    assert step < 100
    assert saved_step(tmp_path) == step
    assert f"Stopped at step {step}" in message(panel)
    assert panel.train.settings.holds_run
    assert not panel.train.sources.isVisibleTo(panel.train)
    assert panel.train.settings.steps.value() == 500
    trainer.seconds = 0.0
    run(qtbot, panel)
    assert trainer.calls[1]["data_root"] is None
    assert trainer.calls[1]["start"] is None
    assert f"Done: 500 steps, the last {500 - step}" in message(panel)
    losses = panel.train.progress.loss.curves["Loss"].points
    assert [s for s, _ in losses] == list(range(1, 501))
    run(qtbot, panel)
    assert "has made all its steps" in message(panel)


def test_stopping_before_the_first_step_says_so(qtbot, panel, trainer, tmp_path):
    choose(panel, tmp_path / "run")
    trainer.prepared.clear()
    panel.train.bar.press()
    panel.train.bar.press()
    trainer.prepared.set()
    wait_ready(qtbot, panel)
    assert message(panel) == "Stopped before the first step."
    assert not panel.train.settings.holds_run


def test_another_folder_is_looked_into_at_once(qtbot, panel, trainer, tmp_path):
    choose(panel, tmp_path / "old", steps=30, every=10)
    run(qtbot, panel)
    panel.train.settings.out.edit.setText(str(tmp_path / "new"))
    assert panel.train.sources.isVisibleTo(panel.train)
    assert not panel.train.results.isVisibleTo(panel.train)
    panel.train.settings.steps.setValue(7)
    panel.train.settings.out.edit.setText(str(tmp_path / "old"))
    assert panel.train.settings.steps.value() == 30
    assert panel.train.results.isVisibleTo(panel.train)
    assert panel.train.progress.weights.is_file()


def test_damaged_files_of_a_run_do_not_hurt_the_panel(panel, tmp_path):
    for name in ("checkpoint.safetensors", "settings.yaml", "training_log.csv"):
        (tmp_path / name).write_bytes(b"\xff\x00: [")
    panel.train.settings.out.edit.setText(str(tmp_path))
    assert panel.train.settings.holds_run
    panel.train.bar.press()
    assert panel.train.bar.state is RunState.RUNNING


def test_a_damaged_checkpoint_is_one_sentence(qtbot, panel, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"damaged")
    choose(panel, tmp_path)
    run(qtbot, panel)
    assert "damaged; begin a new run" in message(panel)
    assert panel.train.bar.message.property("kind") == "error"


def test_pause_makes_no_steps_until_it_is_resumed(qtbot, make_panel, tmp_path):
    trainer = FakeTrainer(seconds=0.02)
    panel = make_panel(factory(), trainer)
    choose(panel, tmp_path, steps=10_000)
    panel.train.bar.press()
    wait_step(qtbot, trainer, 5)
    panel.train.pause.click()
    assert panel.train.pause.text() == "Resume"
    qtbot.waitUntil(lambda: "paused" in panel.train.bar.status.text(), timeout=300_000)
    step = trainer.step
    qtbot.wait(300)
    assert trainer.step <= step + 1  # the step that was being made is finished
    step = trainer.step
    qtbot.wait(300)
    assert trainer.step == step
    panel.train.pause.click()
    wait_step(qtbot, trainer, step + 5)
    assert panel.train.pause.text() == "Pause"
    panel.train.pause.click()
    panel.train.bar.press()  # stopping ends a pause
    wait_ready(qtbot, panel)
    assert saved_step(tmp_path) == trainer.step
    assert not panel.train.pause.isVisibleTo(panel.train)


@pytest.fixture
def one_core():
    """Qt's pool as on a machine with one core."""
    pool = QThreadPool.globalInstance()
    usual = pool.maxThreadCount()
    pool.setMaxThreadCount(1)
    yield
    assert pool.waitForDone(30_000)
    assert pool.activeThreadCount() == 0  # what a run took it gave back
    pool.setMaxThreadCount(usual)


@pytest.mark.usefixtures("one_core")
def test_training_waits_while_scans_are_labelled(qtbot, viewer, make_panel, tmp_path):
    trainer, make = FakeTrainer(seconds=0.01), factory(seconds=0.5)
    panel = make_panel(make, trainer)
    add_volume(viewer, make_volume("mr", shape=(24, 24, 20)))
    add_volume(viewer, make_volume("ct"))
    panel.segment.refresh()
    panel.session.new_support_labels().data[3, 5:9, 5:9] = 1
    choose(panel, tmp_path, steps=100_000)
    panel.train.bar.press()
    wait_step(qtbot, trainer, 5)
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: "waiting for Segment" in panel.train.bar.status.text(), timeout=300_000)
    qtbot.waitUntil(lambda: bool(make.made), timeout=300_000)
    make.made[0].seconds = 0.02
    steps = []

    def ended():
        if panel.segment.bar.state is not RunState.READY:
            steps.append(trainer.step)
        return panel.segment.bar.state is RunState.READY

    qtbot.waitUntil(ended, timeout=300_000)
    assert len(set(steps)) == 1
    result = next(layer for layer in viewer.layers if layer.name.endswith("– CPCLNet"))
    np.testing.assert_array_equal(result.data, viewer.layers[result.name.split(" ")[0]].data > 0.5)
    step = trainer.step
    wait_step(qtbot, trainer, step + 3)
    panel.train.control.cancel()
    wait_ready(qtbot, panel)


def test_weights_of_a_run_are_used_by_segment_and_evaluate_at_once(qtbot, panel, tmp_path):
    choose(panel, tmp_path)
    run(qtbot, panel)
    panel.train.progress.use.click()
    weights = tmp_path / "models" / "best_model.safetensors"
    assert panel.session.options.weights == weights
    assert panel.segment.options.weights.path() == weights
    assert "best_model.safetensors" in panel.segment.bar.status.text()
    panel.segment.options.weights.set_path(None)
    assert panel.session.options.weights is None
    assert "bundled weights" in panel.segment.bar.status.text()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutputError("Cannot write the checkpoint: No space left on device."), "No space left"),
        (WeightsError("There is no weights file at 'x'."), "no weights file"),
        (ValueError("bug"), "Something went wrong inside CPCLNet"),
    ],
)
def test_an_error_is_one_sentence_and_the_last_validation_stays(qtbot, make_panel, tmp_path, error, words):
    trainer = FakeTrainer(fail_at=8, error=error)
    panel = make_panel(factory(), trainer)
    choose(panel, tmp_path, steps=20, every=5)
    run(qtbot, panel)
    assert words in message(panel)
    assert panel.train.bar.message.property("kind") == "error"
    assert saved_step(tmp_path) == 5
    assert panel.train.settings.holds_run


def test_scans_that_are_left_out_are_named(qtbot, make_panel, tmp_path):
    panel = make_panel(factory(), FakeTrainer(error=ValueError()))
    choose(panel, tmp_path)
    run(qtbot, panel)
    assert "Done" in message(panel)
    assert "b.nii.gz: contains NaN." in message(panel)


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_deleting_the_panel_keeps_the_checkpoint(qtbot, make_panel, tmp_path, paused):
    trainer = FakeTrainer(seconds=0.02)
    panel = make_panel(factory(), trainer)
    choose(panel, tmp_path, steps=100_000, every=50_000)
    panel.train.bar.press()
    wait_step(qtbot, trainer, 5)
    if paused:
        panel.train.pause.click()
        qtbot.waitUntil(lambda: "paused" in panel.train.bar.status.text(), timeout=300_000)
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert QThreadPool.globalInstance().waitForDone(30_000)
    assert trainer.closed.is_set()
    assert 5 <= trainer.step < 500
    assert saved_step(tmp_path) == trainer.step


def test_event_loop_turns_while_a_run_reports_fast(qtbot, make_panel, tmp_path):
    panel = make_panel(factory(), FakeTrainer(seconds=0.001))
    numbers = iter(range(100))

    def one_run() -> None:
        choose(panel, Path(tmp_path / str(next(numbers))), steps=500, every=100)
        run(qtbot, panel)

    assert longest_pause(one_run) < 0.2
