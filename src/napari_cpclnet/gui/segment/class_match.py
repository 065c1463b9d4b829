"""Dialog that asks which classes the values of a mask are, where its file has no names for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_cpclnet.gui.layers.class_names import default_name
from napari_cpclnet.gui.layers.painted_slices import label_values

if TYPE_CHECKING:
    from napari_cpclnet.imaging import Segmentation

NEW = "A class of its own"


def unnamed_values(mask: Segmentation) -> list[int]:
    """Values that occur in a mask and have no name in it."""
    return [
        v for v in label_values(mask.labels) if v and mask.classes.get(v, default_name(v)) == default_name(v)
    ]


class ClassMatch(QDialog):
    """A row for each value with the classes it may be."""

    def __init__(
        self, parent: QWidget | None, name: str, values: Sequence[int], classes: Sequence[str]
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Classes of the mask")
        self._name = name
        text = QLabel(f"{name} has no names for its labels. Which classes are they?")
        text.setWordWrap(True)
        form = QFormLayout()
        self.combos: dict[int, QComboBox] = {}
        for value in values:
            combo = self.combos[value] = QComboBox()
            combo.addItem(NEW)
            combo.addItems(classes)
            combo.setToolTip(f"What label {value} of {name} shows.")
            form.addRow(default_name(value), combo)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(text)
        column.addLayout(form)
        column.addWidget(buttons)

    def chosen(self) -> dict[int, str]:
        """Name of each value; those of their own are called after the file."""
        one = len(self.combos) == 1
        found = {}
        for value, combo in self.combos.items():
            own = self._name if one else f"{self._name} {value}"
            found[value] = own if combo.currentIndex() == 0 else combo.currentText()
        return found


def ask_classes(
    parent: QWidget | None, name: str, values: Sequence[int], classes: Mapping[int, str]
) -> dict[int, str] | None:
    """Name for each value of a mask, as the user chooses among ``classes``; None if the user gives up."""
    dialog = ClassMatch(parent, name, values, list(classes.values()))
    accepted = dialog.exec() == QDialog.DialogCode.Accepted
    found = dialog.chosen() if accepted else None
    dialog.deleteLater()
    return found
