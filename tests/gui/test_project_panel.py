"""Saving and opening in the panel: by button, by itself, and what is asked."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from napari_cpclnet.gui.project.recent import recent_projects, unsaved_work
from napari_cpclnet.gui.segment.project_row import CANCEL, LOOK, OPEN
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.imaging import read_volume, write_volume
from napari_cpclnet.project import absolute_path, read_project
from napari_cpclnet.segmentation.settings import RunSettings

from .doubles import add_volume, factory, make_volume


@pytest.fixture
def panel(viewer, make_panel, tmp_path):
    """A panel with one painted scan that lies in a file."""
    made = make_panel(factory())
    (tmp_path / "scans").mkdir()
    path = write_volume(make_volume("ct"), tmp_path / "scans" / "ct.nii.gz")
    add_volume(viewer, read_volume(path))
    made.segment.refresh()
    made.segment.support.new_labels()
    stroke(made, 2)
    return made


def stroke(panel, index, value=1):
    panel.session.support_labels.paint((index, 8, 8), value)


def control_of(panel):
    return panel.segment.project.control


def save_to(qtbot, panel, folder):
    control = control_of(panel)
    control.save_to(folder)
    qtbot.waitUntil(lambda: control.is_saved, timeout=300_000)


def painted(folder):
    from napari_cpclnet.imaging import read_segmentation

    (file,) = (folder / "masks").iterdir()
    return {int(z) for z in np.unique(np.nonzero(read_segmentation(file).labels)[0])}


def test_save_asks_for_a_folder_once(qtbot, panel, tmp_path, monkeypatch):
    row, asked = panel.segment.project, []

    def ask(*_args):
        asked.append(1)
        return str(tmp_path / "liver day"), ""

    monkeypatch.setattr("napari_cpclnet.gui.segment.project_row.QFileDialog.getSaveFileName", ask)
    row.save_button.click()
    qtbot.waitUntil(lambda: control_of(panel).is_saved, timeout=300_000)
    assert row.name.text() == "liver day"
    stroke(panel, 5)
    assert row.name.text() == "liver day *"
    row.save_button.click()
    qtbot.waitUntil(lambda: control_of(panel).is_saved, timeout=300_000)
    assert len(asked) == 1
    assert painted(tmp_path / "liver day") == {2, 5}
    assert recent_projects() == [tmp_path / "liver day"]


def test_strokes_are_saved_by_themselves(qtbot, panel, tmp_path):
    save_to(qtbot, panel, tmp_path / "work")
    stroke(panel, 6)
    qtbot.waitUntil(lambda: control_of(panel).is_saved, timeout=300_000)
    assert painted(tmp_path / "work") == {2, 6}
    panel.session.support_labels.undo()
    assert control_of(panel).clock.pending
    qtbot.waitUntil(lambda: control_of(panel).is_saved, timeout=300_000)
    assert painted(tmp_path / "work") == {2}


def test_only_save_writes_while_autosave_is_off(qtbot, viewer, panel, tmp_path, monkeypatch):
    control, row = control_of(panel), panel.segment.project
    control.set_autosave(False, 0.2)
    control.clock.quiet = 0.1
    stroke(panel, 3)
    qtbot.wait(500)
    assert unsaved_work() == []
    save_to(qtbot, panel, tmp_path / "work")
    stroke(panel, 6)
    qtbot.wait(500)
    assert painted(tmp_path / "work") == {2, 3}
    assert row.name.text() == "work *"
    assert "nothing is saved by itself" in row.save_button.toolTip()
    asked = []
    monkeypatch.setattr(
        row, "ask", lambda _name, warnings, **_more: (asked.append(warnings), (CANCEL, True))[1]
    )
    control.open(tmp_path / "work")
    qtbot.waitUntil(lambda: bool(asked), timeout=300_000)
    assert "is not saved: press Save first" in asked[0][0]
    control.save()
    qtbot.waitUntil(lambda: control.is_saved, timeout=300_000)
    assert painted(tmp_path / "work") == {2, 3, 6}
    stroke(panel, 7)
    control.set_autosave(True, 7.0)
    qtbot.waitUntil(lambda: control.is_saved, timeout=300_000)
    assert painted(tmp_path / "work") == {2, 3, 6, 7}


def test_going_through_the_slices_changes_nothing(qtbot, viewer, panel, tmp_path):
    save_to(qtbot, panel, tmp_path / "work")
    for index in range(6):
        viewer.dims.set_current_step(0, index)
    qtbot.wait(20)
    assert not control_of(panel).clock.pending


def test_unsaved_work_is_kept_until_it_is_saved(qtbot, panel, tmp_path):
    assert unsaved_work() == []
    qtbot.waitUntil(lambda: bool(unsaved_work()), timeout=300_000)
    (kept,) = unsaved_work()
    assert painted(kept) == {2}
    assert not control_of(panel).is_saved
    qtbot.waitUntil(lambda: not control_of(panel)._saving, timeout=300_000)
    save_to(qtbot, panel, tmp_path / "work")
    assert unsaved_work() == []


def test_nothing_is_kept_of_a_viewer_in_which_nothing_was_painted(qtbot, viewer, make_panel):
    panel = make_panel(factory())
    control_of(panel).clock.quiet = 0.1
    add_volume(viewer, make_volume("ct"))
    qtbot.waitUntil(lambda: not control_of(panel).clock.pending, timeout=300_000)
    assert unsaved_work() == []
    assert control_of(panel).keeper.folder is None


def test_the_last_stroke_before_the_panel_closes_is_saved(qtbot, panel, tmp_path):
    save_to(qtbot, panel, tmp_path / "work")
    stroke(panel, 7)
    with qtbot.waitSignal(panel.destroyed, timeout=300_000):
        panel.deleteLater()
    assert painted(tmp_path / "work") == {2, 7}


def test_closing_all_layers_does_not_empty_the_project(qtbot, viewer, panel, tmp_path):
    save_to(qtbot, panel, tmp_path / "work")
    stroke(panel, 7)
    viewer.layers.clear()
    control = control_of(panel)
    qtbot.waitUntil(lambda: not control._saving and not control.clock.pending, timeout=300_000)
    assert control.keeper.folder is None
    add_volume(viewer, make_volume("something new"))
    control.clock.quiet = 0.1
    control.touch()
    qtbot.waitUntil(lambda: not control._saving and not control.clock.pending, timeout=300_000)
    assert len(read_project(tmp_path / "work").supports) == 1
    assert painted(tmp_path / "work") == {2, 7}


def test_a_project_is_never_saved_over_another(qtbot, panel, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "project.json").write_text("precious")
    control_of(panel).save_to(tmp_path / "other")
    assert "holds a project already" in panel.segment.bar.message.text()
    assert (tmp_path / "other" / "project.json").read_text() == "precious"
    assert not control_of(panel).keeper.own


def test_a_folder_that_cannot_be_written_is_said_once_and_tried_again(qtbot, panel, tmp_path):
    (tmp_path / "file").touch()
    control, said = control_of(panel), []
    control.clock.quiet = 0.1
    control.message.connect(lambda text, error: said.append((text, error)))
    control.save_to(tmp_path / "file" / "work")
    qtbot.waitUntil(lambda: bool(said), timeout=300_000)
    qtbot.wait(600)
    assert len(said) == 1
    assert said[0][1]
    assert "The project is not saved" in said[0][0]
    (tmp_path / "file").unlink()
    qtbot.waitUntil(lambda: control.is_saved, timeout=300_000)


def test_a_project_is_opened_in_place_of_the_open_layers(qtbot, viewer, panel, tmp_path, monkeypatch):
    panel.segment.options.set_options(RunSettings(plane="axial", adapt=30))
    save_to(qtbot, panel, tmp_path / "work")
    row, asked = panel.segment.project, []
    viewer.layers.clear()
    panel.segment.options.set_options(RunSettings())
    add_volume(viewer, make_volume("other"))

    def ask(name, warnings, **more):
        asked.append((name, warnings, more))
        return OPEN, True

    monkeypatch.setattr(row, "ask", ask)
    qtbot.waitUntil(lambda: not control_of(panel)._saving, timeout=300_000)
    with qtbot.waitSignal(row.opened, timeout=300_000):
        control_of(panel).open(tmp_path / "work")
    assert asked == [("work", [], {"missing": False, "layers": 1})]
    assert [layer.name for layer in viewer.layers] == ["ct", "ct – painted slices"]
    assert panel.session.slices.painted_slices() == {2: (1,)}
    assert panel.segment.options.options().adapt == 30
    assert panel.session.options.adapt == 30
    assert row.name.text().startswith("work")


def test_a_missing_scan_can_be_looked_for_elsewhere(
    qtbot, viewer, panel, tmp_path, tmp_path_factory, monkeypatch
):
    save_to(qtbot, panel, tmp_path / "work")
    far = tmp_path_factory.mktemp("far")
    shutil.move(tmp_path / "scans" / "ct.nii.gz", far / "x.nii.gz")
    viewer.layers.clear()
    row, asked = panel.segment.project, []

    def ask(_name, warnings, *, missing, layers):
        asked.append((missing, warnings))
        return LOOK, True

    monkeypatch.setattr(row, "ask", ask)
    monkeypatch.setattr(
        "napari_cpclnet.gui.segment.project_row.QFileDialog.getExistingDirectory", lambda *_: str(far)
    )
    with qtbot.waitSignal(row.opened, timeout=300_000):
        control_of(panel).open(tmp_path / "work")
    assert [missing for missing, _ in asked] == [True]
    assert "is not at" in asked[0][1][0]
    assert panel.session.slices.painted_slices() == {2: (1,)}


def test_opening_can_be_called_off(qtbot, viewer, panel, tmp_path, monkeypatch):
    save_to(qtbot, panel, tmp_path / "work")
    write_volume(make_volume("another"), tmp_path / "scans" / "ct.nii.gz")
    row, asked = panel.segment.project, []

    def ask(_name, warnings, **_more):
        asked.append(warnings)
        return CANCEL, True

    monkeypatch.setattr(row, "ask", ask)
    before = list(viewer.layers)
    control_of(panel).open(tmp_path / "work")
    qtbot.waitUntil(lambda: bool(asked), timeout=300_000)
    assert "was changed since" in asked[0][0]
    assert list(viewer.layers) == before


def test_what_is_no_project_is_said(qtbot, panel, tmp_path):
    control_of(panel).open(tmp_path)
    bar = panel.segment.bar
    qtbot.waitUntil(lambda: "is no project" in bar.message.text(), timeout=300_000)


def test_the_menu_lists_recent_projects_and_unsaved_work(qtbot, panel, tmp_path):
    row = panel.segment.project
    qtbot.waitUntil(lambda: bool(unsaved_work()), timeout=300_000)
    other = unsaved_work()[0].with_name("2026-01-02 03-04-05 1-ab")
    shutil.copytree(unsaved_work()[0], other)
    qtbot.waitUntil(lambda: not control_of(panel)._saving, timeout=300_000)
    save_to(qtbot, panel, tmp_path / "work")
    save_to(qtbot, panel, tmp_path / "second")
    row.fill_menu()
    texts = [action.text() for action in row.menu.actions() if action.text()]
    assert texts == ["work", "Unsaved work, 2026-01-02 03:04", "Save as…"]


@pytest.mark.parametrize("answer", ["Save in the project's folder", "Save there", "Cancel"])
def test_a_folder_for_results_outside_the_project_is_agreed_to_first(
    qtbot, viewer, panel, tmp_path, monkeypatch, answer
):
    folder, outside, control = tmp_path / "work", tmp_path / "elsewhere", control_of(panel)
    save_to(qtbot, panel, folder)
    viewer.layers.clear()
    project = json.loads((folder / "project.json").read_text())
    project["settings"]["output"] = "../elsewhere"
    (folder / "project.json").write_text(json.dumps(project))
    said = []
    panel.segment.project.message.connect(lambda text, _is_error: said.append(text))
    qtbot.waitUntil(lambda: not control._saving, timeout=300_000)
    with qtbot.waitSignal(panel.segment.project.opened, timeout=300_000):
        control.open(folder)
    assert any(f"wants its results in {outside}" in text for text in said)
    assert panel.session.queries.save_to.folder == folder / "results"
    panel.session.tick_query(viewer.layers["ct"], True)
    panel.segment.refresh()
    asked = []
    monkeypatch.setattr(panel.segment.control, "ask", lambda text, _: asked.append(text) or answer)
    panel.segment.bar.press()
    qtbot.waitUntil(lambda: panel.segment.bar.state is RunState.READY, timeout=300_000)
    assert len(asked) == 1
    assert str(outside) in asked[0]
    found = {place for place in (outside, folder / "results") if list(place.glob("ct_labels*"))}
    wanted = {"Save there": {outside}, "Cancel": set()}.get(answer, {folder / "results"})
    assert found == wanted
    control.save()
    qtbot.waitUntil(lambda: control.is_saved, timeout=300_000)
    chosen = absolute_path(read_project(folder).settings.output, folder)
    assert chosen == (folder / "results" if found == {folder / "results"} else outside)
