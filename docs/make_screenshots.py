"""Make the pictures of the guide: a real napari window of 1280x720 with the panel, on phantoms.

Run it where there is a display, real or virtual:

    xvfb-run -a -s "-screen 0 1280x1024x24 +extension GLX" python docs/make_screenshots.py
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.layers import Layer
from qtpy.QtWidgets import QApplication

from napari_cpclnet.gui.panel import CPCLNetPanel
from napari_cpclnet.gui.run_bar import RunState
from napari_cpclnet.gui.sample_data import painted_ct_and_mr
from napari_cpclnet.gui.session import Session
from napari_cpclnet.gui.view import jump_to_slice

if TYPE_CHECKING:
    from napari_cpclnet.gui.options import SegmenterFactory

SIZE = (1280, 720)


class Photographer:
    """A napari window with the panel, and a folder for its pictures."""

    def __init__(self, folder: Path, make_segmenter: SegmenterFactory | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.viewer = napari.Viewer(show=False)
        self.window = self.viewer.window._qt_window
        self.window.resize(*SIZE)
        self.window.show()
        self.panel = CPCLNetPanel(self.viewer, Session(self.viewer, make_segmenter))
        self.viewer.window.add_dock_widget(self.panel, name="CPCLNet", area="right")
        self.tab = self.panel.segment

    def wait(self, seconds: float) -> None:
        """Let the window live."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def shoot(self, name: str, settle: float = 0.4) -> None:
        """Write one picture, after the window has settled."""
        self.wait(settle)
        for _ in range(5):  # a busy machine may not have come to the layout yet
            QApplication.processEvents()
        self.viewer.screenshot(str(self.folder / f"{name}.png"), canvas_only=False, flash=False)

    def run_until(self, fraction: float) -> None:
        """Wait until this fraction of the slices of the scan in work is labelled, or until the run is over."""
        bar = self.tab.bar
        while bar.state is not RunState.READY:
            self.wait(0.02)
            total = bar.progress.maximum()
            if fraction < 1 and total > 0 and bar.progress.value() >= fraction * total:
                return


def make(folder: Path, make_segmenter: SegmenterFactory | None = None) -> None:
    """Make all pictures."""
    photographer = Photographer(folder, make_segmenter)
    viewer, tab = photographer.viewer, photographer.tab
    photographer.shoot("segment-empty")
    for data, kwargs, kind in painted_ct_and_mr():
        viewer.add_layer(Layer.create(data, kwargs, kind))
    photographer.wait(0.5)
    slices = tab.support.slices
    slices.go_to(slices.tree.entries()[2])
    viewer.reset_view()
    photographer.shoot("segment-painted", settle=6)  # the small pictures come from the background
    tab.bar.press()
    photographer.run_until(0.5)
    photographer.shoot("segment-running", settle=0.0)
    photographer.run_until(1.0)
    result = viewer.layers[-1]
    jump_to_slice(viewer, result, 0, result.data.shape[0] * 45 // 100)
    photographer.shoot("segment-done")
    viewer.theme = "light"
    tab.options.expand(animate=False)
    photographer.shoot("segment-light")
    viewer.theme = "dark"
    tab.options.collapse(animate=False)
    tab.support.new_labels()
    tab.bar.press()
    photographer.shoot("segment-error")
    viewer.close()


def make_train(folder: Path, run: Path, steps: int, every: int) -> None:
    """Make the pictures of the tab Train, of a run that begins in an empty folder; takes minutes."""
    photographer = Photographer(folder)
    panel, tab = photographer.panel, photographer.panel.train
    panel.tabs.setCurrentWidget(tab)
    box, held_out = tab.settings, tab.progress.dice.curves["held out"]
    box.out.set_path(run)
    box.steps.setValue(steps)
    box.every.setValue(every)
    photographer.shoot("train-choices")
    tab.bar.press()
    while tab.bar.state is RunState.RUNNING and len(held_out.points) < 4:
        photographer.wait(0.2)
    photographer.shoot("train-running")
    photographer.viewer.theme = "light"
    photographer.shoot("train-light")
    tab.control.stop()
    while tab.bar.state is not RunState.READY:
        photographer.wait(0.1)
    photographer.viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument(
        "--train", type=Path, help="folder of a run: make the pictures of the tab Train instead"
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--every", type=int, default=20)
    given = parser.parse_args()
    if given.train:
        make_train(given.out, given.train, given.steps, given.every)
    else:
        make(given.out)
