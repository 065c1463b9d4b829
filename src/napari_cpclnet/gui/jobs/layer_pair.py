"""An open scan and the labels that are its ground truth. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Image

    from napari_cpclnet.gui.layers.scan_layers import LayerScan


@dataclass(frozen=True, eq=False)
class LayerPair:
    """An open scan with its truth, (z, y, x), copied when the run began. ``layer`` is for the GUI thread only."""

    layer: Image
    scan: LayerScan
    truth: np.ndarray
    truth_name: str
    names: dict[int, str]
    patient: str
