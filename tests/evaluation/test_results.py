"""The table of results on disk."""

from __future__ import annotations

import csv
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from napari_cpclnet.errors import OutputError, SettingsError
from napari_cpclnet.evaluation import CaseResult, append_results, read_results
from napari_cpclnet.evaluation.results import COLUMNS

ROW = CaseResult(
    key="a",
    protocol="honest",
    shots=5,
    support_index=0,
    support_patient="p, one",
    support_modality="CT",
    query_patient='p "2"',
    query_modality="MR",
    organ="right kidney",
    method="CPCLNet",
    dice=0.8125,
    surface_dice=0.5,
    hd95_mm=math.nan,
    relative_volume_error=-0.25,
    false_ml=0.0,
    truth_ml=120.5,
    predicted_ml=90.0,
    absent=False,
    seconds=2.5,
    peak_mb=812.0,
    device="cpu",
    weights="0123456789ab",
    confidence=0.75,
)


def test_rows_come_back_as_they_went_in_with_nan_and_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cases.csv"
    append_results(path, [ROW])
    append_results(path, [replace(ROW, key="b", absent=True, hd95_mm=3.25, dice=math.nan)])
    first, second = read_results(path)
    assert replace(first, hd95_mm=0.0) == replace(ROW, hd95_mm=0.0)
    assert math.isnan(first.hd95_mm)
    assert (second.key, second.absent, second.hd95_mm) == ("b", True, 3.25)
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    assert [p.name for p in path.parent.iterdir()] == ["cases.csv"]


def test_tables_from_before_confidence_was_written_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    append_results(path, [ROW])
    header, row = path.read_text().splitlines()
    path.write_text(f"{header.removesuffix(',confidence')}\n{row.removesuffix(',0.75')}\n")
    append_results(path, [ROW])
    old, new = read_results(path)
    assert math.isnan(old.confidence)
    assert new.confidence == 0.75
    assert replace(old, confidence=0.0, hd95_mm=0.0) == replace(ROW, confidence=0.0, hd95_mm=0.0)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda t: t.replace("dice", "score", 1), "columns differ"),
        (lambda t: t.replace("0.8125", "good"), "line 2"),
        (lambda t: t.replace("False", "maybe"), "line 2"),
        (lambda t: t.rsplit(",", 3)[0] + "\n", "line 2"),
        (lambda _: "", "columns differ"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, damage, words: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "cases.csv"
    append_results(path, [ROW])
    path.write_text(damage(path.read_text()))
    with pytest.raises(SettingsError, match=words):
        read_results(path)


def test_a_failed_write_leaves_the_old_table_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cases.csv"
    append_results(path, [ROW])
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        append_results(path, [ROW])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["cases.csv"]


@pytest.mark.parametrize(
    "name", ["=1+1", "+49", "-3", "@SUM(A1)", "'=1", "''-", "\tx", "'quoted'", "it's", ""]
)
def test_nothing_in_the_table_is_a_formula_and_names_come_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / "cases.csv"
    append_results(path, [replace(ROW, query_patient=name, organ=name)])
    (row,) = read_results(path)
    assert (row.query_patient, row.organ) == (name, name)
    assert row.relative_volume_error == -0.25
    with path.open(newline="") as file:
        cells = dict(zip(COLUMNS, list(csv.reader(file))[1], strict=True))
    assert not cells["organ"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cells["relative_volume_error"] == "-0.25"  # a number stays one


def test_a_cell_longer_than_the_library_takes_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    append_results(path, [ROW])
    path.write_text(path.read_text().replace("CPCLNet", "x" * 200_000))
    with pytest.raises(SettingsError, match="line 2: is no CSV") as caught:
        read_results(path)
    assert len(str(caught.value)) < 400
