"""Slow reading in a window: it lives meanwhile, and the user need not wait."""

from __future__ import annotations

import threading
import time

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from napari_cpclnet.gui.contributions import waiting
from napari_cpclnet.gui.contributions.waiting import GivenUpError, wait_for

from .doubles import longest_pause


def dialogs() -> list[QProgressDialog]:
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, QProgressDialog) and w.isVisible()]


@pytest.fixture
def window(qtbot, monkeypatch):
    from qtpy.QtWidgets import QWidget

    widget = QWidget()
    qtbot.addWidget(widget)
    widget.show()
    monkeypatch.setattr(waiting, "_window", lambda: widget)
    return widget


def test_without_a_window_it_is_just_called():
    assert wait_for(threading.current_thread, "Reading…") is threading.current_thread()


def test_in_a_window_it_is_called_in_a_thread_and_the_window_lives(window):
    threads = []

    def slow():
        threads.append(threading.current_thread())
        time.sleep(0.5)
        return 7

    assert longest_pause(lambda: wait_for(slow, "Reading…")) < 0.2
    assert threads[0] is not threading.main_thread()
    assert wait_for(slow, "Reading…") == 7
    assert dialogs() == []


def test_what_it_raises_is_raised(window):
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 // 0, "Reading…")


def test_the_user_sees_what_takes_so_long_and_may_give_up(qtbot, window):
    seen = []
    release = threading.Event()

    def cancel():
        if not dialogs():
            QTimer.singleShot(50, cancel)
            return
        (dialog,) = dialogs()
        seen.append(dialog.labelText())
        dialog.findChild(QPushButton).click()

    QTimer.singleShot(50, cancel)
    started = time.perf_counter()
    try:
        with pytest.raises(GivenUpError):
            wait_for(lambda: release.wait(200), "Reading scan, 400 slices…")
        assert time.perf_counter() - started < 150
    finally:
        release.set()
    assert seen == ["Reading scan, 400 slices…"]


def test_giving_up_opens_nothing(monkeypatch, tmp_path):
    from napari_cpclnet.gui.contributions import reader

    def give_up(*_):
        raise GivenUpError

    monkeypatch.setattr(reader, "wait_for", give_up)
    assert reader.read(str(tmp_path / "scan.nrrd")) == [(None,)]
