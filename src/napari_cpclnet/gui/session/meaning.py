"""Modality and unit of a scan: as detected, or as the user says. No Qt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image

from napari_cpclnet.gui.layers.scan_layers import KEY, LayerScan, note, refusal
from napari_cpclnet.gui.settings.display_presets import presets
from napari_cpclnet.imaging.modality import ASSUMED, values_note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_cpclnet.gui.session.queries import Queries, QuerySource
    from napari_cpclnet.imaging import Modality

Meaning = tuple["Modality", str]

MEANINGS: dict[Meaning, str] = {
    ("CT", "HU"): "CT in HU",
    ("CT", "HU8"): "CT stored in 8 bits",
    ("PT", "SUVbw"): "PET in SUV",
    ("PT", ""): "PET in another unit",
    ("MR", ""): "MR",
    ("other", ""): "Other",
}
_NAMES = {"PT": "PET", "other": ""}
_UNITS = {"SUVbw": "SUV", "HU8": "8 bits"}


def words(meaning: Meaning | None) -> str:
    """Short words for a modality and its unit, ``PET, SUV``; empty where nothing is known."""
    if meaning is None:
        return ""
    modality, unit = meaning
    parts = (_NAMES.get(modality, modality), _UNITS.get(unit, unit))
    return ", ".join(part for part in parts if part)


def meaning_of(queries: Queries, source: QuerySource) -> Meaning | None:
    """Modality and unit of a scan; None for a file that was not read, and of which nobody said anything."""
    if not isinstance(source, Image):
        return queries.meaning(source)
    noted = note(source)
    if "modality" in noted:
        return noted["modality"], noted.get("unit", "")
    if refusal(source) or not isinstance(source.data, np.ndarray) or not source.data.size:
        return None
    if "napari_cpclnet.imaging" not in sys.modules:
        return None  # the panel opens at once; this is known as soon as anything was read or painted
    found = LayerScan.of(source).meaning()
    # the values do not change, and looking takes time
    set_note(source, found, (*noted.get("notes", ()), values_note(found[0])))
    return found


def say_meaning(queries: Queries, source: QuerySource, meaning: Meaning) -> None:
    """Take a scan for what the user says it is, and show an open one so."""
    if not isinstance(source, Image):
        queries.say_meaning(source, meaning)
        return
    notes = [one for one in note(source).get("notes", ()) if not one.startswith(ASSUMED)]
    set_note(source, meaning, notes)
    preset = presets()
    source.contrast_limits = preset.limits(source.data, meaning[1])
    source.colormap = preset.colormap(meaning[0])


def set_note(layer: Image, meaning: Meaning, notes: Iterable[str]) -> None:
    """Note modality and unit on a layer, and what is to be said of it."""
    noted = {**note(layer), "modality": meaning[0], "unit": meaning[1], "notes": tuple(notes)}
    layer.metadata = {**layer.metadata, KEY: noted}
