"""Paints into a project without a hand: arguments are its folder (empty: never saved) and the file for the log.

One voxel after the other, in bursts; each is logged with its time, and how many voxels an opened project brought.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TextIO

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_cpclnet.gui.panel import CPCLNetPanel
from napari_cpclnet.gui.project.recent import unsaved_work

SHAPE, SLICE = (60, 128, 128), 20
STROKES_PER_SECOND, BURST, PAUSE_SECONDS = 20, 30, 2.5


def paint(project: str, log: str) -> None:
    """Open or begin the project, and paint until killed."""
    application = QApplication([])
    viewer = ViewerModel()
    panel = CPCLNetPanel(viewer)
    control = panel.segment.project.control
    found = Path(project) if project else next(iter(unsaved_work()), None)
    is_there = found is not None and (found / "project.json").is_file()
    stream = Path(log).open("a")  # noqa: SIM115  until the process is killed
    control.message.connect(_end_if_wrong)
    if found is not None and is_there:
        control.opened.connect(lambda: _go_on(panel, stream))
        control.open(found)
    else:
        viewer.add_image(np.zeros(SHAPE, np.float32), name="ct", scale=(3.0, 1.0, 1.0))
        panel.segment.refresh()
        panel.segment.support.new_labels()
        if project:
            control.save_to(Path(project))
        _go_on(panel, stream)
    application.exec()


def _end_if_wrong(text: str, is_error: bool) -> None:
    if is_error:
        print(text, file=sys.stderr, flush=True)
        os._exit(1)


def _go_on(panel: CPCLNetPanel, stream: TextIO) -> None:
    labels = panel.session.support_labels
    assert labels is not None
    labels.brush_size = 1
    count = int(np.count_nonzero(labels.data))
    stream.write(f"opened {count}\n")
    stream.flush()
    width = labels.data.shape[2]
    timer = QTimer(panel)

    def stroke() -> None:
        nonlocal count
        labels.paint((SLICE, count // width, count % width), 1)
        stream.write(f"{count} {time.time()}\n")
        stream.flush()
        count += 1
        timer.setInterval(round(1000 * (PAUSE_SECONDS if count % BURST == 0 else 1 / STROKES_PER_SECOND)))

    timer.timeout.connect(stroke)
    timer.start(1)


if __name__ == "__main__":
    paint(*sys.argv[1:])
