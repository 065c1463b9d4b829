"""Statistics as a CSV file that a spreadsheet reads."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.csv_cells import cell
from napari_cpclnet.segmentation.statistics.measure import ClassStatistics

STATISTICS_FILE = "statistics.csv"

COLUMNS = (
    "scan",
    "value",
    "class",
    "voxels",
    "volume_ml",
    "unit",
    "unit_from",
    "mean",
    "sd",
    "minimum",
    "maximum",
    "suv_mean",
    "suv_max",
    "suv_peak",
    "diameter_mm",
    "perpendicular_mm",
    "diameter_slice",
    "components",
)

# Significant digits: more than anybody measures, and no rounding errors of binary fractions.
_DIGITS = 6


def as_csv(rows: Iterable[ClassStatistics], delimiter: str = ",") -> str:
    """Text of the table, a row for each class of each scan; cells without a meaning are empty.

    Decimal signs are points, whatever the language. Names that a spreadsheet would compute get an apostrophe in front.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(row) for row in rows)
    return text.getvalue()


def write_statistics(path: Path, rows: Iterable[ClassStatistics]) -> None:
    """Write the table in UTF-8, whole or not at all; OutputError if it cannot be written."""
    with atomic_write(path, "the statistics") as temporary:
        temporary.write_bytes(as_csv(rows).encode("utf-8"))


def _cells(row: ClassStatistics) -> list[str]:
    basis = ("values" if row.assumed else "file") if row.unit else ""
    numbers = (row.mean, row.sd, row.minimum, row.maximum, row.suv_mean, row.suv_max, row.suv_peak)
    lengths = (row.diameter_mm, row.perpendicular_mm)
    where = "" if row.diameter_slice is None else str(row.diameter_slice)
    return [
        cell(row.scan),
        str(row.value),
        cell(row.name),
        str(row.voxels),
        _number(row.ml),
        row.unit,
        basis,
        *map(_number, numbers),
        *map(_number, lengths),
        where,
        str(row.components),
    ]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.{_DIGITS}g}"
