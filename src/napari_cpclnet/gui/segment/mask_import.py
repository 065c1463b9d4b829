"""Masks from files on the support scan read in the background; doubtful places and nameless classes are asked about."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_cpclnet.gui.segment.class_match import ask_classes, unnamed_values
from napari_cpclnet.gui.widgets.asking import ask
from napari_cpclnet.gui.widgets.worker import BackgroundCall

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cpclnet.gui.session.session import Session

MASK_FILES = "Masks (*.nii *.nii.gz *.nrrd *.mha *.mhd *.png *.tif *.tiff *.dcm);;All files (*)"
USE, BY_VOXEL = "Use it where it lies", "Put it on the scan voxel by voxel"


class MaskImport(QObject):
    """Emits `imported` when a mask was added, `busy(bool)`, and `message(text, is_error)` to be shown.

    Attributes
    ----------
    ask, ask_classes
        How the user is asked: `asking.ask` and `class_match.ask_classes` with the parent left out.
    """

    imported = Signal()
    busy = Signal(bool)
    message = Signal(str, bool)

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session = session
        self._window = parent
        self._waiting: list[Path] = []
        self._reading = False
        self.ask = partial(ask, parent)
        self.ask_classes = partial(ask_classes, parent)

    def choose(self) -> None:
        """Ask for mask files and read them one after another."""
        if self.session.support_scan is None:
            return
        chosen, _ = QFileDialog.getOpenFileNames(
            self._window, "Import masks of the support scan", "", MASK_FILES
        )
        for path in chosen:
            self.load(Path(path))

    def load(self, path: Path) -> None:
        """Read a mask file in the background and take it as the labels of the support scan."""
        self._waiting.append(path)
        if not self._reading:
            self._next()

    def _next(self) -> None:
        self._reading = bool(self._waiting)
        self.busy.emit(self._reading)
        if self._waiting:
            self._read(self._waiting.pop(0))

    def _read(self, path: Path, *, by_voxel: bool = False) -> None:
        self.message.emit(f"Reading {path.name}…", False)
        scan = self.session.support_scan
        call = BackgroundCall(self.session.mask_reader(path, by_voxel=by_voxel), self)
        call.done.connect(lambda mask: self._done(path, mask, scan))
        call.failed.connect(self._failed)
        call.start()

    def _done(self, path: Path, mask: Any, scan: Image | None) -> None:
        if self.session.support_scan is not scan:
            self._failed("The support scan was changed while the mask was read: import it again.")
        elif not (choices := _places(mask)):  # it lies elsewhere, so there is nothing to take
            self._failed(f"{mask.name}: {' '.join(mask.notes) or 'holds no label.'}")
        elif mask.doubt:
            answer = self.ask(f"{mask.name}: {mask.doubt} Use it all the same?", choices)
            if answer == USE:
                self._add(mask)
            elif answer == BY_VOXEL:
                self._read(path, by_voxel=True)
            else:
                self._given_up(mask)
        else:
            self._add(mask)

    def _add(self, mask: Any) -> None:
        classes = dict(mask.classes)
        named = self.session.class_actions.named()
        if named and (values := unnamed_values(mask)):
            chosen = self.ask_classes(mask.name, values, named)
            if chosen is None:
                self._given_up(mask)
                return
            classes |= chosen
        self.session.add_mask(mask, classes)
        self.message.emit(" ".join(mask.notes), False)
        self.imported.emit()
        self._next()

    def _given_up(self, mask: Any) -> None:
        self.message.emit(f"{mask.name} was not imported.", False)
        self._next()

    def _failed(self, text: str) -> None:
        self.message.emit(text, True)
        self._next()


def _places(mask: Any) -> list[str]:
    """Where a mask may be put on the scan."""
    by_voxel = [BY_VOXEL] if "as many voxels" in mask.doubt else []
    return by_voxel + ([USE] if mask.labels.any() else [])
