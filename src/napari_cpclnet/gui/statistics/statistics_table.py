"""Table of volumes, grey values, diameters and components of each class of each scan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHeaderView, QTableWidgetItem

from napari_cpclnet.gui.widgets.class_table import swatch
from napari_cpclnet.gui.widgets.record_table import RIGHT, Number, RecordTable, words

if TYPE_CHECKING:
    from napari_cpclnet.gui.layers.class_names import Color
    from napari_cpclnet.segmentation.statistics import ClassStatistics

COLUMNS: tuple[tuple[str, str, str, str], ...] = (
    ("ml", "ml", ".2f", "Volume; empty where the scan has no physical size."),
    ("Mean", "mean", ".2f", "Mean grey value; SUVmean in a PET."),
    ("SD", "sd", ".2f", "Standard deviation of a sample (n - 1)."),
    ("Min", "minimum", ".2f", "Lowest grey value."),
    ("Max", "maximum", ".2f", "Highest grey value; SUVmax in a PET."),
    ("Unit", "unit", "", "Of the grey values; a ? where it was concluded from the values of the file."),
    (
        "SUVpeak",
        "suv_peak",
        ".2f",
        "Highest mean in a sphere of 1 ml (radius 6.2 mm) around the centre of a voxel of the class;\n"
        "voxels of the sphere outside the class count, too (global intensity peak, IBSI 0F91).",
    ),
    (
        "Diam. (mm)",
        "diameter_mm",
        ".1f",
        "Largest diameter of one component on one axial slice (RECIST). Click the row to go to the slice.",
    ),
    ("Across (mm)", "perpendicular_mm", ".1f", "Largest diameter at a right angle to it, on the same slice."),
    ("Comp.", "components", "d", "Connected components (26-neighbourhood)."),
)
SCAN, CLASS = 0, 1
SUV_PEAK = 2 + [field for _, field, _, _ in COLUMNS].index("suv_peak")


class StatisticsTable(RecordTable):
    """Emits `picked(row)` with the `ClassStatistics` of a row that is clicked."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__({"Scan": "", "Class": "", **{head: tip for head, *_, tip in COLUMNS}}, (SCAN, CLASS))
        header = self.horizontalHeader()
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(SCAN, QHeaderView.ResizeMode.Stretch)
        self.setColumnHidden(SUV_PEAK, True)
        self.sort_when_asked()
        self.cellClicked.connect(lambda row, _column: self.picked.emit(self.row_of(row)))

    def clear_rows(self) -> None:
        """Take everything out."""
        super().clear_rows()
        self.setColumnHidden(SUV_PEAK, True)

    def add(self, row: ClassStatistics, color: Color) -> None:
        """Append a row; it goes where the sorting puts it."""
        cells = (_cell(row, field, form) for _, field, form, _ in COLUMNS)
        self.add_rows([(row, [words(row.scan), words(row.name, icon=swatch(color)), *cells])])
        if not math.isnan(row.suv_peak):
            self.setColumnHidden(SUV_PEAK, False)


def _cell(row: ClassStatistics, field: str, form: str) -> QTableWidgetItem:
    value = getattr(row, field)
    if not form:
        text = f"{value}?" if value and row.assumed else value or "–"
        item = QTableWidgetItem(text)
        item.setTextAlignment(RIGHT)
        return item
    if field == "components" and not row.voxels:
        return Number(-1, "–")
    # in CT and MR they are voxels of whole numbers, and leave the room to the name of the scan
    bare = field in ("minimum", "maximum") and value.is_integer()
    return Number(value, "–" if math.isnan(value) else format(value, ".0f" if bare else form))
