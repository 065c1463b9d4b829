"""Tools that mend labels by a stroke: points, scribbles, lasso, box, smart brush, grow to edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QPushButton, QWidget

from napari_cpclnet.gui.mend.mend_control import MendControl
from napari_cpclnet.gui.widgets.shortcuts import MEND, printed
from napari_cpclnet.gui.widgets.style import spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.jobs.mend_job import Tool
    from napari_cpclnet.gui.session.session import Session

TOOLS: dict[Tool, tuple[str, str]] = {
    "point": ("Point", "Click where the class is, or is not: what hangs together with it changes."),
    "scribble": ("Scribble", "Draw a line through where the class is, or is not."),
    "lasso": (
        "Lasso",
        "Draw around it: edges within the line decide; what is removed is all that is enclosed.",
    ),
    "box": ("Box", "Drag a box around it: edges within the box decide; what is removed is all in the box."),
    "brush": (
        "Smart brush",
        "Paint with the size of napari's brush; only what looks alike below it is painted.",
    ),
    "grow": ("Grow to edge", "Click or draw inside of a structure: it is painted as far as its edge."),
}
SHIFT = "Hold Shift for the opposite of what is chosen below."


class MendBox(QWidget):
    """A button for each tool; one of them at most is pressed."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.control = MendControl(session, self)
        self._last: Tool = "scribble"
        grid = spaced(QGridLayout(self))
        self.buttons: dict[Tool, QPushButton] = {}
        for number, (tool, (text, tip)) in enumerate(TOOLS.items()):
            button = self.buttons[tool] = QPushButton(text)
            button.setCheckable(True)
            button.setToolTip(
                f"{tip}\n{SHIFT}\nFor the class and the labels that are selected; Ctrl+Z takes it back."
            )
            button.toggled.connect(lambda on, tool=tool: self._toggled(tool, on))
            grid.addWidget(button, *divmod(number, 3))
        self.remove = QCheckBox("Remove")
        self.remove.setToolTip("Strokes say where the class is not. Hold Shift for the opposite.")
        self.remove.toggled.connect(self._set_remove)
        self.around = QCheckBox("Slices around, too")
        self.around.setChecked(True)
        self.around.setToolTip(
            "Mend a result on the slices around the one you draw on, in the same step of undo."
        )
        self.around.toggled.connect(self._set_around)
        self.state = QLabel()
        self.state.setObjectName("muted")
        self.state.setWordWrap(True)
        grid.addWidget(self.remove, 2, 0)
        grid.addWidget(self.around, 2, 1, 1, 2)
        grid.addWidget(self.state, 3, 0, 1, 3)
        self.control.changed.connect(self.show_state)
        self.show_state()

    def show_state(self) -> None:
        """Say what the mouse does, and whether a stroke is being answered."""
        control = self.control
        for tool, button in self.buttons.items():
            with QSignalBlocker(button):
                button.setChecked(tool == control.tool)
        self.state.setVisible(control.tool is not None)
        verb = "removes from" if not control.add else "adds to"
        text = (
            ""
            if control.tool is None
            else f"{TOOLS[control.tool][0]} {verb} the class; {printed(MEND)} ends it."
        )
        self.state.setText("Mending…" if control.is_mending else text)

    def toggle(self) -> None:
        """Take the tool used last, or give napari the mouse again."""
        self.control.set_tool(None if self.control.tool else self._last)

    def _toggled(self, tool: Tool, on: bool) -> None:
        if on:
            self._last = tool
        self.control.set_tool(tool if on else None)

    def _set_remove(self, on: bool) -> None:
        self.control.add = not on
        self.show_state()

    def _set_around(self, on: bool) -> None:
        self.control.around = on
