"""Work in pieces between which the window lives: each in a turn of the event loop, all of it at once where need be."""

from __future__ import annotations

from qtpy.QtCore import QTimer

from napari_cpclnet.gui.project.restore import restoring
from napari_cpclnet.gui.project.tracker import ProjectTracker
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.gui.widgets.turns import Turns
from napari_cpclnet.project import locate, open_project, read_project

from .test_project import save, work


def counted(done, upto=3):
    for number in range(upto):
        done.append(number)
        yield


def test_each_step_has_a_turn_of_its_own(qtbot):
    done, seen, turns = [], [], Turns()
    beat = QTimer()
    beat.setInterval(0)
    beat.timeout.connect(lambda: seen.append(len(done)))
    beat.start()
    turns.start(counted(done))
    assert turns.are_left and not done
    qtbot.waitUntil(lambda: not turns.are_left)
    assert done == [0, 1, 2]
    assert {1, 2} <= set(seen), "something else came between the steps"


def test_what_is_left_is_done_at_once_before_anything_else_begins(qtbot):
    done, turns = [], Turns()
    turns.start(counted(done))
    turns.start(counted(done, 1))
    assert done == [0, 1, 2] and turns.are_left
    turns.finish()
    assert done == [0, 1, 2, 0] and not turns.are_left


def test_a_scan_that_is_taken_away_while_its_project_opens_stays_away(viewer, tmp_path):
    save(work(viewer, tmp_path), tmp_path / "work")
    session = Session(type(viewer)())
    keeper, project = ProjectTracker(session), read_project(tmp_path / "work")
    steps = restoring(
        session,
        keeper,
        open_project(project, tmp_path / "work", locate(project, tmp_path / "work")),
        own=True,
    )
    next(steps)
    gone = session.viewer.layers[0]
    session.viewer.layers.remove(gone)
    for _ in steps:
        pass
    assert gone not in session.viewer.layers
    assert all(pair.scan is not gone for pair in session.slices.pairs)
    keeper.snapshot()
    assert not session.arranging
