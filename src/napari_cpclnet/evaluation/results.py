"""The table of results, ``cases.csv``: one row per case, class and method."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from napari_cpclnet.errors import SettingsError
from napari_cpclnet.files.atomic import atomic_write
from napari_cpclnet.files.bounded import read_text, shown
from napari_cpclnet.files.csv_cells import cell, text_of


@dataclass(frozen=True)
class CaseResult:
    """One organ of one query, segmented by one method from one support.

    The fields are the columns of the table, in this order. For the scores see
    :class:`napari_cpclnet.evaluation.metrics.Scores`; nan stands for a measure without meaning.

    Parameters
    ----------
    key : str
        Identifies the task: protocol, support, query, organ and shots.
    shots : int
        Painted slices.
    support_index : int
        0 for the first support of this query, 1 for the second, and so on.
    seconds : float
        Time of the prediction, without reading and scoring.
    peak_mb : float
        Highest memory use during the prediction: of the GPU, or of this process on the CPU; nan if unknown.
    weights : str
        Hash of the weights file.
    confidence : float
        Dice that the method itself expected; nan if it did not say.
    """

    key: str
    protocol: str
    shots: int
    support_index: int
    support_patient: str
    support_modality: str
    query_patient: str
    query_modality: str
    organ: str
    method: str
    dice: float
    surface_dice: float
    hd95_mm: float
    relative_volume_error: float
    false_ml: float
    truth_ml: float
    predicted_ml: float
    absent: bool
    seconds: float
    peak_mb: float
    device: str
    weights: str
    confidence: float = math.nan


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(CaseResult))


def read_results(path: Path) -> tuple[CaseResult, ...]:
    """Read a table of results.

    Raises
    ------
    SettingsError
        If it cannot be read, or has other columns or values; the sentence names the line.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read as a table of results ({error}).") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        # tables of before have no confidence
        if (columns := tuple(next(reader, ()))) not in (COLUMNS, COLUMNS[:-1]):
            raise SettingsError(f"{path}: is no table of results of this version; its columns differ.")
        return tuple(_from_row(row, columns, f"{path}, line {reader.line_num}") for row in reader)
    except csv.Error as error:
        raise SettingsError(f"{path}, line {reader.line_num}: is no CSV ({error}).") from error


def append_results(path: Path, rows: Iterable[CaseResult]) -> None:
    """Add rows to a table of results, all or none: the whole file is written anew and moved into place.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    before = read_results(path) if path.exists() else ()
    write_text(path, to_csv((*before, *rows)))


def to_csv(rows: Sequence[CaseResult]) -> str:
    """Text of the table, header included; spreadsheets compute nothing in it, whatever patients are called."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(row, name)) for name in COLUMNS] for row in rows)
    return text.getvalue()


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all; OutputError if it cannot be written."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; OutputError if it cannot be written."""
    with atomic_write(path, "the evaluation") as temporary:
        temporary.write_bytes(data)


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else cell(str(value))


def _from_row(row: Sequence[str], columns: Sequence[str], where: str) -> CaseResult:
    if len(row) != len(columns):
        raise SettingsError(f"{where}: has {len(row)} cells, not {len(columns)}.")
    try:
        values = {name: _READ[_TYPES[name]](cell) for name, cell in zip(columns, row, strict=True)}
    except (ValueError, KeyError) as error:
        raise SettingsError(f"{where}: has a value that does not belong there ({shown(error)}).") from error
    return CaseResult(**values)


_TYPES: dict[str, type] = get_type_hints(CaseResult)
_READ: dict[type, Callable[[str], Any]] = {
    str: text_of,
    int: int,
    float: float,
    bool: {"True": True, "False": False}.__getitem__,
}
