"""Table of volumes, grey values, diameters and components of each class of each scan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QTableWidgetItem

from napari_cpclnet.gui.widgets.class_table import swatch
from napari_cpclnet.gui.widgets.row_table import RowTable

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
ROLE = Qt.ItemDataRole.UserRole
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class StatisticsTable(RowTable):
    """Emits `picked(row)` with the `ClassStatistics` of a row that is clicked."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__(2 + len(COLUMNS))
        self.setHorizontalHeaderLabels(["Scan", "Class", *(head for head, *_ in COLUMNS)])
        for column, (*_, tip) in enumerate(COLUMNS, start=2):
            self.horizontalHeaderItem(column).setToolTip(tip)
        for column in (SCAN, CLASS):
            self.horizontalHeaderItem(column).setTextAlignment(LEFT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(SCAN, QHeaderView.ResizeMode.Stretch)
        self.setColumnHidden(SUV_PEAK, True)
        self.setSortingEnabled(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)  # as they come, until a head is clicked
        self.cellClicked.connect(lambda row, _column: self.picked.emit(self.row_of(row)))

    def clear_rows(self) -> None:
        """Take everything out."""
        self.setRowCount(0)
        self.setColumnHidden(SUV_PEAK, True)

    def add(self, row: ClassStatistics, color: Color) -> None:
        """Append a row; it goes where the sorting puts it."""
        self.setSortingEnabled(False)
        number = self.rowCount()
        self.insertRow(number)
        scan, name = QTableWidgetItem(row.scan), QTableWidgetItem(swatch(color), row.name)
        for item, text in ((scan, row.scan), (name, row.name)):
            item.setToolTip(text)
        items = [scan, name, *(_cell(row, field, form) for _, field, form, _ in COLUMNS)]
        for column, item in enumerate(items):
            item.setData(ROLE, row)
            self.setItem(number, column, item)
        self.setSortingEnabled(True)
        if not math.isnan(row.suv_peak):
            self.setColumnHidden(SUV_PEAK, False)

    def row_of(self, number: int) -> ClassStatistics:
        """What row ``number`` shows, as it is sorted now."""
        return self.item(number, SCAN).data(ROLE)

    def rows(self) -> list[ClassStatistics]:
        """All rows from top to bottom."""
        return [self.row_of(number) for number in range(self.rowCount())]


class _Number(QTableWidgetItem):
    """Sorted by its number, not by its text; what has none comes first."""

    def __init__(self, text: str, value: float) -> None:
        super().__init__(text)
        self.value = -math.inf if math.isnan(value) else value
        self.setTextAlignment(RIGHT)

    def __lt__(self, other: Any) -> bool:
        return self.value < other.value


def _cell(row: ClassStatistics, field: str, form: str) -> QTableWidgetItem:
    value = getattr(row, field)
    if not form:
        text = f"{value}?" if value and row.assumed else value or "–"
        item = QTableWidgetItem(text)
        item.setTextAlignment(RIGHT)
        return item
    if field == "components" and not row.voxels:
        return _Number("–", -1)
    return _Number("–" if math.isnan(value) else format(value, form), value)
