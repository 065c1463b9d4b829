"""Evaluations in the panel: results as they come, cancelled within a slice, never in the way."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QThreadPool

from napari_cpclnet.errors import WeightsError
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.imaging import Segmentation, write_segmentation, write_volume

from .doubles import DIRECTIONS, longest_pause, make_volume
from .evaluation_doubles import add_case, known, run, wait_ready


@pytest.fixture
def quick(make_panel):
    panel = make_panel(known())
    panel.evaluate.settings.shots.setText("2")
    return panel


def message(panel):
    return panel.evaluate.bar.message.text()


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_open_scans_are_support_and_query_of_one_another(qtbot, viewer, quick, direction):
    add_case(viewer, "ct", direction=direction)
    add_case(viewer, "mr", direction=direction, missing=5)
    run(qtbot, quick)
    rows = {row.query_patient: row for row in quick.evaluate.scores.results()}
    assert set(rows) == {"ct", "mr"}
    assert rows["ct"].support_patient == "mr"
    assert rows["ct"].dice == pytest.approx(1.0)
    found, truth = 4, 3  # slices of the box
    assert rows["mr"].dice == pytest.approx(2 * truth / (found + truth))
    assert "2 cases" in message(quick)


def test_baselines_run_beside_the_network(qtbot, viewer, quick):
    add_case(viewer, "ct")
    add_case(viewer, "mr")
    quick.evaluate.settings.baselines["copy"].setChecked(True)
    run(qtbot, quick)
    methods = sorted(row.method for row in quick.evaluate.scores.results())
    assert methods == ["CPCLNet", "CPCLNet", "copy", "copy"]


def test_scans_of_one_patient_are_never_paired(qtbot, viewer, quick):
    add_case(viewer, "ct")
    add_case(viewer, "mr")
    quick.evaluate.refresh()
    for row in range(2):
        quick.evaluate.source.truths.item(row, 2).setText("one")
    run(qtbot, quick)
    assert quick.evaluate.scores.rowCount() == 0
    assert "nothing to evaluate" in message(quick)


def test_same_volume_needs_one_scan_only(qtbot, viewer, quick):
    add_case(viewer, "ct")
    quick.evaluate.settings.protocol.setCurrentIndex(3)
    run(qtbot, quick)
    (row,) = quick.evaluate.scores.results()
    assert row.protocol == "same-volume"


def write_table(folder, *names):
    lines = ["patient,modality,image,label,classes"]
    for name in names:
        volume = make_volume(name)
        truth = (volume.array > 0.5).astype(np.uint8)
        write_volume(volume, folder / f"{name}.nii.gz")
        write_segmentation(
            Segmentation(truth, {1: "box"}, volume.geometry, name), folder / f"{name}_l.nii.gz"
        )
        lines.append(f"{name},MR,{name}.nii.gz,{name}_l.nii.gz,1=box")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder / "cases.csv"


def use_table(panel, table, out):
    panel.evaluate.source.table.setChecked(True)
    panel.evaluate.source.path.edit.setText(str(table))
    panel.evaluate.settings.out.edit.setText(str(out))


def test_a_cases_table_is_evaluated_into_a_folder_and_gone_on_with(qtbot, quick, tmp_path):
    out = tmp_path / "out"
    use_table(quick, write_table(tmp_path, "a", "b"), out)
    run(qtbot, quick)
    assert {row.dice for row in quick.evaluate.scores.results()} == {1.0}
    assert (out / "report.html").exists()
    made = quick.session.make_segmenter.made
    run(qtbot, quick)
    assert len(quick.evaluate.scores.results()) == 2
    assert made[-1].slices_computed == 0
    quick.evaluate.settings.shots.setText("3")
    run(qtbot, quick)
    assert "cannot be resumed" in message(quick)


def test_a_broken_table_is_one_sentence_with_its_line(qtbot, quick, tmp_path):
    table = write_table(tmp_path, "a", "b")
    table.write_text(table.read_text().replace("b_l.nii.gz", "gone.nii.gz"))
    use_table(quick, table, "")
    run(qtbot, quick)
    assert "line 3" in message(quick)
    assert "gone.nii.gz" in message(quick)
    assert quick.evaluate.bar.message.property("kind") == "error"


def test_what_is_missing_is_said_before_anything_runs(viewer, quick):
    bar = quick.evaluate.bar
    bar.press()
    assert "Tick at least one scan" in message(quick)
    add_case(viewer, "ct")
    quick.evaluate.refresh()
    for text in ("", "many", "0", "101", "1;3"):
        quick.evaluate.settings.shots.setText(text)
        bar.press()
        assert "Support slices must be numbers" in message(quick)
    quick.evaluate.source.table.setChecked(True)
    bar.press()
    assert "Choose a cases table" in message(quick)
    assert bar.state is RunState.READY


def test_missing_weights_are_one_sentence(qtbot, viewer, make_panel):
    def no_weights(_options):
        raise WeightsError("The weights file is missing: install the package again.")

    panel = make_panel(no_weights)
    add_case(viewer, "ct")
    run(qtbot, panel)
    assert message(panel) == "The weights file is missing: install the package again."


def test_cancel_takes_effect_within_one_slice(qtbot, viewer, make_panel):
    make = known(seconds=0.1)
    panel = make_panel(make)
    add_case(viewer, "ct", shape=(60, 24, 20))
    add_case(viewer, "mr", shape=(60, 24, 20))
    panel.evaluate.refresh()
    panel.evaluate.bar.press()
    qtbot.waitUntil(lambda: bool(make.made and make.made[0].slices_computed > 2), timeout=300_000)
    computed = make.made[0].slices_computed
    panel.evaluate.bar.press()
    assert panel.evaluate.bar.state is RunState.CANCELLING
    wait_ready(qtbot, panel)
    assert make.made[0].slices_computed <= computed + 2
    assert make.made[0].closed.wait(60)
    assert "Cancelled" in message(panel)


def test_results_of_a_cancelled_run_stay_and_can_be_exported(qtbot, viewer, make_panel, tmp_path):
    panel = make_panel(known(seconds=0.1))
    for name in ("ct", "mr", "pet"):
        add_case(viewer, name)
    panel.evaluate.refresh()
    panel.evaluate.bar.press()
    qtbot.waitUntil(lambda: panel.evaluate.scores.rowCount() > 0, timeout=300_000)
    panel.evaluate.control.cancel()
    wait_ready(qtbot, panel)
    n = panel.evaluate.scores.rowCount()
    assert 0 < n < 3
    panel.evaluate.control.export_table(tmp_path / "a.csv")
    qtbot.waitUntil(lambda: (tmp_path / "a.csv").exists(), timeout=300_000)
    with (tmp_path / "a.csv").open() as file:
        assert len(list(csv.DictReader(file))) == n
    panel.evaluate.control.export_report(tmp_path / "a.html")
    qtbot.waitUntil(lambda: "a.html" in message(panel), timeout=300_000)
    assert "<svg" in (tmp_path / "a.html").read_text()


def test_an_export_that_fails_is_one_sentence(qtbot, viewer, quick, tmp_path):
    add_case(viewer, "ct")
    add_case(viewer, "mr")
    run(qtbot, quick)
    (tmp_path / "file").write_text("")
    quick.evaluate.control.export_table(tmp_path / "file" / "a.csv")
    qtbot.waitUntil(lambda: "file/a.csv" in message(quick), timeout=300_000)


def test_event_loop_turns_during_a_run(qtbot, viewer, make_panel):
    panel = make_panel(known(seconds=0.03))
    add_case(viewer, "ct", shape=(16, 64, 64))
    add_case(viewer, "mr", shape=(16, 64, 64))
    run(qtbot, panel)
    assert longest_pause(lambda: run(qtbot, panel)) < 0.2


def test_deleting_the_panel_ends_the_run_and_its_folder(qtbot, viewer, make_panel):
    make = known(seconds=0.05)
    panel = make_panel(make)
    add_case(viewer, "ct", shape=(200, 24, 20))
    add_case(viewer, "mr", shape=(200, 24, 20))
    panel.evaluate.refresh()
    panel.evaluate.bar.press()
    qtbot.waitUntil(lambda: bool(make.made and make.made[0].slices_computed > 2), timeout=300_000)
    folder = panel.evaluate.control.job.out
    assert folder.exists()
    panel.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert QThreadPool.globalInstance().waitForDone(30_000)
    assert make.made[0].slices_computed < 100
