"""Open scans, paint, run, and remove layers in random orders: `python removals.py SEQUENCES [SEED]`."""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

import napari
import numpy as np
from qtpy.QtTest import QTest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.gui.doubles import add_volume, factory, make_volume

from napari_cpclnet.gui.panel import CPCLNetPanel
from napari_cpclnet.gui.session.session import Session
from napari_cpclnet.gui.widgets.run_bar import RunState


def sequence(viewer: napari.Viewer, panel: CPCLNetPanel, rng: np.random.Generator) -> list[str]:
    """Add some layers, do something with them, and take all of them away; returns what was done."""
    done: list[str] = []
    names = [f"{kind} {rng.integers(1000)}" for kind in ("ct", "mr", "pet")[: rng.integers(1, 4)]]
    for name in names:
        add_volume(viewer, make_volume(name, shape=(6, 24, 20)))
    QTest.qWait(1)
    panel.segment.refresh()
    for _ in range(rng.integers(1, 4)):
        step = str(rng.choice(["new", "paint", "run", "3d", "2d", "mark", "coronal"]))
        done.append(step)
        labels = panel.session.support_labels
        if step == "new" and panel.session.support_scan is not None:
            panel.segment.support.new.click()
        elif step == "paint" and labels is not None:
            labels.mode = str(rng.choice(["paint", "fill", "erase", "pick", "polygon"]))
            labels.paint((2, 12, 10), 1)
        elif step == "run":
            panel.segment.control.ask = lambda _text, choices: choices[0]
            panel.segment.bar.press()
        elif step in ("3d", "2d"):
            viewer.dims.ndisplay = int(step[0])
        elif step == "mark":
            panel.segment.support.slices.mark_absent()
        elif step == "coronal":
            viewer.dims.order = tuple(rng.permutation(3))
        QTest.qWait(int(rng.integers(0, 30)))
    while viewer.layers:
        index = int(rng.integers(len(viewer.layers)))
        if rng.random() < 0.5:
            viewer.layers.selection.active = viewer.layers[int(rng.integers(len(viewer.layers)))]
        done.append(f"- {viewer.layers[index].name}")
        del viewer.layers[index]
        if rng.random() < 0.7:
            QTest.qWait(int(rng.integers(0, 20)))
    QTest.qWait(20)
    for _ in range(500):
        if panel.segment.bar.state is RunState.READY:
            break
        QTest.qWait(10)
    viewer.dims.ndisplay = 2
    return done


def main() -> None:
    """So many sequences; each is printed before the next, so that the last line tells of a crash."""
    faulthandler.enable()
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    viewer = napari.Viewer(show=False)
    viewer.window._qt_window.resize(900, 600)
    viewer.window._qt_window.show()
    panel = CPCLNetPanel(viewer, Session(viewer, factory(seconds=0.005)))
    viewer.window.add_dock_widget(panel, area="right")
    for number in range(count):
        print(seed + number, sequence(viewer, panel, np.random.default_rng(seed + number)), flush=True)
    print("all removed", flush=True)
    viewer.close()


if __name__ == "__main__":
    main()
