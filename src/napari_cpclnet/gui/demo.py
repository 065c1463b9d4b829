"""The window at the end of ``napari-cpclnet demo``: phantoms, painted slices, result, and the panel."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_cpclnet.gui.layers.scan_layers import segmentation_to_layer, volume_to_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_cpclnet.imaging import Segmentation
    from napari_cpclnet.phantoms.demo import DemoScans

_PROBE = "from qtpy.QtWidgets import QApplication; QApplication([])"


def why_no_window() -> str:
    """Reason why napari cannot open a window here; empty if it can.

    Qt ends the whole process where the display it was promised does not answer, so another process tries first.
    """
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed; install napari-cpclnet[all] to get it"
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "the display does not answer"
    return "" if probe.returncode == 0 else "Qt finds no display that works"


def open_demo(scans: DemoScans, results: Sequence[Segmentation]) -> None:
    """Show the demo in napari and return when its window is closed."""
    import napari

    from napari_cpclnet.gui.panel import CPCLNetPanel

    viewer = napari.Viewer(title="napari-cpclnet demo")
    fill_demo(viewer, scans, results)
    viewer.window.add_dock_widget(CPCLNetPanel(viewer), name="Few-shot segmentation", area="right")
    napari.run()


def fill_demo(viewer: ViewerModel, scans: DemoScans, results: Sequence[Segmentation]) -> None:
    """Put the demo's scans and labels into a viewer, the first labelled scan in front."""
    from napari.layers import Layer

    pairs = [(scans.support.volume, scans.painted)]
    pairs += [(query.volume, result) for query, result in zip(scans.queries, results, strict=True)]
    # The bodies lie in the same place of the room, so only one is shown; the last pair added is the first query.
    for position, (volume, segmentation) in enumerate([pairs[0], *reversed(pairs[1:])]):
        for data, kwargs, kind in (volume_to_layer(volume), segmentation_to_layer(segmentation)):
            visible = position == len(pairs) - 1
            viewer.add_layer(Layer.create(data, {**kwargs, "visible": visible}, kind))
    viewer.dims.set_current_step(0, viewer.dims.nsteps[0] // 2)
