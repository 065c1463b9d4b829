"""Open scans with truth, and a network whose scores are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

# Imported here and not in the first run: that takes seconds.
import napari_cpclnet.evaluation
import napari_cpclnet.evaluation.report.page  # noqa: F401
from napari_cpclnet.gui.layers.class_names import set_class_names
from napari_cpclnet.gui.layers.scan_layers import copied_transform
from napari_cpclnet.gui.widgets.run_bar import RunState
from napari_cpclnet.preprocessing import PreprocessingSettings

from .doubles import BrightSegmenter, add_volume, make_volume


class KnownSegmenter(BrightSegmenter):
    """Finds the bright box, as the truth of `add_case` is unless it is cut."""

    device = torch.device("cpu")
    model = SimpleNamespace(weights_hash="0123456789abcdef", metadata={"hash": "0123456789abcdef"})
    preprocessing = PreprocessingSettings()


def known(**settings: Any) -> Any:
    made: list[KnownSegmenter] = []

    def make(options: Any) -> KnownSegmenter:
        made.append(KnownSegmenter(options, **settings))
        return made[-1]

    make.made = made  # type: ignore[attr-defined]
    return make


def add_case(viewer: Any, name: str, *, missing: int | None = None, **where: Any) -> Any:
    """A scan and its truth, the bright box; ``missing``: a slice on which the truth is empty."""
    scan = add_volume(viewer, make_volume(name, **where))
    truth = (scan.data > 0.5).astype(np.uint8)
    if missing is not None:
        truth[missing] = 0
    labels = viewer.add_labels(truth, name=f"{name} truth", **copied_transform(scan))
    set_class_names(labels, {1: "box"})
    return scan


def wait_ready(qtbot: Any, panel: Any) -> None:
    qtbot.waitUntil(lambda: panel.evaluate.bar.state is RunState.READY, timeout=300_000)


def run(qtbot: Any, panel: Any) -> None:
    panel.evaluate.refresh()
    panel.evaluate.bar.press()
    wait_ready(qtbot, panel)
