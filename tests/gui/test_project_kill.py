"""Killed in the middle of painting: no more than ten seconds of strokes are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from napari_cpclnet.gui.project.recent import unsaved_work
from napari_cpclnet.imaging import read_segmentation
from napari_cpclnet.project import read_project

pytestmark = [pytest.mark.gui, pytest.mark.slow]

SIZE, STROKES_PER_S = 256, 10
# Paints one voxel after the other, without a pause, and says when.
PAINT = """
import sys, time
import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from napari_cpclnet.gui.panel import CPCLNetPanel

application = QApplication([])
viewer = ViewerModel()
panel = CPCLNetPanel(viewer)
viewer.add_image(np.zeros((60, 256, 256), np.float32), name="ct", scale=(3.0, 1.0, 1.0))
panel.segment.refresh()
panel.segment.support.new_labels()
labels = panel.session.support_labels
labels.brush_size = 1
if sys.argv[1]:
    from pathlib import Path
    panel.segment.project.control.save_to(Path(sys.argv[1]))
count = 0

def stroke():
    global count
    labels.paint((20, count // 256, count % 256), 1)
    print(count, time.time(), flush=True)
    count += 1

timer = QTimer()
timer.timeout.connect(stroke)
timer.start(100)
application.exec()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
@pytest.mark.parametrize("saved", [True, False], ids=["saved project", "never saved"])
def test_a_kill_loses_at_most_ten_seconds(tmp_path, saved):
    folder = tmp_path / "work" if saved else None
    log = tmp_path / "strokes.txt"
    with log.open("w") as stream:
        painting = subprocess.Popen([sys.executable, "-c", PAINT, str(folder or "")], stdout=stream)
        try:
            start = None
            deadline = time.time() + 120
            # long enough for two saves, and ended at no particular moment between them
            while start is None or time.time() - start < 17.3:
                assert painting.poll() is None, "the painting process ended by itself"
                assert time.time() < deadline, "the painting process never began"
                time.sleep(0.1)
                if start is None and log.read_text().count("\n"):
                    start = time.time()
        finally:
            painting.send_signal(signal.SIGKILL)
            killed = time.time()
            painting.wait()
    if folder is None:
        (folder,) = unsaved_work()
    (support,) = read_project(folder).supports
    labels = read_segmentation(folder / support.mask).labels
    kept = int(np.count_nonzero(labels)) - 1  # strokes are single voxels, in order
    strokes = [line.split() for line in log.read_text().splitlines() if line.count(" ") == 1]
    times = {int(number): float(at) for number, at in strokes}
    assert set(zip(*np.nonzero(labels[20]), strict=True)) == {(n // SIZE, n % SIZE) for n in range(kept + 1)}
    assert kept >= STROKES_PER_S, "nothing was saved while the strokes went on"
    lost = killed - times[kept + 1] if kept + 1 in times else 0.0
    assert lost <= 10.0, f"{lost:.1f} s of painting were lost"
    # nothing half-written is left to be taken for a mask
    assert [file.name for file in (folder / "masks").iterdir() if not file.name.startswith(".")] == [
        support.mask.removeprefix("masks/")
    ]
