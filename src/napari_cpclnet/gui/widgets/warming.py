"""What takes long the first time is got ready in a thread, before it is needed and the window would stand still."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

from napari_cpclnet.gui.widgets.worker import BackgroundCall

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

MODULES = (
    "napari_cpclnet.imaging.labels",
    "napari_cpclnet.imaging.dicom.labels",
    "napari_cpclnet.imaging.reading",
    "scipy.spatial",  # napari's camera
    "pandas",  # napari's labels layers
    "scipy.ndimage",
    "napari_cpclnet.propagation.mending",
    "napari_cpclnet.imaging.surfaces",
)
"""What opening, painting and mending import, in the order in which it is needed; no torch, which a run loads."""

SOON_MS = 50


def warm_up(panel: QWidget) -> None:
    """Begin once the panel is in sight."""
    call = BackgroundCall(_import, panel)
    QTimer.singleShot(SOON_MS, call.start)


def _import() -> None:
    for name in MODULES:
        with suppress(ImportError):  # of another napari; who needs it says so
            importlib.import_module(name)
    from napari_cpclnet.imaging.terminology import Terminology

    Terminology()
