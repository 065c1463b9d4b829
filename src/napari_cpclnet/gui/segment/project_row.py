"""Row at the top of the Segment tab: the project's name, and buttons to save and open it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_cpclnet.gui.project import recent as places
from napari_cpclnet.gui.segment.project_control import ProjectControl
from napari_cpclnet.gui.widgets.shortcuts import SAVE_PROJECT, printed
from napari_cpclnet.gui.widgets.style import spaced

if TYPE_CHECKING:
    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.project import LocatedScan, Project

SAVE = "Save scans, painted slices, classes, results and settings as a folder"
LATER = {
    True: "from then on everything is saved by itself, within seconds.",
    False: "nothing is saved by itself (napari's preferences, page of this plugin).",
}
NOT_SAVED = "What you changed since the last Save is not saved: press Save first if you want to keep it."
LOOK, OPEN, CANCEL = "Look in another folder…", "Open", "Cancel"


class ProjectRow(QWidget):
    """Emits `message(text, is_error)` to be shown, and `opened` when the session holds another project."""

    message = Signal(str, bool)
    opened = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.control = ProjectControl(session, self)
        self.name = QLabel()
        self.name.setObjectName("heading")
        self.name.setMinimumWidth(40)
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.save_button = QPushButton("Save")
        self.open_button = QPushButton("Open…")
        self.open_button.setToolTip("Open the folder of a project, and go on where you stopped.")
        self.recent_button = QPushButton("Recent")
        self.recent_button.setToolTip("Projects of late, work that was not saved, and a new project.")
        self.menu = QMenu(self)
        self.recent_button.setMenu(self.menu)
        row = spaced(QHBoxLayout(self))
        row.addWidget(self.name, stretch=1)
        for button in (self.save_button, self.open_button, self.recent_button):
            row.addWidget(button)
        self.save_button.clicked.connect(self.save)
        self.open_button.clicked.connect(self._choose)
        self.menu.aboutToShow.connect(self.fill_menu)
        self.control.message.connect(self.message)
        self.control.opened.connect(self.opened)
        self.control.located.connect(self._located)
        self.control.state_changed.connect(self._show_state)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.control.flush)
        self._show_state()

    def save(self) -> None:
        """Save the project; the first time, ask where."""
        if self.control.keeper.own:
            self.control.save()
        else:
            self.save_as()

    def save_as(self) -> None:
        """Ask for a folder and keep the project there from now on."""
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save the project as a folder", "project", "Folders (*)"
        )
        if chosen:
            self.control.save_to(Path(chosen))

    def fill_menu(self) -> None:
        """Show what can be opened now."""
        self.menu.clear()
        here = self.control.keeper.folder
        for folder in places.recent_projects():
            if folder != here:
                self._entry(folder)
        unsaved = [folder for folder in places.unsaved_work() if folder != here]
        if unsaved:
            self.menu.addSeparator()
        for folder in unsaved:
            self._entry(folder)
        self.menu.addSeparator()
        self.menu.addAction("Save as…").triggered.connect(self.save_as)

    def _entry(self, folder: Path) -> None:
        action = self.menu.addAction(places.title(folder))
        action.setToolTip(str(folder))
        action.triggered.connect(lambda: self.control.open(folder))

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open the folder of a project")
        if chosen:
            self.control.open(Path(chosen))

    def _located(self, project: Project, folder: Path, found: list[LocatedScan]) -> None:
        """Say what became of the scans, and ask what to do about it."""
        warnings = [one.warning for one in found if one.warning]
        if self.control.would_be_lost:
            warnings.append(NOT_SAVED)
        missing = any(one.state == "missing" for one in found)
        unsure = any(one.state in ("missing", "changed") for one in found)
        layers = len(self.control.session.viewer.layers)
        self.message.emit("\n".join(warnings), unsure)
        close = True
        if unsure or layers:
            answer, close = self.ask(places.title(folder), warnings, missing=missing, layers=layers)
            if answer == LOOK:
                chosen = QFileDialog.getExistingDirectory(self, "Folder in which the scans are")
                if chosen:
                    self.control.open(folder, [Path(chosen)])
                return
            if answer == CANCEL:
                self.message.emit("", False)
                return
        self.control.read(project, folder, found, close=close)

    def ask(self, name: str, warnings: list[str], *, missing: bool, layers: int) -> tuple[str, bool]:
        """Ask whether to open a project: `LOOK`, `OPEN` or `CANCEL`, and whether to close the open layers."""
        box = QMessageBox(self)
        box.setWindowTitle(f"Open {name}")
        box.setText("\n\n".join(warnings) or f"Open the project '{name}'?")
        if warnings:
            box.setIcon(QMessageBox.Icon.Warning)
        check = QCheckBox("Close the layers that are open now")
        check.setChecked(True)
        if layers:
            box.setCheckBox(check)
        buttons = {
            OPEN: box.addButton(OPEN, QMessageBox.ButtonRole.AcceptRole),
            CANCEL: box.addButton(CANCEL, QMessageBox.ButtonRole.RejectRole),
        }
        if missing:
            buttons[LOOK] = box.addButton(LOOK, QMessageBox.ButtonRole.ActionRole)
        box.exec()
        pressed = box.clickedButton()
        answer = next((answer for answer, button in buttons.items() if button is pressed), CANCEL)
        return answer, bool(layers) and check.isChecked()

    def _show_state(self) -> None:
        control = self.control
        self.save_button.setToolTip(f"{SAVE} ({printed(SAVE_PROJECT)});\n{LATER[control.autosave]}")
        mark = "" if control.is_saved or control.keeper.folder is None else " *"
        self.name.setText(f"{control.title}{mark}")
        folder = control.keeper.folder
        where = "This project is kept nowhere yet." if folder is None else str(folder)
        if folder is not None and not control.keeper.own:
            where = "Not saved to a folder yet; kept for the worst case under Recent."
        self.name.setToolTip(where)
        self.save_button.setEnabled(bool(control.session.viewer.layers))
