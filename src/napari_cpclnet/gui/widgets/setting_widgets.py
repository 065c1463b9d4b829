"""Widgets that set one field of a settings model: their items, range and tooltip are what the field says."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QSpinBox, QWidget

from napari_cpclnet.settings_fields import field_of

LARGEST = 1_000_000
"""Of a number whose field sets no limit."""


def combo(items: Iterable[tuple[str, object]], tip: str) -> QComboBox:
    """Choice among texts, each with its value."""
    box = QComboBox()
    for text, value in items:
        box.addItem(text, value)
    box.setToolTip(tip)
    return box


def choice_of(settings: type[BaseModel], name: str) -> QComboBox:
    """Choice among the values of a field."""
    field = field_of(settings, name)
    return combo(((title, value) for value, title in field.choices.items()), field.description)


def tick_of(settings: type[BaseModel], name: str) -> QCheckBox:
    """Tick of a field that is true or false."""
    field = field_of(settings, name)
    box = QCheckBox(field.title)
    box.setToolTip(field.description)
    box.setChecked(field.default)
    return box


def number_of(
    settings: type[BaseModel], name: str, *, suffix: str = "", value: int | None = None
) -> QSpinBox | QDoubleSpinBox:
    """Number of a field, at its default where no other ``value`` is given."""
    field = field_of(settings, name)
    whole = value is not None or isinstance(field.default, int)
    box: QSpinBox | QDoubleSpinBox = QSpinBox() if whole else QDoubleSpinBox()
    lowest, highest = field.lowest or 0, LARGEST if field.highest is None else field.highest
    box.setRange(*((int(lowest), int(highest)) if whole else (lowest, highest)))
    box.setValue(field.default if value is None else value)
    box.setSuffix(suffix)
    box.setToolTip(field.description)
    return box


def add_row(form: QFormLayout, settings: type[BaseModel], name: str, widget: QWidget) -> None:
    """Add a widget to a form below the title of its field."""
    form.addRow(field_of(settings, name).title, widget)
