"""Classes of the session, and a button that adds one: a common organ with colour and code, or any name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_cpclnet.errors import CpclnetError
from napari_cpclnet.gui.layers.corrections import is_result
from napari_cpclnet.gui.session.classes import PALETTE, ClassInfo, offered
from napari_cpclnet.gui.settings.preferences import preferences
from napari_cpclnet.gui.widgets.class_table import ClassRow, ClassTable, swatch
from napari_cpclnet.gui.widgets.style import spaced
from napari_cpclnet.imaging import Terminology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_cpclnet.gui.session.session import Session
    from napari_cpclnet.imaging.terminology import Term

# More would not fit a small screen.
OFFERED_AT_ONCE = 12


class ClassBox(QWidget):
    """Emits `added` and `changed` when a class was added or changed, and `message(text, is_error)` to be shown."""

    added = Signal()
    changed = Signal()
    message = Signal(str, bool)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.table = ClassTable()
        self.table.renamed.connect(self._rename)
        self.table.coded.connect(self._code)
        self.table.picked.connect(self._pick)
        self.table.color_asked.connect(self._ask_color)
        self.table.remove_asked.connect(self._remove)
        self.add = QPushButton("Add class  ▾")
        self.add.setToolTip("Add a class and paint with it: a common organ, or one with a name of your own.")
        self._menu = QMenu(self.add)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.add.setMenu(self._menu)
        column = spaced(QVBoxLayout(self))
        column.addWidget(self.table)
        column.addWidget(self.add)

    def show_classes(self, painted: Mapping[int, int], selected: int | None) -> None:
        """Show the classes; ``painted``: number of painted slices of each label value."""
        classes = self.session.classes
        rows = []
        for value, info in classes.items():
            term = _term(classes.term(value))
            side = f", {term.side.meaning.lower()}" if term.side else ""
            meaning = (
                f"{term.type.meaning}{side} ({term.type.scheme} {term.type.value})" if term.known else ""
            )
            code = term.type.value if term.known else ""
            rows.append(
                ClassRow(value, info.name, painted.get(value, 0), classes.color(value), code, meaning)
            )
        self.table.show_rows(rows, selected)

    def add_class(self, name: str = "") -> None:
        """Add a class; without a name the editor of its name opens."""
        value = self.session.class_actions.add(name)
        self._pick(value)
        self.added.emit()
        if not name:
            self.table.edit_name(value)

    def _fill_menu(self) -> None:
        self._menu.clear()
        self._menu.addAction("Custom class…", self.add_class)
        self._menu.addSeparator()
        left = [
            one for one in offered(preferences().classes) if self.session.classes.value_of(one.name) is None
        ]
        for preset in left[:OFFERED_AT_ONCE]:
            self._offer(self._menu, preset)
        if rest := left[OFFERED_AT_ONCE:]:
            more = self._menu.addMenu("More organs")
            for preset in rest:
                self._offer(more, preset)

    def _offer(self, menu: QMenu, preset: ClassInfo) -> None:
        menu.addAction(swatch(preset.color or PALETTE[0]), preset.name, lambda: self.add_class(preset.name))

    def pick_number(self, number: int) -> None:
        """Paint with a class by its place on the list, from 0: on a selected result, else on the annotation."""
        values = [value for value, _ in self.session.classes.items()]
        if number >= len(values):
            return
        active = self.session.viewer.layers.selection.active
        if isinstance(active, Labels) and is_result(active):
            active.selected_label = values[number]
        else:
            self._pick(values[number])

    def _pick(self, value: int) -> None:
        labels = self.session.support_labels
        if labels is not None:
            labels.selected_label = value
            self.session.viewer.layers.selection.active = labels

    def _rename(self, value: int, name: str) -> None:
        self._try(lambda: self.session.class_actions.rename(value, name))

    def _code(self, value: int, term: str) -> None:
        term = term.strip().strip("–")
        if term and not _term(term).known:
            if not term.isdigit():  # the shown code, left as it was
                self.message.emit(f"The terminology has no '{term}': type an organ, e.g. liver.", True)
            self.changed.emit()
            return
        self._try(lambda: self.session.class_actions.set_code(value, term or None))

    def _ask_color(self, value: int) -> None:
        old = QColor(*self.session.classes.color(value))
        color = QColorDialog.getColor(old, self, f"Colour of {self.session.classes.name(value)}")
        if color.isValid():
            self.set_color(value, color)

    def set_color(self, value: int, color: QColor) -> None:
        """Draw a class in a colour on all layers."""
        self._try(
            lambda: self.session.class_actions.set_color(value, (color.red(), color.green(), color.blue()))
        )

    def _remove(self, value: int) -> None:
        self._try(lambda: self.session.class_actions.remove(value))

    def _try(self, action: object) -> None:
        try:
            action()
        except CpclnetError as error:
            self.message.emit(str(error), True)
        self.changed.emit()


def _term(name: str) -> Term:
    return Terminology()[name]
