"""Shortcuts of the panel: bound in the viewer, printed on the buttons, chosen not to clash with napari's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtGui import QKeySequence

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QPushButton

RUN = "Control-Alt-R"
NEW_LABELS = "Control-Alt-N"
IMPORT_MASK = "Control-Alt-I"
NEXT_PAINTED = "Control-Alt-J"
COPY_ON = "Control-Alt-C"
MARK_ABSENT = "Control-Alt-A"
MARK_PARTIAL = "Control-Alt-H"
BACKGROUND_SCRIBBLE = "Control-Alt-B"
MEND = "Control-Alt-M"
SAVE_PROJECT = "Control-Alt-K"
USE_SLICE = "Control-Alt-U"
SUGGEST = "Control-Alt-G"
NEXT_REVIEW = "N"
PREVIOUS_REVIEW = "Shift-N"
ACCEPT_SLICE = "K"
NEXT_SCAN = "J"
CLASS_KEYS = tuple(f"Alt-{number}" for number in range(1, 10))
"""Of the first nine classes; napari chooses its tools by the digits alone."""

WHAT = {
    RUN: "Run; while it runs: cancel",
    NEW_LABELS: "New support labels, ready to paint",
    IMPORT_MASK: "Import a mask of the support scan",
    NEXT_PAINTED: "Go to the next painted slice",
    COPY_ON: "Copy the class on this slice to the next slice",
    MARK_ABSENT: "Mark this slice empty: none of the classes is on it",
    MARK_PARTIAL: "Mark this slice partial: what is not painted on it is unknown; once more: complete",
    BACKGROUND_SCRIBBLE: "Scribble on the background",
    MEND: "Mend by the tool used last; once more: napari has the mouse again",
    USE_SLICE: "Add the slice in view of the result to the support",
    SUGGEST: "Suggest the slice to paint next",
    NEXT_REVIEW: "Go to the next slice to review",
    PREVIOUS_REVIEW: "Go to the slice to review before",
    ACCEPT_SLICE: "Accept the slice in view and go to the next slice to review",
    NEXT_SCAN: "Go to the next scan with slices to review",
    **{key: f"Paint with class {number} of the list" for number, key in enumerate(CLASS_KEYS, start=1)},
    SAVE_PROJECT: "Save the project (keep it)",
}
"""What each shortcut does, in the order of the help page."""


def printed(shortcut: str) -> str:
    """Shortcut as this platform writes it."""
    keys = shortcut.replace("Control", "Ctrl").replace("-", "+")
    return str(QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText))


def label(button: QPushButton, text: str, shortcut: str) -> None:
    """Put text and shortcut on a button."""
    button.setText(f"{text} ({printed(shortcut)})")


class ViewerShortcuts:
    """Key bindings in a viewer that can be taken back; a key that is taken already is left alone."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._bound: list[str] = []

    def bind(self, shortcut: str, action: Callable[[], object]) -> None:
        """Bind a key to an action without arguments."""

        def pressed(_viewer: ViewerModel) -> None:
            action()

        try:
            self._viewer.bind_key(shortcut, pressed)
        except ValueError:  # another plugin or a second panel has it
            return
        self._bound.append(shortcut)

    def release(self) -> None:
        """Unbind everything."""
        while self._bound:
            self._viewer.bind_key(self._bound.pop(), None)
