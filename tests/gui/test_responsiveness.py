"""The window lives in every step of an afternoon with several scans, and the watch that says so sees what blocks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from qtpy.QtCore import QTimer

from napari_cpclnet.model import bundled_weights

from .event_loop import GARBAGE, EventLoopWatch

pytestmark = pytest.mark.gui
COMMAND = Path(__file__).parents[2] / "benchmarks" / "speed" / "responsiveness.py"


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.fixture
def watch(qtbot):
    qtbot.wait(50)
    watch = EventLoopWatch()
    yield watch
    watch.end()


def watched(qtbot, watch, act):
    watch.begin()
    QTimer.singleShot(20, act)
    qtbot.wait(700)
    return watch.worst


def test_what_blocks_the_loop_is_seen(qtbot, watch):
    worst = watched(qtbot, watch, lambda: compute(0.3))
    assert 0.3 <= worst.ours < 0.5
    assert worst.places


def test_pieces_with_turns_between_them_block_nothing(qtbot, watch):
    def piece(left: int = 6) -> None:
        compute(0.05)
        if left:
            QTimer.singleShot(10, lambda: piece(left - 1))

    assert watched(qtbot, watch, piece).ours < 0.15


def test_waiting_for_a_thread_is_a_block(qtbot, watch):
    import threading

    assert watched(qtbot, watch, lambda: threading.Event().wait(0.4)).ours > 0.3


def test_searches_for_garbage_and_the_script_do_not_count(qtbot, watch):
    much = [[number] for number in range(300_000)]

    def script() -> None:
        with watch.script():
            compute(0.3)
        for _ in range(30):
            gc.collect()

    worst = watched(qtbot, watch, script)
    assert len(much) and worst.ours < 0.1
    assert max(block.apart.get(GARBAGE, 0) for block in watch.blocks) > 0.1


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not bundled_weights().is_file(), reason="no weights are bundled in this checkout")
def test_the_window_never_stands_still_in_an_afternoon_with_several_scans(tmp_path):
    words = [sys.executable, str(COMMAND), "--scans", "2", "--quick", "--check"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ})
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
