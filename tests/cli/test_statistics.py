"""``segment --statistics``: a table of what was found, of all scans of a run."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from .test_segment import Case, Run, assert_refused, case, mask, run, save, scan  # noqa: F401


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_measures_the_labels_that_were_written(case: Case, run: Run) -> None:  # noqa: F811
    other = save(case.folder / "larger.nii.gz", scan(4, (7, 42, 42)))
    classes = ("--classes", "6=liver,1=spleen", "--slices", "2,3")
    code, out, err = run(case.arguments("--statistics", *classes, query=[case.image, other]))
    assert code == 0, err
    assert out.splitlines()[-1].endswith("statistics.csv")
    rows = rows_of(case.out / "statistics.csv")
    assert [(row["scan"], row["class"]) for row in rows] == [
        (name, organ) for name in ("ct", "larger") for organ in ("spleen", "liver")
    ]
    for row in rows:
        labels = sitk.ReadImage(str(case.out / f"{row['scan']}_labels.nii.gz"))
        grey = sitk.ReadImage(str(case.image if row["scan"] == "ct" else other))
        found = sitk.LabelIntensityStatisticsImageFilter()
        found.Execute(labels, grey)
        value = int(row["value"])
        if not found.HasLabel(value):
            assert row["voxels"] == "0" and row["mean"] == ""
            continue
        assert float(row["volume_ml"]) == pytest.approx(found.GetPhysicalSize(value) / 1000, rel=1e-5)
        assert float(row["mean"]) == pytest.approx(found.GetMean(value), rel=1e-5)
        assert (row["unit"], row["unit_from"]) == ("HU", "values")
    assert sum(int(row["voxels"]) for row in rows) > 0


def test_only_whoever_asks_gets_a_table_and_an_old_one_is_not_replaced_unasked(
    case: Case,  # noqa: F811
    run: Run,  # noqa: F811
) -> None:
    assert run(case.arguments())[0] == 0
    assert not (case.out / "statistics.csv").exists()
    table = case.out / "statistics.csv"
    table.write_text("mine")
    before = (case.out / "other_labels.nii.gz").stat().st_mtime_ns
    assert_refused(run(case.arguments("--statistics")), "statistics.csv", "--overwrite")
    assert table.read_text() == "mine"
    assert run(case.arguments("--statistics", "--overwrite"))[0] == 0
    assert (case.out / "other_labels.nii.gz").stat().st_mtime_ns > before
    assert len(rows_of(table)) == len(np.unique(mask())) - 1


def test_a_scan_that_fails_has_no_rows_and_the_others_do(case: Case, run: Run) -> None:  # noqa: F811
    broken = case.folder / "broken.nii.gz"
    broken.write_bytes(case.query.read_bytes()[:200])
    code, _, err = run(case.arguments("--statistics", query=[broken, case.query]))
    assert code == 2 and "broken.nii.gz" in err
    assert {row["scan"] for row in rows_of(case.out / "statistics.csv")} == {"other"}
